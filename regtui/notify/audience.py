"""Those who are told: each way with a thread and a queue of its own, so that one that hangs holds up nobody."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from regtui.notify.notices import Notice

MOST_WAITING = 16
"""Notices that wait for one way: a run gives a handful in all, so that more wait only where it hangs."""

END_SECONDS = 5.0
"""How long the end of a process waits until all are told: a service answers in one, and
nobody likes a shell that does not come back."""

LEAVING_SECONDS = 0.8
"""The same where a signal has told the process to go, which it does within two seconds, a run's last chunk included."""


class Way(Protocol):
    """One way to tell somebody."""

    @property
    def name(self) -> str:
        """What it may be called before others: no secret of a URL is in it."""

    def tell(self, notice: Notice) -> str:
        """Tell, and wait until that is done; gives why it could not be, empty where it could. Never raises."""


class _Outbox:
    """What is to go one way, one after the other, in a thread that begins with the first."""

    def __init__(self, way: Way, changed: threading.Condition) -> None:
        self.way = way
        self.problems: list[str] = []
        self.waiting: deque[Notice] = deque()
        """The first of them is under way."""
        self._changed = changed
        self._thread: threading.Thread | None = None

    def put(self, notice: Notice) -> None:
        if len(self.waiting) >= MOST_WAITING:
            self.problems.append(f"{self.way.name} was not told {notice.title!r}: it takes too long")
            return
        self.waiting.append(notice)
        if self._thread is None:
            # A daemon: whoever ends the process waits as long as it wants to, and no longer.
            self._thread = threading.Thread(target=self._tell_on, name="notify", daemon=True)
            self._thread.start()

    def _tell_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.waiting)
                notice = self.waiting[0]
            problem = self.way.tell(notice)
            with self._changed:
                if problem:
                    self.problems.append(f"{self.way.name} was not told {notice.title!r}: {problem}")
                self.waiting.popleft()
                self._changed.notify_all()


class Audience:
    """All who are told; from any thread, and nobody waits."""

    def __init__(self, ways: Iterable[Way] = (), services: Iterable[Way] = (), urls: Sequence[str] = ()) -> None:
        """Name who is told, and those behind the `urls`, whom a process in another session can tell as well."""
        self.urls = urls
        self._changed = threading.Condition()
        self._here = [_Outbox(way, self._changed) for way in ways]
        self._outboxes = [*self._here, *(_Outbox(way, self._changed) for way in services)]

    def __bool__(self) -> bool:
        return bool(self._outboxes)

    def tell(self, notices: Sequence[Notice], *, here_only: bool = False) -> None:
        """Give notices to each way; `here_only` leaves out the services, which another process tells."""
        with self._changed:
            for notice in notices:
                for outbox in self._here if here_only else self._outboxes:
                    outbox.put(notice)
            self._changed.notify_all()

    def problems(self) -> list[str]:
        """Give what has gone wrong since the last call, a sentence each."""
        with self._changed:
            found = [problem for outbox in self._outboxes for problem in outbox.problems]
            for outbox in self._outboxes:
                outbox.problems.clear()
        return found

    def settle(self, seconds: float) -> list[str]:
        """Wait until all are told, so long at most; gives what has gone wrong, and who was not told by then."""
        by = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: not any(each.waiting for each in self._outboxes), by - time.monotonic())
            late = [
                f"{each.way.name} was not told {notice.title!r}: it took too long"
                for each in self._outboxes
                for notice in each.waiting
            ]
        return self.problems() + late
