"""A loss from epoch to epoch: its level and its noise at each, worked out once."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from regtui.core.series import Column, FloatArray

RECENT = 20
"""Changes from epoch to epoch that the noise is taken from. Taken from ten it is off by a third one time in three, and
a noise that is thought too low cries wolf; many more would not follow a noise that falls with the learning rate."""

LEVEL = 3
"""Epochs whose median is 'the loss now': one spike among them does not show."""

WIDTHS = (3, 5, 9, 13)
"""Epochs whose medians are kept at each epoch."""


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
        """Rows of the table of epochs at which the loss is a number; all else is in the order of these."""
        self.latest: list[int] = []
        """For each row of the table, the position of the newest number up to it; -1 before the first."""
        self.value = Column()
        self.levels: dict[int, list[float]] = {width: [] for width in WIDTHS}
        """Median of the last so many values, fewer at the start."""
        self.noise: list[float] = []
        """`spread` of the last `RECENT` changes, fewer at the start."""

    @property
    def level(self) -> list[float]:
        """The loss as it stands: median of the last three values."""
        return self.levels[LEVEL]

    def extend(self, values: list[float]) -> None:
        """Add rows of the table at the end, NaN where nothing was measured; work out levels and noise."""
        before, first = len(self.value), len(self.latest)
        position = before - 1
        for row, value in enumerate(values, first):
            if value == value:
                position += 1
                self.row.append(row)
            self.latest.append(position)
        self.value.extend([value for value in values if value == value])
        every = self.value.values
        for width, levels in self.levels.items():
            levels.extend(_medians(every, before, width))
        full = max(before, RECENT)
        self.noise.extend([spread(np.diff(every[: index + 1])) for index in range(before, min(full, len(every)))])
        if len(every) > full:
            changes = sliding_window_view(np.diff(every[full - RECENT :]), RECENT)
            middle = np.median(changes, axis=1, keepdims=True)
            self.noise.extend((np.median(np.abs(changes - middle), axis=1) * 1.4826 / math.sqrt(2)).tolist())

    def __len__(self) -> int:
        return len(self.value)


def _medians(values: FloatArray, start: int, width: int) -> list[float]:
    """Give the median of each value from `start` on and of the `width - 1` before it, as far as there are any."""
    full = min(max(start, width - 1), len(values))
    first = [float(np.median(values[max(0, index - width + 1) : index + 1])) for index in range(start, full)]
    if full == len(values):
        return first
    windows = sliding_window_view(values[full - width + 1 :], width)
    rest: list[float] = np.median(windows, axis=1).tolist()
    return first + rest
