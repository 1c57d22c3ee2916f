"""What a log on the disk is at a moment, whether it is a file or the whole folder of a run."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

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
    for parent, names in walk(path):
        for name in names:
            try:
                each = (parent / name).stat()
            except OSError:
                continue
            size += each.st_size
            written, changed = max(written, each.st_mtime_ns), max(changed, each.st_ctime_ns)
    return FolderStatus(found.st_mode, size, written, changed, found.st_ino)
