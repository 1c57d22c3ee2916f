"""The thread that writes what a recorder holds, and looks for commands to it."""

import os
import stat
import threading
from pathlib import Path
from typing import Protocol, cast

from regtui.commandfile import RUN_VARIABLE, is_command
from regtui.commands import Inbox
from regtui.core.events import Record, Resumed, RunStarted
from regtui.core.failing import failure
from regtui.folders import PRIVATE_FILE, SHARED_FILE
from regtui.numbers import text_of
from regtui.readers import LOG_NAME, LogWriter
from regtui.recording.holding import Holding
from regtui.recording.lines import Held, Lines, encodable
from regtui.recording.orders import Orders
from regtui.recording.warned import Warned
from regtui.runs import log_of, make_run_folder, new_run_id

FLUSH_SECONDS = 0.4
"""How often records are written: nothing but the last half second is lost to `kill -9`."""

RECORDS_AT_ONCE = 10_000
"""Encoded in one go, which lets no other thread run, for some 2 ms where a loop is so fast. After each go the thread
waits 5 ms for its next turn beside a loop that never rests: with fewer a loop of 1 µs a step would outrun it."""

PATIENCE_SECONDS = 10.0
"""How long the end of a run waits for a disk that takes nothing."""


def opened(log: Path | None, runs_dir: Path, name: str, now: float, *, share: bool) -> tuple[LogWriter, str]:
    """Open the log of a run, and give it with the run's name; one without a `log` gets a folder in `runs_dir`.

    The first one of a command that `regtui run` has started is that of the command, in its folder. Raises LogError and
    OSError.
    """
    if log is None and (claimed := _of_command()) is not None:
        return LogWriter(claimed), text_of(claimed.parent.name)
    if log is None:
        run_id, made = make_run_folder(new_run_id(name, now), runs_dir, share=share)
        return LogWriter(log_of(run_id, runs_dir), share=share, made=made), run_id
    log = log / LOG_NAME if log.is_dir() else log
    own = log.parent.name if log.name == LOG_NAME else log.stem
    return LogWriter(log, share=share), name if name != "run" else text_of(own)


def _of_command() -> Path | None:
    """Claim the log in the folder of the command that this process belongs to, for those whom the folder is for.

    None where there is none, or it is taken.
    """
    said = os.environ.get(RUN_VARIABLE)
    if not said or not is_command(folder := Path(said)):
        return None
    try:
        # Whoever makes it has it: of two that begin at once one.
        mode = SHARED_FILE if folder.stat().st_mode & (stat.S_IROTH | stat.S_IRGRP) else PRIVATE_FILE
        os.close(os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
    except OSError:
        return None
    return folder / LOG_NAME


class Holder(Protocol):
    """Whose run it is."""

    warned: Warned
    orders: Orders

    def opening(self) -> RunStarted:
        """Give the first line of the log, as it is known once there is something to record."""

    def note(self, text: str, level: str = "info") -> None:
        """Put a line into the log."""


class Writing:
    """The thread of one recorder, from its start to the end of the run."""

    def __init__(self, holder: Holder, held: Holding, log: LogWriter) -> None:
        self._holder = holder
        self._held = held
        self._log = log
        self._inbox = Inbox(log.path)
        self._lines = Lines()
        self._goes_on = log.path.is_file() and log.path.stat().st_size > 0
        """The log holds a run already, which may go on."""
        self._begun = False
        self._over = False
        self._thread = threading.Thread(target=self._run, name="regtui-record", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        """Let what is held be written and the log be closed, and wait for it."""
        self._over = True
        self._held.many.set()
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            self._holder.warned.say("log", f"the end of the run is not in {self._log.path}: its disk takes nothing")

    def let_go(self) -> None:
        """Close the log in a process that was forked off: it is its parent's."""
        self._log.let_go()

    def _run(self) -> None:
        over = False
        while not over:
            self._held.many.wait(FLUSH_SECONDS)
            self._held.many.clear()
            over = self._over
            try:
                self._write()
                if not over:
                    self._listen()
            except Exception as error:
                self._holder.warned.say("writing", f"{self._log.path} lacks records: {failure(error)}")
        try:
            self._log.close()
        except OSError as error:
            self._holder.warned.say("writing", f"{self._log.path} may lack records: {failure(error)}")
        self._say_problem()

    def _write(self) -> None:
        held = self._held.take()
        if not held and not self._begun:
            # The first line says which commands are obeyed: a knob may still be registered.
            return
        lines = self._lines.made_of(held, unread=self._held.unread, again=self._held.again) if held else []
        if not self._begun:
            self._begun = True
            if not (self._goes_on and isinstance(lines[0], Resumed)):
                lines = [self._holder.opening(), *lines]
        if not lines:
            self._log.write([])  # what a full disk did not take is tried again
        for start in range(0, len(lines), RECORDS_AT_ONCE):
            self._write_some(lines[start : start + RECORDS_AT_ONCE])
        self._say_problem()

    def _write_some(self, lines: list[Held]) -> None:
        try:
            self._log.write(cast(list[Record], lines))
        except (ValueError, TypeError, OverflowError):
            whole = [line for line in map(encodable, lines) if line is not None]
            self._log.write(cast(list[Record], whole))
            if len(whole) < len(lines):
                lost = len(lines) - len(whole)
                self._holder.warned.say("lines", f"{lost} records could not be put into words and were left out")

    def _listen(self) -> None:
        self._holder.orders.give(self._inbox.poll())
        if self._inbox.refused:
            self._holder.note(self._inbox.refused, "warning")
            self._inbox.refused = ""

    def _say_problem(self) -> None:
        if self._log.problem:
            self._holder.warned.say("log", self._log.problem)
