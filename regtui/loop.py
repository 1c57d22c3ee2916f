"""The one training loop: a generator of events, which is sent commands.

It knows no framework and no screen: it takes rates from a schedule, rows from a shuffle, asks a backend for as
many updates as fit into about 50 ms, and tells what came of them.
"""

import math
import time
from collections.abc import Callable, Generator
from typing import Any

import msgspec
import numpy as np

from regtui.backends import Backend, FloatArray, StepLosses
from regtui.core.config import ConfigError, RunConfig, fields
from regtui.core.data import Data
from regtui.core.events import (
    COMMANDS,
    FORMAT,
    Changed,
    Command,
    EpochEnded,
    How,
    Metrics,
    Noted,
    Pause,
    Record,
    Resume,
    RunEnded,
    RunEpoch,
    RunStarted,
    SetKnob,
    StepEnded,
    Stop,
)
from regtui.core.failing import failure
from regtui.core.fields import check
from regtui.preparation import describe, evaluate_every, plan_of, shuffled
from regtui.schedules.policies import make_schedule
from regtui.schedules.rates import RateDrop

CHUNK_SECONDS = 0.05
"""How long one call of the backend should take: a command is obeyed within it, and many steps share its cost."""
MOST_STEPS_AT_ONCE = 4096
"""A ceiling for devices so fast that 50 ms hold more: a chunk's events must also be made, written and folded."""
MOST_STEP_RECORDS = 20_000
"""Longer runs write every k-th step only."""
DIVERGED_AT = 1e4
"""A loss this many times its start has left all bounds: nets that recover were seen to come back from 1,000 times,
while one that goes on rising reaches any bound within a few more steps."""

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
    run = _Run(config, backend, data, clock)
    whereabouts = {**describe(config, backend, data), **(environment or {})}
    started = RunStarted(
        format=FORMAT,
        run_id=run_id,
        time=clock(),
        trainer="regtui",
        config=config,
        plan=plan_of(config, data),
        listens=tuple(COMMANDS),
        environment=whereabouts,
    )
    try:
        yield from run.events(started)
    except Exception as error:
        yield [run.ended("failed", failure(error, needs_less=NEEDS_LESS))]
    except KeyboardInterrupt:
        yield [run.ended("stopped", "interrupted")]
        raise


def loss_of(metrics: Metrics) -> float:
    """Give the loss of a split, NaN where there is none."""
    loss = metrics.get("loss")
    return math.nan if loss is None else loss


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


