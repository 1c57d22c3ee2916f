"""One log looked at from its first byte to its last, for its row."""

import os
from pathlib import Path

import msgspec

from regtui.readers import LogError, is_being_written, open_log
from regtui.readers.folding import blocks, fold
from regtui.runs.status import Status, status_of
from regtui.runs.summary import Summary, summarize

Mark = tuple[int, int, int, int]
"""Bytes, times of content and of inode (nanoseconds), and the inode: what of a file changes when it does. The time of
the inode is what nobody can set: a log that was edited and given its old date back is seen, too."""

LOOKS = 2
"""A run that ends between a look at its log and one at its lock is looked at once more."""


class Looked(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a look at a log has found."""

    summary: Summary | None = None
    problem: str = ""
    """Why there is none, in a sentence."""
    being_written: bool = False
    """A process of this machine is about to write on in it."""
    mark: Mark | None = None
    """What the file was all the while; None where it changed, or where somebody writes it."""


def mark_of(status: Status) -> Mark:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def look(path: Path) -> Looked:
    """Read a whole log and sum it up; never raises for what a log may be."""
    found = Looked()
    for _ in range(LOOKS):
        before = (0, 0, 0, 0)
        try:
            before = mark_of(status_of(path))
            reader = open_log(path)
            summary = summarize(fold(blocks(reader)), reader.name)
            # Asked after the reading and not before: a lock that is tried for is in the way of a run that begins.
            being_written = summary.status == "running" and is_being_written(path)
            unchanged = mark_of(status_of(path)) == before
        except LogError as error:
            begins = not before[0] and is_being_written(path)
            return Looked(problem=f"{path}: its run is being set up" if begins else str(error))
        except OSError as error:
            return Looked(problem=f"{path} cannot be read: {error.strerror or error}")
        except Exception as error:  # a fault on one log must not hide thousands of others
            if os.environ.get("REGTUI_DEBUG"):
                raise
            return Looked(problem=f"{path} cannot be summed up: {type(error).__name__}: {error} (a fault of regtui's)")
        mark = before if unchanged and not being_written else None
        found = Looked(summary=summary, being_written=being_written, mark=mark)
        if unchanged or being_written:
            break
    return found
