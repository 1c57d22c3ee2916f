"""A log on disk, finished or still growing, as a source of events."""

import math
import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from regtui import commands
from regtui.commandfile import is_command
from regtui.core.events import COMMANDS, Command, Event, Noted, Resumed, RunEnded, RunStarted
from regtui.folders import Identity, identity_of
from regtui.readers import LOG_NAME, NOTHING_WANTED, LogError, Wanted, is_being_written, open_log, written_at
from regtui.readers.opening import NotAFile, check_regular
from regtui.sources import Activity

QUIET_SECONDS = 10.0
"""A log of another machine, whose lock cannot be seen, that brought nothing for so long may have no writer."""

FRESH_SECONDS = 60.0
"""A log whose format has no word for the end was written to so lately: most trainers write an epoch or some steps in
that time, and a person does not look at a run that has ended for longer without wondering."""

STUCK_SECONDS = 2.0
"""A log that is being written and brought nothing for so long may have no room; a run that trains brings more often."""

LOOK_SECONDS = 2.0
"""How often a log is asked when it was written to: a folder may hold thousands of files."""

KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}  # fmt: skip
"""What may take the place of a file -> what people call it."""


class Touch:
    """When a log, a file or a folder, was last written to, looked at now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0.0
        self._looked_at = -math.inf

    def age(self) -> float:
        """Give the seconds since then; a time to come counts as one that has gone: clocks differ."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._at, self._looked_at = written_at(self._path), now
        return abs(time.time() - self._at)


class LogSource:
    """A log of any format; whoever writes it may take commands through a file beside it, as its first line says."""

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Open the log, by these names where it is another trainer's; raises LogError when there is nothing to read."""
        self.path = path / LOG_NAME if (path / LOG_NAME).is_file() and not is_command(path) else path
        self._is_folder = self.path.is_dir()
        """Whether the log is a whole folder, as some trainers write it: its reader looks for files."""
        self._reader = open_log(path, growing=True, wanted=wanted)
        self._wanted = wanted
        self._undecided = self._is_empty()
        """It was empty when it was opened: it may become a log of any format."""
        self._touch = Touch(self.path)
        self._ended = False
        self._caught_up = False
        self._news_at = -math.inf
        self._seen: tuple[Identity, int] | None = None
        """Which file the log was when it was last there and held something, and how long."""
        self._was_gone = False
        self._run: RunStarted | None = None
        self._stage = ""
        """What the run said that it does."""

    @property
    def listens(self) -> frozenset[type]:
        """The commands that the run obeys, while it lives."""
        names = self._run.listens if self._run is not None and not self._ended else ()
        return frozenset(COMMANDS[name] for name in names if name in COMMANDS)

    @property
    def activity(self) -> Activity:
        """Say whether somebody still writes it, here or, as far as can be seen, on another machine.

        A log whose last run has ended is alive again while the next one is written to it, and when another log has
        taken its place.
        """
        words, problem = self._look()
        written = is_being_written(self.path)
        if written and not problem and time.monotonic() - self._news_at > STUCK_SECONDS and not _has_room(self.path):
            words, problem = "disk full", f"the disk of the log {self.path} is full: what is recorded waits for room"
        written = written or (self._has_open_end and self._touch.age() < FRESH_SECONDS)
        growing = written if self._ended else written or time.monotonic() - self._news_at < QUIET_SECONDS
        return Activity(
            stage=self._stage if growing else "", alive=growing or not self._ended, growing=growing,
            log=self.path, log_problem=problem, log_words=words,
        )  # fmt: skip

    @property
    def behind(self) -> bool:
        return self._reader.behind

    @property
    def warnings(self) -> Sequence[str]:
        return self._reader.warnings()

    @property
    def _has_open_end(self) -> bool:
        """Whether the log never says that its run is over: then only its age tells whether somebody writes it."""
        return self._run is not None and self._run.open_end is True and not self._ended

    def poll(self, limit: int | None = None) -> list[Event]:
        events: list[Event] = []
        if self._is_file():
            if self._run is None:
                self._find_format()
            events = self._reader.poll(limit)
        if events and self._caught_up:
            self._news_at = time.monotonic()
        self._caught_up = self._caught_up or not (events or self._reader.behind)
        for event in events:
            if isinstance(event, RunEnded | RunStarted):
                self._ended, self._stage = isinstance(event, RunEnded), ""
            if isinstance(event, RunStarted):
                self._run = event
            elif isinstance(event, Resumed):
                self._ended, self._stage = False, ""
            elif isinstance(event, Noted) and event.level == "state":
                self._stage = event.text
        return events

    def send(self, *given: Command) -> None:
        """Lay commands into the file that whoever trains looks at; raises OSError where that cannot be written."""
        commands.send(self.path, *given)

    def _find_format(self) -> None:
        """Look again whose log it is: an empty one said nothing of that."""
        if self._undecided:
            with suppress(LogError):
                self._reader = open_log(self.path, growing=True, wanted=self._wanted)
                self._undecided = self._is_empty()

    def _is_empty(self) -> bool:
        with suppress(OSError):
            return not self._is_folder and not self.path.stat().st_size
        return False

    def _is_file(self) -> bool:
        if self._is_folder:
            return True
        try:
            return stat.S_ISREG(os.stat(self.path).st_mode)  # noqa: PTH116 # asked at each poll
        except OSError:
            return False

    def _look(self) -> tuple[str, str]:
        """Say what has become of the file, in two words and in a sentence; where it is another, it is to be read."""
        try:
            found = os.stat(self.path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            words, problem = "log gone", "was deleted or moved away"
        except OSError as error:
            words, problem = "log unreadable", f"cannot be read ({error.strerror or error})"
        else:
            words, problem = self._of_file(found)
        self._was_gone = bool(problem)
        return words, problem and f"the log {self.path} {problem}: what is shown is what it held until then"

    def _of_file(self, found: os.stat_result) -> tuple[str, str]:
        if self._is_folder and stat.S_ISDIR(found.st_mode):
            return "", ""
        if not stat.S_ISREG(found.st_mode):
            kind = KINDS.get(stat.S_IFMT(found.st_mode), "thing that is no file")
            return "log replaced", f"was replaced by a {kind}"
        if not os.access(self.path, os.R_OK):
            return "log unreadable", "cannot be read (Permission denied)"
        if not found.st_size:
            return self._of_empty(found) if self._seen else ("", "")
        now = identity_of(found), found.st_size
        if self._seen is not None and self._is_another(now, self._seen):
            self._ended = False
        self._seen = now
        return "", ""

    def _of_empty(self, found: os.stat_result) -> tuple[str, str]:
        try:
            check_regular(found)
        except NotAFile:
            # Such as /proc/kmsg, which says that it is empty, and is not.
            return "log replaced", "was replaced by a file that the system makes up as it is read"
        return "log emptied", "was emptied"

    def _is_another(self, now: tuple[Identity, int], before: tuple[Identity, int]) -> bool:
        return now[0] != before[0] or now[1] < before[1] or (self._was_gone and now != before)


def _has_room(path: Path) -> bool:
    """Tell whether a file may grow there; also where the system does not say."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return True
    # A disk keeps some blocks for root alone, whose trainings are mostly looked at by root.
    return (disk.f_bavail if os.geteuid() else disk.f_bfree) > 0
