"""Tables in .csv files: surveyed once for their labels, then read by numpy, a few megabytes of lines at a time."""

import csv
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regtui.datasets.disk import opened
from regtui.datasets.limits import HELD_BYTES, MOST_INPUTS, ROW_BYTES, Budget
from regtui.datasets.table import MOST_CLASSES, Array, Features, Held, Scale, Table, make_table, shown, wrong

LONGEST_LINE = 1 << 23
"""Bytes: a line of a million cells of eight signs each. A file without line ends is told from a table by it."""

_CHUNK = 1 << 21
"""Bytes of lines that are read at once: as strings and numbers they take about ten times as much."""

_BLANK = ' \t\r\f\v,"'
"""What a line of no cells but empty ones may be made of."""


def read_csv(path: Path) -> Table:
    """Read lines of numbers with the label last, text or whole numbers; the first line may name the columns.

    Blank lines are skipped. Cells may stand in quotes, which end on their line. Each column has a range of its own.
    """
    survey = _survey(path)
    features: Features = _Streamed(path, survey)
    if survey.rows * survey.inputs * 8 <= HELD_BYTES:
        features = _held(features)  # before anything is said of its rows: a line that cannot be read says more
    labels, kinds = _labels(path, survey)
    return make_table(str(path), features, labels, Scale(by="column"), kinds=kinds)


def _held(features: Features) -> Held:
    """Read features once and for all."""
    held, start = np.empty((features.rows, features.inputs)), 0
    for block in features.blocks():
        held[start : start + len(block)] = block
        start += len(block)
    return Held(held)


@dataclass(kw_only=True)
class _Survey:
    """What a first look at every line shows: all but the numbers themselves."""

    inputs: int = 0
    first_line: int = 0
    """The line of the first row: those above it name the columns."""
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    """A row's label, as its place in `kinds`."""
    kinds: dict[str, int] = field(default_factory=dict)
    """The labels as they are written, each with its place, in the order in which they came."""
    lines: list[int] = field(default_factory=list)
    """The line where each was seen first."""
    names: int = 0
    """1 where the first of `kinds` is the name of a column after all."""

    @property
    def rows(self) -> int:
        return len(self.labels)

    def add(self, path: Path, label: str, line: int) -> int:
        """Give the place of a label, which may be new."""
        if not label:
            raise wrong(f"{path}: line {line} has no label; it stands in the last column")
        place = self.kinds.setdefault(label, len(self.kinds))
        if place == len(self.lines):
            self.lines.append(line)
        if place > MOST_CLASSES:
            raise wrong(f"{path} has more than {MOST_CLASSES:,} different labels: are these the labels?")
        return place


def _survey(path: Path) -> _Survey:
    """Count the rows, find their labels, and hold what they will take to the limit before a number is read."""
    survey = _Survey()
    known: dict[str, int] = {}
    for first, lines in _chunks(path):
        places = [known.get(text.rpartition(",")[2], -1) for text in lines]
        if -1 in places:
            for at, text in enumerate(lines):
                if places[at] < 0 and text:
                    places[at] = _place(path, survey, known, first + at, text)
            places = [place for place in places if place >= 0]
        survey.labels.extend(places)
        _budget(path, survey)
        if len(known) > MOST_CLASSES:  # the same few labels with ever other blanks around them
            known.clear()
    return _without_numbered_names(path, survey)


def _place(path: Path, survey: _Survey, known: dict[str, int], line: int, text: str) -> int:
    """Give the place of a line's label, and note it under the end of the line; -1 for a line that is no row."""
    tail = text.rpartition(",")[2]
    if tail in known:
        return known[tail]
    if not text.strip(_BLANK):
        return -1
    cells = _cells(path, line, text)
    if not survey.inputs and _begins(path, survey, line, cells):
        return -1
    place = survey.add(path, cells[-1].strip(), line)
    if '"' not in tail or _is_quoted(tail):
        known[tail] = place
    return place


def _begins(path: Path, survey: _Survey, line: int, cells: list[str]) -> bool:
    """Take the table's width from its first line, and tell whether it is the names of columns."""
    if len(cells) < 2:
        raise wrong(f"{path}: line {line} has one cell; features and then the label are needed, with commas")
    if len(cells) - 1 > MOST_INPUTS:
        raise wrong(f"{path}: line {line} has {len(cells):,} cells; {MOST_INPUTS:,} are the most")
    survey.inputs = len(cells) - 1
    named = not any(_is_number(cell) for cell in cells[:-1])
    survey.first_line = line + 1 if named else line
    return named


def _budget(path: Path, survey: _Survey) -> None:
    """Refuse a table of which enough has been seen to be too large."""
    values = survey.rows * survey.inputs
    held = values * 8 if values * 8 <= HELD_BYTES else 0
    Budget(path).take(f"{survey.rows:,} rows of {survey.inputs:,} numbers", 4 * values + held + ROW_BYTES * survey.rows)


def _without_numbered_names(path: Path, survey: _Survey) -> _Survey:
    """Take the first row off where its label alone is no number: columns named 0, 1, 2, ..., label."""
    kinds = list(survey.kinds)
    named = survey.rows > 1 and not _is_number(kinds[0]) and all(_is_number(kind) for kind in kinds[1:])
    if named and survey.labels.count(0) == 1:
        survey.labels.pop(0)
        survey.first_line = survey.lines[0] + 1
        survey.names = 1
    if not survey.rows:
        raise wrong(f"{path} has no rows")
    return survey


