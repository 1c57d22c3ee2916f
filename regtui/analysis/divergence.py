"""Whether the training loss is lost, or climbs far above where it started; no validation loss is asked for."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from regtui.analysis.growing import BoolArray, Growing, lowest_so_far
from regtui.analysis.guessing import first_finite, guessing_loss
from regtui.analysis.latch import Latch
from regtui.core.history import History
from regtui.core.series import FloatArray, IntArray

FAR_ABOVE = 3.0
"""A training loss of three times that of guessing: worse than any net that merely failed to learn. Where the loss of
guessing is not known, three times that of the start."""

CLIMBED = 2.0
"""A training loss of twice its own lowest, and above guessing by half, is on its way there: no net that learns, or that
fails to, goes that way. Asked for twice in a row, since one bad epoch may do that."""

BACK_FROM_AFAR = 1.5
"""A diverged run is believed to be back when its training loss has stayed under 1.5 times that of guessing."""

STEPS = 9
"""Recorded updates whose median is the batch loss as it stands: batches differ by half of it or more."""


def start_loss(history: History, step: float, first: float) -> float:
    """Give the loss that a run began with: the first of a batch, up to a step, or of an evaluation, the higher one."""
    records = history.steps.step.values[:10]
    batch = first_finite(history.steps["step/loss"].values[:10][records <= step])
    return max((loss for loss in (batch, first) if math.isfinite(loss)), default=math.nan)


class Divergence:
    """Follows the training loss from evaluation to evaluation."""

    def __init__(self, guessing: float) -> None:
        self.latch = Latch(enter_after=2)
        self.lowest: Growing[int] = Growing(np.int64)
        """Row of the lowest training loss up to each row; -1 before the first."""
        self._guessing = guessing
        self._start = math.nan
        self._value = math.inf

    def follow(
        self, history: History, rows: IntArray, losses: FloatArray, *, known: BoolArray, lost: BoolArray
    ) -> tuple[BoolArray, IntArray]:
        """Take the training loss at some rows, `known` where it was measured, `lost` where it should have been.

        Give for each whether the run has diverged, and since which row.
        """
        scale = self._scale(history, rows, losses, known)
        place = self.lowest[-1] if len(self.lowest) else -1
        lowest, before = lowest_so_far(np.where(known, losses, math.nan), rows, self._value, place)
        self.lowest.extend(lowest)
        guessing = self._guessing > 0
        bound = self._bound(guessing) * scale
        climbs = known & (losses > CLIMBED * before) & (losses > bound) & (bound > 0)
        back = ~known | ~(scale > 0) | (losses < BACK_FROM_AFAR * scale)
        if guessing:
            lost = lost | (known & (losses > FAR_ABOVE * scale))
        self._value = float(np.fmin(before[-1], losses[-1] if known[-1] else math.nan))
        return self.latch.follow(rows, enter=climbs, leave=back, force=lost)

    def _scale(self, history: History, rows: IntArray, losses: FloatArray, known: BoolArray) -> FloatArray:
        """Give the loss that others are measured by: that of guessing, or the one that the run began with."""
        if self._guessing > 0:
            self._start = self._guessing
        scale = np.full(len(rows), self._start)
        if not math.isfinite(self._start):
            for at in np.flatnonzero(known).tolist():
                self._start = start_loss(history, history.evaluations.step.values[rows[at]], float(losses[at]))
                if math.isfinite(self._start):
                    scale[at:] = self._start
                    break
        return scale

    @staticmethod
    def _bound(known: bool) -> float:
        """A start is no more than a hint of what guessing costs: what is called climbing must be farther from it."""
        return BACK_FROM_AFAR if known else FAR_ABOVE


class Climb:
    """Follows the batch losses of a run that has no other; kept by the History as it grows."""

    def __init__(self, history: History) -> None:
        self.on = False
        self.since = -1
        """Row of the steps about which the climb was plain."""
        self.level = math.nan
        """Median of the last few batch losses, in nats."""
        self.start = math.nan
        """First batch loss, in nats."""
        self.lowest = math.inf
        """Lowest level so far, in nats."""
        self._guessing = guessing_loss(history)
        self._seen = 0

    @np.errstate(all="ignore")
    def follow(self, history: History) -> None:
        """Look at the updates recorded since the last call."""
        every = history.steps["step/loss"].values
        first = max(self._seen, STEPS - 1)
        self._seen = len(every)
        if not math.isfinite(self.start):
            self.start = first_finite(every)
        if first >= len(every):
            return
        windows = sliding_window_view(every[first - STEPS + 1 :], STEPS)
        levels = np.where(np.isfinite(windows).all(axis=1), np.median(windows, axis=1), np.nan)
        lowest = np.fmin.accumulate(np.append(self.lowest, levels))
        known = self._guessing > 0
        scale = self._guessing if known else self.start
        far = levels > FAR_ABOVE * scale
        climbs = (levels > CLIMBED * lowest[:-1]) & (levels > BACK_FROM_AFAR * scale) if known else far
        self._turn(first, far | climbs, levels < BACK_FROM_AFAR * scale)
        self.lowest = float(lowest[-1])
        finite = levels[np.isfinite(levels)]
        self.level = float(finite[-1]) if len(finite) else self.level

    def _turn(self, first: int, enter: BoolArray, leave: BoolArray) -> None:
        at = 0
        while at < len(enter):
            found = np.flatnonzero((leave if self.on else enter)[at:])
            if not len(found):
                return
            at += int(found[0])
            self.on = not self.on
            self.since = max(0, first + at - STEPS // 2) if self.on else -1
            at += 1


def lost_at(history: History) -> int | None:
    """Give the step at which the loss stopped being a number, within the epoch that has not ended yet.

    A log without a single finite batch loss has not measured them: nothing is lost there.
    """
    if history.end is not None and history.end.status == "diverged":
        return history.step
    loss, steps = history.steps["step/loss"].values, history.steps.step.values
    last = history.evaluations.step.last if len(history.evaluations) else -math.inf
    if not len(loss) or math.isfinite(loss[-1]) or not history.steps.step.last > last:
        return None
    # Backwards in blocks, so that a frame late in a long run does not look at all of it.
    end = len(loss)
    while end > 0:
        block: FloatArray = loss[max(0, end - 4096) : end]
        finite = (block == block).nonzero()[0]
        if len(finite):
            first = end - len(block) + int(finite[-1]) + 1
            return int(steps[first])
        end -= len(block)
    return None
