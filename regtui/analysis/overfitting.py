"""Whether the validation loss has risen from its best for good: its noise, chance and size weighed."""

import math
from array import array
from collections.abc import Sequence

from regtui.analysis.curve import AROUND, CALMER, RECENT, Curve, around
from regtui.analysis.latch import SEVERAL, Latch

FEWEST = 5
"""Evaluated epochs before anything is said: four changes from epoch to epoch are the fewest that have a spread."""

CHANCE = 8.0
"""Grows with what a rise must exceed, sqrt(CHANCE + 2 ln n) standard errors at epoch n: 3.7 at 20 epochs, 4.3 at 200.
A longer run tries its luck more often: the highest of n normal numbers lies about sqrt(2 ln n) above their mean. With
8, flat curves with white noise were called overfitting in 2 of 100 runs of 60 epochs and 10 of 100 runs of 200, and
as seldom where the training rows are known by heart."""

COMPARED = (3, 5, 9, 13)
"""Epochs whose medians are compared to find a rise: few where the noise is small, more where it is large."""

SHORTEST = 3
"""The median of three is asked only of a run that learns by heart: beside the others it would cry wolf."""

MEDIAN_ERROR = 1.25
"""Standard error of a median over that of a mean, sqrt(pi / 2), for normal noise. The noise of real validation curves
is white or better: neighbouring epochs correlated by -0.3 to 0.2 in the runs of tests/logs."""

SHARE_OF_BEST = 0.05
"""A rise under 5 % of the best loss is not called overfitting, however quiet the loss: late in every clean run the
validation loss creeps up by a few per cent while nothing a person would act on happens."""

SHARE_OF_GUESSING = 0.008
"""Nor is a rise under 0.8 % of the loss of guessing (0.018 nats for ten classes), which few charts would show; unless
it is a mild rise as below."""

BY_HEART = 0.01
"""A training loss at a hundredth of that of guessing, or of its own start: what is left to learn is learned by heart.
Then a smaller rise counts, if it is all of the next three."""

MILD_SHARE = 0.08
"""A mild rise is 8 % of the best loss or more: flat runs on clean digits wandered by up to 6 %."""

MILD_NOISE = 3.0
"""And three times the noise, beside the four standard errors asked of any rise: those that were looked at had ten."""

MILD_NATS = 3.0
"""And three nats, summed over the validation rows: more than a row or two that went from right to wrong. Sixty rows
were seen to rise by 40 % on one of them."""


STEADY = 9
"""Epochs whose median shows a slow fall that is hidden in the noise of single epochs."""

STEADY_ERRORS = 3.5
"""Two standard errors of the difference of two such medians: 2 x 1.25 x the square root of 2."""


DOUBLED = 2.0
"""The lowest of all levels that are known well is low by luck, too, and its noise may be thought too low: a rise from
it must exceed twice what one from the level about the best must."""


FORGOTTEN = 2.0
"""Noises above its level at the best by which a training loss has risen, one time in twenty by chance."""

FOR_GOOD = 10
"""Evaluations for which it must stay there: a remedy lifts it at once; the validation loss may be back by then."""


