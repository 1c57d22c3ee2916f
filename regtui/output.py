"""The process's own output: streams that may be lost, and what frameworks print kept off the terminal."""

import errno
import io
import os
import re
import select
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

from regtui.core.text import as_on_terminal

CANNOT_DRAW = ("", "dumb", "unknown")
"""Values of TERM that say that there is no cursor to move, and promise nothing else."""

POLL_SECONDS = 0.25
"""How often new output is looked for: often enough for an event log, far too seldom to cost anything."""

MOST_LINES = 200
"""Lines handed on in one look; a library that prints without end must not fill the event log."""

CHATTER = re.compile(
    r"I\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\] "
    r"|WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR$"
)
"""What TensorFlow and others log by absl for information (I, month and day, time, thread, source), and absl's preface
to it. Its warnings and errors begin with W, E or F, and pass."""


class OutputLost(Exception):
    """Standard output does not take what was to be printed; says why in the system's words."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.gone = error.errno == errno.EPIPE
        """Its reader has left, as `head` does, and wants no more."""


NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system says of a file that cannot grow for now."""


class _Losable(io.FileIO):
    """A descriptor that fails at most once: whatever is written after that is let go, also as the process ends.

    What has no room is let go, too, but there may be some again: unless all was needed, it goes on then, in a new line.
    """

    def __init__(self, fd: int, *, needed: bool) -> None:
        super().__init__(fd, "w", closefd=False)
        self._needed = needed
        self._lost = self._torn = self._in_line = False

    def write(self, data: Any, /) -> int:
        while not self._lost:
            try:
                if self._torn and self._in_line:
                    super().write(b"\n")
                    self._in_line = False
                taken = super().write(data)
            except OSError as error:
                if error.errno in NO_ROOM and not self._needed:
                    self._torn = True
                    return len(data)
                self._lost = True
                if self._needed:
                    raise OutputLost(error) from None
            else:
                if taken is not None:  # typeshed has no None, which a descriptor that does not wait gives
                    self._torn, self._in_line = False, bytes(data[taken - 1 : taken]) != b"\n"
                    return taken
                select.select([], [self], [])
        return len(data)


def losable(fd: int, like: TextIO | None = None, *, needed: bool = False) -> TextIO:
    """Give a stream on a descriptor that may be lost: a full disk, a closed pipe, a terminal that has gone.

    Where what is written is `needed`, the loss raises OutputLost, once; else nothing is said of it. Encoding and
    buffering are those of `like`, and there is no character that cannot be written.
    """
    return io.TextIOWrapper(
        io.BufferedWriter(_Losable(fd, needed=needed)),
        encoding=like.encoding if like else "utf-8",
        errors="backslashreplace",
        line_buffering=not needed or (like is not None and like.isatty()),
    )


def open_standard_descriptors() -> None:
    """Open descriptors 0, 1 and 2 on nothing where they were closed on us, lest a log becomes one of them."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest that is free is this one, since those below are open.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)


def write_within(fd: int, data: bytes, seconds: float) -> None:
    """Write to a terminal or pipe that may be gone, or stopped: for so many seconds at most.

    A write that hangs goes on in a thread that ends with the process, which is all that should come after this.
    """
    writer = threading.Thread(target=_write_quietly, args=(fd, data), daemon=True)
    writer.start()
    writer.join(seconds)


def _write_quietly(fd: int, data: bytes) -> None:
    with suppress(OSError):
        os.write(fd, data)


@dataclass(frozen=True)
class Terminal:
    """The real standard output and error, while the process's own ones are caught."""

    out: TextIO
    err: TextIO


@contextmanager
def captured_output(on_line: Callable[[str], None]) -> Iterator[Terminal]:
    """Hand each line that anything in this process prints, C++ included, to `on_line`; yield the real terminal.

    A file and not a pipe stands between: a library that prints while it holds the interpreter's lock would
    otherwise wait for ever for a reader that waits for the lock. `sys.__stdout__` and `sys.__stderr__`, on
    which Textual draws, lead to the real terminal meanwhile. `on_line` is called in a thread of its own.
    """
    _flush_quietly(sys.stdout)
    _flush_quietly(sys.stderr)
    python_streams = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    saved = os.dup(1), os.dup(2)
    out, err = (os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="replace", buffering=1) for fd in saved)
    caught = _catching_file()
    done = threading.Event()
    follower = threading.Thread(target=_follow, args=(caught.fileno(), on_line, done), daemon=True)
    os.dup2(caught.fileno(), 1)
    os.dup2(caught.fileno(), 2)
    # A framework's print that the file did not take is neither its failure nor the loss of the result.
    sys.stdout, sys.stderr = losable(1), losable(2)
    sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
    follower.start()
    try:
        yield Terminal(out, err)
    finally:
        for stream in (sys.stdout, sys.stderr, out, err):
            _flush_quietly(stream)
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = python_streams  # type: ignore[misc]
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        done.set()
        follower.join()
        caught.close()
        for fd in saved:
            os.close(fd)


def _catching_file() -> BinaryIO:
    """Open a file without a name; in memory where the disk has no room for one."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        if not hasattr(os, "memfd_create"):
            raise
        return os.fdopen(os.memfd_create("regtui"), "w+b")


def _flush_quietly(stream: TextIO) -> None:
    """Flush to a terminal that may be gone by now."""
    try:
        stream.flush()
    except OSError:
        return


def _follow(fd: int, on_line: Callable[[str], None], done: threading.Event) -> None:
    """Read the file as it grows, by position, since its writers share and move its offset."""
    position, rest = 0, b""
    while True:
        last_look = done.wait(POLL_SECONDS)
        while block := os.pread(fd, 65536, position):
            position += len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines[:MOST_LINES]:
                _hand_on(line, on_line)
            # Of a progress bar, which goes back to the start of its line for each state, the last is kept.
            rest = rest[rest.rfind(b"\r", 0, -1) + 1 :]
            if len(lines) > MOST_LINES:
                on_line(f"({len(lines) - MOST_LINES} more lines of output left out)")
        if last_look:
            _hand_on(rest, on_line)
            return


def _hand_on(line: bytes, on_line: Callable[[str], None]) -> None:
    text = as_on_terminal(line.decode("utf-8", errors="replace"))
    if text and not CHATTER.match(text):
        on_line(text)
