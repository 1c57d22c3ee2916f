"""W&B's offline files: `run-<id>.wandb`, protobuf records in LevelDB's framing.

Of each record only the fields that a run is made of are read: history (2), config (5), run (17), exit (18). W&B writes
a run's file out every 15 seconds, and when 32 KiB have come together: the newest numbers may be that late.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from regtui.core.events import RunEnded
from regtui.readers.chunks import MAGIC, ChunkFile
from regtui.readers.names import Names
from regtui.readers.opening import opened
from regtui.readers.protobuf import Broken, field_at, fields, number, text
from regtui.readers.protocol import NOTHING_WANTED, Wanted
from regtui.readers.samples import ROWS_AT_ONCE, Anew, SampleReader, Samples, Told, all_logged
from regtui.readers.search import listed
from regtui.readers.tracked import CALLS, LONGEST_NAME, MOST_NAMES, MOST_NUMBERS, MOST_STEP, Places, plan_of

PATTERN = "run-*.wandb"

VALUE = b"\x82\x01"
"""The tag of `value_json` (16) in an item, after its name."""

ITEM = 10
"""The tag of an item (1) in a history."""

COLUMNS = 1 << 10
"""More than there may be names: a number's place in a block is its row times this and its column."""

NUMBERS_AT_ONCE = 1 << 20
"""Numbers of one block of rows, names times rows: 8 MB."""

MOST_HEADS = 4 * MOST_NAMES
"""Spellings of names in records that are remembered."""

MOST_SETTINGS, LONGEST_SETTING, SETTINGS_BYTES = 5_000, 1 << 16, 1 << 20
"""Settings that are kept, the bytes of one and of all: the largest configurations have some hundreds."""

NESTED = 8
"""Levels of a name that W&B keeps apart: `{"train": {"loss": 1}}` has two."""


