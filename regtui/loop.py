"""The one training loop: a generator of events, which is sent commands.

It knows no framework and no screen: it takes rates from a schedule, rows from a shuffle, asks a backend for as
many updates as fit into about 50 ms, and tells what came of them.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec
import numpy as np

from regtui.backends import Backend, FloatArray, StepLosses
from regtui.checkpoints.state import RunState, knob_of
from regtui.core.config import ConfigError, RunConfig, fields
from regtui.core.data import Data
from regtui.core.events import (
    Changed,
    Command,
    EpochEnded,
    How,
    Metrics,
    Noted,
    Pause,
    Record,
    Resume,
    Resumed,
    RunEnded,
    RunEpoch,
    RunStarted,
    SetKnob,
    StepEnded,
    Stop,
)
from regtui.core.failing import failure
from regtui.core.fields import check
from regtui.divergence import Bound
from regtui.preparation import evaluate_every, evaluated_seldom, record_every, shuffled, started
from regtui.schedules.policies import make_schedule
from regtui.schedules.rates import RateDrop

CHUNK_SECONDS = 0.05
"""How long one call of the backend should take: a command is obeyed within it, and many steps share its cost."""
MOST_STEPS_AT_ONCE = 4096
"""A ceiling for devices so fast that 50 ms hold more: a chunk's events must also be made, written and folded."""
NEEDS_LESS = "a smaller --batch-size, --hidden or --train-rows"
"""What a run that did not fit into memory can be given instead."""

Chunks = Generator[list[Record] | None, Command | None, None]
"""What a chunk left, perhaps nothing where steps are thinned; None while the run is paused."""


def train(
    config: RunConfig,
    backend: Backend,
    data: Data,
    *,
    run_id: str,
    environment: dict[str, Any] | None = None,
    clock: Callable[[], float] = time.time,
) -> Chunks:
    """Train, and yield the events of each chunk; None means 'paused, waiting for a command'.

    The first list holds RunStarted. After each list a Command or None may be sent, and is obeyed before the next
    update. The last list ends with RunEnded on every path: an exception ends the run as `failed`, a
    KeyboardInterrupt as `stopped` and is raised again when the generator is resumed. Only a generator that is closed
    from outside says nothing. The caller closes the backend, on every path too.
    """
    return Training(config, backend, data, clock).chunks(started(config, backend, data, run_id, clock(), environment))


def loss_of(metrics: Metrics) -> float:
    """Give the loss of a split, NaN where there is none."""
    loss = metrics.get("loss")
    return math.nan if loss is None else loss


def added_up(total: float, terms: FloatArray) -> float:
    """Add numbers to a sum one by one: so it is the same to the bit, however the steps were cut into chunks."""
    return float(np.add.accumulate(np.concatenate([[total], terms]))[-1])


class _Pace:
    """How many steps fit into a chunk, learned from how long the last ones took."""

    def __init__(self) -> None:
        # One step first: the first event is on the screen soon, and the first call also builds graphs and states.
        self.steps = 1

    def took(self, steps: int, seconds: float) -> None:
        """Take note of a chunk; grow by at most 4 at once, since the first steps are no measure."""
        fitting = int(CHUNK_SECONDS * steps / max(seconds, 1e-9))
        self.steps = max(1, min(fitting, 4 * self.steps, MOST_STEPS_AT_ONCE))


class _Ended(Exception):
    """The run is over, for a reason that is no error."""

    def __init__(self, status: str, reason: str = "") -> None:
        super().__init__(status, reason)
        self.status, self.reason = status, reason


