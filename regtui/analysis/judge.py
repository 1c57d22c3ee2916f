"""The state of a run at each of its evaluations, judged from those up to it and never from later ones.

Each evaluation is judged once, when it arrives, so that a run of 100,000 epochs costs no more at a frame than one of
ten. What the screen says at epoch 20 is what the cursor says of epoch 20 an hour later. What is asked of each curve
stands in `overfitting.py`, `underfitting.py` and `divergence.py`.
"""

import math
from array import array
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from regtui.analysis.curve import AROUND, LEVEL, Curve, around, pace
from regtui.analysis.divergence import Divergence
from regtui.analysis.guessing import guessing_loss, lowest_loss
from regtui.analysis.overfitting import FEWEST, Overfitting
from regtui.analysis.training import batch_means
from regtui.analysis.underfitting import PACE, STILL_WIDTH, Underfitting
from regtui.core.history import History
from regtui.core.metrics import TRAIN_LOSS, VALID_LOSS
from regtui.core.series import FloatArray

ROWS_AT_ONCE = 1 << 14
"""Evaluations whose curves are brought up to date at once."""

State = Literal["warming_up", "underfitting", "fitting", "overfitting", "recovered", "diverged"]
"""What can be said of a run; each is explained in `verdict.py`."""


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


def _judge(history: History) -> "_Judge":
    judge = history.derived(_Judge)
    with np.errstate(all="ignore"):  # a loss near the largest float overflows to infinity, which compares as it should
        judge.follow(history)
    return judge


class _Judge:
    """Follows one table of evaluations as it grows."""

    def __init__(self, history: History) -> None:
        self.states: list[State] = []
        self._since = array("q")
        self._stuck = array("q")
        self._guessing = guessing_loss(history)
        self._valid = Curve()
        self._measured = Curve(OF_TRAINING)
        self._running = Curve(OF_TRAINING)
        self._accuracy = Curve(OF_ACCURACY)
        self._most_accurate = array("q")
        self._overfit = Overfitting(self._guessing, history.plan.valid_rows)
        self._underfit = Underfitting(self._guessing, lowest_loss(history))
        self._diverged = Divergence(self._guessing)

    def at(self, row: int) -> Judgement:
        valid, overfit = self._valid, self._overfit
        position = valid.latest[row]
        train, now = self._train(row)
        best_level, threshold = overfit.level_at(position)
        right = self._accuracy.latest[row]
        return Judgement(
            state=self.states[row],
            since=self._since[row],
            guessing=self._guessing,
            evaluated=position + 1,
            best=valid.row[overfit.best[position]] if position >= 0 else -1,
            improved=valid.row[overfit.improved[position]] if position >= 0 else -1,
            valid=_value(valid.level, position),
            best_level=best_level,
            noise=_value(valid.noise, position),
            threshold=threshold,
            train=_value(train.level, now),
            slope=pace(train, now, PACE, self._number),
            train_noise=_value(train.noise, now),
            valid_row=valid.row[position] if position >= 0 else -1,
            train_row=train.row[now] if now >= 0 else -1,
            train_at_best=overfit.train_at_best(position, valid, train, now),
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
        start, stop = len(self.states), len(table)
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
            curve.extend(table[name].values[start:stop].tolist())
        logged = "step/loss" in table
        running = table["step/loss"].values[start:stop] if logged else batch_means(history, start, stop)
        self._running.extend(running.tolist())
        for curve in (self._valid, self._measured, self._accuracy):
            curve.work_out()
        if self._measured.latest[start] < 0:  # else nobody looks at the level of the running loss
            self._running.work_out()
        values = self._accuracy.value.values
        for position in range(len(self._most_accurate), len(values)):
            best = self._most_accurate[-1] if self._most_accurate else position
            self._most_accurate.append(position if values[position] > values[best] else best)
        for row in range(start, stop):
            self._judge_row(history, row)

    def _judge_row(self, history: History, row: int) -> None:
        position = self._valid.latest[row]
        train, now = self._train(row)
        if position >= 0 and self._valid.row[position] == row:
            self._overfit.weigh(row, position, self._valid, train, now)
        if now >= 0 and train.row[now] == row:
            valid = _value(self._valid.level, position)
            measured = train is self._measured
            self._underfit.weigh(row, valid, train, now, self._number, self._end, measured=measured)
        self._weigh_divergence(history, row)
        evaluated = position + 1 or now + 1
        stuck = self._underfit.stuck
        self._stuck.append(stuck.since if stuck.on else -1)
        if self._diverged.latch.on:
            state: State = "diverged"
            since = self._since[-1] if self.states and self.states[-1] == state else self._diverged.latch.since
        elif self._overfit.latch.on:
            state, since = "overfitting", self._valid.row[self._overfit.best[position]]
        elif self._underfit.on and evaluated >= FEWEST:
            state, since = "underfitting", self._underfit.since
        elif self._overfit.recovered >= 0:
            state, since = "recovered", self._overfit.recovered
        else:
            state = "warming_up" if evaluated < FEWEST else "fitting"
            since = self._since[-1] if self.states and self.states[-1] == state else row
        self.states.append(state)
        self._since.append(since)

    def _weigh_divergence(self, history: History, row: int) -> None:
        """Find the training loss of a row, and whether it is missing.

        Not measured and not finite look alike in a column; so a loss is missed only where it should be: the running
        loss in a log that has had one, the others at an evaluation.
        """
        running, measured = self._running.at(row), self._measured.at(row)
        if self._running.latest[row] >= 0:
            lost = running is None
        else:
            # A loss that was named and never was a number was lost from the start.
            known = any(name in history.evaluations for name in (TRAIN_LOSS, VALID_LOSS))
            lost = bool(self._evaluated[row]) and known and measured is None and self._valid.at(row) is None
        self._diverged.weigh(history, row, running if measured is None else measured, lost=lost)

    def _accuracy_at_best(self, position: int, right: int) -> float:
        """Give the level of the validation accuracy where the loss was best, as known at its position `right`."""
        at_best = self._accuracy.latest[self._valid.row[self._overfit.best[position]]] if position >= 0 else -1
        return around(self._accuracy, at_best, right) if at_best >= 0 else math.nan


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


def _value(values: Sequence[float], position: int) -> float:
    return values[position] if position >= 0 else math.nan
