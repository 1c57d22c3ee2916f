"""The line to a terminal: bytes go out in a thread of their own, and a frame only when the one before has arrived."""

import os
import re
import threading
import time
from collections.abc import Callable

QUESTION = b"\x1b[5n"
"""Device status report: every terminal since the VT100 answers it, and with the same bytes each time.

Between us and the eyes lie the buffers of a pseudo-terminal and of ssh, which take tens of kilobytes at once: that
the bytes of a frame are gone says nothing. That the terminal has answered what was asked behind them does.
"""

ANSWER = re.compile(rb"\x1b\[[03]n")
"""'I am well' and 'I am not', which some send for good."""

BEGUN = re.compile(rb"\x1b(\[[03]?)?\Z")
"""What may be the start of an answer, where a read was cut in its middle."""

PATIENCE_SECONDS = 5.0
"""An answer that takes longer was lost, as when somebody took the session over from another terminal: much longer than
a frame takes on a line of 5 kB/s, much shorter than a person waits before a screen that stands still."""

MOST_LOST = 4
"""Answers lost in a row after which a terminal is taken for one that gives none."""

PIECE_BYTES = 4096
"""Written at a time; between two pieces it is seen whether the line was closed."""


class Line:
    """What is written to a terminal, in order and without waiting for it.

    Frames are few: `takes_frame` says no until the last one has arrived, so that what was drawn meanwhile is left out
    instead of shown late. A terminal that has not answered so far gets a frame whenever the last one is written.
    Anything else that is written (modes, bell, title, clipboard) is small and never left out.
    """

    def __init__(
        self,
        fd: int,
        *,
        on_room: Callable[[], None],
        on_gone: Callable[[], None],
        packed: Callable[[bytes], bytes] = bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to a duplicate of a descriptor.

        `on_room` is called, from other threads, when a frame can go after one was refused; `on_gone`, once, when the
        terminal is found to be gone. What is for the terminal is `packed` first, where something between takes
        packets.
        """
        self._fd = os.dup(fd)
        self._on_room, self._on_gone = on_room, on_gone
        self._packed, self._clock = packed, clock
        self._changed = threading.Condition()
        self._unsent = bytearray()
        self._refused = False
        self._closed = self._gone = False
        self._answers = False
        self._unanswered, self._lost, self._since = 0, 0, 0.0
        self.way_seconds = 0.0
        """How long the last frame that was answered for was under way, there and back."""
        self._writer = threading.Thread(target=self._write_on, name="terminal", daemon=True)
        self._writer.start()

    @property
    def asked(self) -> bool:
        """Tell whether an answer may come."""
        return self._unanswered > 0 and not self._is_lost(self._clock())

    def write(self, data: bytes) -> None:
        """Add what is no frame."""
        self.send(self._packed(data))

    def send(self, packets: bytes) -> None:
        """Add what is packed already, or for whoever unpacks it."""
        with self._changed:
            self._unsent += packets
            self._changed.notify_all()

    def takes_frame(self) -> bool:
        """Tell whether a frame can go now; where not, `on_room` is called as soon as one can, once."""
        with self._changed:
            self._refused = not self._has_room()
            return not self._refused

    def frame(self, data: bytes) -> None:
        """Add a frame, and ask the terminal to say when it has come to its end."""
        now = self._clock()
        with self._changed:
            if self._is_lost(now):
                self._unanswered, self._lost = 0, self._lost + 1
                self._answers = self._answers and self._lost < MOST_LOST
            if not self._unanswered:
                self._since = now
            self._unanswered += 1
            self._unsent += self._packed(data + QUESTION)
            self._changed.notify_all()

    def answered(self, times: int) -> None:
        """Take note that the terminal has answered."""
        now = self._clock()
        with self._changed:
            if self._unanswered:
                self.way_seconds = now - self._since
            self._unanswered = max(self._unanswered - times, 0)
            self._answers, self._lost, self._since = True, 0, now
            self._changed.notify_all()
        self._tell_of_room()

    def settle(self, seconds: float) -> bool:
        """Wait until all has arrived, so that no answer comes to whoever has the terminal next; at most so long.

        A terminal that takes nothing for a third of it will not answer either.
        """
        with self._changed:
            taken = self._changed.wait_for(lambda: self._gone or not self._unsent, seconds / 3)
            return taken and self._changed.wait_for(self._is_quiet, seconds)

    def close(self, seconds: float) -> None:
        """Write what is left and end; what the terminal does not take within some time is lost."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or not self._unsent, seconds)
            self._closed = True
            self._changed.notify_all()

    def _is_quiet(self) -> bool:
        return self._gone or not (self._unsent or (self._answers and self._unanswered))

    def _is_lost(self, now: float) -> bool:
        return self._unanswered > 0 and now - self._since > PATIENCE_SECONDS

    def _has_room(self) -> bool:
        waits = self._answers and self._unanswered > 0 and not self._is_lost(self._clock())
        return not (self._gone or self._unsent or waits)

    def _tell_of_room(self) -> None:
        with self._changed:
            tell = self._refused and self._has_room()
            self._refused = self._refused and not tell
        if tell:
            self._on_room()

    def _write_on(self) -> None:
        """Write until the line is closed; the one place that waits for the terminal."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._unsent)
                    if self._closed:
                        return
                    piece = bytes(self._unsent[:PIECE_BYTES])
                written = os.write(self._fd, piece)
                with self._changed:
                    del self._unsent[:written]
                    self._changed.notify_all()
                self._tell_of_room()
        except OSError:
            with self._changed:
                self._gone = True
                self._changed.notify_all()
            self._on_gone()
        finally:
            os.close(self._fd)


class Answers:
    """Takes a terminal's answers out of what it sends, wherever reads have cut them: none becomes a key."""

    def __init__(self) -> None:
        self._held = self._passed = b""

    @property
    def holds(self) -> bool:
        """Tell whether something waits to be told an answer or a key."""
        return bool(self._held)

    def take(self, data: bytes, *, asked: bool) -> tuple[bytes, int]:
        """Give what is no answer, and how many answers there were.

        While one may come, what looks like its start is held back: give it `late` when nothing follows.
        """
        passed, held = self._passed, self._held + data
        self._passed = self._held = b""
        found = 0
        if passed:
            whole = passed + held
            if asked and BEGUN.fullmatch(whole):
                self._passed, self._held = passed, held
                return b"", 0
            if match := ANSWER.match(whole):
                found, held = 1, whole[match.end() :]
        rest, more = ANSWER.subn(b"", held)
        if asked and (begun := BEGUN.search(rest)):
            rest, self._held = rest[: begun.start()], begun.group()
        return rest, found + more

    def late(self) -> bytes:
        """Give what was held back: a key, as it seems; should the rest of an answer follow, that still is none."""
        held, self._held = self._held, b""
        self._passed += held
        return held
