"""How a command is told to end: a loop that listens by its own way, all else by signals, at last by one that none can
ignore."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 30.0
"""From the first word to SIGKILL: as long as SLURM waits (`KillWait`), for which training scripts are written; a
checkpoint of some gigabytes is on a disk by then."""

FURTHER = 1 / 3
"""Share of the grace after which a command that was asked like by ctrl+c is told by SIGTERM."""

MOST_SAID = 4 << 20
"""Bytes of the log after an order that are searched for what the loop says to it."""


class Stopping:
    """What has been done to end a command, and what is due."""

    def __init__(
        self, group: int, log: Path, grace_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Name the command's process group, and the log that a recorder inside would write."""
        self.reason = ""
        """What it was asked by; empty while nobody has asked."""
        self.killed = False
        """The last signal has been sent."""
        self._group = group
        self._log = log
        self._grace = grace_seconds
        self._clock = clock
        self._due: list[tuple[float, signal.Signals]] = []
        self._left_to_loop = False
        self._ordered_at, self._log_size = 0.0, 0

    @property
    def by_signals(self) -> bool:
        """Whether signals have been sent to end it."""
        return bool(self._due) or self.killed

    def pass_on(self, received: signal.Signals) -> None:
        """Do as a signal to us says: it goes to the command, which is killed later, or when told again."""
        self.reason = self.reason or f"stopped by {received.name}"
        if self.by_signals:
            self._kill()
            return
        self.send(received)
        self._due = [(self._clock() + self._grace, signal.SIGKILL)]

    def order(self, reason: str, *, listened_to: bool) -> None:
        """Do as a command from elsewhere says; where a recorder listens it is the loop's, the first time."""
        self.reason = self.reason or reason or "stopped"
        if listened_to and not self._left_to_loop and not self.by_signals:
            self._left_to_loop, self._ordered_at = True, self._clock()
            self._log_size = self._size()
            return
        if self.by_signals:
            self._kill()
            return
        self._begin()

    def press(self) -> None:
        """Do what is due by now; to be called now and then."""
        now = self._clock()
        if self._left_to_loop and not self.by_signals and now >= self._ordered_at + self._patience():
            self._begin()
        while self._due and self._due[0][0] <= now:
            _, due = self._due.pop(0)
            if due is signal.SIGKILL:
                self._kill()
            else:
                self.send(due)

    def send(self, which: signal.Signals) -> None:
        """Send a signal to all processes of the command's group that are there."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, which)

    def group_lives(self) -> bool:
        """Tell whether any process of the command's group is there."""
        try:
            os.killpg(self._group, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _begin(self) -> None:
        """Ask as ctrl+c does, which every training has met; then more firmly."""
        now = self._clock()
        self.send(signal.SIGINT)
        self._due = [(now + self._grace * FURTHER, signal.SIGTERM), (now + self._grace, signal.SIGKILL)]

    def _patience(self) -> float:
        """Give the seconds that a loop has from the order on, by what it has said to it."""
        from regtui.recording.orders import NOT_ASKED

        said = self._said()
        if b'"text":"stopping"' not in said:
            return self._grace
        # A loop that looks whether it should stop will look again, at the end of its epoch perhaps.
        return self._grace * FURTHER if NOT_ASKED.encode() in said else float("inf")

    def _said(self) -> bytes:
        try:
            fd = os.open(self._log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(fd, MOST_SAID, self._log_size)
        except OSError:
            return b""
        finally:
            os.close(fd)

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _kill(self) -> None:
        self.killed, self._due = True, []
        self.send(signal.SIGKILL)
