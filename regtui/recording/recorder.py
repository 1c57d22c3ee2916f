"""One run as it is recorded: what a training loop calls."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from regtui.core.events import EpochEnded, Evaluated, Noted, Resumed, RunEnded, RunStarted, SystemSampled
from regtui.core.failing import failure
from regtui.core.plan import Plan
from regtui.numbers import Kept, count_of, number_of, numbers_of, plain, text_of
from regtui.readers import LogError
from regtui.recording import processes
from regtui.recording.holding import MANY_HELD, Holding
from regtui.recording.lines import StepLine
from regtui.recording.named import Named
from regtui.recording.orders import Orders, changed
from regtui.recording.ranks import environment, rank_here
from regtui.recording.warned import Warned, harmless
from regtui.recording.writing import Writing, opened
from regtui.system import Sampler

Scalar = Any
"""A float, an integer, a scalar of numpy, or a tensor of one element of any framework, on any device."""


class Recorder:
    """One run; its methods may be called from any thread, and none of them ever raises."""

    def __init__(
        self, run: RunStarted, *, log: Path | None, runs_dir: Path, share: bool = False, rank: int | None = None
    ) -> None:
        self.log_path = log
        """Where the run is recorded; None before the start, where it gets a folder of its own."""
        self.warned = Warned()
        self.orders = Orders()
        self._run = run
        self._runs_dir = runs_dir
        self._share = share
        self._rank = rank
        self._state = "new"
        self._made_by = os.getpid()
        # A lock that a handler of signals may take again, whatever the loop was doing.
        self._lock = threading.RLock()
        self._held = Holding(self.warned)
        self._opened = False
        """The first line is written."""
        self._named = Named()
        self._step = 0
        self._epoch = 0
        self._epoch_from = 0.0
        self._rate: Kept = None
        self._has_loss = False
        self._writing: Writing | None = None
        self._sampler: Sampler | None = None

    # A run

    def start(self) -> "Recorder":
        """Begin to record; `with` does it, and so does the first number."""
        with self._lock:
            if self._state == "new":
                self._state = "elsewhere"
                self._start()
        return self

    @harmless
    def _start(self) -> None:
        if (self._rank if self._rank is not None else rank_here()) > 0:
            return
        if self._made_by != os.getpid():
            self.warned.say("start", "this run is not recorded here: its recorder was made before this process was")
            return
        now = time.time()
        self._epoch_from = now
        try:
            writer, run_id = opened(self.log_path, self._runs_dir, self._run.run_id, now, share=self._share)
        except (LogError, OSError) as error:
            self.warned.say("start", f"this run is not recorded: {error}")
            return
        self.log_path = writer.path
        self._run = msgspec.structs.replace(self._run, run_id=run_id, time=now, environment=environment())
        self._writing = Writing(self, self._held, writer)
        self._state = "running"
        processes.living.add(self)
        self._sampler = Sampler(self._sampled, step=lambda: self._step, paused=lambda: self.orders.paused)
        self._sampler.start()

    @harmless
    def tell(self, settings: Mapping[str, Any] | None = None, plan: Plan | None = None) -> None:
        """Say more of the run, until its first number; what was said of it before stands."""
        known = plain(settings or {})
        with self._lock:
            said = {name: value for name in Plan.__struct_fields__ if (value := getattr(self._run.plan, name, None))}
            self._run = msgspec.structs.replace(
                self._run,
                settings={**(known if isinstance(known, dict) else {}), **self._run.settings},
                plan=msgspec.structs.replace(plan or Plan(), **said),
            )

    @harmless
    def finish(self, status: str = "finished", reason: str = "", test: Mapping[str, Scalar] | None = None) -> None:
        """End the run: `finished`, `stopped`, `early_stopped`, `diverged` or `failed`; once, the first word stands.

        `test` is what was measured on a split that chose nothing.
        """
        self.start()
        with self._lock:
            if self._state != "running":
                return
            self._state = "over"
            if status == "finished" and self.orders.stopping:
                status, reason = "stopped", reason or self.orders.reason
            self._held.records.append(
                RunEnded(
                    status=text_of(status), reason=text_of(reason), step=self._step, epoch=self._epoch,
                    test=numbers_of(test), time=time.time(),
                )
            )  # fmt: skip
        if self._sampler is not None:
            self._sampler.stop()
        if self._writing is not None:
            self._writing.end()

    def __enter__(self) -> "Recorder":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.leave(error)

    def leave(self, error: BaseException | None) -> None:
        """End the run as whatever ends the loop says."""
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
        elif isinstance(error, KeyboardInterrupt):
            self.finish("stopped", "stopped by SIGINT")
        elif isinstance(error, GeneratorExit):
            self.finish("stopped")
        else:
            self.finish("failed", failure(error))

    def __copy__(self) -> "Recorder":
        return self

    def __deepcopy__(self, _memo: object) -> "Recorder":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return processes.elsewhere, (type(self),)

    # What is measured

    def step(
        self, /, loss: Scalar = None, *, learning_rate: Scalar = None, step: int | None = None, **metrics: Scalar
    ) -> None:
        """Record one update: its loss as trained (without the penalty, where that is known), its rate, and others.

        Counts from 1 by itself; `step` sets the count of updates completed. Waits here while the run is paused. A loss
        on a GPU is copied there, and read with the others twice a second.
        """
        if self._state != "running" and not self._begins():
            return
        try:
            if type(loss) is not float and loss is not None:
                loss = self._held.taken("loss", loss)
            if type(learning_rate) is not float and learning_rate is not None:
                learning_rate = self._held.taken("learning_rate", learning_rate)
            penalty = None
            named: Any = msgspec.UNSET
            if metrics:
                named = {name: self._held.taken(name, value) for name, value in metrics.items()}
                penalty = named.pop("penalty", None)
                named = named or msgspec.UNSET
            if loss is None and self._has_loss and (step is None or step != self._step):
                self._measured(step, learning_rate, metrics)
            else:
                with self._lock:
                    number = self._step + 1 if step is None else self._placed(step)
                    self._step = number
                    if learning_rate is not None:
                        self._rate = learning_rate
                    self._has_loss = self._has_loss or loss is not None
                    held = self._held.records
                    held.append(StepLine(number, self._epoch + 1, loss, penalty, learning_rate, named, time.time()))
                    if len(held) > MANY_HELD:
                        self._held.crowded(self.log_path)
            if self.orders.called:
                self.orders.obey(self)
        except Exception as error:
            self.warned.say("step", f"step() was not recorded: {failure(error)}")

    @harmless
    def epoch(
        self,
        /,
        train: Mapping[str, Scalar] | None = None,
        valid: Mapping[str, Scalar] | None = None,
        *,
        running_loss: Scalar = None,
        learning_rate: Scalar = None,
        epoch: int | None = None,
        **metrics: Scalar,
    ) -> None:
        """Record the end of an epoch, counted from 1, and what was measured after it: `loss`, `accuracy`, ...

        `train` is measured like `valid`, with dropout off; the mean of the batches as trained is `running_loss`.
        """
        if self._state != "running" and not self._begins():
            return
        now = time.time()
        with self._lock:
            said = count_of(epoch)
            self._epoch = said if said is not None else self._epoch + 1
            rate = learning_rate if learning_rate is not None else self._rate
            seconds = now - self._epoch_from - self.orders.waited_seconds
            self._held.records.append(
                EpochEnded(
                    epoch=self._epoch, step=self._step, train=self._held.split("train", train),
                    valid=self._held.split("valid", valid), running_loss=number_of(running_loss),
                    learning_rate=number_of(rate), metrics=self._held.split("", metrics) or {},
                    seconds=max(seconds, 0.0), time=now,
                )
            )  # fmt: skip
            self._epoch_from, self.orders.waited_seconds = now, 0.0
        self.orders.epoch_ended()
        if self.orders.called:
            self.orders.obey(self)

    @harmless
    def evaluate(
        self,
        /,
        valid: Mapping[str, Scalar] | None = None,
        train: Mapping[str, Scalar] | None = None,
        *,
        step: int | None = None,
        epoch: float | None = None,
        **metrics: Scalar,
    ) -> None:
        """Record what was measured at a step that ends no epoch; `epoch` may have a fraction."""
        if self._state != "running" and not self._begins():
            return
        at = count_of(step)
        passes = number_of(epoch)
        with self._lock:
            at = at if at is not None else self._step
            self._held.records.append(
                Evaluated(
                    step=at, epoch=passes if passes is not None or at else float(self._epoch),
                    train=self._held.split("train", train), valid=self._held.split("valid", valid),
                    metrics=self._held.split("", metrics) or {}, learning_rate=number_of(self._rate), time=time.time(),
                )
            )  # fmt: skip
        if self.orders.called:
            self.orders.obey(self)

    @harmless
    def log(self, /, values: Mapping[str, Scalar], step: int | None = None, **_options: object) -> None:
        """Record numbers under names such as `train/loss`, `val_loss`, `lr`, as W&B's `log` takes them.

        Names are understood as those in logs of others; `step` and `epoch` among them say where they were measured. A
        call with numbers of an update counts as the next one, unless `step` says which; one with an evaluation's alone
        belongs to the newest.
        """
        if self._state != "running" and not self._begins():
            return
        with self._lock:
            told = self._named.told(values)
        at = step if step is not None else told.step
        update = told.update
        if update:
            self.step(update.pop("loss", None), learning_rate=update.pop("learning_rate", None), step=at, **update)
        if told.valid or told.train or told.others:
            self.evaluate(told.valid or None, told.train or None, step=at, epoch=told.epoch, **told.others)

    @harmless
    def note(self, text: str, level: str = "info") -> None:
        """Put a line into the run's event log."""
        if self._state != "running" and not self._begins():
            return
        line = text_of(text)
        with self._lock:
            self._held.records.append(
                Noted(level=text_of(level), text=line, step=self._step, epoch=self._epoch + 1, time=time.time())
            )

    @harmless
    def resume_from(self, step: int = 0, epoch: float = 0) -> None:
        """Say that the run goes on from a checkpoint: what was recorded after that point is void.

        Before the first number, and with the `log` of the run that broke off, it goes on in that log.
        """
        if self._state != "running" and not self._begins():
            return
        with self._lock:
            self._step, self._epoch = count_of(step) or 0, int(count_of(epoch) or 0)
            self._held.records.append(Resumed(step=self._step, epoch=number_of(epoch), time=time.time()))

    # What is obeyed

    @property
    def should_stop(self) -> bool:
        """Whether somebody has asked the run to end: leave the loop when it suits.

        Of processes that train together the first alone knows: it must tell the others.
        """
        self.orders.asked = True
        return self.orders.stopping

    @property
    def paused(self) -> bool:
        """Whether the run is paused: the next `step` waits, or one of another thread waits now."""
        return self.orders.paused

    @harmless
    def knob(self, name: str, *, set: Callable[[float], object], value: Scalar = None) -> None:  # noqa: A002 # as one says it
        """Let a knob be turned while the run lives: `set` is called with the new value, in a thread that trains.

        `name` is `learning_rate`, `l2`, `l1`, `weight_decay` or `dropout`; `value` is what it stands at. To be
        registered before the first number: the log's first line says what is obeyed.
        """
        self.orders.register(name, set, value)
        if self._opened and self._run.listens != self.orders.listens:
            self.warned.say("knob", f"nobody is told of the knob {name}: it was not registered before the first number")

    @property
    def rate(self) -> Kept:
        """The learning rate of the newest update; for whoever turns it."""
        return self._rate

    @property
    def recording(self) -> bool:
        """Whether this process records the run now."""
        return self._state == "running" and self._writing is not None and self._writing.alive

    def change(self, what: str, old: float | None, new: float) -> None:
        """Record that a person has turned a knob."""
        with self._lock:
            if what == "learning_rate":
                self._rate = new
            self._held.records.append(changed(self._step, self._epoch + 1, what, old, new))

    def _sampled(self, record: SystemSampled) -> None:
        """Record a look at the machine, once there is a first line: until then it may yet be said what is obeyed."""
        with self._lock:
            if self._opened and self._state == "running":
                self._held.records.append(record)

    # For the thread that writes

    def opening(self) -> RunStarted:
        """Give the first line of the log, as it is known once there is something to record."""
        self._opened = True
        self._run = msgspec.structs.replace(self._run, listens=self.orders.listens)
        return self._run

    # In which process it goes

    def forked(self) -> None:
        """Record nothing in a process that was forked off, such as one that loads data."""
        writing, self._writing, self._sampler = self._writing, None, None
        self._state, self._held, self._lock = "elsewhere", Holding(self.warned), threading.RLock()
        if writing is not None:
            writing.let_go()

    # How it goes

    def _begins(self) -> bool:
        """Start with the first number, where nobody did; tell whether it is recorded here."""
        return self._state == "new" and self.start()._state == "running"

    def _placed(self, step: int) -> int:
        """Read a step that was given; one that falls is a run that went on from an earlier point."""
        number = count_of(step)
        if number is None:
            return self._step + 1
        if number < self._step:
            self._held.records.append(Resumed(step=max(number - 1, 0), time=time.time()))
        self._held.again = self._held.again or number == self._step
        return number

    def _measured(self, step: int | None, learning_rate: Kept, metrics: Mapping[str, Scalar]) -> None:
        """Record numbers without a loss, in a run that has losses: an update without one would be one that lost it."""
        if step is None:
            self._step += 1
        if learning_rate is not None:
            self._rate = learning_rate
        if metrics:
            self.evaluate(None, None, step=step, **metrics)