class Training:
    """One run between its chunks: where it is, what it goes on from."""

    def __init__(self, config: RunConfig, backend: Backend, data: Data, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._backend = backend
        self._data = data
        self._clock = clock
        self.steps_per_epoch = math.ceil(len(data.train) / config.batch_size)
        self._total_steps = self.steps_per_epoch * config.epochs
        self._schedule = make_schedule(config, steps_per_epoch=self.steps_per_epoch)
        self._knobs = {"l2": config.l2, "l1": config.l1, "weight_decay": config.weight_decay, "dropout": config.dropout}
        self._every_step = record_every(self._total_steps)
        self._every_epoch = evaluate_every(config, data)
        self._pace = _Pace()
        self._bound = Bound(data.classes)
        self._warned = False
        self._paused = False
        self._pause_at_epoch = False
        self._loss_sum, self._seconds = 0.0, 0.0
        self._turned = 0
        self._end: _Ended | None = None
        """The end that the numbers have brought about; it comes after the records that led to it."""
        self.best_loss, self.best_epoch = math.inf, 0
        self.step = 0
        self.epoch = 0
        """Epochs completed."""

    def state(self) -> RunState:
        """Take out all that is not the backend's own; for whoever drives `chunks`, between two of its lists."""
        return RunState(
            step=self.step,
            epoch=self.epoch,
            loss_sum=self._loss_sum,
            seconds=self._seconds,
            best_loss=self.best_loss,
            best_epoch=self.best_epoch,
            bound=self._bound.value,
            warned=self._warned,
            knobs=dict(self._knobs),
            turned=self._turned,
            paused=self._paused,
            pause_at_epoch=self._pause_at_epoch,
            end=(self._end.status, self._end.reason) if self._end else None,
            schedule=self._schedule.state(),
        )

    def restore(self, state: RunState) -> None:
        """Go on from a state; the backend has been given its own. Raises ValueError where it is another run's."""
        if not 0 <= state.step - state.epoch * self.steps_per_epoch <= self.steps_per_epoch:
            raise ValueError(f"epoch {state.epoch} does not hold step {state.step}")
        if state.knobs.keys() != self._knobs.keys():
            raise ValueError(f"its knobs are not {', '.join(self._knobs)}")
        self._schedule.restore(state.schedule)
        for knob, value in state.knobs.items():
            if value != self._knobs[knob]:
                self._backend.set_knob(knob, value)  # type: ignore[arg-type]  # the keys are those of ours
        self._knobs = dict(state.knobs)
        self.step, self.epoch = state.step, state.epoch
        self._loss_sum, self._seconds = state.loss_sum, state.seconds
        self.best_loss, self.best_epoch = state.best_loss, state.best_epoch
        self._bound.value, self._warned, self._turned = state.bound, state.warned, state.turned
        self._paused, self._pause_at_epoch = state.paused, state.pause_at_epoch
        self._end = _Ended(*state.end) if state.end else None

    def chunks(self, first: RunStarted | Resumed, turned: Sequence[Changed] = ()) -> Chunks:
        """Train to the end of the run and yield as `train` says; a command sent in answer to `first` is obeyed, too.

        `turned` is what the log says was turned by hand after the state that the run goes on from, at its very step.
        """
        try:
            yield from self._events(first, turned)
        except Exception as error:
            yield [self.ended("failed", failure(error, needs_less=NEEDS_LESS))]
        except KeyboardInterrupt:
            yield [self.ended("stopped", "interrupted")]
            raise

    def _events(self, first: RunStarted | Resumed, turned: Sequence[Changed]) -> Chunks:
        try:
            for change in turned:
                self._turn(knob_of(change))
            yield from self._offer([first])
            if self._every_epoch > 1 and isinstance(first, RunStarted):
                yield from self._offer([self._note(evaluated_seldom(self._every_epoch, self._data))])
            while self._end is None and self.epoch < self._config.epochs:
                yield from self._train_epoch()
            if self._end is not None:
                raise self._end
        except _Ended as end:
            yield [self.ended(end.status, end.reason)]
        else:
            yield [self.ended("finished")]

    def _train_epoch(self) -> Chunks:
        """Make one pass over the training rows, or the rest of one, then measure."""
        rows, size = len(self._data.train), self._config.batch_size
        order = shuffled(self._config, rows, self.epoch + 1)
        whole = rows // size * size
        # Steps of one call share a batch size: a short last batch goes alone.
        parts = [part for part in (order[:whole].reshape(-1, size), order[whole:].reshape(1, -1)) if part.size]
        rate = math.nan
        made = self.step - self.epoch * self.steps_per_epoch
        for part in parts:
            done = min(made, len(part))
            made -= done
            while done < len(part):
                began = time.perf_counter()
                rates = self._schedule.plan(self.step, min(self._pace.steps, len(part) - done))
                batches = part[done : done + len(rates)]
                losses = self._backend.train_steps(batches, rates)
                now = time.perf_counter()
                self._pace.took(len(rates), now - began)
                events = self._account(losses, rates)
                done += len(rates)
                self._loss_sum = added_up(self._loss_sum, losses.data_loss * batches.shape[1])
                rate = float(rates[-1])
                self._seconds += time.perf_counter() - began
                if self._end is not None or self.step % self.steps_per_epoch:
                    yield from self._offer(events)
                if self._end is not None:
                    return
        yield from self._finish_epoch(events, self._loss_sum / rows, rate)

    def _account(self, losses: StepLosses, rates: FloatArray) -> list[Record]:
        """Turn a chunk's losses into events in the order of their steps, and look for divergence."""
        time_now, epoch, every = self._clock(), self.epoch + 1, self._every_step
        first = self.step
        bad = self._bound.broken_at(losses)
        stop = bad + 1 if bad is not None and not self._config.keep_going else len(rates)
        events: list[Record] = [
            StepEnded(step=step, epoch=epoch, loss=loss, penalty=penalty, learning_rate=rate, time=time_now)
            for step, loss, penalty, rate in zip(
                range(first + 1, first + stop + 1),
                losses.data_loss.tolist(),
                losses.penalty.tolist(),
                rates.tolist(),
                strict=False,
            )
            if every == 1 or step % every == 0 or step == 1 or step == first + 1 + (bad if bad is not None else -1)
        ]
        self.step += stop
        self._schedule.observe(losses.data_loss[:stop])
        for drop in self._schedule.drops():
            self._insert(events, drop, time_now)
        if bad is None:
            return events
        last = f"the last good epoch is {self.epoch}" if self.epoch else "no epoch was completed"
        reason = f"{self._bound.words(losses, bad, first + bad + 1)}, learning rate {rates[bad]:.4g}; {last}"
        if self._config.keep_going:
            if not self._warned:
                events.append(self._note(f"{reason}; going on, as asked", "warning"))
                self._warned = True
            return events
        self._end = _Ended("diverged", reason)
        return events

    def _insert(self, events: list[Record], drop: RateDrop, time_now: float) -> None:
        """Put a rate's change right after the step it followed; one after the run's last step changes nothing."""
        if drop.step >= self._total_steps:
            return
        change = Changed(
            step=drop.step, epoch=self._epoch_of(drop.step), old=drop.old, new=drop.new, cause=drop.cause, time=time_now
        )
        at = len(events)
        while at and events[at - 1].step > drop.step:  # type: ignore[union-attr]
            at -= 1
        events.insert(at, change)

    def _finish_epoch(self, events: list[Record], running_loss: float, rate: float) -> Chunks:
        """Measure, tell the schedule, and write the epoch."""
        number = self.epoch + 1
        train_metrics = valid_metrics = None
        evaluate_seconds = None
        if number % self._every_epoch == 0 or number == self._config.epochs:
            began = time.perf_counter()
            train_metrics, valid_metrics = self._backend.evaluate("train"), self._backend.evaluate("valid")
            evaluate_seconds = time.perf_counter() - began
            self._schedule.observe_epoch(loss_of(valid_metrics))
            for drop in self._schedule.drops():
                self._insert(events, drop, self._clock())
        norms: dict[str, float | None] = dict(self._backend.weight_norms())
        events.append(
            EpochEnded(
                epoch=number,
                step=self.step,
                train=train_metrics,
                valid=valid_metrics,
                running_loss=running_loss,
                penalty=self._backend.penalty(),
                learning_rate=rate,
                weight_norms=norms,
                seconds=self._seconds,
                evaluate_seconds=evaluate_seconds,
                time=self._clock(),
            )
        )
        self.epoch = number
        self._loss_sum, self._seconds = 0.0, 0.0
        if valid_metrics is not None:
            self._end = self._judge(loss_of(valid_metrics))
        if self._pause_at_epoch:
            self._paused, self._pause_at_epoch = True, False
        yield from self._offer(events)

    def _judge(self, loss: float) -> _Ended | None:
        """Give the run's end when the validation loss has diverged, or has not improved for too long."""
        if not math.isfinite(loss):
            if self._config.keep_going:
                return None
            return _Ended("diverged", f"the validation loss after epoch {self.epoch} is not a finite number")
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
        waited = self.epoch - self.best_epoch
        if self._config.early_stopping and waited >= self._config.early_stopping and self.epoch < self._config.epochs:
            best = f"{self.best_loss:.4g} at epoch {self.best_epoch}"
            return _Ended("early_stopped", f"validation loss not below {best} for {waited} epochs")
        return None

    def _offer(self, events: list[Record]) -> Chunks:
        """Yield events and obey what is sent back, waiting while paused."""
        pending: list[Record] | None = events
        while True:
            command = yield pending
            told = self._obey(command)
            if not told and not self._paused:
                return
            pending = told or None

    def _obey(self, command: Command | None) -> list[Record]:
        """Do as a command says; gives what is to be told of it."""
        match command:
            case Pause():
                self._paused, self._pause_at_epoch = True, False
            case Resume():
                self._paused, self._pause_at_epoch = False, False
            case RunEpoch():
                self._paused, self._pause_at_epoch = False, True
            case Stop(reason):
                raise _Ended("stopped", reason)
            case SetKnob():
                return [self._turn(command)]
        return []

    def _turn(self, command: SetKnob) -> Record:
        """Turn a knob; a value out of its range is refused with a note."""
        knob, value = command.knob, command.value
        try:
            field = fields()[knob]
            check(field, value)
        except (KeyError, ConfigError) as error:
            return self._note(str(error) if isinstance(error, ConfigError) else f"{knob} is not a knob", "warning")
        how: How | msgspec.UnsetType = msgspec.UNSET
        if knob == "learning_rate":
            how = "scale" if command.scale else "hold"
            drop = self._schedule.scale(value) if command.scale else self._schedule.hold(value)
            old, new = drop.old, drop.new
        else:
            old, new = self._knobs[knob], value
            self._backend.set_knob(knob, value)
            self._knobs[knob] = value
        self._turned += 1
        return Changed(
            step=self.step,
            epoch=self._epoch_now,
            what=knob,
            old=old,
            new=new,
            cause="user",
            how=how,
            time=self._clock(),
        )

    def ended(self, status: str, reason: str = "") -> RunEnded:
        """Give the end of the run; the test split is measured here, unless the run is in no state for that."""
        test = None
        if self._data.test is not None and status in {"finished", "early_stopped", "stopped"}:
            test = self._backend.evaluate("test")
        return RunEnded(status=status, reason=reason, step=self.step, epoch=self.epoch, test=test, time=self._clock())

    def _epoch_of(self, step: int) -> int:
        return max(1, math.ceil(step / self.steps_per_epoch))

    @property
    def _epoch_now(self) -> int:
        """The epoch of the next update."""
        return min(self.epoch + 1, self._config.epochs)

    def _note(self, text: str, level: str = "info") -> Noted:
        return Noted(step=self.step, epoch=self._epoch_now, level=level, text=text, time=self._clock())
