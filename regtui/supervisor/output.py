"""What a command prints, in a file that it writes itself, so that no death of ours is in its way; kept to a bound."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 64 << 20
"""A progress bar that is drawn ten times a second makes as much in a week."""

KEPT_START, KEPT_END = 1 << 20, 8 << 20
"""What is kept of more: how it began, such as the settings that are printed, and the newest."""

LONGEST_LINE = 1 << 20
"""Looked at for its end, so that what is kept begins with a line."""

CATCHING_UP = 3
"""Looks at what is printed while it is read: a program that prints without a pause is faster than any reader."""


class Output:
    """The file, watched over: who holds this lives, which its lock tells others."""

    def __init__(self, path: Path) -> None:
        """Open what is there; raises OSError."""
        # Not the descriptor that the command inherits: a lock would live as long as the last of its children.
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._left_out = 0
        self._start: int | None = None
        """Bytes of the start that are kept, once the file was too long."""
        with suppress(OSError):  # a disk without locks
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def bound(self) -> None:
        """Take the middle out of a file that is too long; the command, which appends, goes on at its new end.

        What is printed in the microseconds between the last look and the cut is lost, and counted.
        """
        with suppress(OSError):
            size = os.fstat(self._fd).st_size
            if size > MOST_BYTES:
                self._cut(size)

    def _cut(self, size: int) -> None:
        if self._start is None:
            self._start = os.pread(self._fd, KEPT_START, 0).rfind(b"\n") + 1 or KEPT_START
        at = size - KEPT_END
        kept = b""
        for _ in range(CATCHING_UP):
            block = os.pread(self._fd, KEPT_END, at)
            if not block:
                break
            at += len(block)
            kept = (kept + block)[-KEPT_END:]
        at = max(os.fstat(self._fd).st_size, at)
        os.ftruncate(self._fd, self._start)
        begin = next((found + 1 for sign in (b"\n", b"\r") if (found := kept.find(sign, 0, LONGEST_LINE)) >= 0), 0)
        self._left_out += at - self._start - len(kept) + begin
        said = f"\n[regtui: {self._left_out:,} bytes of output are left out here]\n".encode()
        rest = memoryview(said + kept[begin:])
        while rest:
            rest = rest[os.write(self._fd, rest) :]
