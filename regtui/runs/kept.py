"""Summaries kept in the folder of runs, so that a log that has not changed is read once.

One file of JSON lines: 5,000 of them are read in a tenth of a second, it is replaced in one go, and it takes no lock
that a network disk may not have, as a database would. Nothing rests on it: whatever is wrong with it costs the time to
read the logs again. It is believed only when it is of this user and was made by the same code; a summary, only for the
very file that it was made from.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

import regtui
from regtui.core.gate import passed
from regtui.folders import write_whole
from regtui.readers.leniency import UNREADABLE
from regtui.runs.looking import Mark
from regtui.runs.summary import Summary

FILE_NAME = ".summaries.jsonl"

MOST_BYTES = 256 << 20
"""A larger file is not read: a summary takes one or two kilobytes, so these are more than 100,000 runs."""

LONGEST_NAME = 4096
"""No system has longer paths."""

MADE_BY = ("core", "schedules", "analysis", "readers", "runs")
"""The parts of regtui that a summary depends on."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A summary, and the file that it was made from."""

    run: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
    """Its name in the list: of its folder, or its place below that of the runs."""
    mark: Mark
    summary: Summary


class _Head(msgspec.Struct, frozen=True):
    """The first line."""

    summaries: str
    """Which code made them."""


_encoder = msgspec.json.Encoder()
_head_decoder = msgspec.json.Decoder(_Head)
_decoder = msgspec.json.Decoder(Kept)


@cache
def made_by() -> str:
    """Name the code that makes summaries by its content: a rule that is changed makes all of them anew.

    A number that somebody must raise would be forgotten, and the verdicts of yesterday's rules shown.
    """
    home = Path(regtui.__file__).parent
    digest = hashlib.sha256(regtui.__version__.encode())
    for source in sorted(source for part in MADE_BY for source in (home / part).rglob("*.py")):
        with contextlib.suppress(OSError):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def read_kept(runs_dir: Path) -> dict[str, Kept]:
    """Give the summaries that are kept in a folder by the name of the run; none where anything is wrong with them."""
    try:
        head, _, lines = _read(runs_dir / FILE_NAME).partition(b"\n")
        if _head_decoder.decode(head).summaries != made_by():
            return {}
        return {kept.run: _printable(kept) for kept in _decoder.decode_lines(lines)}
    except (OSError, *UNREADABLE):
        return {}


def _printable(kept: Kept) -> Kept:
    """Let what is shown through the gate; the name of the folder is looked up, and stays what it is."""
    summary = passed(kept.summary)
    return kept if summary is kept.summary else msgspec.structs.replace(kept, summary=summary)


def _read(path: Path) -> bytes:
    """Read a regular file of this user, without waiting for anything; raises OSError for all else."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:  # noqa: PTH123 # of a descriptor
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > MOST_BYTES:
            raise OSError
        return file.read(MOST_BYTES)


def write_kept(runs_dir: Path, summaries: Mapping[str, Kept]) -> None:
    """Keep summaries in place of those that were there, in one go, for this user alone; where it can be done."""
    lines = [_encoder.encode(_Head(made_by()))]
    for kept in summaries.values():
        with contextlib.suppress(*UNREADABLE):  # a name that is no Unicode
            lines.append(_encoder.encode(kept))
    with contextlib.suppress(OSError):
        write_whole(runs_dir / FILE_NAME, b"\n".join([*lines, b""]))
