"""The recorder for anybody's training loop: `regtui.record()`.

    with regtui.record(settings={"l2": 1e-4}, epochs=20) as run:
        for epoch in range(20):
            for batch in batches:
                run.step(loss=loss, learning_rate=rate)
            run.epoch(valid={"loss": valid_loss})

A step costs the training loop an entry in a queue; a thread of its own writes them twice a second through the one
writer of logs, and looks for commands. It never raises into the training: what it cannot write is a warning, once.
"""

import atexit
import os
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from regtui.core.events import (
    Changed,
    Command,
    EpochEnded,
    Evaluated,
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
from regtui.core.plan import Plan
from regtui.numbers import Kept, fetch, keep, number_of, numbers_of, plain
from regtui.readers import LogError, LogWriter
from regtui.readers.names import Names
from regtui.runs import log_of, make_run_folder, new_run_id

FLUSH_SECONDS = 0.4
"""How often records are written: nothing but the last half second is lost to `kill -9`."""

LISTENS = ("pause", "resume", "epoch", "stop")
"""Commands that every recorded loop obeys, as far as it asks `should_stop`; `knob` where one is registered."""

RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Environment: the number of this process among those that train together, as torchrun, SLURM and MPI tell it."""

Scalar = Any
"""A float, an integer, a scalar of numpy, or a tensor of one element of any framework, on any device."""

Step = tuple[int, int, Kept, Kept, dict[str, Kept] | None, float]


def record(
    *,
    settings: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    total_steps: int | None = None,
    classes: int | None = None,
    name: str | None = None,
    log: str | Path | None = None,
    runs_dir: str | Path | None = None,
    trainer: str = "own loop",
    share: bool = False,
) -> "Recorder":
    """Make a recorder of one run; `with` starts and ends it, or its `start` and `finish`.

    `settings` are free names and values; `epochs`, `total_steps` and `classes` (of the labels: guessing costs
    ln(classes) nats) say what is planned, as far as it is known. The log is `log`, or `events.jsonl` in a folder of
    its own, named after `name`, under `runs_dir` (else REGTUI_RUNS_DIR, else `runs`). Of processes that train
    together the first alone records.
    """
    plan = Plan(epochs=epochs, total_steps=total_steps, classes=classes)
    folder = Path(runs_dir or os.environ.get("REGTUI_RUNS_DIR") or "runs")
    started = RunStarted(run_id=name or "run", trainer=trainer, settings=plain(settings or {}), plan=plan)
    return Recorder(started, log=Path(log) if log else None, runs_dir=folder, share=share)


class Recorder:
    """One run as it is recorded; its methods may be called from any thread, and never raise."""

    def __init__(self, run: RunStarted, *, log: Path | None, runs_dir: Path, share: bool) -> None:
        self.log_path = log
        """Where the run is recorded; None before the start, where it gets a folder of its own."""
        self.should_stop = False
        """Somebody has asked the run to end: leave the loop when it suits."""
        self._run = run
        self._runs_dir = runs_dir
        self._share = share
        self._state = "new"
        self._waiting: deque[Step | Record] = deque()
        self._names = Names()
        self._knobs: dict[str, Callable[[float], object]] = {}
        self._known: dict[str, float] = {}
        """Knob -> its newest value."""
        self._step = 0
        self._epoch = 0
        self._epoch_from = 0.0
        self._rate: Kept = None
        self._commands: deque[Command] = deque()
        self._pause_at_epoch = False
        self._stop_reason = ""
        self._writer: _Writer | None = None

    # A run

    def start(self) -> "Recorder":
        """Begin to record; `with` does it, and so does the first number."""
        if self._state != "new":
            return self
        self._state = "running"
        if _rank() > 0:
            self._state = "elsewhere"
            return self
        now = time.time()
        self._epoch_from = now
        try:
            path, run_id, made = self._place(now)
            writer = LogWriter(path, share=self._share, made=made)
        except (LogError, OSError) as error:
            self._state = "elsewhere"
            _warn(f"this run is not recorded: {error}")
            return self
        self.log_path = path
        self._run = RunStarted(
            run_id=run_id, time=now, trainer=self._run.trainer, settings=self._run.settings, plan=self._run.plan,
            environment=_environment(),
        )  # fmt: skip
        self._writer = _Writer(self, writer)
        _living.add(self)
        return self

    def finish(self, status: str = "finished", reason: str = "", test: Mapping[str, Scalar] | None = None) -> None:
        """End the run: `finished`, `stopped`, `early_stopped`, `diverged` or `failed`; once, the first word stands.

        `test` is what was measured on a split that chose nothing.
        """
        if self._state == "new":
            self.start()
        if self._state != "running":
            return
        if status == "finished" and self.should_stop:
            status, reason = "stopped", reason or self._stop_reason
        self._state = "over"
        ended = RunEnded(
            status=status, reason=reason, step=self._step, epoch=self._epoch, test=numbers_of(test), time=time.time()
        )
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.end(ended)

    def __enter__(self) -> "Recorder":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self.finish()
        elif isinstance(error, KeyboardInterrupt):
            self.finish("stopped", "stopped by SIGINT")
        else:
            self.finish("failed", failure(error))

    # What is measured

    def step(
        self, loss: Scalar = None, *, learning_rate: Scalar = None, step: int | None = None, **metrics: Scalar
    ) -> None:
        """Record one update: its loss as trained, the rate used for it, and whatever else by name.

        Counts from 1 by itself; `step` sets the count of updates completed. Waits here while the run is paused.
        """
        if self._state != "running" and not self._begins():
            return
        self._step = self._step + 1 if step is None else int(step)
        if learning_rate is not None:
            learning_rate = self._rate = keep(learning_rate)
        if metrics:
            metrics = {name: keep(value) for name, value in metrics.items()}
        self._waiting.append((self._step, self._epoch + 1, keep(loss), learning_rate, metrics or None, time.time()))
        if self._commands:
            self._obey()

    def epoch(
        self,
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
        self._epoch = self._epoch + 1 if epoch is None else int(epoch)
        rate = learning_rate if learning_rate is not None else self._rate
        self._waiting.append(
            EpochEnded(
                epoch=max(self._epoch, 0),
                step=max(self._step, 0),
                train=numbers_of(train),
                valid=numbers_of(valid),
                running_loss=number_of(running_loss),
                learning_rate=number_of(rate),
                metrics=numbers_of(metrics) or {},
                seconds=now - self._epoch_from,
                time=now,
            )
        )
        self._epoch_from = now
        if self._pause_at_epoch:
            self._pause_at_epoch = False
            self._commands.append(Pause())
        if self._commands:
            self._obey()

    def evaluate(
        self,
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
        self._waiting.append(
            Evaluated(
                step=max(self._step if step is None else int(step), 0),
                epoch=number_of(epoch),
                train=numbers_of(train),
                valid=numbers_of(valid),
                metrics=numbers_of(metrics) or {},
                learning_rate=number_of(self._rate),
                time=time.time(),
            )
        )

    def log(self, values: Mapping[str, Scalar], step: int | None = None) -> None:
        """Record numbers under names such as `train/loss`, `val_loss`, `lr`, as W&B's `log` takes them.

        Names are understood as those in logs of others; `step` and `epoch` among them say where they were measured. A
        call with numbers of an update is one, unless `step` says which; one with an evaluation's alone belongs to the
        newest.
        """
        if self._state != "running" and not self._begins():
            return
        self._names.see(values)
        update: dict[str, Scalar] = {}
        valid: dict[str, Scalar] = {}
        train: dict[str, Scalar] = {}
        others: dict[str, Scalar] = {}
        epoch = None
        for name, value in values.items():
            meaning = self._names[name]
            split, _, quantity = meaning.name.partition("/")
            if meaning.table == "place":
                step = int(value) if meaning.name == "step" and step is None else step
                epoch = value if meaning.name == "epoch" else epoch
            elif meaning.table == "steps":
                update[{"step/loss": "loss"}.get(meaning.name, meaning.name)] = value
            elif meaning.table == "evaluations":
                {"valid": valid, "train": train}.get(split, others)[quantity or meaning.name] = value
        if update:
            self.step(update.pop("loss", None), learning_rate=update.pop("learning_rate", None), step=step, **update)
        if valid or train or others:
            self.evaluate(valid or None, train or None, step=step, epoch=epoch, **others)

    def note(self, text: str, level: str = "info") -> None:
        """Put a line into the run's event log."""
        if self._state == "running" or self._begins():
            self._waiting.append(
                Noted(level=level, text=str(text), step=max(self._step, 0), epoch=max(self._epoch, 0), time=time.time())
            )

    def resume_from(self, step: int = 0, epoch: int = 0) -> None:
        """Say that the run goes on from a checkpoint: what was recorded after that step is void."""
        if self._state == "running" or self._begins():
            self._step, self._epoch = int(step), int(epoch)
            self._waiting.append(Resumed(step=max(int(step), 0), epoch=float(epoch), time=time.time()))

    # What is obeyed

    def knob(self, name: str, *, set: Callable[[float], object], value: Scalar = None) -> None:  # noqa: A002 # as one says it
        """Let a knob be turned while the run lives: `set` is called with the new value, in the thread that trains.

        `name` is one of `learning_rate`, `l2`, `l1`, `weight_decay`, `dropout`; `value` is what it stands at. To be
        registered before the first step: the log's first line says what is obeyed.
        """
        self._knobs[name] = set
        if value is not None:
            self._known[name] = float(value)

    @property
    def listens(self) -> tuple[str, ...]:
        """The commands that this run obeys."""
        return (*LISTENS, "knob") if self._knobs else LISTENS

    def _obey(self) -> None:
        """Do what was asked for, in the thread that trains; waits while the run is paused."""
        paused = False
        while self._commands or paused:
            if not self._commands:
                time.sleep(0.05)  # the thread that writes brings commands at most so often that this is soon enough
                if self._writer is None:
                    return
                continue
            match self._commands.popleft():
                case Pause():
                    if not paused:
                        self.note("paused", "state")
                    paused = True
                case Resume():
                    if paused:
                        self.note("training", "state")
                    paused = False
                case RunEpoch():
                    self._pause_at_epoch, paused = True, False
                case Stop(reason=reason):
                    self.should_stop, self._stop_reason, paused = True, reason, False
                    self.note("stopping", "state")
                case SetKnob() as turn:
                    self._turn(turn)

    def _turn(self, turn: SetKnob) -> None:
        setter = self._knobs.get(turn.knob)
        before = self._known.get(turn.knob)
        if turn.knob == "learning_rate":
            before = number_of(self._rate) if self._rate is not None else before
        value = turn.value if not turn.scale else turn.value * before if before is not None else None
        if setter is None or value is None:
            why = "it is no knob of this run" if setter is None else "its value is not known"
            self.note(f"{turn.knob} was not changed: {why}", "warning")
            return
        try:
            setter(value)
        except Exception as error:
            self.note(f"{turn.knob} was not changed: {failure(error)}", "warning")
            return
        self._known[turn.knob] = value
        if turn.knob == "learning_rate":
            self._rate = value
        changed = Changed(
            step=max(self._step, 0), epoch=max(self._epoch + 1, 0), what=turn.knob, old=before, new=value,
            cause="user", time=time.time(), how="hold" if turn.knob == "learning_rate" else msgspec.UNSET,
        )  # fmt: skip
        self._waiting.append(changed)

    # How it begins

    def _begins(self) -> bool:
        """Start with the first number, where nobody did; tell whether it is recorded here."""
        return self._state == "new" and self.start()._state == "running"

    def _place(self, now: float) -> tuple[Path, str, list[Any]]:
        """Give the log's path, the run's name, and the folders that were made for it."""
        if self.log_path is not None:
            named = self._run.run_id if self._run.run_id != "run" else self.log_path.stem
            return self.log_path, named, []
        run_id, made = make_run_folder(new_run_id(self._run.run_id, now), self._runs_dir, share=self._share)
        return log_of(run_id, self._runs_dir), run_id, made

    def _forked(self) -> None:
        """Record nothing in a process that was forked off, such as one that loads data."""
        self._state, self._writer = "elsewhere", None
        self._waiting.clear()


class _Writer:
    """The thread that writes what a recorder holds, and looks for commands."""

    def __init__(self, recorder: Recorder, log: LogWriter) -> None:
        from regtui.commands import Inbox

        self._recorder = recorder
        self._log = log
        self._inbox = Inbox(log.path)
        self._told = ""
        self._started = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write_now_and_then, name="regtui-record", daemon=True)
        self._thread.start()

    def end(self, ended: RunEnded) -> None:
        """Write what is left and the end, and let go of the log."""
        self._over.set()
        self._thread.join()
        self._write([ended])
        self._log.close()
        self._say_problem()

    def _write_now_and_then(self) -> None:
        while not self._over.wait(FLUSH_SECONDS):
            self._write([])
            found = self._inbox.poll()
            if self._inbox.refused:
                self._recorder.note(self._inbox.refused, "warning")
                self._inbox.refused = ""
            self._recorder._commands.extend(found)

    def _write(self, more: list[Record]) -> None:
        waiting = self._recorder._waiting
        with self._lock:
            records = _records([waiting.popleft() for _ in range(len(waiting))])
            if not self._started:
                self._started = True
                # Now it is known whether a knob was registered.
                run = self._recorder._run
                records.insert(
                    0,
                    RunStarted(
                        run_id=run.run_id, time=run.time, trainer=run.trainer, settings=run.settings, plan=run.plan,
                        environment=run.environment, listens=self._recorder.listens,
                    ),
                )  # fmt: skip
            if records or more:
                self._log.write([*records, *more])
        self._say_problem()

    def _say_problem(self) -> None:
        if self._log.problem and not self._told:
            self._told = self._log.problem
            _warn(self._told)


