"""A log on disk, finished or still growing, as a source of events."""

import math
import time
from pathlib import Path

from regtui.core.events import Command, Event, RunEnded, RunStarted
from regtui.readers import is_being_written, open_log
from regtui.sources import Activity

QUIET_SECONDS = 10.0
"""A log of another machine, whose lock cannot be seen, that brought nothing for so long may have no writer."""


class LogSource:
    """A log of any format; nobody who writes one takes commands through it."""

    listens: frozenset[type] = frozenset()

    def __init__(self, path: Path) -> None:
        """Open the log; raises LogError with one sentence when there is nothing to read."""
        self.path = path
        self._reader = open_log(path, growing=True)
        self._ended = False
        self._caught_up = False
        self._news_at = -math.inf

    @property
    def activity(self) -> Activity:
        """Say whether somebody still writes it, here or, as far as can be seen, on another machine.

        A log whose last run has ended is alive again while the next one is written to it.
        """
        written = is_being_written(self.path)
        growing = written if self._ended else written or time.monotonic() - self._news_at < QUIET_SECONDS
        behind, warnings = self._reader.behind, tuple(self._reader.warnings())
        return Activity(alive=growing or not self._ended, growing=growing, behind=behind, warnings=warnings)

    def poll(self, limit: int | None = None) -> list[Event]:
        events = self._reader.poll(limit)
        if events and self._caught_up:
            self._news_at = time.monotonic()
        self._caught_up = self._caught_up or not (events or self._reader.behind)
        for event in events:
            if isinstance(event, RunEnded | RunStarted):
                self._ended = isinstance(event, RunEnded)
        return events

    def send(self, command: Command) -> None:
        """Lose the command."""