class Overfitting:
    """Follows the validation loss: its best, its last improvement, and whether it has risen from there."""

    def __init__(self, guessing: float, rows: int | None) -> None:
        self.best = array("q")
        """Position of the lowest loss up to each, the first on ties."""
        self.improved = array("q")
        """Position of the last best up to each that was one by more than the noise."""
        self._level, self._threshold = array("d"), array("d")
        """Lowest level up to each position, and the rise above it that would count, both in nats."""
        self.latch = Latch()
        self.recovered = -1
        """Row at which the loss came back from a rise; -1 while there was none, or it rises again."""
        self._guessing = guessing
        self._rows = rows
        self._forgotten = 0
        """Evaluations in a row at which the training loss lay above where it was at the best."""
        self._steady = math.inf
        """Median of some epochs when it last showed that the loss falls."""
        self._lowest_at: dict[int, int] = {}
        self._known: dict[int, tuple[float, float]] = {}
        """By width, the level that is known best to be low, and its noise."""

    def level_at(self, position: int) -> tuple[float, float]:
        """Give the lowest level up to a position, and the rise above it that would count, both in nats."""
        return (self._level[position], self._threshold[position]) if position >= 0 else (math.nan, math.nan)

    def weigh(self, row: int, position: int, valid: Curve, train: Curve, now: int) -> None:
        """Take the validation loss at a position, and the training loss at `now`, the newest."""
        self._follow_best(position, valid)
        self._level.append(self._level[-1] if self._level else math.nan)
        self._threshold.append(self._threshold[-1] if self._threshold else math.nan)
        if position < FEWEST - 1:
            return
        rise, back = self._rise(position, valid, self._by_heart(train, now))
        # Where nobody logged a training loss, the validation loss has to speak for itself.
        fell = now < 0 or train.level[now] < self.train_at_best(position, valid, train, now)
        enter = rise > 1 and position >= self.best[position] + SEVERAL and fell
        self._forgotten = self._forgotten + 1 if self._forgot(position, valid, train, now) else 0
        forgot = self._forgotten >= FOR_GOOD
        if self.latch.feed(row, enter=enter, leave=rise < 0.5 or back or forgot):
            self.recovered = -1 if self.latch.on or forgot else self.latch.since

    def _forgot(self, position: int, valid: Curve, train: Curve, now: int) -> bool:
        """Tell whether the training loss lies above where it was at the best: then no rows are known by heart.

        So it is when a penalty is turned up in a run that overfits: both losses are high, and neither is the other's
        fault.
        """
        if now < 0:
            return False
        noise = train.noise[now] if math.isfinite(train.noise[now]) else 0.0
        return train.level[now] > self.train_at_best(position, valid, train, now) + FORGOTTEN * noise

    def train_at_best(self, position: int, valid: Curve, train: Curve, now: int) -> float:
        """Give the level of the training loss at the best epoch, as known when `now` was its last position."""
        at_best = train.latest[valid.row[self.best[position]]] if position >= 0 else -1
        return around(train, at_best, now) if at_best >= 0 else math.nan

    def _follow_best(self, position: int, valid: Curve) -> None:
        values, noise = valid.value.values, valid.noise[position]
        if not self.best:
            self.best.append(position)
            self.improved.append(position)
            return
        best, improved = self.best[-1], self.improved[-1]
        self.best.append(position if values[position] < values[best] else best)
        margin = noise if math.isfinite(noise) else 0.0
        level = valid.levels[STEADY][position]
        if values[position] < min(values[best], values[improved] - margin):
            improved = position
        elif level < self._steady - STEADY_ERRORS * margin / math.sqrt(STEADY):
            self._steady, improved = level, self.best[-1]
        self.improved.append(improved)

    def _by_heart(self, train: Curve, now: int) -> bool:
        if now < 0:
            return False
        start = float(train.value.values[0])
        return train.level[now] <= BY_HEART * (max(start, self._guessing) if self._guessing > 0 else start)

    def _floor(self, level: float, noise: float, *, by_heart: bool) -> float:
        """Give the rise above a level that is worth the name, in nats."""
        floor = max(SHARE_OF_BEST * level, SHARE_OF_GUESSING * self._guessing if self._guessing > 0 else 0.0)
        if not by_heart:
            return floor
        rows = MILD_NATS / self._rows if self._rows else 0.0
        return min(floor, max(MILD_SHARE * level, MILD_NOISE * noise, rows))

    def _rise(self, position: int, valid: Curve, by_heart: bool) -> tuple[float, bool]:
        """Compare the validation loss now with the lowest level it had: give the rise, 1 where it counts.

        Compared are medians of 5, 9 and 13 epochs: the last of each width with the lowest before it that holds an
        epoch which was the best when it came. (The best alone is low by luck, about two standard deviations below
        its neighbours among fifty, and whatever is compared with luck seems to rise.) A rise counts when it is larger
        than what anybody would act on, and than the difference of two such medians may be by chance.

        Where the training rows are known by heart, medians of 3 are compared, too; the size of a rise may be told by
        one width and its certainty by another; and a rise is certain also if it is so from the level that is known
        best to be low: the one about the best may lie where the curve still jumped, and be in doubt for ever.

        Also tells whether the level is back at its lowest.
        """
        noise, now = valid.noise, valid.noise[position]
        luck = MEDIAN_ERROR * math.sqrt(CHANCE + 2 * math.log(position + 1))
        largest, high, certain, back = 0.0, 0.0, 0.0, False
        for width in COMPARED:
            levels = valid.levels[width]
            before = position - width
            if before < width - 1:
                break
            lowest = self._lowest(width, self.best[position], before, levels)
            error = luck / math.sqrt(width)
            level = levels[lowest]
            rise = levels[position] - level
            known, sure = self._from_known(width, before, position, valid, error)
            if rise <= 0 and known <= 0 and width != AROUND:
                continue  # no rise is no share of anything; this is what most epochs of most runs are
            # The noise about that level: of changes of which a third, or by heart all of the last few, came after it.
            doubt = error * math.hypot(now, noise[min(lowest + (CALMER if by_heart else RECENT // 3), position)])
            floor = self._floor(level, now, by_heart=by_heart)
            threshold = doubt if doubt > floor else floor  # also where an overflow has made the error no number
            high = max(high, _share(max(rise, known), floor))
            certain = max(certain, _share(rise, doubt), sure)
            if width > SHORTEST:
                largest = max(largest, _share(rise, threshold))
            if width == AROUND:
                self._level[-1], self._threshold[-1] = level, threshold
                back = valid.level[position] <= level
        return max(largest, min(high, certain)) if by_heart else largest, back

    def _from_known(self, width: int, before: int, position: int, valid: Curve, error: float) -> tuple[float, float]:
        """Give the rise from the level that is known best to be low, and that as a share of what it must exceed.

        That level is the one whose value and doubt together are the lowest.
        """
        level, then = valid.levels[width][before], valid.noise[min(before + CALMER, position)]
        known = self._known.get(width)
        if known is None or level + error * then < known[0] + error * known[1]:
            known = self._known[width] = (level, then)
        rise = valid.levels[width][position] - known[0]
        return rise, _share(rise, DOUBLED * error * math.hypot(valid.noise[position], known[1]))

    def _lowest(self, width: int, best: int, before: int, levels: Sequence[float]) -> int:
        """Give the position of the lowest median of one width so far."""
        lowest = self._lowest_at.get(width, width - 1)
        if before <= best + width:  # later on, the windows around the best have all been looked at
            last = min(best + width - 1, before)
            for at in range(max(min(best, before), width - 1), last + 1):
                if levels[at] < levels[lowest]:
                    lowest = at
            self._lowest_at[width] = lowest
        return lowest


def _share(part: float, whole: float) -> float:
    """Give a part as a share of what it must exceed; a whole that is no number or 0 is exceeded by any part above 0."""
    return part / whole if whole > 0 else math.inf * (part > 0) if whole == 0 else 0.0
