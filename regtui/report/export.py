"""A run written in the form of others: TensorBoard's event files, or CSV."""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE, PENALTY, STEP_LOSS
from regtui.core.series import FloatArray
from regtui.core.table import Table
from regtui.readers import LogError
from regtui.readers.tensorboard.writer import first_record, scalar_records

FORMS = ("tensorboard", "csv")

FOLDERS = {"train": "train", "valid": "validation"}
"""Split -> the folder of its event file. TensorBoard draws one chart a tag and one curve a folder: with the tag `loss`
in both, as Keras writes it, a pair is one chart."""

RUNNING = "running_loss"
"""The tag of the batches' losses: in `train` it would be one curve with the loss measured after the updates."""

NOT_SAID = frozenset({"time", "measured"})
"""Columns of a table that are no measurements."""

EPOCH = "epoch"

ROWS_AT_ONCE = 50_000
"""Rows made into records at once: some ten megabytes."""


def export(history: History, form: str, out: Path | None) -> list[Path]:
    """Write a run to new files, or to a new folder of them, and give which.

    They are made in the folder of work and called by the run, unless `out` names a place.
    Raises LogError for what is there already, or cannot be written.
    """
    name = re.sub(r"[^\w.-]+", "_", history.run.run_id if history.run else "").strip("._") or "run"
    try:
        if form == "csv":
            return _write_csv(history, out or Path(f"{name}.csv"))
        return [_write_event_files(history, out or Path(f"{name}-tensorboard"))]
    except FileExistsError as error:
        raise LogError(f"{error.filename} is there already and is left as it is: --out names another place") from None
    except OSError as error:
        raise LogError(f"{error.filename or out} cannot be written: {error.strerror or error}") from None


def _write_csv(history: History, path: Path) -> list[Path]:
    """Write a row an evaluation to one file; a row an update, and one a look at the machine, to others beside it."""
    beside = {name: path.with_name(f"{path.stem}-{name}{path.suffix}") for name in ("steps", "system")}
    each = [(path, history.evaluations), (beside["steps"], history.steps), (beside["system"], history.system)]
    tables = [(place, table) for place, table in each if len(table)] or each[:1]
    if len(tables) == 1:
        tables = [(path, tables[0][1])]
    files = []
    try:
        for place, table in tables:
            with place.open("x", encoding="utf-8", newline="") as file:
                files.append(place)
                names = [name for name in table.names if name != "measured"]
                names.sort(key=lambda name: name != "epoch")
                # Where nobody counts updates the place of a row is its epoch.
                counted = history.counts_steps or "epoch" not in table
                rows = csv.writer(file)
                rows.writerow([*(["step"] if counted else []), *names])
                columns = [*([table.step.values] if counted else []), *(table[name].values for name in names)]
                rows.writerows(zip(*(map(_text, column.tolist()) for column in columns), strict=True))
    except BaseException:
        for file_made in files:
            with suppress(OSError):
                file_made.unlink()
        raise
    return files


def _text(value: float) -> str:
    """Write a number so that it is read back as it is; nothing where there is none."""
    if value != value:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _write_event_files(history: History, folder: Path) -> Path:
    """Write an event file for each split and one for all else, each in its folder."""
    folder.mkdir(parents=True)
    begun = history.run.time if history.run is not None and history.run.time is not None else 0.0
    for part, columns in _by_folder(history).items():
        place = folder / part
        place.mkdir(exist_ok=True)
        path = place / f"events.out.tfevents.{max(int(begun), 0):010d}.regtui.0"
        with path.open("xb") as file:
            file.write(first_record(begun))
            for records in _records(columns, begun):
                file.write(records)
    return folder


Tagged = tuple[str, Table, str]
"""A tag, and the table and name of its numbers."""


def _by_folder(history: History) -> dict[str, list[Tagged]]:
    """Say which numbers go into which folder, under which tag."""
    found: dict[str, list[Tagged]] = {}
    for table in (history.steps, history.evaluations):
        for name in table.names:
            split, _, quantity = name.partition("/")
            again = table is history.evaluations and name in (LEARNING_RATE, PENALTY) and name in history.steps
            if name in NOT_SAID or name == EPOCH or again:
                continue
            part = FOLDERS.get(split, "")
            tag = quantity if part else name
            if name == STEP_LOSS:
                tag = RUNNING if table is history.steps else f"{RUNNING}_mean"
            found.setdefault(part, []).append((tag, table, name))
    if EPOCH in history.evaluations:
        # In each folder of evaluations: whoever reads one alone knows where they are, too.
        for part in set(found) & set(FOLDERS.values()) or {""}:
            found.setdefault(part, []).append((EPOCH, history.evaluations, EPOCH))
    if history.end is not None and history.end.test:
        test = Table()
        test.extend(
            [float(history.step)], {"time": [history.end.time], **{k: [v] for k, v in history.end.test.items()}}
        )
        found["test"] = [(name, test, name) for name in history.end.test]
    return found


def _records(columns: Iterable[Tagged], begun: float) -> Iterator[bytes]:
    """Give the records of one file, those of a table step by step."""
    by_table: dict[int, list[Tagged]] = {}
    for each in columns:
        by_table.setdefault(id(each[1]), []).append(each)
    for tagged in by_table.values():
        table = tagged[0][1]
        for start in range(0, len(table), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            step, time = table.step.values[rows], _times(table, begun)[rows]
            records: list[bytes] = []
            places: list[FloatArray] = []
            for tag, _, name in tagged:
                value = table[name].values[rows]
                known = np.isfinite(value) & (step >= 0)
                records += scalar_records(tag, step[known], time[known], value[known])
                places.append(step[known])
            order = np.argsort(np.concatenate(places), kind="stable")
            yield b"".join(records[place] for place in order)


def _times(table: Table, begun: float) -> FloatArray:
    """Give when each row was measured; the run's beginning where nobody says."""
    times = table["time"].values
    return np.where(np.isfinite(times), times, begun)
