"""A run that trains in this process, as a source of events."""

import threading
import time
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
    Stop,
    SystemSampled,
)
from regtui.core.failing import failure
from regtui.core.text import printable
from regtui.loop import NEEDS_LESS, Chunks
from regtui.readers import LogError, LogWriter
from regtui.runs import log_of, make_run_folder, new_run_id
from regtui.sources import Activity
from regtui.sources.companions import Companion as Companion
from regtui.sources.machine import Machine
from regtui.sources.orders import ORDERS_SECONDS, HandOver, Left, Orders
from regtui.sources.recorded import ABANDON_SECONDS, Abandoned, Recorded
from regtui.sources.setting_up import set_up, unbegun
from regtui.sources.starter import Starter, Word

PAUSED_SECONDS = 1.0
"""How often a run that is paused looks after its log; the writer itself looks no oftener."""


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
        self._clock = clock
        self._recorded = Recorded(self, (Machine(), *companions), lambda: self._on_news(), clock)
        self._orders = Orders(self.say)
        self._finished = threading.Event()

    @property
    def log_problem(self) -> str:
        """What the log lacks, or where it has gone, in one sentence; empty again once it is whole."""
        return self._recorded.problem

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
        self._recorded.said.append(record)

    def listen(self, on_news: Callable[[], None]) -> None:
        """Name the listener after the run was made; before `drive`."""
        self._on_news = on_news

    def poll(self, limit: int | None = None) -> list[Event]:
        return self._recorded.take(limit)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended and its log is closed; tell whether it has."""
        return self._finished.wait(timeout)

    @property
    def begun(self) -> bool:
        """Tell whether the log holds a record of the run."""
        return self._recorded.place is not None

    @property
    def step(self) -> int:
        """Updates in the log; of a run that goes on, from its first record on, those that it goes on from."""
        return self._recorded.place[0] if self._recorded.place is not None else 0

    @property
    def is_over(self) -> bool:
        """Tell whether its end is in its log, or it has none; what may be left is giving the device back."""
        return self._recorded.over or self._finished.is_set()

    def abandon(self, reason: str) -> None:
        """Leave a log that is whole, from any thread, for a process that then ends at once.

        The driving thread may be deep in an import, a download or a long update; it is not waited for. A run that has
        begun gets its `end`; of one that has not, nothing is left. That thread writes nothing after this.
        """
        self._recorded.abandoned = True
        if not self.begun:
            # A download notices by its next bytes, and takes away what it has of the file.
            self._finished.wait(ABANDON_SECONDS)
        self._recorded.abandon(reason, self._unbegun("stopped", reason) if self._starter.keeps else [])

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
                self._recorded.problem = writer.problem
        except (ConfigError, LogError) as error:
            if self._recorded.writer is None:
                # Its log could not even be opened.
                self._starter.hears(error)
            self.problem = str(error)
            self.refused = error if isinstance(error, ConfigError) else None
        finally:
            self._recorded.close()
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
        self._recorded.writer = writer
        self._orders.listen(writer.path, self._starter.commands_from)
        try:
            made = set_up(
                self.config, self._resume, self.run_id, enter=self._enter, clock=self._clock,
                checked=lambda: self._starter.say(Word(checked=True)),
            )  # fmt: skip
        except Abandoned:
            raise
        except (ConfigError, LogError) as error:
            if self._starter.hears(error):
                raise
            self._fail(str(error))
            return
        except Exception as error:
            # Out of memory, a broken driver, a framework at odds with its libraries: the run existed and failed.
            self._fail(f"{self._stage} failed: {failure(error, needs_less=NEEDS_LESS)}")
            return
        self._enter("training")
        self._keeper = keeper = Keeper(
            writer.path, self._checkpoint, run_id=self.run_id, config=self.config, data=made.data, backend=made.backend,
            training=made.training, say=self.say, share=self._share,
        )  # fmt: skip
        if self._resume is not None and self._resume.warning:
            self.say(self._resume.warning, "warning")
        try:
            self._exchange(made.chunks(), keeper)
        finally:
            self._keeper = None
            made.backend.close()

    def _fail(self, reason: str) -> None:
        """Record a run that existed and could not be set up."""
        self._deliver(self._unbegun("failed", reason))

    def _exchange(self, chunks: Chunks, keeper: Keeper) -> None:
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
                    self._deliver(events)
                    keeper.after_chunk(not self.log_problem)
                    command = self._next_command()
                    continue
                if self._stage != "paused":
                    self._enter_state("paused")
                    self._deliver([])
                    keeper.rest()
                elif self._recorded.said:
                    # That it is paused already: whoever asked for it waits to hear so.
                    self._deliver([])
                command = self._wait_for_command()
        finally:
            chunks.close()

    def _wait_for_command(self) -> Command:
        """Wait while the run is paused, with an eye on its log: the disk may get room, or the log be taken away."""
        look_at = time.monotonic() + PAUSED_SECONDS
        while True:
            command = self._next_command(ORDERS_SECONDS)
            if command is not None:
                return command
            if time.monotonic() >= look_at:
                self._deliver([])
                look_at = time.monotonic() + PAUSED_SECONDS

    def _next_command(self, patience: float = 0.0) -> Command | None:
        """Give the next command, of this process or of another; what it makes the run do is said in the log."""
        order = None if self._recorded.over else self._orders.next(patience)
        if isinstance(order, HandOver):
            self._leave()
            return None
        match order:
            case Resume() | RunEpoch():
                self._enter_state("training")
            case Stop():
                self._stopping = True
                self._enter_state("stopping")
                # At once: the test split is measured before the end is written.
                self._deliver([])
            case Pause() if self._stage == "paused":
                self._enter_state("paused")
        return order

    def _leave(self) -> None:
        """Hand the run over, which raises _HandedOver, or say why that cannot be."""
        if self._keeper is None or self._recorded.over:
            return
        self._deliver([])
        why = self.log_problem or self._keeper.hand_over()
        if why:
            self._refuse_hand_over(why)
            return
        self._recorded.leave()
        raise _HandedOver

    def _enter_state(self, state: str) -> None:
        """Do something else from now on, and say so in the log, for whoever watches from another process."""
        self._enter(state)
        step, epoch = self._recorded.place or (0, 0)
        self.put(Noted(step=step, epoch=epoch, level="state", text=state, time=self._clock()))

    def _deliver(self, events: list[Record]) -> None:
        """Record a chunk; whoever started the run learns by its first record that it is set up."""
        first = not self.begun
        self._recorded.deliver(events)
        if first:
            self._starter.let_go()

    def _enter(self, stage: str) -> None:
        if self._recorded.abandoned and not self.begun:
            raise Abandoned
        self._stage = stage
        if not self.begun:
            self._starter.say(Word(stage=stage))
        self._on_news()
