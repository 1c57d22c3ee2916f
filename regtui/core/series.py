"""Growing columns of numbers, made to be read by charts while they grow."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Column:
    """Numbers of one kind in the order in which they came, growing at the end.

    Whatever is not finite (None, infinities) is kept as NaN, the one sign for 'no number here'.
    """

    __slots__ = ("_data", "_size")

    def __init__(self, values: Iterable[float | None] = ()) -> None:
        self._data: FloatArray = np.empty(64)
        self._size = 0
        self.extend(list(values))

    def __len__(self) -> int:
        return self._size

    def extend(self, values: Sequence[float | None]) -> None:
        """Add numbers at the end."""
        if not len(values):
            return
        block = np.array(values, dtype=np.float64)
        block[~np.isfinite(block)] = np.nan
        needed = self._size + len(block)
        if needed > len(self._data):
            grown = np.empty(max(needed, 2 * len(self._data)))
            grown[: self._size] = self._data[: self._size]
            self._data = grown
        self._data[self._size : needed] = block
        self._size = needed

    @property
    def values(self) -> FloatArray:
        """All numbers so far, shape (n,): a view, good until the next `extend`."""
        return self._data[: self._size]

    @property
    def last(self) -> float:
        """The newest number, NaN where there is none."""
        return float(self._data[self._size - 1]) if self._size else float("nan")
