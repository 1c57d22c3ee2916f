"""The state of a run at each of its evaluations, judged from those up to it and never from later ones.

Each evaluation is judged once, when it arrives, so that a run of 100,000 epochs costs no more at a frame than one of
ten. What the screen says at epoch 20 is what the cursor says of epoch 20 an hour later. What is asked of each curve
stands in `overfitting.py`, `underfitting.py` and `divergence.py`.
"""

import math
from typing import Literal, NamedTuple, get_args

import numpy as np

from regtui.analysis.curve import AROUND, LEVEL, Curve, around, pace, work_out
from regtui.analysis.divergence import Divergence
from regtui.analysis.growing import BoolArray, Growing, lowest_so_far
from regtui.analysis.guessing import guessing_loss, lowest_loss
from regtui.analysis.latch import held
from regtui.analysis.overfitting import FEWEST, Overfitting
from regtui.analysis.training import batch_means
from regtui.analysis.underfitting import PACE, STILL_WIDTH, Underfitting
from regtui.core.history import History
from regtui.core.metrics import TRAIN_LOSS, VALID_LOSS
from regtui.core.series import FloatArray, IntArray

ROWS_AT_ONCE = 1 << 13
"""Evaluations whose curves are brought up to date at once."""

State = Literal["warming_up", "underfitting", "fitting", "overfitting", "recovered", "diverged"]
"""What can be said of a run; each is explained in `verdict.py`."""

STATES: tuple[State, ...] = get_args(State)
WARMING_UP, UNDERFITTING, FITTING, OVERFITTING, RECOVERED, DIVERGED = range(len(STATES))
"""By their numbers: a word a row would take eight times the memory."""


OF_TRAINING = (LEVEL, AROUND, STILL_WIDTH)
OF_ACCURACY = (LEVEL, AROUND)
"""Widths of the medians that are asked of these curves."""


class Judgement(NamedTuple):
    """What is known at one evaluation; its numbers are the evidence."""

    state: State
    """The state of the run at this evaluation."""
    since: int
    """Row of the evaluation since which it holds; for overfitting that of the best validation loss."""
    guessing: float
    """Loss of guessing, in nats, NaN where the log does not say how many classes there are."""
    evaluated: int
    """Evaluations with a validation loss so far."""
    best: int
    """Row of the lowest validation loss, the first on ties; -1 while there is none."""
    improved: int
    """Row of the last validation loss that was lower than all before by more than the noise; -1 while there is none."""
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
    """Row of the last evaluation with a validation loss; -1 while there is none."""
    train_row: int
    """Row of the last evaluation with a training loss; -1 while there is none."""
    train_at_best: float
    """Training loss when the validation loss was best, in nats."""
    train_lowest: int
    """Row of the lowest training loss; -1 while there is none."""
    stuck_since: int
    """Row since which the training loss stands still, too high for its labels; -1 where it does not."""
    accuracy: float
    """Validation accuracy now, median of the last three measured, 0 to 1; NaN where none was."""
    accuracy_at_best: float
    """Validation accuracy when the validation loss was best."""
    accuracy_noise: float
    """Standard deviation of the validation accuracy from epoch to epoch."""
    accuracy_best: int
    """Row of the highest validation accuracy, the first on ties; -1 while there is none."""


def judgement(history: History, row: int = -1) -> Judgement | None:
    """Judge a run at one of its evaluations, by row; None where there is no such row."""
    count = len(history.evaluations)
    row = row + count if row < 0 else row
    if not 0 <= row < count:
        return None
    with np.errstate(all="ignore"):
        return _judge(history).at(row)


def first_row(history: History, state: State) -> int | None:
    """Give the first row of the evaluations at which a run was in a state; None where there is none."""
    if not len(history.evaluations):
        return None
    found = np.flatnonzero(_judge(history).states == STATES.index(state))
    return int(found[0]) if len(found) else None


def _judge(history: History) -> "_Judge":
    judge = history.derived(_Judge)
    with np.errstate(all="ignore"):  # a loss near the largest float overflows to infinity, which compares as it should
        judge.follow(history)
    return judge


