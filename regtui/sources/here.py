"""A run that trains in this process, as a source of events."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from regtui.checkpoints import Keep, Keeper, Point
from regtui.core.config import ConfigError, RunConfig
from regtui.core.events import (
    COMMANDS,
    Command,
    Event,
    Noted,
    Pause,
    Record,
    Resume,
    RunEnded,
    RunEpoch,
    RunStarted,
    Stop,
    SystemSampled,
)
from regtui.core.failing import failure
from regtui.core.gate import passed
from regtui.core.text import printable
from regtui.loop import NEEDS_LESS, Chunks
from regtui.readers import LogError, LogWriter
from regtui.runs import log_of, make_run_folder, new_run_id
from regtui.sources import Activity
from regtui.sources.companions import Companion as Companion
from regtui.sources.machine import Machine
from regtui.sources.orders import ORDERS_SECONDS, HandOver, Left, Orders
from regtui.sources.setting_up import reached, set_up, unbegun
from regtui.sources.starter import Starter, Word

PAUSED_SECONDS = 1.0
"""How often a run that is paused looks after its log; the writer itself looks no oftener."""

ABANDON_SECONDS = 0.3
"""How long an abandoned run may take to be out of the way: a write that hangs must not hold up the process's end."""


class _Abandoned(LogError):
    """The process leaves: a run that has not begun ends like one that could not be set up."""


class _HandedOver(Exception):
    """The run goes on elsewhere: nothing more is written here, and no end."""


def nothing() -> None:
    """Do nothing: the listener of a run to which nobody listens."""


