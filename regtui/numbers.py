"""Numbers of whatever kind a training loop holds: floats, scalars of numpy, tensors of any framework on any device."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from regtui.core.events import Metrics

Kept = Any
"""A number that is kept until it is written: a float, None, or a tensor that nobody changes any more."""

DEEPEST = 4
"""Levels of nesting that are kept of settings; those of frameworks have three."""


def keep(value: Any) -> Kept:
    """Take a number out of a loop's hands at once, without waiting for a device.

    A tensor on a device is copied there, since the loop may change it in place; it is read later (`fetch`). What holds
    a graph for a backward pass is let go of.
    """
    kind = type(value)
    if kind is float or kind is int or value is None:
        return value
    if hasattr(value, "detach"):  # a tensor of torch
        detached = value.detach()
        return detached.clone() if detached.device.type != "cpu" else number_of(detached)
    if hasattr(value, "numpy") and hasattr(value, "device") and "GPU" in str(value.device):
        return value  # a tensor of TensorFlow, which nothing changes
    return number_of(value)


def fetch(kept: list[Kept]) -> Iterator[float | None]:
    """Give the numbers that were kept, those on one device fetched in one go."""
    waiting: dict[Any, list[int]] = {}
    found: list[float | None] = list(kept)
    for index, value in enumerate(kept):
        if hasattr(value, "detach"):
            waiting.setdefault((value.device, value.dtype), []).append(index)
        elif value is not None and type(value) is not float and type(value) is not int:
            found[index] = number_of(value)
    for indices in waiting.values():
        import torch

        fetched = torch.stack([kept[index].reshape(-1)[0] for index in indices]).tolist()
        for index, value in zip(indices, fetched, strict=True):
            found[index] = float(value)
    return iter(found)


def numbers_of(values: Mapping[str, Any] | None) -> Metrics | None:
    """Read numbers by name, now; what is none is left out."""
    if values is None:
        return None
    return {str(name): number for name, value in values.items() if (number := number_of(value)) is not None}


def number_of(value: Any) -> float | None:
    """Read one number; None for what is none, such as a tensor of several."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        pass
    try:
        return float(value.item())
    except (AttributeError, TypeError, ValueError, OverflowError, RuntimeError):
        return None


def plain(value: Any, depth: int = 0) -> Any:
    """Put settings into what JSON has: numbers, texts, lists and objects; anything else by its text."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return {str(name): plain(each, depth + 1) for name, each in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [plain(each, depth + 1) for each in value]
    number = number_of(value) if not isinstance(value, Mapping | list | tuple | set | frozenset) else None
    return number if number is not None and math.isfinite(number) else str(value)[:200]
