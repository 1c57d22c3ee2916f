"""DVCLive's folder: `plots/metrics/**/NAME.tsv`, a table of steps for each number, named by its path."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from regtui.core.series import FloatArray
from regtui.readers.beside import plan_of
from regtui.readers.delimited import Heading, heading, numbers
from regtui.readers.growing import GrowingFile
from regtui.readers.opening import opened
from regtui.readers.protocol import SkippedLines
from regtui.readers.samples import SampleReader, Samples, Told
from regtui.readers.search import walk
from regtui.readers.settings import read_settings

TABLES = Path("plots", "metrics")
"""Where under its folder DVCLive keeps its tables."""

HEADING_BYTES = 4096
"""Enough for `step`, `timestamp` and a name."""

MOST_TABLES = 500
"""Names of one run; more of them are no log that a person reads."""


class DvcliveReader(SampleReader):
    """Reads all tables of a run's folder as far as they have been written."""

    name = "DVCLive"

    def _start_over(self) -> None:
        self._parts: dict[str, _Table] = {}
        self.skipped = SkippedLines()

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the folders that hold such tables."""
        for parent, _ in walk(folder):
            if parent.parts[-2:] == TABLES.parts:
                yield parent.parent.parent

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a folder holds DVCLive's tables, itself or in the folder `dvclive` that it makes."""
        return path.is_dir() and any(_heading_of(each) is not None for each in _tables(path).values())

    def _look(self) -> Iterable[Samples] | None:
        for name, path in _tables(self.path).items():
            if name not in self._parts:
                self._parts[name] = _Table(path)
        found: list[Samples] = []
        self._more = False
        for name, table in self._parts.items():
            rows = table.rows(self.skipped)
            if rows is None:
                return None
            self._more = self._more or table.behind
            if len(rows):
                found.append(Samples(columns={name: rows[:, 1]}, step=rows[:, 0]))
        return found

    def _tell(self) -> Told:
        root = _root(self.path)
        settings = read_settings(root / "params.yaml")
        return Told(settings=settings, plan=plan_of(settings))

    def _run_name(self) -> str:
        folder = self.path.resolve()
        return folder.parent.name if folder.name == "dvclive" else folder.name


class _Table:
    """One of them: `step`, perhaps `timestamp`, and the number under the last part of its name."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._heading: Heading | None = None

    @property
    def behind(self) -> bool:
        return self._file.behind

    def rows(self, skipped: SkippedLines) -> FloatArray | None:
        """Give steps and numbers that have come, shape (n, 2); None for another file."""
        found: list[FloatArray] = [np.empty((0, 2))]
        for block in self._file.looked_at():
            first = self._file.line - block.count(b"\n")
            if self._heading is None:
                line, _, block = block.partition(b"\n")
                self._heading = heading(line)
                first += 1
            if self._heading is not None and "step" in self._heading.names:
                rows = numbers(block, self._heading, first, skipped)
                found.append(rows[:, [self._heading.names.index("step"), len(self._heading.names) - 1]])
        return None if self._file.is_another else np.concatenate(found)


def _root(path: Path) -> Path:
    return next((each for each in (path, path / "dvclive") if (each / TABLES).is_dir()), path)


def _tables(path: Path) -> dict[str, Path]:
    """Find the tables of a run: name -> path."""
    folder = _root(path) / TABLES
    found: dict[str, Path] = {}
    for parent, names in walk(folder):
        for name in names:
            if name.endswith(".tsv") and len(found) < MOST_TABLES:
                table = parent / name
                found[table.relative_to(folder).with_suffix("").as_posix()] = table
    return found


def _heading_of(path: Path) -> Heading | None:
    try:
        with opened(path) as fd:
            found = heading(os.pread(fd, HEADING_BYTES, 0).partition(b"\n")[0])
    except OSError:
        return None
    return found if found is not None and "step" in found.names else None


READER = DvcliveReader