class LiveRun:
    """One run that trains in this process and records itself."""

    listens: frozenset[type] = frozenset(COMMANDS.values())
    behind = False
    warnings: Sequence[str] = ()

    def __init__(
        self,
        config: RunConfig,
        *,
        runs_dir: Path,
        log: Path | None = None,
        share: bool = False,
        on_news: Callable[[], None] = nothing,
        companions: Sequence[Companion] = (),
        checkpoint: Keep = "none",
        resume: Point | None = None,
        starter: Starter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Name the run and its log; nothing is imported, opened or trained before `drive`.

        A run without a `log` of its own gets a folder in `runs_dir`, and another id where that one is taken; others
        can read it where it is to be shared. `on_news` is called in the driving thread, after each chunk and each
        change of the stage; `starter` hears how the set-up goes. One that goes on from a checkpoint has that one's
        configuration and log.
        """
        self.config = config
        self._starter = starter or Starter()
        self.run_id = self._starter.run_id or new_run_id(config.framework, clock())
        if resume is not None:
            self.run_id, log = resume.manifest.run_id, resume.log
        self.log_path = log if log is not None else log_of(self.run_id, runs_dir)
        self.log_problem = ""
        """What the log lacks, or where it has gone, in one sentence; empty again once it is whole."""
        self.problem: str | None = None
        """Why the run could not be set up, in one sentence."""
        self.refused: ConfigError | None = None
        """The field that it could not be set up with."""
        self.handed_over = False
        """Its training goes on in whatever process resumes it; its log has no end here."""
        self.not_handed_over = ""
        """Why it was not, when that was asked for last, in one sentence."""
        self._checkpoint: Keep = checkpoint
        self._resume = resume
        self._keeper: Keeper | None = None
        self._stage = "waiting to start"
        self._stopping = False
        self._runs_dir = runs_dir if log is None else None
        self._share = share
        self._on_news = on_news
        self._companions: tuple[Companion, ...] = (Machine(), *companions)
        self._clock = clock
        self._orders = Orders(self.say)
        self._lock = threading.Lock()
        self._pending: deque[Event] = deque()
        self._said: deque[Noted | SystemSampled] = deque()
        self._finished = threading.Event()
        self._abandoned = False
        self._writing = threading.Lock()
        self._writer: LogWriter | None = None
        self._place: tuple[int, int] | None = None
        """Updates and epochs in the log, once it holds the run's first record."""
        self._over = False
        """The log holds the run's end."""

    @property
    def stage(self) -> str:
        """What the run is doing, for a person: 'importing tensorflow', 'training', 'stopping', 'ended'."""
        return "stopping" if self._stopping and self.alive else self._stage

    @property
    def alive(self) -> bool:
        """Tell whether the run has not ended yet."""
        return not self._finished.is_set()

    @property
    def activity(self) -> Activity:
        # Asked first: what is set before the end of the run is then there, too.
        alive = self.alive
        return Activity(
            stage=self.stage, alive=alive, growing=alive, problem=self.problem or "", refused=self.refused,
            log=self.log_path, log_problem=self.log_problem,
        )  # fmt: skip

    def send(self, command: Command) -> None:
        """Give the run a command, from any thread; it is obeyed within a chunk of about 50 ms."""
        self._stopping = self._stopping or isinstance(command, Stop)
        self._orders.put(command)

    def hand_over(self) -> None:
        """Ask the run, from any thread, to leave its training to another process, which `train --resume` is.

        At the end of the chunk in hand, or of the pause, it writes the checkpoint `last` and is over, without an end
        in its log: `handed_over`. Where that cannot be, it goes on and `not_handed_over` says why; `on_news` is called.
        """
        self.not_handed_over = ""
        if self._keeper is None:
            self._refuse_hand_over(f"a run cannot be handed over while it is {self._stage}: nothing is trained yet")
        else:
            self._orders.put(HandOver())

    def leave(self) -> Left:
        """Give what was sent to a run that was handed over and not obeyed, for the process that goes on with it."""
        return self._orders.leave()

    def _refuse_hand_over(self, why: str) -> None:
        self.not_handed_over = printable(why)
        self.say(f"not handed over: {why}", "warning")
        self._on_news()

    def say(self, text: str, level: str = "output") -> None:
        """Put a line into the run's event log, from any thread."""
        self.put(Noted(level=level, text=printable(text), time=self._clock()))

    def put(self, record: Noted | SystemSampled) -> None:
        """Put a record of something beside the training into the log, from any thread; it goes with the next chunk."""
        self._said.append(record)

    def listen(self, on_news: Callable[[], None]) -> None:
        """Name the listener after the run was made; before `drive`."""
        self._on_news = on_news

    def poll(self, limit: int | None = None) -> list[Event]:
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

    @property
    def begun(self) -> bool:
        """Tell whether the log holds a record of the run."""
        return self._place is not None

    @property
    def is_over(self) -> bool:
        """Tell whether its end is in its log, or it has none; what may be left is giving the device back."""
        return self._over or self._finished.is_set()

    def abandon(self, reason: str) -> None:
        """Leave a log that is whole, from any thread, for a process that then ends at once.

        The driving thread may be deep in an import, a download or a long update; it is not waited for. A run that has
        begun gets its `end`; of one that has not, nothing is left. That thread writes nothing after this.
        """
        self._abandoned = True
        if not self.begun:
            # A download notices by its next bytes, and takes away what it has of the file.
            self._finished.wait(ABANDON_SECONDS)
        if self._writing.acquire(timeout=ABANDON_SECONDS):
            try:
                self._end_the_log(reason)
            finally:
                self._writing.release()

    def _end_the_log(self, reason: str) -> None:
        if self._writer is None or self._over:
            return
        if self._place is None and not self._starter.keeps:
            self._writer.discard()
            return
        self._over = True
        if self._place is None:
            ended = self._unbegun("stopped", reason)
        else:
            step, epoch = self._place
            ended = [RunEnded(status="stopped", reason=reason, step=step, epoch=epoch, time=self._clock())]
        with contextlib.suppress(OSError):
            self._writer.write(ended)

    def _unbegun(self, status: str, reason: str) -> list[Record]:
        end = RunEnded(status=status, reason=reason, time=self._clock())
        return unbegun(self.config, self._resume, self.run_id, end)

    def drive(self) -> None:
        """Set the run up and train to its end, in the calling thread.

        What cannot be set up (a missing package, bad data, a folder that cannot be written) is left in `problem`
        and leaves no log. Whatever fails after that ends the run as `failed`, in its log too.
        """
        try:
            writer = self._open_log()
            try:
                self._run(writer)
            except (ConfigError, LogError):
                writer.discard()
                raise
            except _HandedOver:
                self.handed_over = True
            finally:
                writer.close()
                self.log_problem = writer.problem
        except (ConfigError, LogError) as error:
            if self._writer is None:
                # Its log could not even be opened.
                self._starter.hears(error)
            self.problem = str(error)
            self.refused = error if isinstance(error, ConfigError) else None
        finally:
            for companion in self._companions:
                companion.end()
            self._stage = "handed over" if self.handed_over else "ended"
            self._finished.set()
            self._on_news()

    def _open_log(self) -> LogWriter:
        if self._runs_dir is None:
            return LogWriter(self.log_path, share=self._share)
        self.run_id, made = make_run_folder(self.run_id, self._runs_dir, share=self._share)
        self.log_path = log_of(self.run_id, self._runs_dir)
        return LogWriter(self.log_path, share=self._share, made=made)

    def _run(self, writer: LogWriter) -> None:
        self._writer = writer
        self._orders.listen(writer.path, self._starter.commands_from)
        try:
            made = set_up(
                self.config, self._resume, self.run_id, enter=self._enter, clock=self._clock,
                checked=lambda: self._starter.say(Word(checked=True)),
            )  # fmt: skip
        except _Abandoned:
            raise
        except (ConfigError, LogError) as error:
            if self._starter.hears(error):
                raise
            self._fail(writer, str(error))
            return
        except Exception as error:
            # Out of memory, a broken driver, a framework at odds with its libraries: the run existed and failed.
            self._fail(writer, f"{self._stage} failed: {failure(error, needs_less=NEEDS_LESS)}")
            return
        self._enter("training")
        self._keeper = keeper = Keeper(
            writer.path, self._checkpoint, run_id=self.run_id, config=self.config, data=made.data, backend=made.backend,
            training=made.training, say=self.say, share=self._share,
        )  # fmt: skip
        if self._resume is not None and self._resume.warning:
            self.say(self._resume.warning, "warning")
        try:
            self._exchange(writer, made.chunks(), keeper)
        finally:
            self._keeper = None
            made.backend.close()

    def _fail(self, writer: LogWriter, reason: str) -> None:
        """Record a run that existed and could not be set up."""
        self._deliver(writer, self._unbegun("failed", reason))

    def _exchange(self, writer: LogWriter, chunks: Chunks, keeper: Keeper) -> None:
        """Carry events out of the loop and commands into it."""
        command: Command | None = None
        try:
            while True:
                try:
                    events = chunks.send(command)
                except StopIteration:
                    return
                if events is not None:
                    if events and isinstance(events[-1], RunEnded):
                        keeper.end(events[-1].status)
                    self._deliver(writer, events)
                    keeper.after_chunk(not self.log_problem)
                    command = self._next_command()
                    continue
                if self._stage != "paused":
                    self._enter_state("paused")
                    self._deliver(writer, [])
                    keeper.rest()
                elif self._said:
                    # That it is paused already: whoever asked for it waits to hear so.
                    self._deliver(writer, [])
                command = self._wait_for_command(writer)
        finally:
            chunks.close()

    def _wait_for_command(self, writer: LogWriter) -> Command:
        """Wait while the run is paused, with an eye on its log: the disk may get room, or the log be taken away."""
        look_at = time.monotonic() + PAUSED_SECONDS
        while True:
            command = self._next_command(ORDERS_SECONDS)
            if command is not None:
                return command
            if time.monotonic() >= look_at:
                self._deliver(writer, [])
                look_at = time.monotonic() + PAUSED_SECONDS

    def _next_command(self, patience: float = 0.0) -> Command | None:
        """Give the next command, of this process or of another; what it makes the run do is said in the log."""
        order = None if self._over else self._orders.next(patience)
        if isinstance(order, HandOver):
            self._leave()
            return None
        match order:
            case Resume() | RunEpoch():
                self._enter_state("training")
            case Stop() if self._writer is not None:
                self._stopping = True
                self._enter_state("stopping")
                # At once: the test split is measured before the end is written.
                self._deliver(self._writer, [])
            case Pause() if self._stage == "paused":
                self._enter_state("paused")
        return order

    def _leave(self) -> None:
        """Hand the run over, which raises _HandedOver, or say why that cannot be."""
        if self._keeper is None or self._writer is None or self._over:
            return
        self._deliver(self._writer, [])
        why = self.log_problem or self._keeper.hand_over()
        if why:
            self._refuse_hand_over(why)
            return
        with self._writing:
            if self._abandoned:
                raise _Abandoned("the process leaves")
            self._over = True
        raise _HandedOver

    def _enter_state(self, state: str) -> None:
        """Do something else from now on, and say so in the log, for whoever watches from another process."""
        self._enter(state)
        step, epoch = self._place or (0, 0)
        self.put(Noted(step=step, epoch=epoch, level="state", text=state, time=self._clock()))

    def _deliver(self, writer: LogWriter, events: list[Record]) -> None:
        with self._writing:
            if self._abandoned:
                raise _Abandoned("the process leaves")
            recorded = self._record(writer, events)
            for companion in self._companions:
                if self._place is None:
                    companion.begin(self)
                companion.see(recorded)
            if self._place is None:
                self._starter.let_go()
            self._place = reached(events) or self._place or (0, 0)
            self._over = any(isinstance(event, RunEnded) for event in events[-1:])

    def _record(self, writer: LogWriter, events: list[Record]) -> list[Record]:
        # What is shown here is what a reader will give of the log: printable, all of it.
        events = [passed(event) for event in events]
        said: list[Record] = [self._said.popleft() for _ in range(len(self._said))]
        # The run's first record stays the first of its log.
        whole = [*events[:1], *said, *events[1:]] if events and isinstance(events[0], RunStarted) else said + events
        writer.write(whole)
        if not (whole and isinstance(whole[-1], RunEnded)):
            # Nothing comes after the end; what is said of the log then is in `log_problem`.
            notes = [Noted(level=level, text=text, time=self._clock()) for level, text in writer.news()]
            writer.write(notes)
            whole += notes
        self.log_problem = writer.problem
        with self._lock:
            self._pending.extend(whole)
        self._on_news()
        return whole

    def _enter(self, stage: str) -> None:
        if self._abandoned and not self.begun:
            raise _Abandoned("the process leaves")
        self._stage = stage
        if not self.begun:
            self._starter.say(Word(stage=stage))
        self._on_news()