class WandbReader(SampleReader):
    """Reads a run's file, in its folder or in the newest of a folder of runs."""

    name = "W&B"
    rank = 10
    file_names = (PATTERN,)
    says_end = True

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Name the file, the folder of a run, or a folder of runs; nothing is read before the first poll."""
        self._places = Places()
        super().__init__(path, wanted)

    def _start_over(self) -> None:
        self._file: ChunkFile | None = None
        self._settings: dict[str, Any] = {}
        self._settings_bytes = 0
        self._run_id = ""
        self._exit: int | None = None
        self._column_of: dict[str, int] = {}
        self._heads: dict[bytes, int] = {}
        self._given = self._unnamed = 0
        self._last_call = -1.0
        self._full = False
        self._places.begin()
        self._clear()

    def _clear(self) -> None:
        self._row = 0
        self._at: list[int] = []
        self._numbers: list[float] = []

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file begins as W&B's do, or a folder is that of such runs."""
        found = _file_of(path)
        try:
            return found is not None and _begins_right(found)
        except OSError:
            return False

    def warnings(self) -> list[str]:
        """Say what was left out as well."""
        said = super().warnings()
        if self._file is not None and self._file.damaged:
            name, places = self._file.path.name, self._file.damaged
            said.append(f"{name} is damaged in {places} {'place' if places == 1 else 'places'}; the rest is shown")
        if self._unnamed:
            said.append(f"{self.path.name} has more than {MOST_NAMES:,} names; the numbers of the others are left out")
        if self._full:
            said.append(f"{self.path.name} has too many numbers; its first {self._given:,} rows are shown")
        return said

    def _look(self) -> Iterable[Samples] | None:
        if self._file is None:
            found = _file_of(self.path)
            if found is None:
                return ()
            self._file = ChunkFile(found)
        news = self._file.news()
        if news is None:
            self._places = Places()
            return None
        return self._samples() if news and not self._full else ()

    def _tell(self) -> Told:
        end = None
        if self._exit is not None:
            failed = self._exit != 0
            step = int(self._last_step) if 0 <= self._last_step <= MOST_STEP else 0
            reason = f"exit code {self._exit}" if failed else ""
            end = RunEnded(status="failed" if failed else "finished", reason=reason, step=step)
        return Told(
            trainer=self._places.trainer,
            run_id=self._run_id,
            settings=self._settings,
            plan=plan_of(self._settings),
            end=end,
        )

    def _run_name(self) -> str:
        return self._file.path.stem if self._file is not None else super()._run_name()

    def _begin(self) -> None:
        super()._begin()
        self._last_step = 0.0

    def _samples(self) -> Iterator[Samples]:
        """Read on, record by record, and give blocks of rows."""
        assert self._file is not None
        for record in self._file.records():
            try:
                self._read(record)
            except Broken:
                self._file.damaged += 1
            if self._row >= ROWS_AT_ONCE or self._row * len(self._column_of) >= NUMBERS_AT_ONCE:
                yield from self._block()
                if self._given * max(len(self._column_of), 1) > MOST_NUMBERS:
                    self._full = True
                    return
        yield from self._block()

    def _block(self) -> Iterator[Samples]:
        """Give the rows in hand, if any."""
        if not self._row:
            return
        at = np.array(self._at, dtype=np.int64)
        rows, columns = at // COLUMNS, at % COLUMNS
        used = np.unique(columns)
        table = np.full((len(used), self._row), np.nan)
        table[np.searchsorted(used, columns), rows] = all_logged(np.array(self._numbers))
        names = list(self._column_of)
        found = {names[column]: table[index] for index, column in enumerate(used)}
        order = found.pop(CALLS)
        time = found.pop("_timestamp", None)
        self._given += self._row
        self._clear()
        placed = self._places.place(found, order, time)
        if placed is None or self._places.rows_are_epochs != self.rows_are_epochs:
            self.rows_are_epochs = self._places.rows_are_epochs
            self._names = Names(self.wanted, rows_are_epochs=self.rows_are_epochs)
            raise Anew
        if placed.step is not None and len(placed.step):
            self._last_step = max(self._last_step, float(np.nan_to_num(placed.step).max()))
        yield placed

    def _read(self, record: bytes) -> None:
        """Take one record in."""
        for field, value in fields(record):
            if isinstance(value, int):
                continue
            if field == 2:
                self._history(value)
            elif field == 5:
                self._config(value)
            elif field == 17:
                self._run(value)
            elif field == 18:
                self._exit = next((_signed(code) for field, code in fields(value) if field == 1 and number(code)), 0)

    def _history(self, record: bytes) -> None:
        """Take the numbers of one log call in."""
        before, call = len(self._at), self._column(CALLS)
        try:
            step, counted = self._items(record, self._row * COLUMNS, call)
        except Broken:
            del self._at[before:], self._numbers[before:]
            raise
        if len(self._at) == before:
            return
        if not counted:
            self._at.append(self._row * COLUMNS + call)
            self._numbers.append(float(step) if step is not None else self._last_call + 1)
        self._last_call = self._last_call + 1 if step is None else float(step)
        self._row += 1

    def _items(self, record: bytes, row: int, call: int) -> tuple[int | None, bool]:
        """Take the items of a log call in; give its count, and whether an item said that, too."""
        heads, keep, numbers = self._heads.get, self._at.append, self._numbers.append
        step, counted, at, end = None, False, 0, len(record)
        # Most of a file are items of fewer than 128 bytes, seven and more a call: their tags are not looked at twice.
        while at < end:
            if record[at] == ITEM and at + 1 < end and record[at + 1] < 128:
                start = at + 2
                at = start + record[at + 1]
                item: int | bytes = record[start:at]
                if at > end:
                    raise Broken
            else:
                tag, item, at = field_at(record, at)
                if tag == 2 and not isinstance(item, int):
                    step = next((number(each) for said, each in fields(item) if said == 1), 0)
                if tag != 1:
                    continue
            if isinstance(item, int):
                continue
            head, _, value = item.partition(VALUE)
            column = heads(head)
            if column is None or not value or value[0] != len(value) - 1:
                column, value = self._slowly(item, head)
            else:
                value = value[1:]
            if column >= 0:
                try:
                    numbers(float(value))
                except ValueError:
                    continue
                keep(row + column)
                counted = counted or column == call
        return step, counted

    def _slowly(self, item: bytes, head: bytes) -> tuple[int, bytes]:
        """Read an item field by field; give its column, -1 for none, and its value."""
        name, value = _name_and_value(item)
        column = self._column(name) if name and (name == CALLS or not _is_none(name)) else -1
        # Where the name's fields are all that stands before the value, the next item that begins so is of this name.
        if len(head) <= 2 * LONGEST_NAME and len(self._heads) < MOST_HEADS and _name_and_value(head)[0] == name:
            self._heads[head] = column
        return column, value

    def _column(self, name: str) -> int:
        """Give a name's column, a new one for a new name; -1 for one that is not kept."""
        column = self._column_of.get(name)
        if column is None:
            if len(self._column_of) >= MOST_NAMES or len(name) > LONGEST_NAME:
                self._unnamed += 1
                return -1
            column = self._column_of[name] = len(self._column_of)
        return column

    def _run(self, record: bytes) -> None:
        """Take in what a run is called and how it is set."""
        for field, value in fields(record):
            if isinstance(value, int):
                continue
            if field == 4:
                self._config(value)
            elif field == 8 or (field == 1 and not self._run_id):
                self._run_id = text(value)[:LONGEST_NAME]

    def _config(self, record: bytes) -> None:
        """Take settings in."""
        for field, item in fields(record):
            if field not in (1, 2) or isinstance(item, int) or len(item) > LONGEST_SETTING:
                continue
            name, value = _name_and_value(item)
            self._settings_bytes += len(item)
            if field == 2:
                self._settings.pop(name, None)
            elif name and not name.startswith("_wandb") and len(self._settings) < MOST_SETTINGS:
                if self._settings_bytes > SETTINGS_BYTES:
                    return
                try:
                    self._settings[name] = _unwrapped(json.loads(value))
                except (ValueError, RecursionError):
                    continue


