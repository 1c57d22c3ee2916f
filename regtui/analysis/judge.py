"""The state of a run at each of its epochs, judged from the epochs up to it and never from later ones.

Each epoch is judged once, when it arrives, so that a run of 100,000 epochs costs no more at a frame than one of
ten. What the screen says at epoch 20 is what the cursor says of epoch 20 an hour later.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from regtui.analysis.curve import LEVEL, RECENT, Curve
from regtui.core.history import History

State = Literal["warming_up", "underfitting", "fitting", "overfitting", "recovered", "diverged"]
"""What can be said of a run; each is explained in `verdict.py`."""

FEWEST = 5
"""Evaluated epochs before anything is said: four changes from epoch to epoch are the fewest that have a spread."""

CHANCE = 8.0
"""Grows with what a rise must exceed, sqrt(CHANCE + 2 ln n) standard errors at epoch n: 3.7 at 20 epochs, 4.3 at 200.
A longer run tries its luck more often: the highest of n normal numbers lies about sqrt(2 ln n) above their mean. With
8, flat curves with white noise were called overfitting in 3 of 100 runs of 60 epochs and 11 of 100 runs of 200."""

COMPARED = (5, 9, 13)
"""Epochs whose medians are compared to find a rise: few where the noise is small, more where it is large."""

MEDIAN_ERROR = 1.25
"""Standard error of a median over that of a mean, sqrt(pi / 2), for normal noise. The noise of real validation curves
is white or better: neighbouring epochs correlated by -0.3 to 0.2 in the runs of tests/logs."""

SEVERAL = 3
"""Evaluated epochs for which a condition must hold, before the state follows; the same on the way back."""

SHARE_OF_BEST = 0.05
"""A rise under 5 % of the best loss is not called overfitting, however quiet the loss: late in every clean run the
validation loss creeps up by a few per cent while nothing a person would act on happens."""

SHARE_OF_GUESSING = 0.008
"""Nor is a rise under 0.8 % of the loss of guessing (0.018 nats for ten classes), which no chart would show: a net that
knows clean data by heart grows ever more certain of the few rows it gets wrong, and its loss creeps up for ever."""

AROUND_BEST = 5
"""Epochs centred on the best whose median is 'the loss at the best'."""

PACE = 5
"""Evaluated epochs over which the pace of the training loss is taken."""

LEARNED = 0.5
"""A run that has not gone half of the way from guessing to the best loss its labels allow, and will not, underfits."""

FAR_ABOVE = 3.0
"""A training loss of three times that of guessing: worse than any net that merely failed to learn."""

BACK_FROM_AFAR = 1.5
"""A diverged run is believed to be back when its training loss has stayed under 1.5 times that of guessing."""


class Judgement(NamedTuple):
    """What is known at one epoch; its numbers are the evidence."""

    state: State
    """The state of the run at this epoch."""
    since: int
    """Row of the epoch since which it holds; for overfitting that of the best validation loss."""
    guessing: float
    """Loss of guessing, in nats: see `guessing_loss`."""
    evaluated: int
    """Epochs with a validation loss so far."""
    best: int
    """Row of the lowest validation loss, the first on ties; -1 while there is none."""
    valid: float
    """Validation loss now: median of the last three measured, in nats."""
    best_level: float
    """Lowest level of the validation loss: median of five epochs with a best among them, in nats."""
    noise: float
    """Standard deviation of the validation loss from epoch to epoch, in nats."""
    threshold: float
    """Rise of the median of five epochs over `best_level` beyond which the run overfits, in nats."""
    train: float
    """Training loss now: median of the last three measured, in nats."""
    slope: float
    """Change of the training loss per epoch over the last few, in nats."""
    train_noise: float
    """Standard deviation of the training loss from epoch to epoch, in nats."""
    valid_row: int
    """Row of the last epoch with a validation loss; -1 while there is none."""
    train_row: int
    """Row of the last epoch with a training loss; -1 while there is none."""
    train_at_best: float
    """Training loss when the validation loss was best, in nats."""


def judgement(history: History, row: int = -1) -> Judgement | None:
    """Judge a run at one of its epochs, by row; None where there is no such epoch."""
    count = len(history.evaluations)
    row = row + count if row < 0 else row
    if not 0 <= row < count:
        return None
    with np.errstate(all="ignore"):
        return _judge(history).at(row)


def states(history: History) -> list[State]:
    """Give the state at each epoch, in the order of the epochs."""
    return list(_judge(history).states)


def _judge(history: History) -> "_Judge":
    judge = history.derived(_Judge)
    with np.errstate(all="ignore"):  # a loss near the largest float overflows to infinity, which compares as it should
        judge.follow(history)
    return judge


def guessing_loss(history: History) -> float:
    """Give the cross entropy of guessing, ln(classes), in nats.

    Where a log does not say how many classes there are, the first loss stands for it: a net that has learned
    nothing guesses, give or take what its random start adds. NaN where there is no loss at all.
    """
    if history.plan.classes and history.plan.classes > 1:
        return math.log(history.plan.classes)
    for column in (history.steps["step/loss"], history.evaluations["step/loss"], history.evaluations["train/loss"]):
        first = column.values[:10]
        finite = first[np.isfinite(first)]
        if len(finite) and finite[0] > 0:
            return float(finite[0])
    return math.nan


def lowest_loss(history: History) -> float:
    """Give the lowest training loss that the labels allow without learning single rows by heart, in nats.

    With a share p of the labels drawn anew from all k classes, q = p (k-1)/k of them are wrong, and a model that knows
    this and no more has the cross entropy -(1-q) ln(1-q) - q ln(q/(k-1)): 0.87 for p = 0.2 and k = 10.
    """
    config = history.config
    noise = config.label_noise if config else 0.0
    classes = history.plan.classes or 10
    if not 0 < noise < 1 or classes < 2:
        return 0.0
    wrong = noise * (classes - 1) / classes
    return -(1 - wrong) * math.log(1 - wrong) - wrong * math.log(wrong / (classes - 1))


class _Latch:
    """A condition that must hold several times in a row before it is believed, and fail as often to be dropped."""

    def __init__(self) -> None:
        self.on = False
        self.since = -1
        """Row at which the condition that is believed began to hold."""
        self._count = 0
        self._first = -1

    def feed(self, row: int, *, enter: bool, leave: bool) -> bool:
        """Take one more observation; tell whether the latch has just turned."""
        turning = leave if self.on else enter
        if not turning:
            self._count = 0
            return False
        self._first = row if self._count == 0 else self._first
        self._count += 1
        if self._count < SEVERAL:
            return False
        self.on = not self.on
        self.since = self._first
        self._count = 0
        return True


class _Judge:
    """Follows one table of epochs as it grows."""

    def __init__(self, history: History) -> None:
        self.states: list[State] = []
        self._since: list[int] = []
        self._guessing = guessing_loss(history)
        self._lowest = lowest_loss(history)
        self._epochs = history.plan.epochs
        self._valid = Curve()
        self._measured = Curve()
        self._running = Curve()
        self._best: list[int] = []
        self._best_value = math.inf
        self._lowest_at: dict[int, int] = {}
        self._lowest_level: list[tuple[float, float]] = []
        self._overfit = _Latch()
        self._underfit = _Latch()
        self._diverged = _Latch()
        self._recovered = -1

    def at(self, row: int) -> Judgement:
        """Put together what is known at a row."""
        position = self._valid.latest[row]
        train, now = self._train(row)
        best_level, threshold = self._lowest_level[position] if position >= 0 else (math.nan, math.nan)
        return Judgement(
            state=self.states[row],
            since=self._since[row],
            guessing=self._guessing,
            evaluated=position + 1,
            best=self._valid.row[self._best[position]] if position >= 0 else -1,
            valid=_value(self._valid.level, position),
            best_level=best_level,
            noise=_value(self._valid.noise, position),
            threshold=threshold,
            train=_value(train.level, now),
            slope=self._slope(train, now, PACE),
            train_noise=_value(train.noise, now),
            valid_row=self._valid.row[position] if position >= 0 else -1,
            train_row=train.row[now] if now >= 0 else -1,
            train_at_best=self._train_at_best(position, train, now),
        )

    def _train(self, row: int) -> tuple[Curve, int]:
        """Give the training loss and its position: the one measured, or before there is any the running one."""
        curve = self._measured if self._measured.latest[row] >= 0 else self._running
        return curve, curve.latest[row]

    def follow(self, history: History) -> None:
        """Judge the epochs that came since the last call."""
        table = history.evaluations
        start, stop = len(self.states), len(table)
        if start == stop:
            return
        if not math.isfinite(self._guessing):
            self._guessing = guessing_loss(history)
        self._number, self._evaluated = table["epoch"].values, table["measured"].values
        for curve, column in (
            (self._valid, table["valid/loss"]),
            (self._measured, table["train/loss"]),
            (self._running, table["step/loss"]),
        ):
            curve.extend(column.values[start:stop].tolist())
        for row in range(start, stop):
            self._judge_row(row)

    def _judge_row(self, row: int) -> None:
        position = self._valid.latest[row]
        train, now = self._train(row)
        if position >= 0 and self._valid.row[position] == row:
            self._follow_best(position)
            self._weigh_overfitting(row, position, train, now)
        if now >= 0 and train.row[now] == row:
            self._weigh_underfitting(row, position, train, now)
        evaluated = position + 1 or now + 1
        self._weigh_divergence(row)
        if self._diverged.on:
            state: State = "diverged"
            since = self._keep_since(state, row)
        elif self._overfit.on:
            state, since = "overfitting", self._valid.row[self._best[position]]
        elif self._underfit.on and evaluated >= FEWEST:
            state, since = "underfitting", self._underfit.since
        elif self._recovered >= 0:
            state, since = "recovered", self._recovered
        else:
            state = "warming_up" if evaluated < FEWEST else "fitting"
            since = self._keep_since(state, row)
        self.states.append(state)
        self._since.append(since)

    def _keep_since(self, state: State, row: int) -> int:
        return self._since[-1] if self.states and self.states[-1] == state else row

    def _follow_best(self, position: int) -> None:
        valid = float(self._valid.value.values[position])
        if valid < self._best_value or not self._best:
            self._best_value, best = valid, position
        else:
            best = self._best[-1]
        self._best.append(best)

    def _rise(self, position: int) -> tuple[float, bool]:
        """Compare the validation loss now with the lowest level it had: give the largest rise, 1 where it counts.

        Compared are medians of 5, 9 and 13 epochs: the last of each width with the lowest before it that holds an
        epoch which was the best when it came. (The best alone is low by luck, about two standard deviations below
        its neighbours among fifty, and whatever is compared with luck seems to rise.) A rise counts when it is larger
        than the difference of two such medians may be by chance, and than what anybody would act on. Also tells
        whether the level is back at its lowest.
        """
        noise = self._valid.noise
        best, now = self._best[position], noise[position]
        luck = MEDIAN_ERROR * math.sqrt(CHANCE + 2 * math.log(position + 1))
        largest, back = 0.0, False
        for width in COMPARED:
            levels = self._valid.levels[width]
            before = position - width
            if before < width - 1:
                break
            lowest = self._lowest_at.get(width, width - 1)
            if before <= best + width:  # later on, the windows around the best have all been looked at
                last = min(best + width - 1, before)
                for at in range(max(min(best, before), width - 1), last + 1):
                    if levels[at] < levels[lowest]:
                        lowest = at
                self._lowest_at[width] = lowest
            level = levels[lowest]
            error = luck * math.hypot(now, noise[min(lowest + RECENT // 3, position)]) / math.sqrt(width)
            floor = max(SHARE_OF_BEST * level, SHARE_OF_GUESSING * self._guessing if self._guessing > 0 else 0.0)
            threshold = error if error > floor else floor  # also where an overflow has made the error no number
            rise = levels[position] - level
            largest = max(largest, rise / threshold if threshold > 0 else math.inf * (rise > 0))
            if width == AROUND_BEST:
                self._lowest_level[-1] = (level, threshold)
                back = self._valid.level[position] <= level
        return largest, back

    def _weigh_overfitting(self, row: int, position: int, train: Curve, now: int) -> None:
        best = self._best[position]
        self._lowest_level.append(self._lowest_level[-1] if self._lowest_level else (math.nan, math.nan))
        if position < FEWEST - 1:
            return
        rise, back = self._rise(position)
        fell = now >= 0 and train.level[now] < self._train_at_best(position, train, now)
        enter = rise > 1 and position >= best + SEVERAL and bool(fell)
        if self._overfit.feed(row, enter=enter, leave=rise < 0.5 or back):
            self._recovered = -1 if self._overfit.on else self._overfit.since

    def _train_at_best(self, position: int, train: Curve, now: int) -> float:
        """Give the level of the training loss at the best epoch, as known when `now` was its last position."""
        at_best = train.latest[self._valid.row[self._best[position]]] if position >= 0 else -1
        if at_best < 0:
            return math.nan
        centred = at_best + AROUND_BEST // 2
        return train.levels[AROUND_BEST][centred] if centred <= now else float(train.value.values[at_best])

    def _slope(self, train: Curve, now: int, over: int) -> float:
        """Give the change of the training loss per epoch over the last few evaluated epochs, in nats."""
        if now < 1:
            return math.nan
        back = max(0, now - over)
        epochs = float(self._number[train.row[now]] - self._number[train.row[back]])
        return (train.level[now] - train.level[back]) / (epochs if epochs > 0 else now - back)

    def _weigh_underfitting(self, row: int, position: int, train: Curve, now: int) -> None:
        # The first epochs are looked at, too, so that a run in which nothing is learned is never called fitting.
        if now < LEVEL - 1 or not self._guessing > 0:
            return
        learned = self._learned(position, train.level[now])
        if learned < LEARNED:
            number = float(self._number[row])
            # Where nobody said how long the run will be, it is given as long again as it has had.
            left = max(0.0, self._epochs - number) if self._epochs else number
            # The slower pace of the last few epochs and the last two: what fell from the skies soon stands still.
            pace = min(0.0, max(self._slope(train, now, PACE), self._slope(train, now, 2)))
            learned = self._learned(position, train.level[now] + pace * left)
        self._underfit.feed(row, enter=learned < LEARNED, leave=learned >= LEARNED)

    def _learned(self, position: int, train: float) -> float:
        """Give the share of the way from guessing to the best possible loss that a run has gone, or will have.

        The better of the two losses counts: with noisy labels the training loss stays high while all is well.
        """
        share = (self._guessing - train) / max(self._guessing - self._lowest, 1e-9)
        return max(share, 1 - self._valid.level[position] / self._guessing) if position >= 0 else share

    def _weigh_divergence(self, row: int) -> None:
        """Ask whether the loss is no number any more, or worse than three times that of guessing: believed at once.

        Not measured and not finite look alike in a column; so a loss is missed only where it should be: the running
        loss in a log that has had one, the others at an epoch that was evaluated.
        """
        running = _here(self._running, row)
        measured = _here(self._measured, row)
        known = max(self._valid.latest[row], self._measured.latest[row]) >= 0
        if self._running.latest[row] >= 0:
            lost = running is None
        else:
            lost = bool(self._evaluated[row]) and known and measured is None and _here(self._valid, row) is None
        loss = running if measured is None else measured
        if lost or (loss is not None and loss > FAR_ABOVE * self._guessing > 0):
            self._diverged.on = True
            self._diverged.feed(row, enter=False, leave=False)
        else:
            back = loss is None or not self._guessing > 0 or loss < BACK_FROM_AFAR * self._guessing
            self._diverged.feed(row, enter=False, leave=back)


def _here(curve: Curve, row: int) -> float | None:
    """Give the value at a row of the table, None where there is none."""
    position = curve.latest[row]
    return float(curve.value.values[position]) if position >= 0 and curve.row[position] == row else None


def _value(values: list[float], position: int) -> float:
    return values[position] if position >= 0 else math.nan
