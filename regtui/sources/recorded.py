"""What a run that trains here puts on record: into its log, before its companions, and for whoever polls."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regtui.core.events import Event, Noted, Record, RunEnded, RunStarted, SystemSampled
from regtui.core.gate import passed
from regtui.readers import LogError, LogWriter
from regtui.sources.companions import Companion
from regtui.sources.setting_up import reached

if TYPE_CHECKING:
    from regtui.sources.here import LiveRun

ABANDON_SECONDS = 0.3
"""How long an abandoned run may take to be out of the way: a write that hangs must not hold up the process's end."""


class Abandoned(LogError):
    """The process leaves: a run that has not begun ends like one that could not be set up."""

    def __init__(self) -> None:
        super().__init__("the process leaves")


class Recorded:
    """The records of one run, from its first to its end."""

    def __init__(
        self, run: "LiveRun", companions: Sequence[Companion], news: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        """Name the run, what goes along with it, and whoever hears that something was recorded."""
        self.problem = ""
        """What the log lacks, or where it has gone, in one sentence; empty again once it is whole."""
        self.place: tuple[int, int] | None = None
        """Updates and epochs in the log, once it holds the run's first record."""
        self.over = False
        """The log holds the run's end, or the run has left it to another process."""
        self.abandoned = False
        """The process leaves: nothing more is recorded."""
        self.writer: LogWriter | None = None
        self._run = run
        self._companions = companions
        self._news = news
        self._clock = clock
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._pending: deque[Event] = deque()
        self.said: deque[Noted | SystemSampled] = deque()
        """What goes with the next chunk; added to from any thread."""

    def take(self, limit: int | None) -> list[Event]:
        """Give what was recorded since the last call, at most so many events."""
        with self._lock:
            if limit is None or limit >= len(self._pending):
                taken = list(self._pending)
                self._pending.clear()
            else:
                taken = [self._pending.popleft() for _ in range(limit)]
        return taken

    def deliver(self, events: list[Record]) -> None:
        """Record a chunk; raises Abandoned."""
        assert self.writer is not None
        with self._writing:
            if self.abandoned:
                raise Abandoned
            recorded = self._record(self.writer, events)
            begins = self.place is None
            self.place = reached(events) or self.place or (0, 0)
            for companion in self._companions:
                if begins:
                    companion.begin(self._run)
                companion.see(recorded)
            self.over = any(isinstance(event, RunEnded) for event in events[-1:])

    def leave(self) -> None:
        """Record no more, and no end: another process does; raises Abandoned where the end is there already."""
        with self._writing:
            if self.abandoned:
                raise Abandoned
            self.over = True

    def abandon(self, reason: str, unbegun: list[Record]) -> None:
        """End the log for a process that ends at once, from any thread; after this nothing more is recorded.

        `unbegun` are the records of a run that has not begun: without any nothing of it is left.
        """
        if self._writing.acquire(timeout=ABANDON_SECONDS):
            try:
                self._end(reason, unbegun)
            finally:
                self._writing.release()

    def close(self) -> None:
        """Let the companions go; the log is closed."""
        for companion in self._companions:
            companion.end()

    def _end(self, reason: str, unbegun: list[Record]) -> None:
        if self.writer is None or self.over:
            return
        if self.place is None and not unbegun:
            self.writer.discard()
            return
        self.over = True
        ended = unbegun
        if self.place is not None:
            step, epoch = self.place
            ended = [RunEnded(status="stopped", reason=reason, step=step, epoch=epoch, time=self._clock())]
        with contextlib.suppress(OSError):
            self.writer.write(ended)

    def _record(self, writer: LogWriter, events: list[Record]) -> list[Record]:
        # What is shown here is what a reader will give of the log: printable, all of it.
        events = [passed(event) for event in events]
        said: list[Record] = [self.said.popleft() for _ in range(len(self.said))]
        # The run's first record stays the first of its log.
        whole = [*events[:1], *said, *events[1:]] if events and isinstance(events[0], RunStarted) else said + events
        writer.write(whole)
        if not (whole and isinstance(whole[-1], RunEnded)):
            # Nothing comes after the end; what is said of the log then is in `problem`.
            notes = [Noted(level=level, text=text, time=self._clock()) for level, text in writer.news()]
            writer.write(notes)
            whole += notes
        self.problem = writer.problem
        with self._lock:
            self._pending.extend(whole)
        self._news()
        return whole
