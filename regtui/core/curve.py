"""A loss from epoch to epoch: its level and its noise at each, worked out once."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from regtui.core.series import Column, FloatArray

RECENT = 10
"""Changes from epoch to epoch that the noise is taken from: enough for a spread, few enough to follow the run."""

LEVEL = 3
"""Epochs whose median is 'the loss now': one spike among them does not show."""

AROUND_BEST = 5
"""Epochs centred on the best whose median is 'the loss at the best'. The lowest of many noisy values is low by luck,
about two standard deviations below its neighbours among fifty, and whatever is compared with luck seems to rise."""


def spread(changes: FloatArray) -> float:
    """Estimate the standard deviation of a loss from its changes from epoch to epoch.

    The median distance of the changes from their median, times 1.4826 (which makes it the standard deviation of a
    normal distribution) and over the square root of 2 (a change carries the noise of two epochs). A steady rise
    or fall has no part in it, nor have a few spikes. NaN for fewer than three changes.
    """
    changes = changes[np.isfinite(changes)]
    if len(changes) < 3:
        return math.nan
    return float(np.median(np.abs(changes - np.median(changes)))) * 1.4826 / math.sqrt(2)


class Curve:
    """A loss at the epochs where it was measured, with its level and its noise there."""

    def __init__(self) -> None:
        self.row: list[int] = []
        """Rows of the table of epochs at which the loss is a number."""
        self.value = Column()
        self.level = Column()
        """Median of the last `LEVEL` values."""
        self.centre = Column()
        """Median of `AROUND_BEST` values centred here: shorter than the rest by the values still to come."""
        self.noise = Column()
        """`spread` of the last `RECENT` changes."""

    def extend(self, rows: list[int], values: list[float]) -> None:
        """Add values at the end, and work out level and noise at each."""
        before = len(self.value)
        self.row.extend(rows)
        self.value.extend(values)
        every = self.value.values
        self.level.extend(_medians(every, before, len(every), LEVEL - 1, 0))
        half = AROUND_BEST // 2
        self.centre.extend(_medians(every, len(self.centre), len(every) - half, half, half))
        full = max(before, RECENT)
        self.noise.extend([spread(np.diff(every[: index + 1])) for index in range(before, min(full, len(every)))])
        if len(every) > full:
            changes = sliding_window_view(np.diff(every[full - RECENT :]), RECENT)
            middle = np.median(changes, axis=1, keepdims=True)
            self.noise.extend(np.median(np.abs(changes - middle), axis=1) * 1.4826 / math.sqrt(2))

    def __len__(self) -> int:
        return len(self.value)


def _medians(values: FloatArray, start: int, stop: int, before: int, after: int) -> list[float]:
    """Give the median of each value and its neighbours, for the positions from start to stop; fewer at the start."""
    if stop <= start:
        return []
    full = min(max(start, before), stop)
    first = [float(np.median(values[max(0, index - before) : index + after + 1])) for index in range(start, full)]
    if full == stop:
        return first
    windows = sliding_window_view(values[full - before : stop + after], before + after + 1)
    return [*first, *np.median(windows, axis=1).tolist()]
