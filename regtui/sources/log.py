"""A log on disk, finished or still growing, as a source of events."""

import math
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from regtui.core.events import Command, Event, RunEnded, RunStarted
from regtui.folders import Identity, identity_of
from regtui.readers import LOG_NAME, is_being_written, open_log
from regtui.readers.opening import NotAFile, check_regular
from regtui.sources import Activity

QUIET_SECONDS = 10.0
"""A log of another machine, whose lock cannot be seen, that brought nothing for so long may have no writer."""

KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}  # fmt: skip
"""What may take the place of a file -> what people call it."""


class LogSource:
    """A log of any format; nobody who writes one takes commands through it."""

    listens: frozenset[type] = frozenset()

    def __init__(self, path: Path) -> None:
        """Open the log; raises LogError with one sentence when there is nothing to read."""
        self.path = path / LOG_NAME if path.is_dir() else path
        self._reader = open_log(path, growing=True)
        self._ended = False
        self._caught_up = False
        self._news_at = -math.inf
        self._seen: tuple[Identity, int] | None = None
        """Which file the log was when it was last there and held something, and how long."""
        self._was_gone = False

    @property
    def activity(self) -> Activity:
        """Say whether somebody still writes it, here or, as far as can be seen, on another machine.

        A log whose last run has ended is alive again while the next one is written to it, and when another log has
        taken its place.
        """
        words, problem = self._look()
        written = is_being_written(self.path)
        growing = written if self._ended else written or time.monotonic() - self._news_at < QUIET_SECONDS
        return Activity(
            alive=growing or not self._ended, growing=growing, behind=self._reader.behind,
            warnings=tuple(self._reader.warnings()), log_problem=problem, log_words=words,
        )  # fmt: skip

    def poll(self, limit: int | None = None) -> list[Event]:
        events = self._reader.poll(limit) if self._is_file() else []
        if events and self._caught_up:
            self._news_at = time.monotonic()
        self._caught_up = self._caught_up or not (events or self._reader.behind)
        for event in events:
            if isinstance(event, RunEnded | RunStarted):
                self._ended = isinstance(event, RunEnded)
        return events

    def send(self, command: Command) -> None:
        """Lose the command."""

    def _is_file(self) -> bool:
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
