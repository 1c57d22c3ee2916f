"""Leaving the app for good within two seconds, whatever holds it up: a signal, a terminal that went away, a fault."""

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol

from regtui.core.events import Stop
from regtui.output import write_within
from regtui.signals import FAULT, Caught, caught, status_of
from regtui.sources.here import LiveRun

RUN_SECONDS = 0.9
"""How long a run is waited for: it obeys within a chunk of 50 ms, but an import or an epoch's evaluation takes longer.
Its `end` is then written for it."""

ALL_SECONDS = 1.6
"""When the process ends at the latest, counted from when the cause was heard of, which takes a busy process some tenths
more: two seconds in all."""

SAY_SECONDS = 0.3
"""How long the last sentence may take: a terminal that takes none by then will not."""

LOOK_SECONDS = 0.02
"""How often it is looked whether the run has ended, while it is being waited for."""


@dataclass(frozen=True)
class Departure:
    """Why the app is left, and what the process says of it."""

    reason: str
    """For the run's record of its end: 'stopped by SIGTERM'."""
    status: int
    """Exit status."""


GONE = Departure("the terminal went away", status_of(signal.SIGHUP))

PAGE_CLOSED = Departure("the page was closed", status_of(signal.SIGHUP))
"""Its window, or the line to it; unlike with a terminal, nohup was meant for the server."""


class Leaver(Protocol):
    """An app that can be left."""

    @property
    def live(self) -> LiveRun | None:
        """The run that trains here, if there is one."""

    def leave_soon(self) -> None:
        """Leave the event loop as soon as it comes to that; from any thread."""

    def restore_at_once(self, sentence: str) -> None:
        """Give the terminal back, with a last sentence, from any thread."""


class Leaving:
    """A thread that sees to it that the app is left once it is told to; it takes no time before that.

    It is a thread of its own since whatever else there is may be stuck: the event loop in a frame, the run in an
    import, the way out in joining the run's thread.
    """

    def __init__(self, app: Leaver) -> None:
        self._app = app
        # Its `put` may come in the middle of another one, which is what a signal's handler does.
        self._calls: queue.SimpleQueue[Departure | None] = queue.SimpleQueue()
        self._hang_up_is_ignored = self._left = False
        self.departure: Departure | None = None
        """Why the app is being left; None while it is not, and when it was left by its own keys."""

    def call(self, departure: Departure) -> None:
        """Leave; a second signal leaves at once, but not a hang-up, which comes from shell and kernel alike."""
        self._calls.put(departure)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Answer signals meanwhile; those that the process was started to ignore stay ignored, as by nohup."""
        with caught(self._take_signal) as answered:
            self._hang_up_is_ignored = signal.SIGHUP not in answered
            watcher = threading.Thread(target=self._see_off, name="leaving", daemon=True)
            watcher.start()
            try:
                yield
            finally:
                if self.departure is None:
                    self._calls.put(None)
                    watcher.join()
                # Else it watches on: what is said last may find a terminal that takes nothing.
                self._left = True

    def _take_signal(self, received: signal.Signals, _answered: Caught) -> None:
        self.call(Departure(f"stopped by {received.name}", status_of(received)))

    def _see_off(self) -> None:
        departure = self._calls.get()
        if departure == GONE and self._hang_up_is_ignored:
            departure = self._train_on() or departure
        if departure is None:
            return
        by = time.monotonic() + ALL_SECONDS
        self.departure = departure
        self._end_run(departure.reason, time.monotonic() + RUN_SECONDS)
        self._app.leave_soon()
        with suppress(queue.Empty):
            while again := self._calls.get(timeout=max(by - time.monotonic(), 0)):
                if again.status not in {FAULT, GONE.status}:
                    break
            if again is None:
                return
        if not self._left:
            self._end_run(departure.reason, 0)
            self._app.restore_at_once(f"regtui: {departure.reason}\r\n")
        os._exit(departure.status)

    def _train_on(self) -> Departure | None:
        """Let a run that was to outlive its terminal come to its end; give what else comes before that."""
        live = self._app.live
        while live is not None and live.alive and live.stage != "paused":
            if not self._calls.empty() and (call := self._calls.get()) != GONE:
                return call
            live.wait(0.5)
        return None

    def _end_run(self, reason: str, by: float) -> None:
        live = self._app.live
        if live is None or live.is_over:
            return
        live.send(Stop(reason=reason))
        while not live.is_over and self._calls.empty() and time.monotonic() < by:
            time.sleep(LOOK_SECONDS)
        live.abandon(reason)


def depart(departure: Departure) -> NoReturn:
    """Say on the restored terminal why the app was left, if it takes that, and end the process.

    At once: what a framework does on its way out takes a second.
    """
    write_within(2, f"regtui: {departure.reason}\n".encode(), SAY_SECONDS)
    os._exit(departure.status)
