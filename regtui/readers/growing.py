"""A text file that another process may be writing: its new lines, each once, and whether it is another file by now."""

import os
import stat
import time
from pathlib import Path

BLOCK_BYTES = 4 << 20
"""Read at once: some tens of thousands of rows."""

LONGEST_LINE = 1 << 20
"""A longer line is no row of numbers."""

FINGERPRINT_BYTES = 4096
"""Enough of a start to hold a table's heading, which is written anew when a column is added."""

SETTLED_SECONDS = 2.0
"""A last line without its line break is whole when nobody has touched the file for so long."""


class GrowingFile:
    """Reads a file as far as it has been written; it is opened for each look, never held open."""

    def __init__(self, path: Path, *, bars: bool = False) -> None:
        """Name the file; nothing is read before the first look. With `bars` a carriage return ends a line, too."""
        self.path = path
        self._bars = bars
        self.line = 0
        """Lines given out so far."""
        self._seen: tuple[int, int, int, int] | None = None
        self._position = 0
        self._rest = b""
        self._fingerprint = b""

    def lines(self) -> bytes | None:
        """Give whole lines that have come since the last call, each with its line break; None for another file.

        At most BLOCK_BYTES of them: ask until there are none. After None this object is done with.
        """
        try:
            status = os.stat(self.path)  # noqa: PTH116 # asked at each look
            seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen and self._position == status.st_size:
                return self._settled(status)
            if not stat.S_ISREG(status.st_mode):
                return b""
            if self._seen is not None and (self._seen[:2] != seen[:2] or status.st_size < self._position):
                return None
            return self._read(seen)
        except OSError:
            # Moved away for the moment, or a network disk that hangs: not yet.
            return b""

    def _read(self, seen: tuple[int, int, int, int]) -> bytes | None:
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if os.pread(file, len(self._fingerprint), 0) != self._fingerprint:
                return None
            block = os.pread(file, BLOCK_BYTES, self._position)
            if len(self._fingerprint) < FINGERPRINT_BYTES:
                self._fingerprint = os.pread(file, min(FINGERPRINT_BYTES, self._position + len(block)), 0)
        finally:
            os.close(file)
        self._seen = seen
        self._position += len(block)
        text = (self._rest + block).replace(b"\r\n", b"\n")
        end = text.rfind(b"\n") + 1
        if self._bars:
            # One at the very end may be half of a line's end.
            end = max(end, text.rfind(b"\r", 0, len(text) - 1) + 1)
        self._rest = text[end:]
        if len(self._rest) > LONGEST_LINE:
            # No row of numbers: its start is kept, so that it stays one line whose end is looked for.
            self._rest = self._rest[:1] + b"\0"
        return self._given(text[:end])

    def _settled(self, status: os.stat_result) -> bytes:
        """Give a last line that nobody goes on with."""
        if not self._rest or time.time() - status.st_mtime < SETTLED_SECONDS:
            return b""
        last, self._rest = self._rest, b""
        return self._given(last + b"\n")

    def _given(self, lines: bytes) -> bytes:
        self.line += lines.count(b"\n")
        return lines
