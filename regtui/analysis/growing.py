"""Columns that grow by blocks, and what Python's `max` and `min` say of many pairs at once."""

from typing import Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from regtui.core.series import FloatArray, IntArray

T = TypeVar("T", int, float)

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]


class Growing(Generic[T]):
    """Numbers of one kind in the order in which they came; unlike a `Column` it keeps what is not finite as it is."""

    __slots__ = ("_data", "_size")

    def __init__(self, kind: npt.DTypeLike) -> None:
        self._data: Array = np.empty(64, dtype=kind)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: int) -> T:
        return cast(T, self._data[: self._size][at].item())

    @property
    def values(self) -> Array:
        """All numbers so far: a view, good until the next `extend`."""
        return self._data[: self._size]

    def extend(self, block: Array) -> None:
        """Add numbers at the end."""
        needed = self._size + len(block)
        if needed > len(self._data):
            grown = np.empty(max(needed, 2 * len(self._data)), dtype=self._data.dtype)
            grown[: self._size] = self._data[: self._size]
            self._data = grown
        self._data[self._size : needed] = block
        self._size = needed


def higher(first: Array, second: Array | float) -> FloatArray:
    """Give `max(first, second)` of each pair: the first, unless the second is greater; so where one is no number."""
    found: FloatArray = np.where(second > first, second, first)
    return found


def lower(first: Array, second: Array | float) -> FloatArray:
    """Give `min(first, second)` of each pair: the first, unless the second is less."""
    found: FloatArray = np.where(second < first, second, first)
    return found


def lowest_so_far(values: FloatArray, places: IntArray, value: float, place: int) -> tuple[IntArray, FloatArray]:
    """Give for each value the place of the lowest up to it, the first on ties, and the lowest before it.

    `value` and `place` are those of the lowest before all of these.
    """
    low = np.fmin.accumulate(np.concatenate(((value,), values)))[:-1]
    found: IntArray = np.maximum.accumulate(np.where(values < low, places, place))
    return found, low
