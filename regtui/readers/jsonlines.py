"""A JSON object a line, by whoever: MMEngine, detectron2, torchtune, loops of one's own; also one number a line.

Objects within objects are names with a stroke: `{"train": {"loss": 1}}` is `train/loss`.
"""

import json
import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from regtui.core.series import FloatArray
from regtui.readers.growing import GrowingFile
from regtui.readers.names import PLACES, known
from regtui.readers.placing import Placing
from regtui.readers.protocol import NOTHING_WANTED, SkippedLines, Wanted
from regtui.readers.samples import SampleReader, Samples, Told

SNIFFED_BYTES = 256 << 10
"""Enough for some lines, wide ones too."""

SNIFFED_LINES = 50
"""Lines that show whether steps are counted: MMEngine's heading line says nothing of it."""

DEEPEST = 3
"""Levels of objects that are taken apart."""

KEYS = ("key", "name", "metric", "tag")
"""In a log of one number a line, what may hold its name; `value` holds the number."""

Row = dict[str, Any]

_decoder: msgspec.json.Decoder[Row] = msgspec.json.Decoder(Row)


class JsonLinesReader(SampleReader):
    """Reads objects of numbers as far as they have been written."""

    name = "JSON lines"
    rank = 60
    file_names = ("*.jsonl", "*.ndjson", "scalars.json", "metrics.json", "*.log.json")

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        self.path = Path(path)
        names = {name.lower() for row in _first_rows(self.path) for name in row}
        self._validates_by_epoch = {"iter", "epoch"} <= names
        """MMEngine writes the epoch into the `step` of its validation lines."""
        counted = any(PLACES.get(name) == "step" for name in names)
        self.rows_are_epochs = not counted
        super().__init__(path, wanted)

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file's first lines are objects, one of them with a number that a training has."""
        if not path.is_file():
            return False
        return any(_is_number(value) and known(name) for row in _first_rows(path) for name, value in row.items())

    def _start_over(self) -> None:
        self._file = GrowingFile(self.path)
        self._placing = Placing()
        self._steps_at_epoch: dict[float, float] = {}
        self.skipped = SkippedLines()

    def _look(self) -> Iterable[Samples] | None:
        found: list[Samples] = []
        while block := self._file.lines():
            rows = list(_rows(block, self._file.line - block.count(b"\n"), self.skipped))
            for names, some in groupby(rows, key=tuple):
                found += self._samples(names, list(some))
        return None if block is None else found

    def _samples(self, names: tuple[str, ...], rows: list[Row]) -> list[Samples]:
        """Make columns of rows that have the same names."""
        if "value" in names and (key := next((key for key in KEYS if key in names), None)):
            return self._long_form(key, rows)
        columns = {name: column for name in names if (column := _column(rows, name)) is not None}
        if not columns:
            return []
        if self._validates_by_epoch:
            columns = self._placed_by_epoch(columns)
        return [self._placing.place(columns, len(rows))]

    def _long_form(self, key: str, rows: list[Row]) -> list[Samples]:
        """Give rows of one number each their columns."""
        found = []
        for name, some in groupby(rows, key=lambda row: str(row[key])):
            held = list(some)
            places = {
                each: column
                for each in held[0]
                if each.lower() in PLACES and (column := _column(held, each)) is not None
            }
            values = _column(held, "value")
            if values is not None:
                found.append(self._placing.place({name: values, **places}, len(held)))
        return found

    def _placed_by_epoch(self, columns: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Place a validation line of MMEngine at the last update of the epoch that it names."""
        if "iter" in columns:
            for epoch, step in zip(columns.get("epoch", []), columns["iter"], strict=False):
                self._steps_at_epoch[float(epoch)] = float(step)
            columns.pop("step", None)
            return columns
        epochs = columns.pop("step", None)
        if epochs is None:
            return columns
        steps = np.array([self._steps_at_epoch.get(float(epoch), math.nan) for epoch in epochs])
        return {"iter": steps, "epoch": epochs, **{f"val/{name}": values for name, values in columns.items()}}

    def _tell(self) -> Told:
        return Told(trainer="mmengine" if self._validates_by_epoch else "")

    def _run_name(self) -> str:
        plain = self.path.stem in {"metrics", "scalars", "log", "train", "training"}
        return self.path.resolve().parent.name if plain else self.path.stem


def _rows(block: bytes, first: int, skipped: SkippedLines) -> Iterator[Row]:
    """Read lines as objects without objects in them; what is none is counted."""
    try:
        rows = _decoder.decode_lines(block)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        rows = []
        for number, line in enumerate(block.split(b"\n"), first + 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)  # NaN and Infinity, as Python writes them
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                rows.append(row)
            else:
                skipped.add(number)
    for row in rows:
        yield _flat(row) if any(type(value) is dict for value in row.values()) else row


def _flat(row: Row, before: str = "", depth: int = 0) -> Row:
    found: Row = {}
    for name, value in row.items():
        if isinstance(value, dict) and depth < DEEPEST:
            found.update(_flat(value, f"{before}{name}/", depth + 1))
        else:
            found[before + name] = value
    return found


def _column(rows: list[Row], name: str) -> FloatArray | None:
    """Give a name's numbers, NaN where a row has none; None where it never has."""
    values = [row[name] for row in rows]
    try:
        kinds = set(map(type, values))
        if kinds <= {float, int}:
            return np.array(values, dtype=np.float64)
    except OverflowError:
        pass
    if not any(_is_number(value) for value in values):
        return None
    return np.array([_number(value) for value in values])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    try:
        return float(value) if _is_number(value) else math.nan
    except OverflowError:
        return math.nan


def _first_rows(path: Path) -> list[Row]:
    """Read the first lines of a file; none where one of them is no object."""
    try:
        with path.open("rb") as file:
            start = file.read(SNIFFED_BYTES)
    except OSError:
        return []
    whole = start.rpartition(b"\n")[0] if len(start) == SNIFFED_BYTES else start
    lines = [line for line in whole.split(b"\n") if line.strip()][:SNIFFED_LINES]
    skipped = SkippedLines()
    rows = list(_rows(b"\n".join(lines), 0, skipped)) if lines and lines[0].lstrip().startswith(b"{") else []
    return rows if len(rows) > skipped.count else []


READER = JsonLinesReader
