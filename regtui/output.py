"""Keep what frameworks print off the terminal: file descriptors 1 and 2 go to a file that is read line by line."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from regtui.core.text import as_on_terminal

POLL_SECONDS = 0.25
"""How often new output is looked for: often enough for an event log, far too seldom to cost anything."""

MOST_LINES = 200
"""Lines handed on in one look; a library that prints without end must not fill the event log."""


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
    sys.stdout.flush()
    sys.stderr.flush()
    python_streams = sys.__stdout__, sys.__stderr__
    saved = os.dup(1), os.dup(2)
    out, err = (os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="replace", buffering=1) for fd in saved)
    caught = tempfile.TemporaryFile()  # noqa: SIM115 # closed below, after the last line was read
    done = threading.Event()
    follower = threading.Thread(target=_follow, args=(caught.fileno(), on_line, done), daemon=True)
    os.dup2(caught.fileno(), 1)
    os.dup2(caught.fileno(), 2)
    sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
    follower.start()
    try:
        yield Terminal(out, err)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        _flush_quietly(out)
        _flush_quietly(err)
        sys.__stdout__, sys.__stderr__ = python_streams  # type: ignore[misc]
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        done.set()
        follower.join()
        caught.close()
        for fd in saved:
            os.close(fd)


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
    if text:
        on_line(text)
