"""Folders and files that regtui keeps by itself: their owner's alone unless he shares them, and made, not taken over.

What a person names as output, such as a picture, is made as any program makes a file. The mode of what is there
already is nobody's to change.
"""

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

PRIVATE_FOLDER, SHARED_FOLDER = 0o700, 0o755
PRIVATE_FILE, SHARED_FILE = 0o600, 0o644
"""Modes; of the shared ones the umask still takes its part."""

PERMISSIONS = 0o777
"""The bits that an umask takes from; a folder may inherit others, such as its group's."""

TRIES = 20
"""Another process that takes back what it has made can be in the way a few times, not for ever."""

Identity = tuple[int, int]
"""Device and inode: which file it is, whatever it is called."""


def identity_of(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Made:
    """A folder that was made here, known by more than its name."""

    path: Path
    identity: Identity

    def take_back(self) -> None:
        """Remove it where it is still the one that was made, and empty."""
        with contextlib.suppress(OSError):
            if identity_of(os.lstat(self.path)) == self.identity:
                self.path.rmdir()


def make_folder(folder: Path, *, share: bool = False) -> Made:
    """Make one folder that is not there; raises FileExistsError where it is."""
    mode = SHARED_FOLDER if share else PRIVATE_FOLDER
    os.mkdir(folder, mode)  # noqa: PTH102 # for its mode, which is set as it is made
    status = os.lstat(folder)
    if not share and stat.S_IMODE(status.st_mode) & PERMISSIONS != mode:
        # An umask that takes from the owner himself.
        os.chmod(folder, mode)  # noqa: PTH101
    return Made(folder, identity_of(status))


def make_folders(folder: Path, *, share: bool = False) -> list[Made]:
    """Make a folder and those on the way to it, as far as they are missing; give what was made, outermost first."""
    made: list[Made] = []
    for left in reversed(range(TRIES)):
        try:
            for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
                with contextlib.suppress(FileExistsError):
                    made.append(make_folder(each, share=share))
            break
        except FileNotFoundError:
            # Somebody has taken back one that he had made.
            if not left:
                raise
    return made


def take_back(made: list[Made]) -> None:
    """Remove folders that were made here, the innermost first, as far as they are empty."""
    for each in reversed(made):
        each.take_back()


def open_own_file(path: Path, *, share: bool = False) -> tuple[int, bool]:
    """Open a file of one's own to read and append, made where it is missing; gives a descriptor and whether it was.

    Never follows a link, never waits for a reader. Raises OSError, also for what is no file or is another's.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    mode = SHARED_FILE if share else PRIVATE_FILE
    try:
        fd, made = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode), True
    except FileExistsError:
        fd, made = os.open(path, flags), False
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or os.geteuid() not in (status.st_uid, 0):
        os.close(fd)
        raise PermissionError(errno.EPERM, "it is no file of your own", str(path))
    if made and not share and stat.S_IMODE(status.st_mode) != mode:
        # An umask that takes from the owner himself.
        os.fchmod(fd, mode)
    os.set_blocking(fd, True)
    return fd, made


def write_whole(path: Path, data: bytes, *, share: bool = False, sync: bool = False) -> None:
    """Put a file in the place of what was there, in one go; with `sync` it is on the disk by then.

    Raises OSError and leaves what was there.
    """
    # A name that nobody can guess and block, and that no other writer has.
    made = path.with_name(f".{path.name.lstrip('.')}-{os.urandom(8).hex()}")
    mode = SHARED_FILE if share else PRIVATE_FILE
    fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 # of a descriptor
            file.write(data)
            if sync:
                file.flush()
                os.fsync(fd)
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
