"""Tables of text: a heading and rows of numbers between commas, tabs, semicolons or blanks.

Keras's and Lightning's CSVLogger, fastai, Ultralytics, timm and most loops of one's own write such files; who did is
told by the heading, and changes little: where rows are, from what number epochs count, what stands beside the file.
"""

import csv
import math
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regtui.core.series import FloatArray
from regtui.readers.beside import Beside, beside
from regtui.readers.growing import GrowingFile
from regtui.readers.names import PLACES, known, parts
from regtui.readers.opening import opened
from regtui.readers.placing import Placing
from regtui.readers.protocol import SkippedLines
from regtui.readers.samples import SampleReader, Samples, Told

SNIFFED_BYTES = 64 << 10
"""Enough for any heading and some rows."""

SNIFFED_LINES = 30
"""Lines under a heading that show whether they are rows of numbers."""

PROSE = 0.5
"""Of words between blanks more than half are numbers, or they are sentences."""

LONGEST_NAME = 200
"""Characters; a longer one is prose between commas."""

MOST_COLUMNS = 2_000
"""A table with more columns is no log of a training."""

DELIMITERS = b",\t;| "

GAPS = re.compile(rb"(?<=[,\n])(?:NA|N/A|None|null|nan|NaN|-)?(?=[,\n])")
"""A field without a number: empty, Keras's `NA`, pandas's `nan`, Python's `None`."""

DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
"""A number as half of Europe writes it, between semicolons or tabs."""

PLAIN = b"0123456789+-.eE,\n"
"""What rows of plain numbers consist of."""

WORDS = re.compile(rb"[^0-9eE+\-.,\n nafiINF]")
"""What stands in no row of plain numbers."""


@dataclass(frozen=True)
class Heading:
    """The first line of a table."""

    names: tuple[str, ...]
    delimiter: str

    @property
    def rows_are_epochs(self) -> bool:
        """Whether a row is the end of an epoch: nothing counts steps."""
        return not any(PLACES.get(name.lower()) == "step" for name in self.names)


def heading(line: bytes) -> Heading | None:
    """Read a heading; None where a line is none: a table of a training counts something, or has a loss."""
    text = line.decode("utf-8-sig", errors="replace").strip("\r\n ")
    if not text.strip() or len(text) > SNIFFED_BYTES or text[0] in "{[<#":
        return None
    unquoted = re.sub(r'"[^"]*"', "", text)
    delimiter = next((sign for sign in DELIMITERS.decode() if sign in unquoted), ",")
    fields = _fields(text, delimiter)
    names = _told_apart([field.strip().strip('"') for field in fields])
    if not 2 <= len(names) <= MOST_COLUMNS or not all(map(_is_name, names[1:])) or _is_number(names[0]):
        return None
    return Heading(names, delimiter) if _of_a_training(names) else None


def _fields(line: str, delimiter: str) -> list[str]:
    """Take a line apart; a carriage return within it, or a field without end, makes it no row."""
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _told_apart(fields: list[str]) -> tuple[str, ...]:
    """Number names that come again; the first may be empty: pandas writes its index without a name."""
    found: dict[str, None] = {}
    for field in fields:
        name, number = field, 1
        while name in found:
            number += 1
            name = f"{field}.{number}"
        found[name] = None
    return tuple(found)


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and not _is_number(text) and any(sign.isalpha() for sign in text)


def _of_a_training(names: tuple[str, ...]) -> bool:
    """Tell a log from any other table: it counts steps or epochs, or half of its columns measure and one is a loss."""
    if any(PLACES.get(name.lower()) in ("step", "epoch") for name in names):
        return True
    losses = [name for name in names if parts(name).quantity == "loss"]
    return bool(losses) and 2 * sum(map(known, names)) >= len(names)


