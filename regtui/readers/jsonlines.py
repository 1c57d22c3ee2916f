"""A JSON object a line, by whoever: MMEngine, detectron2, torchtune, loops of one's own; also one number a line.

Objects within objects are names with a stroke: `{"train": {"loss": 1}}` is `train/loss`.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from regtui.core.series import FloatArray
from regtui.readers.growing import GrowingFile
from regtui.readers.names import PLACES, RATES, parts
from regtui.readers.opening import opened
from regtui.readers.placing import Placing
from regtui.readers.protocol import SkippedLines
from regtui.readers.samples import SampleReader, Samples, Told, all_logged, is_number, logged

SNIFFED_BYTES = 256 << 10
"""Enough for some lines, wide ones too."""

SNIFFED_LINES = 50
"""Lines that show whether steps are counted: MMEngine's heading line says nothing of it."""

FEWEST_ROWS = 2
"""Rows that measure the same are a log although none says where it is, or though nobody knows what is measured."""

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

    rows_are_epochs = True
    _placing = Placing()
    """Until the start of the log: its like is made there."""
    _by_epoch = False
    """Whether it is MMEngine's, which writes the epoch into the `step` of its validation lines."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file's first lines are objects with numbers that a training has."""
        return path.is_file() and _of_a_training(_first_rows(path))

    def _start_over(self) -> None:
        self._file = GrowingFile(self.path)
        self._placing = self._placing.again()
        self._given = False
        self._steps_at_epoch: dict[float, float] = {}
        self.skipped = SkippedLines()

    def _look(self) -> Iterable[Samples] | None:
        found: list[Samples] = []
        for block in self._file.looked_at():
            rows = list(_rows(block, self._file.line - block.count(b"\n"), self.skipped))
            for names, some in groupby(rows, key=tuple):
                if not self._is_as_was_thought(names):
                    return None
                found += self._samples(names, list(some))
            if self._placing.wrong:
                return None
        self._more = self._file.behind
        return None if self._file.is_another else found

    def _is_as_was_thought(self, names: tuple[str, ...]) -> bool:
        """Take in the names of some rows; False where rows before them have to be read otherwise than they were."""
        counted = {PLACES.get(name.lower()) for name in names}
        epochs, by_epoch = (
            self.rows_are_epochs and "step" not in counted,
            self._by_epoch or {"iter", "epoch"} <= {*names},
        )
        changed = (epochs, by_epoch) != (self.rows_are_epochs, self._by_epoch)
        self.rows_are_epochs, self._by_epoch = epochs, by_epoch
        if changed and not self._given:
            self._begin()
        as_was_thought = not (changed and self._given)
        self._given = True
        return as_was_thought

    def _samples(self, names: tuple[str, ...], rows: list[Row]) -> list[Samples]:
        """Make columns of rows that have the same names."""
        if "value" in names and (key := next((key for key in KEYS if key in names), None)):
            return self._long_form(key, rows)
        columns = {name: column for name in names if (column := _column(rows, name)) is not None}
        if not columns:
            return []
        if self._by_epoch:
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
        return Told(trainer="mmengine" if self._by_epoch else "")

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
            return all_logged(np.array(values, dtype=np.float64))
    except OverflowError:
        pass
    if not any(is_number(value) for value in values):
        return None
    return np.array([logged(value) for value in values])


def _of_a_training(rows: list[Row]) -> bool:
    """Tell a log from any other objects: it measures something, at a step or an epoch or again and again."""
    measured = placed = 0
    for row in rows:
        named = [key for key in KEYS if isinstance(row.get(key), str)] if is_number(row.get("value")) else []
        names = [name for name, value in row.items() if is_number(value)] + [str(row[key]) for key in named]
        counts = any(PLACES.get(name.lower()) in ("step", "epoch") for name in names)
        measured += any(parts(name).quantity or RATES.match(name) for name in names)
        placed += counts and len(names) > 1
    return bool(measured and placed) or min(len(rows), max(measured, placed)) >= FEWEST_ROWS


def _first_rows(path: Path) -> list[Row]:
    """Read the first lines of a file; none where one of them is no object."""
    try:
        with opened(path) as fd:
            start = os.pread(fd, SNIFFED_BYTES, 0)
    except OSError:
        return []
    whole = start.rpartition(b"\n")[0] if len(start) == SNIFFED_BYTES else start
    lines = [line for line in whole.split(b"\n") if line.strip()][:SNIFFED_LINES]
    skipped = SkippedLines()
    rows = list(_rows(b"\n".join(lines), 0, skipped)) if lines and lines[0].lstrip().startswith(b"{") else []
    return rows if len(rows) > skipped.count else []


READER = JsonLinesReader
