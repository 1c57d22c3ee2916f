"""Whether the validation loss has risen from its best for good: its noise, chance and size weighed."""

import math

import numpy as np

from regtui.analysis.curve import AROUND, CALMER, RECENT, Curve, around
from regtui.analysis.growing import BoolArray, Growing, higher, lower, lowest_so_far
from regtui.analysis.latch import SEVERAL, Latch, held
from regtui.core.series import FloatArray, IntArray

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
        self.best: Growing[int] = Growing(np.int64)
        """Position of the lowest loss up to each, the first on ties."""
        self.improved: Growing[int] = Growing(np.int64)
        """Position of the last best up to each that was one by more than the noise."""
        self.level: Growing[float] = Growing(np.float64)
        """Lowest level up to each position, in nats."""
        self.threshold: Growing[float] = Growing(np.float64)
        """The rise above it that would count, in nats."""
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

    def follow(self, valid: Curve, train: Curve, now: IntArray) -> tuple[BoolArray, IntArray]:
        """Take the validation losses that are new, as many as `now`: the newest position of the training loss at each.

        Give for each whether the run overfits, and `recovered`.
        """
        positions = np.arange(len(self.best), len(self.best) + len(now))
        if not len(now):
            return np.zeros(0, np.bool_), np.zeros(0, np.int64)
        self._follow_best(positions, valid)
        first = min(max(0, FEWEST - 1 - int(positions[0])), len(now))
        enough, now = positions[first:], now[first:]
        rises = self._rises(enough, valid, self._by_heart(train, now))
        for column, values in ((self.level, rises.level), (self.threshold, rises.threshold)):
            column.extend(np.full(first, math.nan))
            column.extend(values)
        at_best = self.train_at_best(enough, valid, train, now)
        some = now >= 0
        level = np.where(some, train.level.values[now], math.nan) if len(train) else np.full(len(now), math.nan)
        # Where nobody logged a training loss, the validation loss has to speak for itself.
        fell = ~some | (level < at_best)
        enter = (rises.rise > 1) & (enough >= self.best.values[enough] + SEVERAL) & fell
        forgot = self._forgot(level, at_best, train, now)
        before, recovered = self.latch.on, self.recovered
        rows = valid.row.values[enough]
        on, since = self.latch.follow(rows, enter=enter, leave=(rises.rise < 0.5) | rises.back | forgot)
        turned = on != np.concatenate(((before,), on))[:-1]
        last = np.maximum.accumulate(np.where(turned, np.arange(len(on)), -1))
        came_back = held(recovered, np.where(on | forgot, -1, since), last)
        self.recovered = int(came_back[-1]) if len(came_back) else recovered
        return np.concatenate((np.full(first, before), on)), np.concatenate((np.full(first, recovered), came_back))

    def _forgot(self, level: FloatArray, at_best: FloatArray, train: Curve, now: IntArray) -> BoolArray:
        """Tell where the training loss has long lain above where it was at the best: then no rows are known by heart.

        So it is when a penalty is turned up in a run that overfits: both losses are high, and neither is the other's
        fault.
        """
        if not len(train) or not len(now):
            self._forgotten = 0 if len(now) else self._forgotten
            return np.zeros(len(now), np.bool_)
        noise = train.noise.values[now]
        above = (now >= 0) & (level > at_best + FORGOTTEN * np.where(np.isfinite(noise), noise, 0.0))
        order = np.arange(len(above))
        # As many as there are since the last one that was not, those of earlier calls among them.
        last = np.maximum.accumulate(np.where(above, -1 - self._forgotten, order))
        count: IntArray = order - last
        self._forgotten = int(count[-1])
        return count >= FOR_GOOD

    def train_at_best(self, positions: IntArray, valid: Curve, train: Curve, now: IntArray) -> FloatArray:
        """Give the level of the training loss at the best epoch, as known when `now` was its last position."""
        at_best = train.latest.values[valid.row.values[self.best.values[positions]]]
        return around(train, at_best, now)

    def _follow_best(self, positions: IntArray, valid: Curve) -> None:
        values, noise = valid.value.values[positions], valid.noise.values[positions]
        best = self.best[-1] if len(self.best) else -1
        found, lowest = lowest_so_far(values, positions, valid.value.values[best] if best >= 0 else math.inf, best)
        self.best.extend(found)
        margins = np.where(np.isfinite(noise), noise, 0.0)
        slack = STEADY_ERRORS * margins / math.sqrt(STEADY)
        improved = self.improved[-1] if len(self.improved) else int(positions[0])
        value, steady = float(valid.value.values[improved]), self._steady
        improvements = []
        columns = (positions, values, lowest, margins, valid.levels[STEADY].values[positions], slack, found)
        # One by one: which of them counts as an improvement depends on the last that did.
        for position, loss, low, margin, level, less, newest in zip(*(each.tolist() for each in columns), strict=True):
            if loss < low and loss < value - margin:
                improved, value = position, loss
            elif position and level < steady - less:
                steady, improved = level, newest
                value = float(valid.value.values[improved])
            improvements.append(improved)
        self._steady = steady
        self.improved.extend(np.array(improvements))

    def _by_heart(self, train: Curve, now: IntArray) -> BoolArray:
        if not len(train):
            return np.zeros(len(now), np.bool_)
        start = float(train.value.values[0])
        line = BY_HEART * (max(start, self._guessing) if self._guessing > 0 else start)
        return (now >= 0) & (train.level.values[now] <= line)

    def _floors(self, level: FloatArray, noise: FloatArray, by_heart: BoolArray) -> FloatArray:
        """Give the rise above a level that is worth the name, in nats."""
        floor = higher(SHARE_OF_BEST * level, SHARE_OF_GUESSING * self._guessing if self._guessing > 0 else 0.0)
        rows = MILD_NATS / self._rows if self._rows else 0.0
        mild = higher(higher(MILD_SHARE * level, MILD_NOISE * noise), rows)
        return np.where(by_heart, lower(floor, mild), floor)

    def _rises(self, positions: IntArray, valid: Curve, by_heart: BoolArray) -> "_Rises":
        """Compare the validation loss at some positions with the lowest level it had: a rise of 1 counts.

        Compared are medians of 5, 9 and 13 epochs: the last of each width with the lowest before it that holds an
        epoch which was the best when it came. (The best alone is low by luck, about two standard deviations below
        its neighbours among fifty, and whatever is compared with luck seems to rise.) A rise counts when it is larger
        than what anybody would act on, and than the difference of two such medians may be by chance.

        Where the training rows are known by heart, medians of 3 are compared, too; the size of a rise may be told by
        one width and its certainty by another; and a rise is certain also if it is so from the level that is known
        best to be low: the one about the best may lie where the curve still jumped, and be in doubt for ever.
        """
        found = _Rises(len(positions))
        luck = MEDIAN_ERROR * np.sqrt(CHANCE + 2 * np.array([math.log(count) for count in (positions + 1).tolist()]))
        for width in COMPARED:
            first = int(np.searchsorted(positions, 2 * width - 1))
            if first < len(positions):
                self._compare(found, first, width, positions[first:], valid, by_heart[first:], luck[first:])
        sure = lower(found.high, found.certain)
        found.rise = np.where(by_heart, higher(found.rise, sure), found.rise)
        return found

    def _compare(
        self,
        found: "_Rises",
        first: int,
        width: int,
        now: IntArray,
        valid: Curve,
        by_heart: BoolArray,
        luck: FloatArray,
    ) -> None:
        """Compare the medians of one width."""
        error = luck / math.sqrt(width)
        lowest, (known, then) = self._lowest(width, now, valid), self._known_best(width, now, valid, error)
        levels, noise = valid.levels[width].values, valid.noise.values
        level = levels[lowest]
        rise, from_known = levels[now] - level, levels[now] - known
        # No rise is no share of anything; this is what most epochs of most runs are.
        some = (by_heart | (width > SHORTEST)) & ~((rise <= 0) & (from_known <= 0)) | (width == AROUND)
        if not some.any():
            return
        chosen = np.flatnonzero(some)
        now, lowest, level, error, by_heart = (
            now[chosen],
            lowest[chosen],
            level[chosen],
            error[chosen],
            by_heart[chosen],
        )
        rise, from_known, places = rise[chosen], from_known[chosen], chosen + first
        # The noise about that level: of changes of which a third, or by heart all of the last few, came after it.
        after = np.minimum(lowest + np.where(by_heart, CALMER, RECENT // 3), now)
        doubt = error * _hypot(noise[now], noise[after])
        floor = self._floors(level, noise[now], by_heart)
        threshold = np.where(doubt > floor, doubt, floor)  # also where an overflow has made the error no number
        if width > SHORTEST:
            found.rise[places] = higher(found.rise[places], _shares(rise, threshold))
        if width == AROUND:
            found.level[places], found.threshold[places] = level, threshold
            found.back[places] = valid.level.values[now] <= level
        if by_heart.any():
            sure = _shares(from_known, DOUBLED * error * _hypot(noise[now], then[chosen]))
            found.high[places] = higher(found.high[places], _shares(higher(rise, from_known), floor))
            found.certain[places] = higher(higher(found.certain[places], _shares(rise, doubt)), sure)

    def _known_best(self, width: int, now: IntArray, valid: Curve, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the level that is known best to be low, before each of some positions, and its noise.

        It is the one whose value and doubt together are the lowest.
        """
        before, noise = now - width, valid.noise.values
        levels, noises = valid.levels[width].values[before], noise[np.minimum(before + CALMER, now)]
        level, then = self._known.get(width, (float(levels[0]), float(noises[0])))
        every, all_noise = np.append(levels, level), np.append(noises, then)
        newest = -1
        places = []
        # One by one, since what counts grows with the epochs.
        for place, (other, its, err) in enumerate(zip(levels.tolist(), noises.tolist(), error.tolist(), strict=True)):
            if other + err * its < level + err * then:
                level, then, newest = other, its, place
            places.append(newest)
        self._known[width] = level, then
        return every[places], all_noise[places]

    def _lowest(self, width: int, now: IntArray, valid: Curve) -> IntArray:
        """Give the position of the lowest median of one width before each position, of those that hold a best."""
        before, levels = now - width, valid.levels[width].values
        lowest = self._lowest_at.get(width, width - 1)
        holds_best = before < self.best.values[now] + width
        found, _ = lowest_so_far(np.where(holds_best, levels[before], math.nan), before, float(levels[lowest]), lowest)
        self._lowest_at[width] = int(found[-1])
        return found


class _Rises:
    """What the comparison has found at some positions."""

    def __init__(self, count: int) -> None:
        self.rise = np.zeros(count)
        """As a share of what counts."""
        self.high, self.certain = np.zeros(count), np.zeros(count)
        """The same, its size and its certainty apart."""
        self.level, self.threshold = np.full(count, math.nan), np.full(count, math.nan)
        """The lowest level, and the rise above it that would count, in nats."""
        self.back = np.zeros(count, np.bool_)
        """The loss is back at its lowest level."""


def _hypot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Give the root of the sum of squares; Python's own, which is a bit nearer than numpy's and the same everywhere."""
    return np.array(list(map(math.hypot, first.tolist(), second.tolist())))


def _shares(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Give parts as shares of what they must exceed; a whole of 0 is exceeded by any part above 0, NaN by none."""
    return np.where(whole > 0, part / whole, np.where((whole == 0) & (part > 0), math.inf, 0.0))
