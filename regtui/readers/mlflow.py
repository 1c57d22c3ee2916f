"""MLflow's file store: `mlruns/<experiment>/<run>/`, a file a metric, which was its default before version 3.

`meta.yaml` says how a run is called and how it ended, `params/<name>` how it is set, and each line of
`metrics/<name>` is `time-in-milliseconds value step`, perhaps with a data set behind it.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from regtui.readers.metric_rows import MetricReader, setting
from regtui.readers.opening import opened
from regtui.readers.samples import Samples
from regtui.readers.search import listed, walk
from regtui.readers.tracked import MOST_NAMES

META, METRICS, PARAMETERS = "meta.yaml", "metrics", "params"

MOST_RUNS = 20_000
"""Runs of a folder among which the newest is looked for: a second's work."""

MOST_META, MOST_PARAMETER, MOST_PARAMETERS = 64 << 10, 8 << 10, 1_000
"""Bytes of a `meta.yaml` and of a parameter, of which MLflow keeps 6,000, and parameters of a run."""

BYTES_AT_ONCE, LEAST_AT_ONCE = 16 << 20, 64 << 10
"""Read at once, of all files together and of one at least."""

LONGEST_LINE = 1 << 10
"""A longer line is no number with its time."""

STATUSES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}


class _Metric:
    """How far one file has been read."""

    def __init__(self) -> None:
        self.at = 0
        self.seen: tuple[int, ...] = ()
        self.inode = 0


class MlflowReader(MetricReader):
    """Reads a run's folder, or the newest run of an experiment or of a store."""

    name = "MLflow files"

    def _start_over(self) -> None:
        super()._start_over()
        self._run: Path | None = None
        self._files: dict[Path, _Metric] = {}
        self._folders: dict[str, int] = {}
        self._meta_seen: tuple[int, ...] = ()

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the folders of runs."""
        return (parent for parent, names in walk(folder) if META in names and (parent / METRICS).is_dir())

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a folder is that of a run, or of runs."""
        try:
            return path.is_dir() and _run_of(path) is not None
        except OSError:
            return False

    def _look(self) -> Iterable[Samples] | None:
        try:
            if self._run is None:
                self._run = _run_of(self.path)
            if self._run is None:
                return ()
            self._read_meta()
            self._find_files()
        except OSError:
            return ()
        for path, metric in self._files.items():
            status = _status(path)
            if status is not None and (status.st_size < metric.at or metric.inode not in (0, status.st_ino)):
                self._another()
                return None
        return self._numbers()

    def _read_meta(self) -> None:
        assert self._run is not None
        status = _status(self._run / META)
        if status is None or (seen := (status.st_mtime_ns, status.st_size)) == self._meta_seen:
            return
        said = _meta(self._run / META)
        if "run_id" in said or "run_uuid" in said:
            self._meta_seen = seen
            self._run_id = said.get("run_name") or said.get("run_id", "")
            self._status = STATUSES.get(said.get("status", ""), said.get("status", ""))

    def _find_files(self) -> None:
        """Find the files of metrics; folders are listed again only when they have changed."""
        assert self._run is not None
        root = self._run / METRICS
        if self._folders and all(_mtime(folder) == changed for folder, changed in self._folders.items()):
            return
        found: dict[str, int] = {}
        for parent, names in walk(root):
            found[str(parent)] = _mtime(str(parent))
            for name in names:
                if len(self._files) < MOST_NAMES:
                    self._files.setdefault(parent / name, _Metric())
        self._folders = found
        self._settings = _parameters(self._run / PARAMETERS)

    def _numbers(self) -> Iterator[Samples]:
        """Read on in all files, about as far in each, until they are at their ends."""
        assert self._run is not None
        while True:
            numbers: list[tuple[int, float, float, float]] = []
            more = False
            for path, metric in self._files.items():
                name = path.relative_to(self._run / METRICS).as_posix()
                block = self._block(path, metric)
                more = more or len(block) > 0
                if block and (column := self._column(name)) >= 0:
                    numbers += _parsed(block, column)
            # In the order in which they were logged, whichever file they lie in.
            numbers.sort(key=lambda number: number[3])
            yield from self._rows_of(numbers)
            if not more:
                return

    def _block(self, path: Path, metric: _Metric) -> bytes:
        """Give whole lines of one file that have not been given yet."""
        status = _status(path)
        if status is None or (seen := (status.st_mtime_ns, status.st_size)) == metric.seen:
            return b""
        try:
            with opened(path) as file:
                block = os.pread(file, max(BYTES_AT_ONCE // len(self._files), LEAST_AT_ONCE), metric.at)
        except OSError:
            return b""
        end = block.rfind(b"\n") + 1
        if not end and len(block) > LONGEST_LINE:
            end = len(block)  # no line of numbers
        metric.at += end
        metric.inode = status.st_ino
        metric.seen = seen if metric.at + len(block) - end >= status.st_size else ()
        return block[:end]

    def _run_name(self) -> str:
        return self._run.name if self._run is not None else super()._run_name()


def _parsed(block: bytes, column: int) -> list[tuple[int, float, float, float]]:
    """Read lines of a metric; what is none is left out."""
    found = []
    for line in block.split(b"\n"):
        try:
            when, value, *step = line[:LONGEST_LINE].split()[:3]
            found.append((column, float(step[0]) if step else 0.0, float(value), float(when) / 1000))
        except ValueError:
            continue
    return found


def _run_of(path: Path) -> Path | None:
    """Find a run: the folder itself, or the newest run in an experiment's folder or in a store."""
    if (path / METRICS).is_dir() and {"run_id", "run_uuid"} & _meta(path / META).keys():
        return path
    folders = [path] if (path / META).is_file() else _experiments(path)
    runs = (
        Path(run.path)
        for folder in folders
        for run in listed(folder)
        if not run.name.startswith(".") and run.is_dir() and (Path(run.path) / METRICS).is_dir()
    )
    newest: tuple[float, str] | None = None
    for run in islice(runs, MOST_RUNS):
        said = _meta(run / META)
        if {"run_id", "run_uuid"} & said.keys() and said.get("lifecycle_stage") != "deleted":
            found = (_number(said.get("start_time", "")), str(run))
            newest = found if newest is None else max(newest, found)
    return Path(newest[1]) if newest is not None else None


def _experiments(path: Path) -> list[Path]:
    found = (Path(entry.path) for entry in listed(path) if not entry.name.startswith(".") and entry.is_dir())
    return [folder for folder in islice(found, MOST_RUNS) if (folder / META).is_file()]


def _meta(path: Path) -> dict[str, str]:
    """Read the lines of a `meta.yaml`, which MLflow writes flat: a name and a value each."""
    said: dict[str, str] = {}
    for line in _text(path, MOST_META).splitlines():
        name, sign, value = line.partition(":")
        if sign and name.isidentifier():
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] == "'"
            said[name] = value[1:-1].replace("''", "'") if quoted else value
    return said


def _parameters(folder: Path) -> dict[str, Any]:
    """Read how a run is set."""
    files = (parent / name for parent, names in walk(folder) for name in names)
    return {
        path.relative_to(folder).as_posix(): setting(_text(path, MOST_PARAMETER))
        for path in islice(files, MOST_PARAMETERS)
    }


def _text(path: Path, most: int) -> str:
    try:
        with opened(path) as file:
            return os.pread(file, most, 0).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 # asked at each look, of each file
    except OSError:
        return None


def _mtime(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


READER = MlflowReader
