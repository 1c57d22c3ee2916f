"""Whether a run has not learned what it could: too slowly, or standing still too high."""

import math

import numpy as np

from regtui.analysis.curve import LEVEL, Curve, pace
from regtui.analysis.growing import BoolArray, higher, lower
from regtui.analysis.latch import Latch
from regtui.analysis.overfitting import MEDIAN_ERROR
from regtui.core.series import FloatArray, IntArray

PACE = 5
"""Evaluated epochs over which the pace of the training loss is taken."""

LEARNED = 0.5
"""A run that has not gone half of the way from guessing to the best loss its labels allow, and will not, underfits."""

STUCK_ABOVE = 0.1
"""A training loss that stands still higher above what the labels allow than a tenth of guessing underfits, too: 0.23
nats of ten classes, about one row in twenty wrong."""

WELL = 1.1
"""By a tenth of that at least: a loss that ends upon the line is no find."""

STILL_FOR = 10
"""Evaluations without progress that make it stand still."""

STILL_WIDTH = 5
"""Evaluations whose medians are compared across them."""

STILL_SHARE = 0.03
"""A fall under 3 % in ten evaluations is none: at that pace the loss halves in 230."""

SURE = 2.0
"""Standard errors that a fall must exceed to be one."""

TOO_ROUGH = 0.1
"""Where two standard errors are a tenth of the loss, a fall that matters could hide in them: then nothing is said."""


class Underfitting:
    """Follows the training loss on its way from guessing to what the labels allow."""

    def __init__(self, guessing: float, lowest: float) -> None:
        self.slow = Latch()
        self.stuck = Latch()
        self._guessing = guessing
        self._lowest = lowest

    @property
    def now(self) -> tuple[bool, int, int]:
        """What `follow` gave for the last position."""
        on, since, stands = self._since(
            np.array([self.slow.on]), self.slow.since, np.array([self.stuck.on]), self.stuck.since
        )
        return bool(on[0]), int(since[0]), int(stands[0])

    def follow(
        self, valid: FloatArray, train: Curve, positions: IntArray, numbers: FloatArray, end: float, *, measured: bool
    ) -> tuple[BoolArray, IntArray, IntArray]:
        """Take the training loss at some positions, with the level of the validation loss beside each.

        `end` is the number that the last row of the run will have, NaN where nobody knows; a running loss
        (`measured` is False) holds dropout and moving weights, and may stand still where the net does not.

        Give for each whether the run underfits, one way or the other, since which row, and since which row it stands
        still, -1 where it does not.
        """
        # The first epochs are looked at, too, so that a run in which nothing is learned is never called fitting.
        first = int(np.searchsorted(positions, LEVEL - 1)) if self._guessing > 0 else len(positions)
        now, beside = positions[first:], valid[first:]
        rows = train.row.values[now]
        before = tuple(np.full(first, each) for each in self.now)
        learned = self._will_have_learned(beside, train, now, numbers, end)
        slow, slow_since = self.slow.follow(rows, enter=learned < LEARNED, leave=learned >= LEARNED)
        if measured:
            stuck, stuck_since = self._follow_stuck(beside, train, now, rows)
        else:
            stuck, stuck_since = np.full(len(now), self.stuck.on), np.full(len(now), self.stuck.since)
        after = self._since(slow, slow_since, stuck, stuck_since)
        on, since, stands = (np.concatenate(both) for both in zip(before, after, strict=True))
        return on, since, stands

    @staticmethod
    def _since(
        slow: BoolArray, slow_since: IntArray | int, stuck: BoolArray, stuck_since: IntArray | int
    ) -> tuple[BoolArray, IntArray, IntArray]:
        never = np.iinfo(np.int64).max
        since = np.minimum(np.where(slow, slow_since, never), np.where(stuck, stuck_since, never))
        return slow | stuck, since, np.where(stuck, stuck_since, -1)

    def _will_have_learned(
        self, valid: FloatArray, train: Curve, now: IntArray, numbers: FloatArray, end: float
    ) -> FloatArray:
        """Give the share that the run has learned, or where that is little, that it will have at its present pace."""
        levels = train.level.values[now]
        learned = self._learned(valid, levels)
        little = learned < LEARNED
        if little.any():
            now, levels = now[little], levels[little]
            number = numbers[train.row.values[now]]
            # Where nobody said how long the run will be, it is given as long again as it has had.
            left = higher(np.zeros(len(now)), end - number) if end == end else number
            # The slower pace of the last few epochs and the last two: what fell from the skies soon stands still.
            slope = higher(pace(train, now, PACE, numbers), pace(train, now, 2, numbers))
            learned[little] = self._learned(valid[little], levels + lower(np.zeros(len(now)), slope) * left)
        return learned

    def _follow_stuck(
        self, valid: FloatArray, train: Curve, now: IntArray, rows: IntArray
    ) -> tuple[BoolArray, IntArray]:
        still, moving = _moves(train, now)
        high = lower(train.level.values[now] - self._lowest, np.where(np.isfinite(valid), valid, math.inf))
        line = STUCK_ABOVE * self._guessing
        return self.stuck.follow(
            rows,
            enter=still & (high > WELL * line),
            leave=moving | (high < line),
            begun=lambda at: train.row[_still_from(train, int(now[at]))],
        )

    def _learned(self, valid: FloatArray, train: FloatArray) -> FloatArray:
        """Give the share of the way from guessing to the best possible loss that a run has gone, or will have.

        The better of the two losses counts: with noisy labels the training loss stays high while all is well.
        """
        share = (self._guessing - train) / max(self._guessing - self._lowest, 1e-9)
        return np.where(np.isfinite(valid), higher(share, 1 - valid / self._guessing), share)


def _moves(train: Curve, now: IntArray) -> tuple[BoolArray, BoolArray]:
    """Tell whether the training loss stands still, and whether it clearly falls; neither where none can tell."""
    known = now >= STILL_FOR + LEVEL - 1
    levels = train.levels[STILL_WIDTH].values
    level = levels[now]
    fall = levels[np.maximum(now - STILL_FOR, 0)] - level
    error = SURE * MEDIAN_ERROR * math.sqrt(2 / STILL_WIDTH) * train.noise.values[now]
    least = higher(STILL_SHARE * level, error)
    return known & (fall < least) & (error < TOO_ROUGH * level), known & (fall > 2 * least)


def _still_from(train: Curve, now: int) -> int:
    """Give the first of the last few positions from which on the level stayed near the one it has now."""
    levels = train.levels[STILL_WIDTH]
    near = max(2 * STILL_SHARE * levels[now], SURE * train.noise[now])
    first = now
    while first > max(0, now - STILL_FOR) and abs(levels[first - 1] - levels[now]) <= near:
        first -= 1
    return first
