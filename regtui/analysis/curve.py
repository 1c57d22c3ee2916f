"""A loss from epoch to epoch: its level and its noise at each, worked out once."""

import math
from array import array

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from regtui.core.series import Column, FloatArray

RECENT = 20
"""Changes from epoch to epoch that the noise is taken from. Taken from ten it is off by a third one time in three, and
a noise that is thought too low cries wolf; many more would not follow a noise that falls with the learning rate."""

CALMER = 10
"""Where the last ten changes are much quieter than twenty, the noise has fallen, as it does after the first epochs of a
run and when the learning rate drops; the twenty would not know it for long."""

CALMER_BY = 1.4
"""But ten are not many: their noise counts as higher by its own error of a third."""

LEVEL = 3
"""Epochs whose median is 'the loss now': one spike among them does not show."""

AROUND = 5
"""Evaluations centred on one whose median is 'the loss there'."""

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
    """A loss at the epochs where it was measured, with its level and its noise there.

    In arrays: a list holds an object a number, four times the memory, which a million epochs have not.
    """

    def __init__(self) -> None:
        self.row = array("q")
        """Rows of the table of epochs at which the loss is a number; all else is in the order of these."""
        self.latest = array("q")
        """For each row of the table, the position of the newest number up to it; -1 before the first."""
        self.value = Column()
        self.levels: dict[int, array[float]] = {width: array("d") for width in WIDTHS}
        """Median of the last so many values, fewer at the start."""
        self.noise = array("d")
        """`spread` of the last `RECENT` changes, fewer at the start; of the last `CALMER` where they are much less."""

    @property
    def level(self) -> "array[float]":
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
        self.noise.extend(_noise(every, before))

    def __len__(self) -> int:
        return len(self.value)

    def at(self, row: int) -> float | None:
        """Give the value at a row of the table, None where there is none."""
        position = self.latest[row]
        return float(self.value.values[position]) if position >= 0 and self.row[position] == row else None


def pace(curve: Curve, position: int, over: int, numbers: FloatArray) -> float:
    """Give the change of a loss per epoch over the last few evaluations, in nats.

    `numbers` are the epochs of the table's rows, or the rows themselves in a run that does not count epochs.
    """
    if position < 1:
        return math.nan
    back = max(0, position - over)
    passed = float(numbers[curve.row[position]] - numbers[curve.row[back]])
    return (curve.level[position] - curve.level[back]) / (passed if passed > 0 else position - back)


def around(curve: Curve, at: int, position: int) -> float:
    """Give the level at a position, median of five centred on it, as known when `position` was the last one."""
    centred = at + AROUND // 2
    return curve.levels[AROUND][centred] if centred <= position else float(curve.value.values[at])


def _noise(values: FloatArray, start: int) -> list[float]:
    """Give the noise at each value from `start` on."""
    recent = _spreads(values, start, RECENT)
    calmer = CALMER_BY * _spreads(values, start, CALMER)
    few = np.arange(start, len(values)) < CALMER  # no more than ten changes: both are the same ones
    noise: list[float] = np.where(few, recent, np.fmin(recent, calmer)).tolist()
    return noise


def _spreads(values: FloatArray, start: int, width: int) -> FloatArray:
    """Give the spread of the last `width` changes at each value from `start` on, of fewer at the beginning."""
    full = min(max(start, width), len(values))
    first = np.array([spread(np.diff(values[: index + 1])) for index in range(start, full)], dtype=np.float64)
    if len(values) <= full:
        return first
    changes = sliding_window_view(np.diff(values[full - width :]), width)
    middle = np.median(changes, axis=1, keepdims=True)
    return np.append(first, np.median(np.abs(changes - middle), axis=1) * 1.4826 / math.sqrt(2))


def _medians(values: FloatArray, start: int, width: int) -> list[float]:
    """Give the median of each value from `start` on and of the `width - 1` before it, as far as there are any."""
    full = min(max(start, width - 1), len(values))
    first = [float(np.median(values[max(0, index - width + 1) : index + 1])) for index in range(start, full)]
    if full == len(values):
        return first
    windows = sliding_window_view(values[full - width + 1 :], width)
    rest: list[float] = np.median(windows, axis=1).tolist()
    return first + rest
