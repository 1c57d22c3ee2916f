"""A log as a file: opened for one writer alone, and known by more than its name while it is written."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Literal

from regtui.commandfile import OUTPUT_NAME, is_command
from regtui.folders import PRIVATE_FILE, SHARED_FILE, TRIES, identity_of
from regtui.readers.jsonl import BLOCK_BYTES, LOG_NAME
from regtui.readers.protocol import LogError

Whereabouts = Literal["here", "deleted", "moved", "replaced"]

LOCK_TRIES, LOCK_SECONDS = 10, 0.02
"""A look at who writes a log holds its lock for microseconds: a writer that comes upon one tries again, for 0.2 s."""

CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EROFS}
"""What devices and some network disks say to a request to put a file on the disk: they know of none."""


class LogFile:
    """A log that is open for appending, and claimed: no second run writes to it."""

    def __init__(self, path: Path, *, share: bool = False) -> None:
        """Open or make the file; raises OSError, or LogError where it is no file or another run's."""
        self.path = path
        self.made = False
        """It was made here."""
        self._mode = SHARED_FILE if share else PRIVATE_FILE
        self._share = share
        self._fd = -1
        for left in reversed(range(TRIES)):
            try:
                self._open()
            except (FileExistsError, FileNotFoundError):
                # Made or taken back by another at this very moment; or a link to what is not there.
                if not left:
                    raise
                continue
            try:
                self._claim(self._fd)
                if self.whereabouts() == "here":
                    break
            except BaseException:
                self.close()
                raise
            # Taken back by a run that was refused, between opening it and claiming it.
            self.close()
        else:
            raise LogError(f"{path} has no name of its own: name a file with --log")
        status = os.fstat(self._fd)
        self._regular = stat.S_ISREG(status.st_mode)
        self._size = status.st_size

    def append(self, data: bytes | bytearray) -> int:
        """Hand bytes to the operating system and give how many it took; raises OSError."""
        taken = os.write(self._fd, data)
        self._size += taken
        return taken

    def whereabouts(self) -> Whereabouts:
        """Say what has become of the name that the log was opened under."""
        status = os.fstat(self._fd)
        if stat.S_ISCHR(status.st_mode):
            return "here"
        try:
            found = os.stat(self.path)  # noqa: PTH116 # a third of the time of Path's
        except (FileNotFoundError, NotADirectoryError):
            return "moved" if status.st_nlink else "deleted"
        except OSError:
            # A disk that is out of reach for the moment says nothing of the log.
            return "here"
        if identity_of(found) == identity_of(status) and status.st_nlink:
            return "here"
        return "moved" if status.st_nlink else "replaced"

    def shortened(self) -> int:
        """Give the bytes that somebody has cut off since the last call."""
        if not self._regular:
            return 0
        size = os.fstat(self._fd).st_size
        cut, self._size = max(self._size - size, 0), size
        return cut

    def ends_in_a_line(self) -> bool:
        """Tell whether what comes next begins a line."""
        size = os.fstat(self._fd).st_size
        return not size or os.pread(self._fd, 1, size - 1) == b"\n"

    def write_anew(self) -> None:
        """Give a log that was deleted its name again, with all that it held; raises OSError and leaves nothing."""
        fd = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, self._mode)
        try:
            os.fchmod(fd, stat.S_IMODE(os.fstat(self._fd).st_mode))
            self._claim(fd)
            at = 0
            while block := os.pread(self._fd, BLOCK_BYTES, at):
                at += len(block)
                while block:
                    block = block[os.write(fd, block) :]
        except (OSError, LogError):
            self._unlink(fd)
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd = fd

    def sync(self) -> None:
        """Put the file on the disk; raises OSError where the disk could not take what the system had taken."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            if error.errno not in CANNOT_SYNC:
                raise

    def remove(self) -> bool:
        """Remove the file where it was made here, holds nothing and is still this one; tell whether it was."""
        return self.made and not os.fstat(self._fd).st_size and self._unlink(self._fd)

    def close(self) -> None:
        """Let go of it; raises OSError where a network disk says only now what it could not keep."""
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _open(self) -> None:
        try:
            self._fd, self.made = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, self._mode), True
        except FileExistsError:
            try:
                self._fd, self.made = os.open(self.path, _FLAGS | _no_link(self.path.parent)), False
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                raise LogError(
                    f"{self.path} is a link in a folder that others can write to: name the file itself with --log"
                ) from None
        status = os.fstat(self._fd)
        if self.made and not self._share and stat.S_IMODE(status.st_mode) != self._mode:
            # An umask that takes from the owner himself.
            os.fchmod(self._fd, self._mode)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)):
            self.close()
            raise LogError(f"{self.path} is not a regular file: name one with --log")

    def _claim(self, fd: int) -> None:
        """Keep a second writer out, where the system has file locks."""
        for left in reversed(range(LOCK_TRIES)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not left:
                    raise LogError(
                        f"{self.path} is being written by another run: name another log with --log"
                    ) from None
                time.sleep(LOCK_SECONDS)
            except OSError:
                # A disk without locks.
                return

    def _unlink(self, fd: int) -> bool:
        with contextlib.suppress(OSError):
            if identity_of(os.lstat(self.path)) == identity_of(os.fstat(fd)):
                self.path.unlink()
                return True
        return False


_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
"""Read, too: a log that was deleted is written anew from what is open."""


def _no_link(folder: Path) -> int:
    """Give the flag that refuses a link, for a folder in which somebody else could have laid one."""
    status = folder.stat()
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (0, os.geteuid())
    return os.O_NOFOLLOW if others else 0


def is_being_written(path: Path) -> bool:
    """Tell whether a process of this machine has the log, or that in a run's folder, open for writing.

    Of a command that runs as a run: whether it is stood by, or a recorder in it lives.
    """
    if is_command(path) and _is_locked(path / OUTPUT_NAME):
        return True
    return _is_locked(path / LOG_NAME if path.is_dir() else path)


def _is_locked(path: Path) -> bool:
    try:
        # A pipe in its place would wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False
