"""A text file that another process may be writing: its new lines, each once, and whether it is another file by now."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from regtui.readers.opening import opened

BLOCK_BYTES = 2 << 20
"""Read at once: some tens of thousands of rows."""

BLOCKS_A_LOOK = 8
"""Blocks read before anybody else has a turn: their rows are held at once, whatever the size of the file."""

LONGEST_LINE = 1 << 20
"""A longer line is no row of numbers."""

FINGERPRINT_BYTES = 4096
"""Enough of a start to hold a table's heading, which is written anew when a column is added."""

END_BYTES = 256
"""What was read last is compared, too: a file may be written anew with the same start."""

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
        self._end = b""
        self._gave_half = False
        self._unfinished = False
        """Whether the last block held no end of a line, and more of it has been written."""
        self.behind = False
        self.is_another = False

    def looked_at(self) -> Iterator[bytes]:
        """Give what `lines` gives, some blocks of it: `behind` tells whether there is more, `is_another` of a None."""
        self.behind = False
        for _ in range(BLOCKS_A_LOOK):
            block = self.lines()
            self.is_another = block is None
            if block:
                yield block
            elif not self._unfinished:
                return
        self.behind = True

    def lines(self) -> bytes | None:
        """Give whole lines that have come since the last call, each with its line break; None for another file.

        At most BLOCK_BYTES of them: ask until there are none. After None this object is done with.
        """
        try:
            status = os.stat(self.path)  # noqa: PTH116 # asked at each look
            seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            self._unfinished = False
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
        with opened(self.path) as fd:
            if os.pread(fd, len(self._fingerprint), 0) != self._fingerprint:
                return None
            if os.pread(fd, len(self._end), self._position - len(self._end)) != self._end:
                return None
            block = os.pread(fd, BLOCK_BYTES, self._position)
            if len(self._fingerprint) < FINGERPRINT_BYTES:
                self._fingerprint = os.pread(fd, min(FINGERPRINT_BYTES, self._position + len(block)), 0)
        self._seen = seen
        self._unfinished = self._position + len(block) < seen[2] and bool(block)
        self._position += len(block)
        self._end = (self._end + block)[-END_BYTES:]
        if self._gave_half and block and not block.startswith((b"\n", b"\r")):
            return None  # what was taken for a whole line was half of one: a writer's buffer ended there
        self._gave_half = self._gave_half and not block
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
        last, self._rest, self._gave_half = self._rest, b"", True
        return self._given(last + b"\n")

    def _given(self, lines: bytes) -> bytes:
        self.line += lines.count(b"\n")
        return lines
