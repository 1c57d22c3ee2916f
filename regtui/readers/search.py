"""Which files lie under a folder, looked for within bounds."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MOST_FOLDERS = 50_000
"""Folders looked into: ten times what a month of sweeps leaves, and a few seconds on a slow disk."""

DEEPEST = 8
"""Levels below the folder that was named: `runs/sweep/run/lightning_logs/version_0/checkpoints` is six."""


MOST_ENTRIES = 100_000
"""What is looked at in one folder: a second's work."""


def listed(folder: Path) -> list[os.DirEntry[str]]:
    """Give what lies in a folder; raises OSError."""
    with os.scandir(folder) as entries:
        return list(islice(entries, MOST_ENTRIES))


def written_at(path: Path) -> float:
    """Give when a log was written to, in seconds since the epoch of Unix: the newest file of it, where it is a folder.

    Zero for what is not there.
    """
    paths = [path] if not path.is_dir() else [parent / name for parent, names in walk(path) for name in names]
    return max((status.st_mtime for each in paths if (status := _status(each)) is not None), default=0.0)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Give each folder under one, itself first, and the names of its files, in order; links are not followed.

    Hidden folders are passed over; what cannot be looked into is left out.
    """
    left = MOST_FOLDERS
    for parent, folders, files in os.walk(folder):
        depth = len(Path(parent).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < DEEPEST else []
        yield Path(parent), sorted(files)
        left -= 1
        if not left:
            return