def _records(held: list[Step | Record]) -> list[Record]:
    """Make records of what the loop has left, numbers that lie on a device fetched all at once."""
    steps = [each for each in held if isinstance(each, tuple)]
    fetched = fetch([value for step in steps for value in (step[2], step[3], *(step[4] or {}).values())])
    made: list[Record] = []
    for each in held:
        if not isinstance(each, tuple):
            made.append(each)
            continue
        step, epoch, _, _, metrics, when = each
        loss, rate = next(fetched), next(fetched)
        named: Metrics = {name: next(fetched) for name in metrics} if metrics else {}
        said: dict[str, Any] = {"metrics": named} if named else {}
        penalty = named.pop("penalty", None)
        ended = StepEnded(
            step=max(step, 0), epoch=max(epoch, 0), loss=loss, penalty=penalty, learning_rate=rate, time=when, **said
        )
        made.append(ended)
    return made


def _rank() -> int:
    """Give the number of this process among those that train together; 0 where it trains alone."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    for name in RANKS:
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
    return 0


def _environment() -> dict[str, Any]:
    """Say what trains, as far as its modules are loaded: nothing is imported for it."""
    found: dict[str, Any] = {"python": sys.version.split()[0]}
    for name in ("torch", "tensorflow", "keras", "jax", "transformers", "lightning"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = str(version)
    return found


def _warn(text: str) -> None:
    warnings.warn(f"regtui: {text}", RuntimeWarning, stacklevel=3)


_living: "weakref.WeakSet[Recorder]" = weakref.WeakSet()
"""The recorders that write in this process: what has to be told when it forks or ends."""


def _leave() -> None:
    """End the runs that nobody has ended, when the interpreter goes."""
    for recorder in list(_living):
        error = getattr(sys, "last_value", None)
        if error is not None:
            recorder.finish("failed", failure(error))
        recorder.finish()


def _after_fork() -> None:
    for recorder in list(_living):
        recorder._forked()
    _living.clear()


atexit.register(_leave)
os.register_at_fork(after_in_child=_after_fork)
