"""Files on disk: looked at before they are opened, and never waited for."""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regtui.datasets.table import wrong


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder; one that cannot be looked at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check(path: Path) -> None:
    """Raise ConfigError for what is no file with something in it, without opening it: a pipe may block its opener,
    and some devices do things to whoever opens them."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise wrong(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise wrong(f"{path} cannot be read: {reason(error)}") from None
    _refuse_all_but_files(path, status)


@contextmanager
def opened(path: Path) -> Iterator[io.FileIO]:
    """Open a file that `check` lets pass, to read its bytes; raises ConfigError, for what fails later as well."""
    check(path)
    try:
        # Between the look and the opening somebody may have put a pipe in its place.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with io.FileIO(handle) as file:
            _refuse_all_but_files(path, os.fstat(handle))
            yield file
    except OSError as error:
        raise wrong(f"{path} cannot be read: {reason(error)}") from None


def _refuse_all_but_files(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise wrong(f"{path} is a folder, not an .npz or .csv file")
    if not stat.S_ISREG(status.st_mode):
        raise wrong(f"{path} is not a regular file")
    if not status.st_size:
        raise wrong(f"{path} is empty")


def reason(error: Exception) -> str:
    """Say what went wrong in the system's own words, without its numbers and paths."""
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__
