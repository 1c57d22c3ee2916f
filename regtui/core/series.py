"""Growing columns of numbers, made to be read by charts while they grow."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BLOCK = 32
"""Values summed up by one block of the next level: four levels then reach over a million values, and the
loose ends of a range never hold more than 31 values a level."""


class Column:
    """Numbers of one kind in the order in which they came, growing at the end.

    Whatever is not finite (None, infinities) is kept as NaN, the one sign for 'no number here'.
    """

    __slots__ = ("_data", "_levels", "_size", "_smoothed")

    def __init__(self, values: Iterable[float | None] = ()) -> None:
        self._data: FloatArray = np.empty(64)
        self._size = 0
        self._levels: list[_Level] = []
        self._smoothed: tuple[float, Smoothed] | None = None
        self.extend(values if isinstance(values, np.ndarray) else list(values))

    def __len__(self) -> int:
        return self._size

    def extend(self, values: Sequence[float | None] | FloatArray) -> None:
        """Add numbers at the end; the blocks over them are brought up to date when they are next asked for."""
        if not len(values):
            return
        try:
            block = np.array(values, dtype=np.float64)
        except OverflowError:  # a whole number with hundreds of digits is no measurement either
            block = np.array([_finite_or_none(value) for value in values], dtype=np.float64)
        block[~np.isfinite(block)] = np.nan
        needed = self._size + len(block)
        if needed > len(self._data):
            grown = np.empty(max(needed, 2 * len(self._data)))
            grown[: self._size] = self._data[: self._size]
            self._data = grown
        self._data[self._size : needed] = block
        self._size = needed

    def replace(self, values: FloatArray, start: int = 0) -> None:
        """Put other numbers in the place of all from a row on; what was worked out from those is forgotten."""
        self._forget(start)
        self._size = start
        self.extend(values)

    def put(self, rows: IntArray, values: FloatArray) -> None:
        """Put finite numbers into rows that there are, named in rising order."""
        if len(rows):
            self._forget(int(rows[0]))
            self._data[rows] = values

    def _forget(self, start: int) -> None:
        """Forget what was worked out from the numbers from a row on."""
        self._smoothed = None
        for level in self._levels:
            start //= BLOCK
            level.forget(start)

    @property
    def values(self) -> FloatArray:
        """All numbers so far, shape (n,): a view, good until the next `extend`."""
        return self._data[: self._size]

    @property
    def last(self) -> float:
        """The newest number, NaN where there is none."""
        return float(self._data[self._size - 1]) if self._size else float("nan")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest number so far, NaN where there is none; costs the same however many there are."""
        lowest, highest = self.extremes(np.array([0, self._size]))
        return float(lowest[0]), float(highest[0])

    def extremes(self, edges: IntArray) -> tuple[FloatArray, FloatArray]:
        """Give the lowest and highest number of each range `edges[i]:edges[i + 1]`, NaN where it holds none.

        `edges` never falls and stays within 0 and the length. The cost depends on the number of ranges, not on
        how many values they hold: whole blocks stand for their values, on as many levels as it takes.
        """
        start, stop = np.asarray(edges[:-1], dtype=np.int64), np.asarray(edges[1:], dtype=np.int64)
        lowest, highest = np.full(len(start), np.nan), np.full(len(start), np.nan)
        low = high = self.values
        depth = 0
        while len(start) and (start < stop).any():
            if len(low) <= 4 * BLOCK:
                _take(low, high, start, stop, lowest, highest)
                break
            first = np.minimum(-(-start // BLOCK) * BLOCK, stop)
            final = np.maximum(stop // BLOCK * BLOCK, first)
            _take(low, high, start, first, lowest, highest)
            _take(low, high, final, stop, lowest, highest)
            level = self._level(depth)
            low, high = level.low, level.high
            start, stop = first // BLOCK, final // BLOCK
            # A range whose ends met in the middle of a block has nothing left for the levels above.
            start = np.minimum(start, stop)
            depth += 1
        return lowest, highest

    def smoothed(self, weight: float) -> "Column":
        """Give the debiased exponential mean of this column, of the same length, kept and grown with it."""
        if self._smoothed is None or self._smoothed[0] != weight:
            self._smoothed = (weight, Smoothed(weight))
        self._smoothed[1].follow(self.values)
        return self._smoothed[1].column

    def _level(self, depth: int) -> "_Level":
        while len(self._levels) <= depth:
            self._levels.append(_Level())
        low = high = self.values
        for level in self._levels[: depth + 1]:
            level.follow(low, high)
            low, high = level.low, level.high
        return self._levels[depth]


class _Level:
    """The lowest and highest number of each whole block of the level below."""

    __slots__ = ("_high", "_low", "_size")

    def __init__(self) -> None:
        self._low: FloatArray = np.empty(64)
        self._high: FloatArray = np.empty(64)
        self._size = 0

    @property
    def low(self) -> FloatArray:
        return self._low[: self._size]

    @property
    def high(self) -> FloatArray:
        return self._high[: self._size]

    def forget(self, start: int) -> None:
        """Forget the blocks from one on."""
        self._size = min(self._size, start)

    def follow(self, low: FloatArray, high: FloatArray) -> None:
        """Take in the blocks that have become whole since the last call."""
        whole = len(low) // BLOCK
        if whole <= self._size:
            return
        if whole > len(self._low):
            room = max(whole, 2 * len(self._low))
            self._low, self._high = np.resize(self._low, room), np.resize(self._high, room)
        news = slice(self._size * BLOCK, whole * BLOCK)
        np.fmin.reduce(low[news].reshape(-1, BLOCK), axis=1, out=self._low[self._size : whole])
        np.fmax.reduce(high[news].reshape(-1, BLOCK), axis=1, out=self._high[self._size : whole])
        self._size = whole


def _take(
    low: FloatArray, high: FloatArray, start: IntArray, stop: IntArray, lowest: FloatArray, highest: FloatArray
) -> None:
    """Fold the values of each range `start[i]:stop[i]` into its extremes so far."""
    sizes = stop - start
    some = np.flatnonzero(sizes > 0)
    if not len(some):
        return
    sizes = sizes[some]
    begins = np.cumsum(sizes) - sizes
    where = np.arange(int(sizes.sum())) + np.repeat(start[some] - begins, sizes)
    lowest[some] = np.fmin(lowest[some], np.fmin.reduceat(low[where], begins))
    highest[some] = np.fmax(highest[some], np.fmax.reduceat(high[where], begins))


class Smoothed:
    """The debiased exponential mean of a growing column.

    With weight b and the t-th finite value x: m = b m + (1 - b) x, shown as m / (1 - b^t), as Adam debiases its
    moments, so that the first values are not pulled towards 0. What is not finite stays a gap and is not counted.
    """

    CHUNK = 64
    """Values advanced by one matrix product, so that no Python step is taken per value."""

    def __init__(self, weight: float) -> None:
        self.column = Column()
        self._weight = weight
        self._mean = 0.0
        self._count = 0
        powers = np.arange(self.CHUNK)
        reach = powers[:, None] - powers[None, :]
        kernel = np.where(reach >= 0, (1 - weight) * weight ** np.maximum(reach, 0), 0.0)
        self._kernel: FloatArray = np.asarray(kernel, dtype=np.float64)
        self._fade: FloatArray = np.asarray(weight ** (powers + 1.0), dtype=np.float64)

    def follow(self, values: FloatArray) -> None:
        """Take in the values that have come since the last call."""
        news = values[len(self.column) :]
        if not len(news):
            return
        out = np.full(len(news), np.nan)
        finite = np.flatnonzero(np.isfinite(news))
        if len(finite):
            # Sums of numbers near the largest float would overflow and poison every later mean.
            out[finite] = self._advance(np.clip(news[finite], -1e300, 1e300))
        self.column.extend(out)

    def _advance(self, values: FloatArray) -> FloatArray:
        size = self.CHUNK
        padded = np.zeros(-(-len(values) // size) * size)
        padded[: len(values)] = values
        means: FloatArray = padded.reshape(-1, size) @ self._kernel.T
        for row in means:
            row += self._mean * self._fade
            self._mean = float(row[-1])
        flat: FloatArray = means.reshape(-1)[: len(values)]
        self._mean = float(flat[-1])
        count = self._count + np.arange(1.0, len(values) + 1)
        self._count += len(values)
        if self._weight <= 0:
            return flat
        return np.asarray(flat / -np.expm1(count * np.log(self._weight)), dtype=np.float64)


def thin(column: Column, x: Column, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the lowest and highest value of a column in each bucket `edges[i] <= x < edges[i + 1]`; the last is closed.

    `x` never falls and is as long as the column. The cost depends on the number of buckets only.
    """
    places = np.searchsorted(x.values, edges, side="left")
    if len(places):
        places[-1] = np.searchsorted(x.values, edges[-1], side="right")
    return column.extremes(np.minimum(places, len(column)))


def _finite_or_none(value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None
