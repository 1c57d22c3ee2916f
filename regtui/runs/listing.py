"""The runs of a folder, each with what came of it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from regtui.readers import is_being_written
from regtui.runs import Found, found_in
from regtui.runs.kept import Kept, read_kept, write_kept
from regtui.runs.looking import Looked, mark_of
from regtui.runs.others import others_in
from regtui.runs.summary import Summary
from regtui.runs.workers import look_at

GRAIN_SECONDS = 2.0
"""A file system may tell times no finer: what changed within it can change again and look the same."""


FRESH_SECONDS = 60.0
"""A log that has no word for its end and was written to so lately is taken for one of a run that trains."""


class Run(NamedTuple):
    """A run in a folder."""

    name: str
    """Of its folder: by it a person means this run."""
    path: Path
    summary: Summary
    being_written: bool
    """A process of this machine trains it now, as far as can be seen."""


class Listing(NamedTuple):
    """The runs of a folder, oldest first."""

    runs: list[Run]
    problems: list[str]
    """A sentence for each log that cannot be read."""


def list_runs(
    runs_dir: Path, told: Callable[[int, int], None] = lambda _done, _total: None, now: Callable[[], float] = time.time
) -> Listing:
    """List the runs of a folder; logs that have not changed since the last time are not read.

    `told` hears how many of how many logs that must be read have been. What was made is kept also when this is
    interrupted. Raises LogError for a folder that cannot be read.
    """
    own = found_in(runs_dir)
    found = sorted([*own, *others_in(runs_dir, own)], key=lambda log: (log.status.st_mtime_ns, log.name))
    before = read_kept(runs_dir) if found else {}
    looked = {log.path: known for log in found if (known := _known(log, before)) is not None}
    unread = [log for log in found if log.path not in looked]
    fresh: dict[Path, Looked] = {}
    try:
        told(0, len(unread))
        for path, look in look_at([log.path for log in unread], sum(log.status.st_size for log in unread)):
            fresh[path] = look
            told(len(fresh), len(unread))
    finally:
        looked |= fresh
        if fresh:
            write_kept(runs_dir, _to_keep(found, looked, now()))
    runs = [
        Run(log.name, log.path, look.summary, look.being_written or _is_fresh(log, look.summary, now()))
        for log in found
        if (look := looked[log.path]).summary is not None
    ]
    return Listing(runs, [problem for log in found if log.sure and (problem := looked[log.path].problem)])


def _is_fresh(log: Found, summary: Summary, now: float) -> bool:
    """Tell whether a log that never says its end was written to just now."""
    return summary.status == "unknown" and abs(now - log.status.st_mtime_ns / 1e9) < FRESH_SECONDS


def _known(log: Found, kept: dict[str, Kept]) -> Looked | None:
    """Give what was kept of a log, None where it must be read: it is another now, or it is being written."""
    known, mark = kept.get(log.name), mark_of(log.status)
    if known is None or known.mark != mark:
        return None
    if known.summary.status == "running" and is_being_written(log.path):
        return None
    return Looked(summary=known.summary, mark=mark)


def _to_keep(found: list[Found], looked: dict[Path, Looked], now: float) -> dict[str, Kept]:
    keep: dict[str, Kept] = {}
    for log in found:
        look = looked.get(log.path)
        if look is None or look.summary is None or look.mark is None:
            continue
        if look.mark[2] / 1e9 < now - GRAIN_SECONDS:
            keep[log.name] = Kept(run=log.name, mark=look.mark, summary=look.summary)
    return keep