class _Run:
    """The state of one run between its chunks."""

    def __init__(self, config: RunConfig, backend: Backend, data: Data, clock: Callable[[], float]) -> None:
        self._config = config
        self._backend = backend
        self._data = data
        self._clock = clock
        self._steps_per_epoch = math.ceil(len(data.train) / config.batch_size)
        self._total_steps = self._steps_per_epoch * config.epochs
        self._schedule = make_schedule(config, steps_per_epoch=self._steps_per_epoch)
        self._knobs = {"l2": config.l2, "l1": config.l1, "weight_decay": config.weight_decay, "dropout": config.dropout}
        self._every_step = math.ceil(self._total_steps / MOST_STEP_RECORDS)
        self._every_epoch = evaluate_every(config, data)
        self._pace = _Pace()
        self._bound = 0.0
        self._warned = False
        self._paused = False
        self._pause_at_epoch = False
        self._seconds = 0.0
        self._best_loss, self._best_epoch = math.inf, 0
        self.step = 0
        self.epoch = 0
        """Epochs completed."""

    def events(self, started: RunStarted) -> Chunks:
        """Train to the end of the run; a command sent in answer to its first record is obeyed, too."""
        try:
            yield from self._offer([started])
            if self._every_epoch > 1:
                said = (
                    f"evaluated every {self._every_epoch} epochs: measuring {len(self._data.valid):,} validation rows "
                )
                yield from self._offer([self._note(said + f"takes longer than training on {len(self._data.train):,}")])
            for _ in range(self._config.epochs):
                yield from self._train_epoch()
        except _Ended as end:
            yield [self.ended(end.status, end.reason)]
        else:
            yield [self.ended("finished")]

    def _train_epoch(self) -> Chunks:
        """Make one pass over the training rows, then measure."""
        rows, size = len(self._data.train), self._config.batch_size
        order = shuffled(self._config, rows, self.epoch + 1)
        whole = rows // size * size
        # Steps of one call share a batch size: a short last batch goes alone.
        parts = [part for part in (order[:whole].reshape(-1, size), order[whole:].reshape(1, -1)) if part.size]
        self._seconds = 0.0
        summed, rate = 0.0, math.nan
        for part in parts:
            done = 0
            while done < len(part):
                began = time.perf_counter()
                rates = self._schedule.plan(self.step, min(self._pace.steps, len(part) - done))
                batches = part[done : done + len(rates)]
                losses = self._backend.train_steps(batches, rates)
                now = time.perf_counter()
                self._pace.took(len(rates), now - began)
                events, end = self._account(losses, rates)
                done += len(rates)
                summed += float(losses.data_loss.sum()) * batches.shape[1]
                rate = float(rates[-1])
                self._seconds += time.perf_counter() - began
                if end is not None or self.step % self._steps_per_epoch:
                    yield from self._offer(events)
                if end is not None:
                    raise end
        yield from self._finish_epoch(events, summed / rows, rate)

    def _account(self, losses: StepLosses, rates: FloatArray) -> tuple[list[Record], _Ended | None]:
        """Turn a chunk's losses into events in the order of their steps, and look for divergence."""
        time_now, epoch, every = self._clock(), self.epoch + 1, self._every_step
        first = self.step
        bad = self._diverged_at(losses)
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
            return events, None
        reason = self._divergence(first + bad + 1, float(losses.data_loss[bad]), float(rates[bad]))
        if self._config.keep_going:
            if not self._warned:
                events.append(self._note(f"{reason}; going on, as asked", "warning"))
                self._warned = True
            return events, None
        return events, _Ended("diverged", reason)

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
        if self._pause_at_epoch:
            self._paused, self._pause_at_epoch = True, False
        yield from self._offer(events)
        if valid_metrics is not None:
            self._judge(valid_metrics)

    def _judge(self, valid: Metrics) -> None:
        """End the run when the validation loss has diverged, or has not improved for too long."""
        loss = loss_of(valid)
        if not math.isfinite(loss):
            if self._config.keep_going:
                return
            raise _Ended("diverged", f"the validation loss after epoch {self.epoch} is not a finite number")
        if loss < self._best_loss:
            self._best_loss, self._best_epoch = loss, self.epoch
        waited = self.epoch - self._best_epoch
        if self._config.early_stopping and waited >= self._config.early_stopping and self.epoch < self._config.epochs:
            best = f"{self._best_loss:.4g} at epoch {self._best_epoch}"
            raise _Ended("early_stopped", f"validation loss not below {best} for {waited} epochs")

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

    def _diverged_at(self, losses: StepLosses) -> int | None:
        """Find the first step whose loss is not finite or has left all bounds."""
        if not self._bound:
            # Guessing costs ln(classes); a start below that is no reason for a tighter bound.
            start = float(losses.data_loss[0])
            guess = math.log(max(2, self._data.classes))
            self._bound = DIVERGED_AT * (max(start, guess) if math.isfinite(start) else guess)
        good = (losses.data_loss <= self._bound) & np.isfinite(losses.penalty)
        return None if good.all() else int(np.argmin(good))

    def _divergence(self, step: int, loss: float, rate: float) -> str:
        what = "is not a finite number" if not math.isfinite(loss) else f"of {loss:.3g} has left all bounds"
        if loss <= self._bound:
            what = "is finite but its penalty is not"
        last = f"the last good epoch is {self.epoch}" if self.epoch else "no epoch was completed"
        return f"the loss {what} at step {step}, learning rate {rate:.4g}; {last}"

    def ended(self, status: str, reason: str = "") -> RunEnded:
        """Give the end of the run; the test split is measured here, unless the run is in no state for that."""
        test = None
        if self._data.test is not None and status in {"finished", "early_stopped", "stopped"}:
            test = self._backend.evaluate("test")
        return RunEnded(status=status, reason=reason, step=self.step, epoch=self.epoch, test=test, time=self._clock())

    def _epoch_of(self, step: int) -> int:
        return max(1, math.ceil(step / self._steps_per_epoch))

    @property
    def _epoch_now(self) -> int:
        """The epoch of the next update."""
        return min(self.epoch + 1, self._config.epochs)

    def _note(self, text: str, level: str = "info") -> Noted:
        return Noted(step=self.step, epoch=self._epoch_now, level=level, text=text, time=self._clock())