@dataclass(frozen=True)
class _Streamed:
    """Features that stay in their file."""

    path: Path
    survey: _Survey

    @property
    def rows(self) -> int:
        return self.survey.rows

    @property
    def inputs(self) -> int:
        return self.survey.inputs

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64)

    def blocks(self) -> Iterator[Array]:
        come = 0
        for first, lines in _chunks(self.path):
            skipped = max(self.survey.first_line - first, 0)
            block = _numbers(self.path, first + skipped, lines[skipped:], self.inputs)
            come += len(block)
            if come > self.rows:
                break
            if len(block):
                yield block
        if come != self.rows:
            raise wrong(f"{self.path} was changed while it was read")


def _numbers(path: Path, first: int, lines: list[str], inputs: int) -> Array:
    """Read the features of some lines, by numpy where it can and else line by line, which finds what is wrong."""
    rows = [line.rpartition(",")[0] for line in lines if line]
    if any(rows):  # numpy warns where there are none
        try:
            block = np.loadtxt(rows, delimiter=",", comments=None, quotechar='"', ndmin=2)
            if block.shape == (len(rows), inputs) and np.isfinite(block).all():
                return block
        except ValueError:
            pass  # said below, with the line and the column
    return _one_by_one(path, first, lines, inputs)


def _one_by_one(path: Path, first: int, lines: list[str], inputs: int) -> Array:
    values = array("d")
    for number, text in enumerate(lines, first):
        if not text.strip(_BLANK):
            continue
        cells = _cells(path, number, text)
        if len(cells) != inputs + 1:
            raise wrong(f"{path}: line {number} has {len(cells)} cells where the lines before have {inputs + 1}")
        try:
            read = list(map(float, cells[:-1]))
        except ValueError:
            column, cell = next((at, cell) for at, cell in enumerate(cells, 1) if not _is_number(cell))
            raise wrong(f"{path}: line {number}, column {column}: {shown(cell)!r} is not a number") from None
        broken = np.flatnonzero(~np.isfinite(read))
        if len(broken):
            column = int(broken[0])
            raise wrong(f"{path}: line {number}, column {column + 1}: {read[column]} is not a finite number")
        values.extend(read)
    return np.frombuffer(values, dtype=np.float64).reshape(-1, inputs)


def _chunks(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of a line and some whole lines from there on, without their ends."""
    with opened(path) as raw, io.BufferedReader(raw) as file:
        line, rest = 1, b""
        while True:
            data = file.read(_CHUNK)
            if line == 1 and not rest:
                if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
                    raise wrong(f"{path} is not text in UTF-8 but in UTF-16: save it as UTF-8")
                # Spreadsheets put a byte order mark in front of the first cell.
                data = data.removeprefix(b"\xef\xbb\xbf")
            if not data:
                break
            # A line may end with \n, \r\n or \r; one that a chunk ends with may be the half of \r\n.
            whole = (rest + data).replace(b"\r\n", b"\n")
            held = whole.endswith(b"\r")
            whole = (whole[:-1] if held else whole).replace(b"\r", b"\n")
            head, end, rest = whole.rpartition(b"\n")
            rest += b"\r" if held else b""
            if end:
                lines = _text(path, line, head).split("\n")
                yield line, lines
                line += len(lines)
            if len(rest) > LONGEST_LINE:
                raise wrong(f"{path}: line {line} is longer than {LONGEST_LINE:,} bytes")
        if rest:
            yield line, _text(path, line, rest.removesuffix(b"\r")).split("\n")


def _text(path: Path, line: int, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise wrong(f"{path} is not text in UTF-8") from None
    if "\0" in text:
        at = line + text.count("\n", 0, text.index("\0"))
        raise wrong(f"{path}: line {at} holds a NUL byte, which no text has")
    return text


def _cells(path: Path, line: int, text: str) -> list[str]:
    """Split a line at its commas, those in quotes apart."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise wrong(f"{path}: line {line} is not CSV: {error}") from None


def _labels(path: Path, survey: _Survey) -> tuple[Array, list[Any]]:
    """Give each row's class and what the classes are: whole numbers where all labels are numbers, else text."""
    places = np.frombuffer(survey.labels, dtype=np.int32) - survey.names
    kinds, lines = list(survey.kinds)[survey.names :], survey.lines[survey.names :]
    if not all(_is_number(kind) for kind in kinds):
        classes: list[Any] = sorted(kinds)
        order = {kind: number for number, kind in enumerate(classes)}
        return np.array([order[kind] for kind in kinds])[places], classes
    numbers = [float(kind) for kind in kinds]
    for number, kind, line in zip(numbers, kinds, lines, strict=True):
        if not number.is_integer():
            raise wrong(f"{path}: line {line}: the label {shown(kind)} is not a whole number")
    distinct, numbered = np.unique(numbers, return_inverse=True)
    return numbered[places], distinct.tolist()


def _is_quoted(tail: str) -> bool:
    """Tell a whole cell in quotes from the end of one that holds commas, of which there may be many."""
    return len(tail) > 2 and tail[0] == tail[-1] == '"' and '"' not in tail[1:-1]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
