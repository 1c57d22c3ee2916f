"""A loss from epoch to epoch: its level and its noise at each, worked out once."""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from regtui.analysis.growing import BoolArray, Growing
from regtui.core.series import Column, FloatArray, IntArray

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


def middles(windows: FloatArray) -> FloatArray:
    """Give the median of the numbers in each row, NaN for none; NaN is no number.

    To the bit that of `np.median`, which takes many times as long for a few rows: over a folder of runs that would
    cost more than all that is read.
    """
    known, width = np.isfinite(windows).sum(axis=1), windows.shape[1]
    ordered = windows.copy()
    ordered.sort(axis=1)  # what is no number is sorted to the end
    if width % 2 and known.all() and int(known.min()) == width:
        return ordered[:, width // 2]
    rows = np.arange(len(windows))
    low, high = ordered[rows, np.maximum(known - 1, 0) // 2], ordered[rows, known // 2]
    medians: FloatArray = np.where(known % 2 == 1, low, (low + high) / 2)
    return medians


def spreads(changes: FloatArray) -> FloatArray:
    """Estimate the standard deviation of a loss from some of its changes from epoch to epoch, a row an estimate.

    The median distance of the changes from their median, times 1.4826 (which makes it the standard deviation of a
    normal distribution) and over the square root of 2 (a change carries the noise of two epochs). A steady rise
    or fall has no part in it, nor have a few spikes. NaN for fewer than three changes.
    """
    estimates = middles(np.abs(changes - middles(changes)[:, None])) * 1.4826 / math.sqrt(2)
    estimates[np.isfinite(changes).sum(axis=1) < 3] = math.nan
    return estimates


class Curve:
    """A loss at the epochs where it was measured, with its level and its noise there.

    In arrays: a list holds an object a number, four times the memory, which a million epochs have not.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        self.row: Growing[int] = Growing(np.int64)
        """Rows of the table of epochs at which the loss is a number; all else is in the order of these."""
        self.latest: Growing[int] = Growing(np.int64)
        """For each row of the table, the position of the newest number up to it; -1 before the first."""
        self.value = Column()
        self.levels: dict[int, Growing[float]] = {width: Growing(np.float64) for width in widths}
        """Median of the last so many values, fewer at the start; as far as `work_out` has come."""
        self.noise: Growing[float] = Growing(np.float64)
        """`spreads` of the last `RECENT` changes, fewer at the start; of the last `CALMER` where they are much less."""

    @property
    def level(self) -> Growing[float]:
        """The loss as it stands: median of the last three values."""
        return self.levels[LEVEL]

    def extend(self, values: FloatArray) -> None:
        """Add rows of the table at the end, NaN where nothing was measured."""
        known = values == values
        self.row.extend(np.flatnonzero(known) + len(self.latest))
        self.latest.extend(np.cumsum(known) + (len(self.value) - 1))
        self.value.extend(values[known])

    def __len__(self) -> int:
        return len(self.value)

    def at(self, rows: IntArray) -> tuple[FloatArray, BoolArray]:
        """Give the values at some rows of the table, and where there is one; NaN where there is none."""
        values, places = np.full(len(rows), math.nan), self.latest.values[rows]
        found = places >= 0
        found[found] = self.row.values[places[found]] == rows[found]
        values[found] = self.value.values[places[found]]
        return values, found


def pace(curve: Curve, positions: IntArray, over: int, numbers: FloatArray) -> FloatArray:
    """Give the change of a loss per epoch over the last few evaluations, at each of some positions, in nats.

    `numbers` are the epochs of the table's rows, or the rows themselves in a run that does not count epochs.
    """
    back = np.maximum(positions - over, 0)
    rows, levels = curve.row.values, curve.level.values
    passed = numbers[rows[positions]] - numbers[rows[back]]
    changes = (levels[positions] - levels[back]) / np.where(passed > 0, passed, positions - back)
    return np.where(positions < 1, math.nan, changes)


def around(curve: Curve, at: IntArray, positions: IntArray) -> FloatArray:
    """Give the level at some positions, median of five centred on each, as known when `positions` were the last ones.

    NaN for the position -1.
    """
    levels = curve.levels[AROUND].values
    if not len(levels):
        return np.full(len(at), math.nan)
    centred = at + AROUND // 2
    found = np.where(centred <= positions, levels[np.minimum(centred, positions)], curve.value.values[at])
    return np.where(at >= 0, found, math.nan)


def work_out(curves: Sequence[Curve]) -> None:
    """Work out levels and noise of what has been added; a curve that nobody asks for them needs none.

    Of several curves at once, those with most widths first: what a short run costs is the number of calls of numpy.
    """
    curves = [curve for curve in curves if len(curve.noise) < len(curve)]
    if not curves:
        return
    positions = [np.arange(len(curve.noise), len(curve)) for curve in curves]
    numbers = np.concatenate([_with_those_before(curve) for curve in curves])
    changes = np.diff(numbers, prepend=math.nan)
    changes[~np.isfinite(changes)] = math.nan  # the first has none before it, and some overflow
    ends = list(accumulate(map(len, positions)))
    places = np.arange(1, ends[-1] + 1)
    for end in ends[:-1]:
        places[end:] += RECENT
    windows = places[:, None] + np.arange(RECENT)
    recent, calmer = changes[windows], changes[windows[:, -CALMER:]]
    noise = np.fmin(spreads(recent), CALMER_BY * _calmer(calmer, np.concatenate(positions)))
    values = numbers[windows]
    for width in curves[0].levels:
        asking = [curve for curve in curves if width in curve.levels]
        levels = middles(values[: ends[len(asking) - 1], -width:])
        for curve, start, end in zip(asking, [0, *ends], ends, strict=False):
            curve.levels[width].extend(levels[start:end])
    for curve, start, end in zip(curves, [0, *ends], ends, strict=False):
        curve.noise.extend(noise[start:end])


def _with_those_before(curve: Curve) -> FloatArray:
    """Give the values that have been added and as many before them as the noise needs; NaN where there are none."""
    first, values = len(curve.noise) - RECENT, curve.value.values
    return values[first:] if first >= 0 else np.concatenate((np.full(-first, math.nan), values))


def _calmer(changes: FloatArray, positions: IntArray) -> FloatArray:
    """Give the spread of the last few changes at some positions; NaN where there are no more than those."""
    found = spreads(changes)
    found[positions <= CALMER] = math.nan
    return found
