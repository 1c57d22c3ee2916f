"""Which files under a folder have been written lately: one walk within bounds, names and times alone."""

import os
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from regtui.commandfile import FILE_NAME

DEEPEST = 8
"""Levels below the folder, as readers look."""

MOST_ENTRIES = 50_000
"""Looked at in one walk, some 100 ms of work."""

MOST_FOUND = 200
"""Files that are told, the newest; a training writes some logs and checkpoints."""

PASSED_OVER = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Folders that hold no logs, and much else."""


def fresh_files(root: str, since: float, seconds: float, passed_over: Iterable[str] = ()) -> dict[str, float]:
    """Give the files under a folder that were written at a time or later, with theirs, the newest first.

    The walk ends after so many seconds; links, hidden folders and runs that `regtui run` has started are left out, and
    paths of folders that are `passed_over`.
    """
    found: list[tuple[float, str]] = []
    until, left, without = time.monotonic() + seconds, MOST_ENTRIES, set(passed_over)
    # Level by level: what lies near is seen also where a tree is too large to be gone through.
    folders = deque([(root, 0)])
    while folders and left > 0 and time.monotonic() < until:
        folder, depth = folders.popleft()
        if folder in without:
            continue
        try:
            with os.scandir(folder) as listed:
                entries = list(islice(listed, left))
        except OSError:
            continue
        left -= len(entries)
        if {FILE_NAME, "pyvenv.cfg"} & {entry.name for entry in entries}:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name in PASSED_OVER or entry.is_symlink():
                continue
            with suppress(OSError):
                if entry.is_dir():
                    folders += [(entry.path, depth + 1)] if depth < DEEPEST else []
                elif entry.is_file() and (written := entry.stat().st_mtime) >= since:
                    found.append((written, entry.path))
    found.sort(reverse=True)
    return {path: written for written, path in found[:MOST_FOUND]}
