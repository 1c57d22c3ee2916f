"""What a program prints into a file, told a line at a time as a terminal would show it, within bounds."""

import os
import time
from pathlib import Path

from regtui.core.text import as_on_terminal
from regtui.readers.opening import opened

FIRST_BYTES = 1 << 16
"""Read of what is there at first: more lines than can be scrolled back to."""

BLOCK_BYTES = 1 << 18
"""Read at one look at most, the newest: half a megabyte a second is more than anybody reads."""

MOST_LINES = 400
"""Lines told at one look; a program that prints without end must not fill the event log."""

LONGEST_REST = 1 << 14
"""Bytes kept of a line without an end."""

SETTLED_SECONDS = 1.0
"""A line without its end that nobody has gone on with for so long is told: a question, or where the program hangs."""

BAR_SECONDS = 10.0
"""How often a progress bar is told while it moves: each state would be a line of its own."""


class Printed:
    """The lines of one file, each once; the file is opened for each look, never held open."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read before the first look."""
        self.path = path
        self.written_at: float | None = None
        """When it was last written to, seconds since the epoch of Unix."""
        self._position = 0
        self._rest = b""
        self._rest_at = 0.0
        """When the line in hand was last gone on with, on a clock that never goes back; and when it was told."""
        self._told_at = 0.0
        self._told = ""
        """What was told of the line in hand."""
        self._begun = False

    def lines(self, *, over: bool) -> list[str]:
        """Give what has been printed since the last call, the newest of it; `over` says that no more will come."""
        block, left_out = self._read()
        *ended, rest = (self._rest + block).split(b"\n")
        found = []
        for line in ended:
            text = _shown(line)
            if text and text != self._told:
                found.append(text)
            self._told = ""
        # Of a progress bar, which goes back to the start of its line for each state, the last is kept.
        self._rest = rest[rest.rfind(b"\r", 0, -1) + 1 :][-LONGEST_REST:]
        now = time.monotonic()
        if block:
            self._rest_at = now
            self._told_at = now if ended else self._told_at
        found += self._unended(now, over)
        if left_out:
            found.insert(0, f"({left_out:,} bytes of output left out)")
        if len(found) > MOST_LINES:
            found[: -MOST_LINES + 1] = [f"({len(found) - MOST_LINES + 1} more lines of output left out)"]
        return found

    def _unended(self, now: float, over: bool) -> list[str]:
        """Tell of the line in hand, where nothing has come for a while, or a bar has moved for long."""
        text = _shown(self._rest)
        settled = now - self._rest_at >= SETTLED_SECONDS
        if not text or text == self._told or not (over or settled or now - self._told_at >= BAR_SECONDS):
            return []
        self._told, self._told_at = text, now
        return [text]

    def _read(self) -> tuple[bytes, int]:
        """Read what has come, and say how much was passed over."""
        try:
            with opened(self.path) as fd:
                status = os.fstat(fd)
                self.written_at = status.st_mtime
                size, position = status.st_size, self._position
                if size < position:
                    # It was cut to its bound: what is in it now has been told, all but what came meanwhile.
                    self._position, self._rest = size, b""
                    return b"", 0
                most = BLOCK_BYTES if self._begun else FIRST_BYTES
                begin = max(position, size - most)
                block = os.pread(fd, most, begin)
        except OSError:
            return b"", 0
        first, self._begun = not self._begun, True
        self._position = begin + len(block)
        if begin > position:
            self._rest = b""
            block = block[block.find(b"\n") + 1 :]
        return block, 0 if first else begin - position


def _shown(line: bytes) -> str:
    return as_on_terminal(line.decode("utf-8", errors="replace"))
