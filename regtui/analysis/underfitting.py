"""Whether a run has not learned what it could: too slowly, or standing still too high."""

import math

from regtui.analysis.curve import LEVEL, Curve, pace
from regtui.analysis.latch import Latch
from regtui.analysis.overfitting import MEDIAN_ERROR
from regtui.core.series import FloatArray

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
    def on(self) -> bool:
        """Whether the run underfits, one way or the other."""
        return self.slow.on or self.stuck.on

    @property
    def since(self) -> int:
        """Row since which it does."""
        return min(latch.since for latch in (self.slow, self.stuck) if latch.on)

    def weigh(
        self, row: int, valid: float, train: Curve, now: int, numbers: FloatArray, end: float, *, measured: bool
    ) -> None:
        """Take the training loss at the position `now` of a row, with the level of the validation loss beside it.

        `end` is the number that the last row of the run will have, NaN where nobody knows; a running loss
        (`measured` is False) holds dropout and moving weights, and may stand still where the net does not.
        """
        # The first epochs are looked at, too, so that a run in which nothing is learned is never called fitting.
        if now < LEVEL - 1 or not self._guessing > 0:
            return
        learned = self._learned(valid, train.level[now])
        if learned < LEARNED:
            number = float(numbers[row])
            # Where nobody said how long the run will be, it is given as long again as it has had.
            left = max(0.0, end - number) if end == end else number
            # The slower pace of the last few epochs and the last two: what fell from the skies soon stands still.
            slope = min(0.0, max(pace(train, now, PACE, numbers), pace(train, now, 2, numbers)))
            learned = self._learned(valid, train.level[now] + slope * left)
        self.slow.feed(row, enter=learned < LEARNED, leave=learned >= LEARNED)
        if measured:
            still, moving = self._moves(train, now)
            high = min(train.level[now] - self._lowest, valid if math.isfinite(valid) else math.inf)
            line = STUCK_ABOVE * self._guessing
            if self.stuck.feed(row, enter=still and high > WELL * line, leave=moving or high < line) and self.stuck.on:
                self.stuck.since = train.row[_still_from(train, now)]

    def _moves(self, train: Curve, now: int) -> tuple[bool, bool]:
        """Tell whether the training loss stands still, and whether it clearly falls; neither where none can tell."""
        if now < STILL_FOR + LEVEL - 1:
            return False, False
        levels = train.levels[STILL_WIDTH]
        fall = levels[now - STILL_FOR] - levels[now]
        error = SURE * MEDIAN_ERROR * math.sqrt(2 / STILL_WIDTH) * train.noise[now]
        least = max(STILL_SHARE * levels[now], error)
        return fall < least and error < TOO_ROUGH * levels[now], fall > 2 * least

    def _learned(self, valid: float, train: float) -> float:
        """Give the share of the way from guessing to the best possible loss that a run has gone, or will have.

        The better of the two losses counts: with noisy labels the training loss stays high while all is well.
        """
        share = (self._guessing - train) / max(self._guessing - self._lowest, 1e-9)
        return max(share, 1 - valid / self._guessing) if math.isfinite(valid) else share


def _still_from(train: Curve, now: int) -> int:
    """Give the first of the last few positions from which on the level stayed near the one it has now."""
    levels = train.levels[STILL_WIDTH]
    near = max(2 * STILL_SHARE * levels[now], SURE * train.noise[now])
    first = now
    while first > max(0, now - STILL_FOR) and abs(levels[first - 1] - levels[now]) <= near:
        first -= 1
    return first
