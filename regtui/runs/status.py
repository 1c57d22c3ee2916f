"""What a log on the disk is at a moment, whether it is a file or the whole folder of a run."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from regtui.commandfile import FILE_NAME, OUTPUT_NAME, is_command, read_command
from regtui.readers import LOG_NAME
from regtui.readers.search import walk


class FolderStatus(NamedTuple):
    """A folder and all files in it, in the words of `os.stat_result`: what of it changes when one of them does."""

    st_mode: int
    st_size: int
    """Of all files together."""
    st_mtime_ns: int
    """The newest of them; so the next."""
    st_ctime_ns: int
    st_ino: int


Status = os.stat_result | FolderStatus


def status_of(path: Path) -> Status:
    """Look at a log; raises OSError for one that is not there."""
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        return found
    size, written, changed = 0, found.st_mtime_ns, found.st_ctime_ns
    for file in _files_of(path):
        try:
            each = file.stat()
        except OSError:
            continue
        size += each.st_size
        written, changed = max(written, each.st_mtime_ns), max(changed, each.st_ctime_ns)
    return FolderStatus(found.st_mode, size, written, changed, found.st_ino)


def _files_of(folder: Path) -> Iterator[Path]:
    """Give all files in a folder; of a command those that are its run's, and the log that it writes elsewhere."""
    if not is_command(folder):
        yield from (parent / name for parent, names in walk(folder) for name in names)
        return
    yield from (folder / name for name in (FILE_NAME, OUTPUT_NAME, LOG_NAME))
    run = read_command(folder)
    if run is not None and run.log is not None:
        log = Path(run.log)
        yield from (parent / name for parent, names in walk(log) for name in names) if log.is_dir() else (log,)
