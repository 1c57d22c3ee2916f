"""What a data set may cost: limits of our own, checked against what a file declares before its data are read."""

import os
import re
from pathlib import Path

from regtui.datasets.table import wrong

MOST_BYTES = 800_000_000
"""A data set as a run holds it: features in float32 and labels, and what must lie beside them as it was read. The
largest that such nets are usually shown, CIFAR-10 with its test split, takes 740 MB."""

MAX_DATA = "REGTUI_MAX_DATA"
"""The environment's word for more: it is a matter of the machine, not of a run."""

HELD_BYTES = 1 << 27
"""Features of fewer bytes are read once and held as they came; more are read twice, once for their range and once
into their places, so that beside the run's own copy there is never more than a block of them."""

ROW_BYTES = 40
"""What a row takes beside its features: its label as it was read and as a class, its place in the shuffle and in the
split, 8 bytes each, and its label once more where it is trained on."""

MOST_INPUTS = 1_000_000
"""Features in a row. A hidden layer of 100 on so many takes 1.6 GB to train."""

_SIZE = re.compile(r"(\d{1,15})([kmgt]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def most_bytes() -> int:
    """Give the limit that holds here; raises ConfigError where the environment's is no size."""
    given = os.environ.get(MAX_DATA, "").strip()
    if not given:
        return MOST_BYTES
    match = _SIZE.fullmatch(given)
    if match is None:
        raise wrong(f"cannot be read: {MAX_DATA} must be a size such as 8G or 500M, not {given[:30]!r}")
    return int(match[1]) * _UNITS[match[2].lower()]


class Budget:
    """What the parts of one file come to in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._most = most_bytes()
        self._taken = 0

    def take(self, what: str, count: int) -> None:
        """Count the bytes of a part named `what`; raises ConfigError when all of them are over the limit."""
        self._taken += count
        if self._taken > self._most:
            more = f"{self._taken // 10**9 + 1}G"
            raise wrong(
                f"{self._path}: with {what} the data take {size(self._taken)} of memory, and {size(self._most)} is "
                f"the limit; {MAX_DATA}={more} in the environment lifts it"
            )


def size(count: int) -> str:
    """Write bytes as people read them: 3.0 GB, 740 MB."""
    for unit in ("kB", "MB", "GB", "TB"):
        count, whole = count / 1000, count  # type: ignore[assignment]
        if count < 1000:
            return f"{count:.1f} {unit}" if count < 10 else f"{count:.0f} {unit}"
    return f"{whole / 1000:.3g} TB"
