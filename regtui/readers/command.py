"""A command that runs as a run: what it prints, how it ended, and the log that it writes itself, in one."""

import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from regtui.commandfile import FILE_NAME, OUTPUT_NAME, CommandEnd, CommandRun, is_command, read_command
from regtui.core.events import EpochEnded, Evaluated, Event, Noted, Rows, RunEnded, RunStarted, StepEnded
from regtui.core.gate import passed
from regtui.readers.gated import Gated
from regtui.readers.jsonl import LOG_NAME
from regtui.readers.printed import Printed
from regtui.readers.protocol import NOTHING_WANTED, LogError, NamesItself, SkippedLines, Wanted
from regtui.readers.search import walk

TRAINER = "command"
"""Who trains, where no log says it."""

ALWAYS_OBEYED = "stop"
"""What a command obeys whatever it is: whoever stands by it tells it by signals."""

DIFFERENT = frozenset({("failed", "finished"), ("failed", "early_stopped"), ("finished", "failed")})
"""How a command ended and what its log says of that, where one of them is to be doubted."""


class CommandReader:
    """Reads the folder of a command: the events of its log, its output as notes, and its end."""

    name = "regtui run"
    rank = 0
    names_itself = False
    gave_plain = True
    """What the log's reader gives has been through the gate, and so has what is made here."""

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Name the folder; its log is opened where it has one by now, since that says what the reader is called."""
        self.path = Path(path)
        self._wanted = wanted
        self._run = CommandRun(run_id=self.path.name, argv=(), cwd="")
        self._seen: tuple[int, int] | None = None
        self._printed = Printed(self.path / OUTPUT_NAME)
        self._log: Path | None = None
        self._reader: Gated | None = None
        self._notes: list[Event] = []
        """Lines of its output that have not been given out."""
        self._began = False
        self._ended: RunEnded | None = None
        """What the log says of its end; given out once the command has ended, too."""
        self._over = self._told_stopping = False
        self._step = self._epoch = 0
        self.behind = False
        self.skipped = SkippedLines()
        """Lines of the log that could not be read."""
        self._look()
        self._open_log()

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the folders of commands under a folder."""
        return (parent for parent, names in walk(folder) if FILE_NAME in names)

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a folder is that of a command."""
        return is_command(path)

    @property
    def missing(self) -> str:
        """Say which names a person asked for that the log has not."""
        return self._reader.missing if self._reader is not None else ""

    def warnings(self) -> list[str]:
        """Say what of the log could not be read."""
        return self._reader.warnings() if self._reader is not None else []

    def poll(self, limit: int | None = None) -> list[Event]:
        """Give what has come since the last call, at most `limit` events, without waiting."""
        self._look()
        if self._seen is None:
            return []
        over = self._run.end is not None
        self._open_log()
        events = self._of_log(limit)
        self.behind = self._reader is not None and self._reader.behind
        if not self._began and not self.behind:
            self._began = True
            events.append(self._started())
        if self._began and not self.behind:
            self._notes += [*self._of_stopping(), *self._of_output(over)]
            room = len(self._notes) if limit is None else max(limit - len(events), 0)
            events += self._notes[:room]
            del self._notes[:room]
            self.behind = bool(self._notes)
        if self._over or self.behind or not (over or self._ended):
            return events
        if events:
            self.behind = True  # the end is told once there is nothing else
        elif over or not self._is_stood_by():
            self._over = True
            events = self._end()
        return events

    def _look(self) -> None:
        """See what the command is, where that has changed."""
        try:
            status = os.lstat(self.path / FILE_NAME)
        except OSError:
            return
        seen = status.st_mtime_ns, status.st_ino
        if seen != self._seen and (run := read_command(self.path)) is not None:
            self._run, self._seen = run, seen

    def _open_log(self) -> None:
        """Open the log: a recorder's in the folder itself, else what the command was found to write elsewhere."""
        log = self._log_now()
        if log is None or log == self._log:
            return
        from regtui.readers import open_log

        try:
            try:
                reader = open_log(log, wanted=self._wanted)
            except NamesItself:
                reader = open_log(log)
        except LogError:
            return  # not yet, or no longer
        self._reader, self._log = reader, log
        self._ended = None
        self.name, self.names_itself = reader.name, reader.names_itself

    def _log_now(self) -> Path | None:
        own = self.path / LOG_NAME
        with suppress(OSError):
            if own.stat().st_size:
                return own
        found = self._run.log
        # A file that names a run of its own would be looked into for ever.
        if found is None or is_command(Path(found)):
            return None
        return Path(found)

    def _of_log(self, limit: int | None) -> list[Event]:
        if self._reader is None:
            return []
        given = self._reader.poll(limit)
        self.skipped = self._reader.skipped
        if given and self._ended is not None:
            given.insert(0, self._ended)  # it goes on, or another run has begun in it
            self._ended = None
        if given and isinstance(last := given[-1], RunEnded):
            self._ended = last
            del given[-1]
        if RunStarted in map(type, given):
            given = [self._as_ours(event) if isinstance(event, RunStarted) else event for event in given]
            self._began = True
        self._follow(given)
        return given

    def _follow(self, events: list[Event]) -> None:
        """Note how far the run is."""
        for event in reversed(events):
            if isinstance(event, StepEnded | EpochEnded):
                self._step, self._epoch = event.step, event.epoch
            elif isinstance(event, Evaluated):
                self._step = event.step
            elif isinstance(event, Rows) and len(event.step) and event.step[-1] == event.step[-1]:
                self._step = int(event.step[-1])
            else:
                continue
            return

    def _started(self) -> RunStarted:
        """Make the first record of a run of which nothing but its command is known."""
        said = {"command": shlex.join(self._run.argv), "folder": self._run.cwd}
        return passed(
            RunStarted(
                run_id=self._run.run_id, time=self._run.started, trainer=TRAINER, settings=said,
                listens=(ALWAYS_OBEYED,), environment={"host": self._run.host} if self._run.host else {},
            )
        )  # fmt: skip

    def _as_ours(self, run: RunStarted) -> RunStarted:
        """Give a log's first record as that of this run: named so, and with an end that is always said."""
        listens = run.listens if self._log is not None and self._log.parent == self.path else ()
        run = msgspec.structs.replace(
            run, run_id=self._run.run_id, trainer=run.trainer or TRAINER, open_end=msgspec.UNSET,
            time=run.time if run.time is not None else self._run.started,
            listens=(*listens, *({ALWAYS_OBEYED} - set(listens))),
        )  # fmt: skip
        return passed(run)

    def _of_stopping(self) -> list[Event]:
        """Say once that the command was told to end, as a loop that listens says it of itself."""
        if not self._run.stopping or self._told_stopping:
            return []
        self._told_stopping = True
        since = self._run.stopping_since
        return [Noted(level="state", text="stopping", step=self._step, epoch=self._epoch, time=since)]

    def _of_output(self, over: bool) -> list[Event]:
        lines = self._printed.lines(over=over)
        at = self._printed.written_at
        return [Noted(level="output", text=line, step=self._step, epoch=self._epoch, time=at) for line in lines]

    def _is_stood_by(self) -> bool:
        from regtui.readers.logfile import is_being_written

        return is_being_written(self.path)

    def _end(self) -> list[Event]:
        end = self._run.end
        if self._ended is not None:
            if end is not None and (end.status, self._ended.status) in DIFFERENT:
                return [self._of_difference(end), self._ended]
            return [self._ended]
        if end is None:
            return []
        return [
            passed(
                RunEnded(status=end.status, reason=end.reason, step=self._step, epoch=self._epoch, time=end.time)
            )
        ]  # fmt: skip

    def _of_difference(self, end: CommandEnd) -> Noted:
        assert self._ended is not None
        how = end.reason if end.signal or end.exit_status else "exit status 0"
        text = f"the log says {self._ended.status}, the command ended otherwise: {how}"
        return passed(Noted(level="warning", text=text, step=self._step, epoch=self._epoch, time=end.time))


READER = CommandReader