class _Judge:
    """Follows one table of evaluations as it grows."""

    def __init__(self, history: History) -> None:
        self._states: Growing[int] = Growing(np.int8)
        """By their place in `STATES`."""
        self._since: Growing[int] = Growing(np.int64)
        self._stuck: Growing[int] = Growing(np.int64)
        self._guessing = guessing_loss(history)
        self._valid = Curve()
        self._measured = Curve(OF_TRAINING)
        self._running = Curve(OF_TRAINING)
        self._accuracy = Curve(OF_ACCURACY)
        self._most_accurate: Growing[int] = Growing(np.int64)
        self._overfit = Overfitting(self._guessing, history.plan.valid_rows)
        self._underfit = Underfitting(self._guessing, lowest_loss(history))
        self._diverged = Divergence(self._guessing)

    @property
    def states(self) -> IntArray:
        """The state at each evaluation, by its place in `STATES`."""
        return self._states.values

    def at(self, row: int) -> Judgement:
        valid, overfit = self._valid, self._overfit
        position = valid.latest[row]
        train, now = self._train(row)
        right = self._accuracy.latest[row]
        return Judgement(
            state=STATES[self._states[row]],
            since=self._since[row],
            guessing=self._guessing,
            evaluated=position + 1,
            best=valid.row[overfit.best[position]] if position >= 0 else -1,
            improved=valid.row[overfit.improved[position]] if position >= 0 else -1,
            valid=_value(valid.level, position),
            best_level=_value(overfit.level, position),
            noise=_value(valid.noise, position),
            threshold=_value(overfit.threshold, position),
            train=_value(train.level, now),
            slope=float(pace(train, np.array([now]), PACE, self._number)[0]) if now >= 0 else math.nan,
            train_noise=_value(train.noise, now),
            valid_row=valid.row[position] if position >= 0 else -1,
            train_row=train.row[now] if now >= 0 else -1,
            train_at_best=self._train_at_best(position, train, now),
            train_lowest=self._diverged.lowest[row],
            stuck_since=self._stuck[row],
            accuracy=_value(self._accuracy.level, right),
            accuracy_at_best=self._accuracy_at_best(position, right),
            accuracy_noise=_value(self._accuracy.noise, right),
            accuracy_best=self._accuracy.row[self._most_accurate[right]] if right >= 0 else -1,
        )

    def _train(self, row: int) -> tuple[Curve, int]:
        """Give the training loss and its position: the one measured, or before there is any the running one."""
        curve = self._measured if self._measured.latest[row] >= 0 else self._running
        return curve, curve.latest[row]

    def follow(self, history: History) -> None:
        """Judge the evaluations that came since the last call."""
        table = history.evaluations
        start, stop = len(self._states), len(table)
        if start == stop:
            return
        self._number, self._end = _numbers(history)
        self._evaluated = table["measured"].values
        # By blocks: the medians of a million rows at once take the memory of ten million.
        for first in range(start, stop, ROWS_AT_ONCE):
            self._follow_to(history, first, min(first + ROWS_AT_ONCE, stop))

    def _follow_to(self, history: History, start: int, stop: int) -> None:
        table = history.evaluations
        for curve, name in (
            (self._valid, "valid/loss"),
            (self._measured, "train/loss"),
            (self._accuracy, "valid/accuracy"),
        ):
            curve.extend(table[name].values[start:stop])
        logged = "step/loss" in table
        self._running.extend(table["step/loss"].values[start:stop] if logged else batch_means(history, start, stop))
        measured = int(np.searchsorted(self._measured.latest.values[start:stop], 0)) + start
        # Where a loss was measured, nobody looks at the level of the running one.
        running = [self._running] if measured > start else []
        work_out([self._valid, self._measured, *running, self._accuracy])
        self._follow_accuracy()
        if measured > start:
            self._judge(history, np.arange(start, measured), self._running)
        if measured < stop:
            self._judge(history, np.arange(measured, stop), self._measured)

    def _follow_accuracy(self) -> None:
        first = len(self._most_accurate)
        values = self._accuracy.value.values
        if first < len(values):
            best = self._most_accurate[-1] if first else 0
            highest = float(values[best]) if first else -math.inf
            places = np.arange(first, len(values))
            self._most_accurate.extend(lowest_so_far(-values[first:], places, -highest, best)[0])

    def _judge(self, history: History, rows: IntArray, train: Curve) -> None:
        """Judge some rows, one after the other, whose training loss is one curve's."""
        position, now = self._valid.latest.values[rows], train.latest.values[rows]
        has_valid, has_train = self._valid.at(rows)[1], train.at(rows)[1]
        over, recovered = self._overfit.latch.on, self._overfit.recovered
        found = self._overfit.follow(self._valid, train, now[has_valid])
        overfits, came_back = (
            held(before, values, np.cumsum(has_valid) - 1)
            for before, values in zip((over, recovered), found, strict=True)
        )
        before = self._underfit.now
        level = _values(self._valid.level, position[has_train])
        judged = self._underfit.follow(
            level, train, now[has_train], self._number, self._end, measured=train is self._measured
        )
        underfits, underfit_since, stuck = (
            held(one, values, np.cumsum(has_train) - 1) for one, values in zip(before, judged, strict=True)
        )
        diverged, since = self._follow_divergence(history, rows)
        evaluated = np.where(position >= 0, position, now) + 1
        states = np.select(
            [diverged, overfits, underfits & (evaluated >= FEWEST), came_back >= 0, evaluated < FEWEST],
            [DIVERGED, OVERFITTING, UNDERFITTING, RECOVERED, WARMING_UP],
            FITTING,
        )
        since = np.where(states == DIVERGED, since, rows)
        # Of a state that has no date of its own the row at which it began.
        last = self._states[-1] if len(self._states) else -1
        begins = np.where(np.diff(states, prepend=last) != 0, np.arange(len(rows)), -1)
        since = held(self._since[-1] if len(self._since) else -1, since, np.maximum.accumulate(begins))
        for state, dates in ((UNDERFITTING, underfit_since), (RECOVERED, came_back)):
            since = np.where(states == state, dates, since)
        rises = states == OVERFITTING
        since[rises] = self._valid.row.values[self._overfit.best.values[position[rises]]]
        self._stuck.extend(stuck)
        self._states.extend(states)
        self._since.extend(since)

    def _follow_divergence(self, history: History, rows: IntArray) -> tuple[BoolArray, IntArray]:
        """Find the training loss of some rows, and whether it is missing.

        Not measured and not finite look alike in a column; so a loss is missed only where it should be: the running
        loss in a log that has had one, the others at an evaluation.
        """
        losses, runs = self._running.at(rows)
        measured, is_measured = self._measured.at(rows)
        # A loss that was named and never was a number was lost from the start.
        named = any(name in history.evaluations for name in (TRAIN_LOSS, VALID_LOSS))
        nothing = (self._evaluated[rows] != 0) & named & ~is_measured & ~self._valid.at(rows)[1]
        lost = np.where(self._running.latest.values[rows] >= 0, ~runs, nothing)
        losses[is_measured] = measured[is_measured]
        return self._diverged.follow(history, rows, losses, known=runs | is_measured, lost=lost)

    def _train_at_best(self, position: int, train: Curve, now: int) -> float:
        if position < 0:
            return math.nan
        return float(self._overfit.train_at_best(np.array([position]), self._valid, train, np.array([now]))[0])

    def _accuracy_at_best(self, position: int, right: int) -> float:
        """Give the level of the validation accuracy where the loss was best, as known at its position `right`."""
        at_best = self._accuracy.latest[self._valid.row[self._overfit.best[position]]] if position >= 0 else -1
        return float(around(self._accuracy, np.array([at_best]), np.array([right]))[0])


def _numbers(history: History) -> tuple[FloatArray, float]:
    """Give a number to each row of the evaluations, and the one that the last of the run will have (NaN: unknown).

    Epochs, where all rows have one; else the rows themselves, counted from 1.
    """
    table, plan = history.evaluations, history.plan
    epochs = table["epoch"].values
    if np.isfinite(epochs).all():
        return epochs, float(plan.epochs) if plan.epochs else math.nan
    rows = np.arange(1.0, len(table) + 1)
    total, step = history.total_steps, table.step.last
    return rows, len(table) * total / step if step > 0 else math.nan


def _value(values: Growing[float], position: int) -> float:
    return values[position] if position >= 0 else math.nan


def _values(values: Growing[float], positions: IntArray) -> FloatArray:
    if not len(values):
        return np.full(len(positions), math.nan)
    return np.where(positions >= 0, values.values[positions], math.nan)
