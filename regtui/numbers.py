"""Numbers of whatever kind a training loop holds: floats, scalars of numpy, tensors of any framework on any device."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from regtui.core.events import Metrics

Kept = Any
"""A number that is kept until it is written: a float, None, or a tensor that nobody changes any more."""

EXACT = 2**53
"""Whole numbers up to here are exact as floats; what counts more is no count."""

DEEPEST = 4
"""Levels of nesting that are kept of settings; those of frameworks have three."""

LONGEST_TEXT, MOST_ENTRIES = 1000, 500
"""Characters of one setting, and entries of one level, that are kept: all settings stand in the log's first line."""


def keep(value: Any) -> Kept:
    """Take a number out of a loop's hands at once, without waiting for a device; None for what is none. Never raises.

    A tensor of torch on a device is copied there, since the loop may change it in place; it is read later (`fetch`).
    What holds a graph for a backward pass is let go of. Tensors that nothing can change are kept as they are.
    """
    kind = type(value)
    if kind is float or value is None:
        return value
    try:
        if isinstance(value, int | np.generic):
            return number_of(value)
        on_host = getattr(value, "is_cpu", None)  # a tensor of torch
        if on_host is True:
            number = value.item()
            return number if type(number) is float else number_of(number)
        if on_host is False:
            return value.detach().clone() if value.numel() == 1 else None
        # JAX computes while the loop goes on; and a tensor of TensorFlow on a GPU.
        if hasattr(value, "block_until_ready") or "GPU" in str(getattr(value, "device", "")):
            return value if math.prod(value.shape) == 1 else None
    except Exception:
        return None
    return number_of(value)


def is_read(kept: Kept) -> bool:
    """Tell whether what was kept is a number already."""
    return kept is None or type(kept) is float


def fetch(kept: list[Kept]) -> Iterator[float | None]:
    """Give the numbers that were kept, those on one device fetched in one go."""
    waiting: dict[Any, list[int]] = {}
    found: list[float | None] = list(kept)
    for index, value in enumerate(kept):
        if is_read(value):
            continue
        if hasattr(value, "detach"):
            waiting.setdefault((value.device, value.dtype), []).append(index)
        else:
            found[index] = number_of(value)
    for (device, _), indices in waiting.items():
        for index, number in zip(indices, _together(device, [kept[index] for index in indices]), strict=True):
            found[index] = number
    return iter(found)


def _together(device: Any, tensors: list[Any]) -> list[float | None]:
    """Read tensors of one device by one transfer; one by one where that does not work."""
    try:
        import torch

        if device.type == "cuda":
            # They were copied on whatever stream the loop used; this thread has another one.
            torch.cuda.synchronize(device)
        return [number_of(number) for number in torch.stack([tensor.reshape(()) for tensor in tensors]).tolist()]
    except Exception:
        return [number_of(tensor) for tensor in tensors]


def numbers_of(values: Mapping[str, Any] | None) -> Metrics | None:
    """Read numbers by name, now; what is none is left out."""
    if values is None:
        return None
    return {text_of(name): number for name, value in values.items() if (number := number_of(value)) is not None}


def number_of(value: Any) -> float | None:
    """Read one number; None for what is none, such as a tensor of several, or a text. Never raises."""
    if isinstance(value, str | bytes):
        return None
    for read in (_item, float) if hasattr(value, "detach") else (float, _item):
        try:
            return float(read(value))
        except Exception:
            continue
    return None


def _item(value: Any) -> Any:
    return value.item()  # of a tensor with a graph, too, without a word


def count_of(value: Any) -> int | None:
    """Read a count of steps, epochs or classes; None for what is none."""
    number = number_of(value)
    return int(number) if number is not None and 0 <= number <= EXACT else None


def text_of(value: object) -> str:
    """Give a text that every log can hold: half characters, as names of files may have, are replaced."""
    return str(value).encode("utf-8", "replace").decode()


def plain(value: Any, depth: int = 0) -> Any:
    """Put settings into what JSON has: numbers, texts, lists and objects; anything else by its text. Never raises."""
    try:
        return _plain(value, depth)
    except Exception:  # a stranger's object may do anything when it is looked at
        return f"<{type(value).__name__}>"


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text_of(value)[:LONGEST_TEXT]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        return int(value) if abs(value) <= EXACT else str(value)[:LONGEST_TEXT]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if depth == 0 and not isinstance(value, Mapping | list | tuple) and hasattr(value, "__dict__"):
        value = vars(value)  # argparse's namespace, a dataclass
    if depth < DEEPEST and isinstance(value, Mapping):
        some = list(value.items())[:MOST_ENTRIES]
        return {text_of(name)[:LONGEST_TEXT]: plain(each, depth + 1) for name, each in some}
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [plain(each, depth + 1) for each in list(value)[:MOST_ENTRIES]]
    number = number_of(value) if not isinstance(value, Mapping | list | tuple | set | frozenset) else None
    return number if number is not None and math.isfinite(number) else text_of(value)[:LONGEST_TEXT]
