"""The one writer of regtui's own log: whole lines, at once with the operating system."""

import contextlib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from regtui.core.events import Event, encode_lines
from regtui.readers.jsonl import BLOCK_BYTES, LOG_NAME
from regtui.readers.protocol import LogError

MOST_PENDING = 8 << 20
"""Bytes kept for a full disk to take later; about an hour of records."""

EVENTS_AT_ONCE = 10_000
"""Records encoded at once, to keep memory small when a whole run is written."""


class LogWriter:
    """The one writer of a log: appends whole lines, each list of events in one go.

    What `write` was given is with the operating system when it returns, so a process that is killed loses
    nothing of it, and a log never holds more than one torn line, its last.
    """

    def __init__(self, path: Path) -> None:
        """Open the log for appending and make its folder; raises LogError when it cannot be written."""
        self.path = Path(path)
        self._pending = bytearray()
        self._fd = -1
        self._made_folder = not self.path.parent.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd, self._made = self._open()
            self._claim()
            self._end_torn_line()
        except OSError as error:
            self._release()
            why = error.strerror or str(error)
            raise LogError(
                f"{self.path} cannot be written: {why}; name another place with --runs-dir or --log"
            ) from None

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, events: Iterable[Event]) -> None:
        """Append events.

        Raises OSError when the disk does not take them; they are kept and tried again by the next call.
        """
        remaining = iter(events)
        while some := list(islice(remaining, EVENTS_AT_ONCE)):
            self._pending += encode_lines(some)
            if len(self._pending) > BLOCK_BYTES:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system; raises OSError when it does not take it."""
        if self._fd < 0:
            return
        try:
            while self._pending:
                del self._pending[: os.write(self._fd, self._pending)]
        finally:
            if len(self._pending) > MOST_PENDING:
                # The rest of a line that was half taken is kept, so that whatever follows starts on a new line.
                del self._pending[self._pending.find(b"\n") + 1 :]

    def close(self) -> None:
        """Write what is left and let go of the file; never raises, since `write` has said what went wrong."""
        with contextlib.suppress(OSError):
            self.flush()
        self._release()

    def _open(self) -> tuple[int, bool]:
        """Give the file's descriptor, and whether the file was made here."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(self.path, flags | os.O_EXCL, 0o644), True
        except FileExistsError:
            return os.open(self.path, flags, 0o644), False

    def discard(self) -> None:
        """Take back a log that this writer has made and nothing was written to, and its folder; nothing else."""
        if self._fd >= 0 and self._made and not self._pending and not os.fstat(self._fd).st_size:
            with contextlib.suppress(OSError):
                self.path.unlink()
                if self._made_folder:
                    self.path.parent.rmdir()

    def _claim(self) -> None:
        """Keep a second writer out, where the system has file locks."""
        try:
            import fcntl

            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise LogError(f"{self.path} is being written by another run: name another log with --log") from None
        except (ImportError, OSError):
            return

    def _end_torn_line(self) -> None:
        """Start on a new line in a log whose writer was killed half way through one."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            self._pending += b"\n"

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_being_written(path: Path) -> bool:
    """Tell whether a process of this machine has the log, or that in a run's folder, open for writing."""
    path = path / LOG_NAME if path.is_dir() else path
    try:
        import fcntl

        with path.open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False
