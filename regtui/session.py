"""Where events come from: a run that trains here, or a log, finished or growing.

Both are a `Source`: something to poll. Whoever drives a live run (a worker thread of the app, the main thread of
`regtui train`) never touches a screen; whoever polls never waits.
"""

import math
import queue
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from regtui import backends, datasets
from regtui.core.config import ConfigError, RunConfig
from regtui.core.events import Command, Event, Noted, RunEnded, RunStarted, Stop
from regtui.loop import Chunks, failure, train
from regtui.readers import LOG_NAME, LogError, LogWriter, is_being_written, open_log

QUIET_SECONDS = 10.0
"""A log of another machine, whose lock cannot be seen, that brought nothing for so long may have no writer."""


TAIL_LETTERS = "cfghjkpqrsvxz"
"""No field or value of a run can be spelled with these: an id `...-torch-l2` would seem to name its own setting."""


class Source(Protocol):
    """Something that events come from."""

    @property
    def alive(self) -> bool:
        """Tell whether more may come."""

    def poll(self, limit: int | None = None) -> list[Event]:
        """Take what has come since the last call, at most `limit` events, without waiting."""


def nothing() -> None:
    """Do nothing: the listener of a run to which nobody listens."""


class LiveRun:
    """One run that trains in this process and records itself."""

    def __init__(
        self,
        config: RunConfig,
        *,
        runs_dir: Path,
        log: Path | None = None,
        on_news: Callable[[], None] = nothing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Name the run and its log; nothing is imported, opened or trained before `drive`.

        `on_news` is called in the driving thread, after each chunk and each change of the stage.
        """
        self.config = config
        self.run_id = new_run_id(config.framework, clock())
        self.log_path = log if log is not None else runs_dir / self.run_id / LOG_NAME
        self.problem: str | None = None
        """Why the run could not be set up, or lost its log, in one sentence."""
        self._stage = "waiting to start"
        self._on_news = on_news
        self._clock = clock
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending: deque[Event] = deque()
        self._said: deque[Noted] = deque()
        self._finished = threading.Event()

    @property
    def stage(self) -> str:
        """What the run is doing, for a person: 'importing tensorflow', 'training', 'ended'."""
        return self._stage

    @property
    def alive(self) -> bool:
        """Tell whether the run has not ended yet."""
        return not self._finished.is_set()

    def send(self, command: Command) -> None:
        """Give the run a command, from any thread; it is obeyed within a chunk of about 50 ms."""
        self._commands.put(command)

    def say(self, text: str, level: str = "output") -> None:
        """Put a line into the run's event log, from any thread."""
        self._said.append(Noted(level=level, text=text, time=self._clock()))

    def listen(self, on_news: Callable[[], None]) -> None:
        """Name the listener after the run was made; before `drive`."""
        self._on_news = on_news

    def poll(self, limit: int | None = None) -> list[Event]:
        """Take the events that have come since the last call."""
        with self._lock:
            if limit is None or limit >= len(self._pending):
                taken = list(self._pending)
                self._pending.clear()
            else:
                taken = [self._pending.popleft() for _ in range(limit)]
        return taken

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended and its log is closed; tell whether it has."""
        return self._finished.wait(timeout)

    def drive(self) -> None:
        """Set the run up and train to its end, in the calling thread.

        What cannot be set up (a missing package, bad data, a folder that cannot be written) is left in `problem`
        and leaves no log. Whatever fails after that ends the run as `failed`, in its log too.
        """
        try:
            with LogWriter(self.log_path) as writer:
                self._run(writer)
        except (ConfigError, LogError) as error:
            self.problem = str(error)
            self._forget_empty_log()
        finally:
            self._stage = "ended"
            self._finished.set()
            self._on_news()

    def _run(self, writer: LogWriter) -> None:
        try:
            # What is quickly found wrong comes before the framework, whose import takes seconds.
            backends.check(self.config.framework)
            self._enter(f"loading {Path(self.config.dataset).name}")
            data = datasets.load(self.config, progress=self._show_download)
            self._enter(f"importing {self.config.framework}")
            backend_class = backends.find(self.config.framework)
            self._enter("building the model")
            backend = backend_class(self.config, data)
        except (ConfigError, LogError):
            raise
        except Exception as error:
            # Out of memory, a broken driver, a framework at odds with its libraries: the run existed and failed.
            reason = f"{self._stage} failed: {failure(error)}"
            started = RunStarted(run_id=self.run_id, time=self._clock(), config=self.config)
            ended = RunEnded(status="failed", reason=reason, time=self._clock())
            self._deliver(writer, [started, ended])
            return
        self._enter("training")
        try:
            self._exchange(writer, train(self.config, backend, data, run_id=self.run_id, clock=self._clock))
        finally:
            backend.close()

    def _exchange(self, writer: LogWriter, chunks: Chunks) -> None:
        """Carry events out of the loop and commands into it."""
        command: Command | None = None
        try:
            while True:
                try:
                    events = chunks.send(command)
                except StopIteration:
                    return
                if events is not None:
                    self._deliver(writer, events)
                    command = self._next_command()
                    continue
                self._enter("paused")
                command = self._commands.get()
                if not isinstance(command, Stop):
                    self._enter("training")
        finally:
            chunks.close()

    def _next_command(self) -> Command | None:
        try:
            return self._commands.get_nowait()
        except queue.Empty:
            return None

    def _deliver(self, writer: LogWriter, events: list[Event]) -> None:
        said: list[Event] = [self._said.popleft() for _ in range(len(self._said))]
        # The run's first record stays the first of its log.
        whole = [*events[:1], *said, *events[1:]] if events and isinstance(events[0], RunStarted) else said + events
        try:
            writer.write(whole)
        except OSError as error:
            if self.problem is None:
                self.problem = f"the log {self.log_path} is incomplete: {error.strerror or error}"
                whole.append(Noted(level="error", text=self.problem, time=self._clock()))
        with self._lock:
            self._pending.extend(whole)
        self._on_news()

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._on_news()

    def _show_download(self, done: int, total: int) -> None:
        share = f"{100 * done // total} %" if total else f"{done / 1e6:.1f} MB"
        self._enter(f"downloading {self.config.dataset}: {share}")

    def _forget_empty_log(self) -> None:
        """Leave no empty log behind a run that never began."""
        if self.log_path.exists() and not self.log_path.stat().st_size:
            self.log_path.unlink()
            if self.log_path.parent.name == self.run_id:
                shutil.rmtree(self.log_path.parent, ignore_errors=True)


class LogSource:
    """A log on disk, finished or still growing."""

    def __init__(self, path: Path) -> None:
        """Open the log; raises LogError with one sentence when there is nothing to read."""
        self.path = path
        self._reader = open_log(path, growing=True)
        self._ended = False
        self._caught_up = False
        self._news_at = -math.inf

    @property
    def alive(self) -> bool:
        """Tell whether more may come: no `end` has been read yet."""
        return not self._ended

    @property
    def growing(self) -> bool:
        """Tell whether somebody still writes it, here or, as far as can be seen, on another machine."""
        return self.alive and (is_being_written(self.path) or time.monotonic() - self._news_at < QUIET_SECONDS)

    @property
    def warnings(self) -> list[str]:
        """Say which lines could not be read."""
        return self._reader.warnings()

    def poll(self, limit: int | None = None) -> list[Event]:
        """Take the events that have been appended since the last call."""
        events = self._reader.poll(limit)
        if events and self._caught_up:
            self._news_at = time.monotonic()
        self._caught_up = self._caught_up or not events
        for event in events:
            if isinstance(event, RunEnded | RunStarted):
                self._ended = isinstance(event, RunEnded)
        return events


def new_run_id(framework: str, now: float) -> str:
    """Name a run by its local time, its framework and three letters that keep two starts in a second apart."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    tail = "".join(secrets.choice(TAIL_LETTERS) for _ in range(3))
    return f"{stamp}-{framework}-{tail}"


def find_run(name: str | None, runs_dir: Path) -> Path:
    """Find the log that a person means by a run's id, a log, a folder, or nothing: the newest run.

    Raises LogError when there is none.
    """
    if name is not None:
        for path in (Path(name), runs_dir / name):
            if path.is_file() or (path / LOG_NAME).is_file():
                return path if path.is_file() else path / LOG_NAME
            if path.is_dir():
                runs_dir = path
                break
        else:
            raise LogError(f"{name} is neither a log nor a run in {runs_dir}: `regtui runs` lists what is there")
    logs = sorted(runs_dir.glob(f"*/{LOG_NAME}"), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise LogError(f"{runs_dir} holds no run yet: `regtui train` or `regtui --start` makes one")
    return logs[-1]