class DelimitedReader(SampleReader):
    """Reads a table as far as it has been written, and anew when its heading has changed."""

    name = "CSV"
    rank = 30
    rows_are_epochs = True
    _placing = Placing()
    """Until the start of the log: its like is made there."""
    file_names = ("*.csv", "*.tsv", "training.log", "*.csv.log")

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file has a heading that names a loss or what is counted, and a row of numbers under it."""
        return path.is_file() and _heading_of(path) is not None

    def _start_over(self) -> None:
        self._file = GrowingFile(self.path)
        self._heading: Heading | None = None
        self._beside: Beside | None = None
        self._placing = self._placing.again()
        self.skipped = SkippedLines()

    def _look(self) -> Iterable[Samples] | None:
        found = []
        for block in self._file.looked_at():
            found += self._take(block)
            if self._placing.wrong:
                return None
        self._more = self._file.behind
        return None if self._file.is_another else found

    def _take(self, block: bytes) -> list[Samples]:
        first = self._file.line - block.count(b"\n")
        if self._heading is None:
            while self._heading is None and block:
                line, _, block = block.partition(b"\n")
                first += 1
                self._heading = heading(line)
            if self._heading is None:
                return []
            if self.rows_are_epochs != self._heading.rows_are_epochs:
                self.rows_are_epochs = self._heading.rows_are_epochs
                self._begin()
            self._beside = beside(self.path, self._heading.names)
            self._placing.row_an_epoch = self._beside.told.trainer == "keras"
        columns = numbers(block, self._heading, first, self.skipped)
        if not len(columns) or self._beside is None:
            return []
        metrics = np.array([name.strip().lower() not in PLACES for name in self._heading.names])
        # A row without a single number was logged of a run whose losses are none any more, and is no gap.
        columns[np.ix_(np.isnan(columns[:, metrics]).all(axis=1), metrics)] = np.inf
        named = dict(zip(self._heading.names, columns.T, strict=True))
        return [self._beside.mended(self._placing.place(named, len(columns)))]

    def _tell(self) -> Told:
        return self._beside.told if self._beside is not None else Told()

    def _run_name(self) -> str:
        """Give the file's name, or that of its folder where every run's file is called the same."""
        plain = self.path.stem in {"metrics", "results", "summary", "training", "history", "log", "progress"}
        return self.path.resolve().parent.name if plain else self.path.stem


def numbers(block: bytes, head: Heading, first: int, skipped: SkippedLines) -> FloatArray:
    """Read rows of numbers, shape (rows, columns), NaN for a field without one; `first` is the number of lines before.

    Plain rows are read at once; where one of them is not plain, each by itself. A heading that comes again is passed
    over; rows of another length are counted as skipped.
    """
    if not block.strip():
        return np.empty((0, len(head.names)))
    plain = block if head.delimiter == "," else _with_commas(block, head.delimiter)
    found = _at_once(plain, len(head.names)) if plain is not None else None
    return found if found is not None else _one_by_one(block, head, first, skipped)


def _with_commas(block: bytes, delimiter: str) -> bytes | None:
    if b"," in block:
        if b"." in block or delimiter == " ":
            return None  # a text
        block = block.replace(b",", b".")
    if delimiter == " ":
        return re.sub(rb"(?m)^,|,$", b"", re.sub(rb"[ \t]+", b",", block))
    return block.replace(delimiter.encode(), b",")


def _at_once(block: bytes, width: int) -> FloatArray | None:
    """Read a block of plain rows; None where it is not plain."""
    rows = block.count(b"\n")
    if block.count(b",") != rows * (width - 1) or b"\n\n" in block:
        return None
    gapless = _without_gaps(block)
    if gapless is None:
        return None
    try:
        values = np.fromstring(gapless.replace(b"\n", b",")[:-1], dtype=np.float64, sep=",")
    except (ValueError, DeprecationWarning):
        return None
    return values.reshape(rows, width) if len(values) == rows * width else None


def _without_gaps(block: bytes) -> bytes | None:
    """Write `nan` where a field holds no number; None where one holds something else."""
    if block.translate(None, PLAIN):
        block = GAPS.sub(b"nan", b"\n" + block)[1:]
        if WORDS.search(block):
            return None
    # Twice, since a comma ends one gap and begins the next.
    for gap, filled in ((b",,", b",nan,"), (b",,", b",nan,"), (b",\n", b",nan\n"), (b"\n,", b"\nnan,")):
        if gap in block:
            block = block.replace(gap, filled)
    return b"nan" + block if block.startswith(b",") else block


def _one_by_one(block: bytes, head: Heading, first: int, skipped: SkippedLines) -> FloatArray:
    width = len(head.names)
    rows: list[list[float]] = []
    # A field between quotes that was never closed must not swallow the rest: each line is a row of its own.
    for number, line in enumerate(block.decode("utf-8", errors="replace").split("\n"), first + 1):
        if not line.strip():
            continue
        fields = _fields(line, head.delimiter)
        if tuple(field.strip().strip('"') for field in fields) == head.names:
            continue
        if len(fields) != width:
            skipped.add(number)
            continue
        values = [_number(field) for field in fields]
        if not any(value == value for value in values):
            skipped.add(number)
            continue
        rows.append(values)
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def _heading_of(path: Path) -> Heading | None:
    """Find the heading among the first lines, and rows of numbers under it.

    A heading between commas may be all that a log holds so far; words between blanks are prose without such rows.
    """
    try:
        with opened(path) as fd:
            start = os.pread(fd, SNIFFED_BYTES, 0)
    except OSError:
        return None
    if b"\0" in start:
        return None
    lines = [line for line in start.split(b"\n", SNIFFED_LINES)[:SNIFFED_LINES] if line.strip()]
    found = heading(lines[0]) if lines else None
    if found is None:
        return None
    if len(start) == SNIFFED_BYTES or not start.endswith(b"\n"):
        lines = lines[: max(len(lines) - 1, 1)]  # half a line tells nothing
    skipped = SkippedLines()
    rows = numbers(b"\n".join(lines[1:]) + b"\n", found, 0, skipped) if len(lines) > 1 else np.empty((0, 0))
    if not len(rows):
        return found if not skipped.count and found.delimiter != " " else None
    if found.delimiter == " " and np.isfinite(rows).mean() <= PROSE:
        return None
    return found if len(rows) > skipped.count and _counts(found, rows) else None


def _counts(head: Heading, rows: FloatArray) -> bool:
    """Tell whether what is called a step or an epoch counts: such a column of a data set holds anything."""
    for name, values in zip(head.names, rows.T, strict=True):
        if PLACES.get(name.lower()) in ("step", "epoch"):
            held = values[np.isfinite(values)]
            fallen = held[1:][np.diff(held) < 0]
            # To its first number falls the count of another fit that was appended.
            if (held < 0).any() or (fallen != held[0]).sum() > len(held) / 4:
                return False
    return True


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


def _number(text: str) -> float:
    text = text.strip().strip('"')
    with suppress(ValueError):
        return float(text)
    if DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    # Keras writes arrays as "[a, b]"; of a tensor written as text the number counts.
    single = re.fullmatch(r"(?:tensor\()?\[?\s*([-+0-9.eE]+|nan|inf)\s*\]?(?:,.*)?\)?", text)
    if single:
        with suppress(ValueError):
            return float(single[1])
    return math.nan


READER = DelimitedReader
