"""Which of some fresh files are the log of a training, and of this one: asked by the process beside a command.

It is a process of its own, since it loads the readers of all formats, and ends with its answer.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from itertools import groupby
from pathlib import Path
from typing import Any

from regtui.commandfile import is_command, read_command
from regtui.readers import Reader, formats, is_being_written
from regtui.readers.jsonl import JsonlReader

MOST_BESIDE = 200
"""Runs beside that of the command that are looked at, the newest: more do not train at once in one folder."""

MOST_ABOVE = 4
"""Folders above a file that may be its log: MLflow's `metrics/valid/loss` lies three below its run's."""


def main() -> None:
    """Answer the one question that standard input holds."""
    asked = json.load(sys.stdin)
    fresh, output = [Path(path) for path in asked["fresh"]], Path(asked["output"])
    ours, theirs = holders(asked["session"], set(fresh))
    # Whose a log was that is closed by now is seen when it is open: whoever asks remembers it.
    theirs = (theirs | set(map(Path, asked["busy"])) | taken(output.parent, asked["since"])) - ours
    found = find(
        fresh, ours, theirs, before=frozenset(map(Path, asked["before"])), root=Path(asked["root"]), output=output,
        better_than=asked["rank"],
    )  # fmt: skip
    log, rank = found or (None, None)
    print(json.dumps({"log": None if log is None else str(log), "rank": rank, "busy": list(map(str, theirs))}))


def taken(folder: Path, since: float) -> set[Path]:
    """Give the logs of other commands, whose runs lie beside that in a folder, and that lived at a time or later."""
    try:
        beside = [Path(entry.path) for entry in os.scandir(folder.parent) if entry.path != str(folder)]
    except OSError:
        return set()
    # By their ids the newest come last.
    found = set()
    for each in sorted(beside)[-MOST_BESIDE:]:
        other = read_command(each)
        if other is not None and other.log is not None:
            ended = other.end.time if other.end is not None else None
            if ended >= since if ended is not None else is_being_written(each):
                found.add(Path(other.log))
    return found


def find(
    fresh: Sequence[Path],
    ours: set[Path],
    theirs: set[Path],
    *,
    before: frozenset[Path] = frozenset(),
    root: Path,
    output: Path,
    better_than: int | None = None,
) -> tuple[Path, int] | None:
    """Give the log that tells most of a training among fresh files, and its format's rank; None where there is none.

    What the command holds open is before all others of its format; what is another's, or lies in a folder that is, is
    none. What had been written to `before` comes after what is new. `output` is what the command prints: its lines are
    read where there is nothing better.
    """
    kept = [path for path in fresh if not {path, *path.parents} & theirs]
    # What is held open by the command, then what is new, then what was written last.
    kept.sort(key=lambda path: (path not in ours or path == output, path in before))
    of_the_last_rank = formats()[-1].rank
    for rank, readers in groupby(formats(), key=lambda reader: reader.rank):
        if better_than is not None and rank >= better_than:
            break
        alike = tuple(readers)
        for path in kept:
            if path == output and rank < of_the_last_rank:
                continue
            for reader in alike:
                if log := log_with(reader, path, root):
                    return log, rank
    return None


def log_with(reader: type[Reader], path: Path, root: Path) -> Path | None:
    """Give the log of a format that a file is, or is a part of: the outermost folder that is one; else None."""
    patterns: Sequence[str] = ("*.jsonl",) if reader is JsonlReader else getattr(reader, "file_names", ())
    if patterns and not any(fnmatch(path.name, pattern) for pattern in patterns):
        return None
    found = None
    for each in _with_folders(path, root):
        with suppress(OSError, ValueError):
            if not is_command(each) and reader.accepts(each):
                found = each
    return found


def _with_folders(path: Path, root: Path) -> Iterator[Path]:
    yield path
    for folder in list(path.parents)[:MOST_ABOVE]:
        if folder != root and root not in folder.parents:
            return
        yield folder


def holders(session: int, paths: set[Path]) -> tuple[set[Path], set[Path]]:
    """Give the files that processes of a session hold open, and those that others of this user do; on Linux alone."""
    ours: set[Path] = set()
    theirs: set[Path] = set()
    for process in _processes():
        mine = _session_of(process) == session
        with suppress(OSError):
            for fd in os.scandir(process / "fd"):
                with suppress(OSError):
                    path = Path(os.readlink(fd.path))  # noqa: PTH115 # a third of the time of Path's
                    if path in paths:
                        (ours if mine else theirs).add(path)
    return ours, theirs


def _processes() -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return []


def _session_of(process: Path) -> Any:
    try:
        # pid (name) state parent group session ...; a name may hold anything.
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[3])
    except (OSError, ValueError, IndexError):
        return None
