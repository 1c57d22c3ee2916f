"""Opening a file that somebody named: only what can be read to its end without waiting is opened at all.

A pipe waits for its writer, a terminal for its keys; some devices do something when they are opened; and files that
the system makes up as they are read, such as `/proc/kmsg`, say that they are regular and empty and wait all the same.
A file is looked at anew each time, since another may lie in its place by then.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MADE_UP = frozenset(
    {"proc", "sysfs", "debugfs", "tracefs", "configfs", "securityfs", "cgroup", "cgroup2", "bpf", "pstore", "efivarfs"}
    | {"mqueue", "binfmt_misc", "fusectl", "functionfs", "selinuxfs", "smackfs", "resctrl", "nfsd", "rpc_pipefs"}
)
"""Types of file systems whose files are made up as they are read; from Linux's filesystems(5) and its sources."""

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux says which file system has which device number; other systems have no such files."""

LONGEST_MOUNTS = 4 << 20
"""Bytes of it that are read: some ten thousand mounts."""


LAST_BYTES = 1 << 16
"""How much of a file's end is looked at for its last line: an end of a run takes some hundred bytes."""


class NotAFile(OSError):
    """It is no file that can be read to its end; `strerror` says what it is, as the end of a sentence."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EINVAL, what)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a regular file for reading, without ever waiting; gives its descriptor.

    Raises NotAFile for whatever else stands there, and OSError as `os.open` does.
    """
    # Looked at first: to open a device may do something, such as to rewind a tape.
    check_regular(path.stat())
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        check_regular(os.fstat(fd))  # another may have come in its place meanwhile
        yield fd
    finally:
        os.close(fd)


def last_line(path: Path) -> bytes:
    """Give the last line of a file, at most `LAST_BYTES` of it; empty where there is none, or it cannot be read."""
    try:
        with opened(path) as fd:
            end = os.pread(fd, LAST_BYTES, max(0, os.fstat(fd).st_size - LAST_BYTES))
    except OSError:
        return b""
    return end.rstrip().rpartition(b"\n")[2]


def check_regular(status: os.stat_result) -> None:
    """Raise NotAFile unless this is a regular file on a disk."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    if not stat.S_ISREG(status.st_mode):
        raise NotAFile(f"is {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a regular file")
    # What lies on a disk takes room there; only what takes none is worth the look at the mounts.
    if not getattr(status, "st_blocks", 1) and _file_system(status.st_dev) in MADE_UP:
        raise NotAFile("is made up by the system as it is read, not a regular file")


def _file_system(device: int) -> str:
    """Give the type of a mounted file system; empty where that cannot be known."""
    number = f"{os.major(device)}:{os.minor(device)}".encode()
    try:
        with MOUNTS.open("rb") as file:
            mounts = file.read(LONGEST_MOUNTS).split(b"\n")
    except OSError:
        return ""
    for mount in mounts:
        # 36 35 98:0 /root /place options [optional fields] - type source options
        here, _, there = mount.partition(b" - ")
        if here.split(b" ", 3)[2:3] == [number]:
            return there.partition(b" ")[0].decode("ascii", "replace")
    return ""