def _name_and_value(item: bytes) -> tuple[str, bytes]:
    """Read an item of a history or of a config: its name, levels joined by points, and its value as JSON."""
    nested: list[str] = []
    key, value = "", b""
    for field, content in fields(item):
        if isinstance(content, int):
            continue
        if field == 1:
            key = text(content)
        elif field == 2 and len(nested) < NESTED:
            nested.append(text(content))
        elif field == 16:
            value = content
    return ".".join(nested) or key, value


def _is_none(name: str) -> bool:
    """Tell whether a name is W&B's own and no measurement."""
    return name == "_runtime" or name.startswith("_wandb")


def _unwrapped(value: Any) -> Any:
    """Give a setting without W&B's `{"value": ...}` around it."""
    return value["value"] if isinstance(value, dict) and value.keys() in ({"value"}, {"value", "desc"}) else value


def _signed(value: int | bytes) -> int:
    """Give a negative number as what it is: an int32 of protobuf is written as 64 bits."""
    known = number(value)
    code = 0 if known is None else known
    return code - 2**64 if code >= 2**63 else code


def _file_of(path: Path) -> Path | None:
    """Find a run's file: itself, that in the run's folder, or the newest under a folder of runs."""
    try:
        if not path.is_dir():
            return path if path.is_file() else None
        folders = [path]
        if not any(_is_run(entry.name) for entry in listed(path)):
            names = ("latest-run", "run-", "offline-run-")
            folders = [Path(each.path) for each in listed(path) if each.name.startswith(names) and each.is_dir()]
        found = [
            (entry.stat().st_mtime_ns, entry.path)
            for folder in folders
            for entry in listed(folder)
            if _is_run(entry.name) and entry.is_file()
        ]
    except OSError:
        return None
    return Path(max(found)[1]) if found else None


def _is_run(name: str) -> bool:
    return name.startswith("run-") and name.endswith(".wandb")


def _begins_right(path: Path) -> bool:
    with opened(path) as file:
        return os.pread(file, len(MAGIC), 0) == MAGIC


READER = WandbReader
