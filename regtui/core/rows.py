"""Records as rows of a table: what each says, by the names that its columns have."""

from collections.abc import Sequence

import msgspec

from regtui.core.events import EpochEnded, Evaluated, Metrics, Number, StepEnded, SystemSampled
from regtui.core.metrics import (
    LEARNING_RATE,
    NORM,
    PENALTY,
    STEP_LOSS,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VALID_ACCURACY,
    VALID_LOSS,
)
from regtui.core.table import Table

Columns = dict[str, list[Number]]

ALWAYS_KEPT = frozenset(
    {"epoch", "measured", "time", "seconds", "evaluate_seconds", STEP_LOSS, PENALTY, LEARNING_RATE}
    | {TRAIN_LOSS, VALID_LOSS, TRAIN_ACCURACY, VALID_ACCURACY}
)
"""Columns that screens and verdicts read, kept however many others a log has."""

BESIDE = {STEP_LOSS: "running_loss", PENALTY: "penalty", "seconds": "seconds", "evaluate_seconds": "evaluate_seconds"}
"""Column -> the field of an epoch's end that it holds."""


class _Rows:
    """Some records on their way into a table, a column a name, as far as the table has room for new ones."""

    def __init__(self, table: Table, size: int, said: Columns) -> None:
        # What no record of these says is left out: a field that is absent is no name of the log.
        self.columns = {name: values for name, values in said.items() if any(value is not None for value in values)}
        self._table = table
        self._size = size
        self._room = table.room

    def put(self, metrics: Metrics, row: int, before: str = "") -> None:
        """Lay the metrics of one row into their columns, making those that are new."""
        columns, table = self.columns, self._table
        for quantity, value in metrics.items():
            name = before + quantity
            column = columns.get(name)
            if column is None:
                if name not in table and name not in ALWAYS_KEPT:
                    if self._room <= 0:
                        table.leave_out_names()
                        continue
                    self._room -= 1
                column = columns[name] = [None] * self._size
            column[row] = value


def of_steps(steps: Sequence[StepEnded], table: Table) -> Columns:
    """Give the columns of some updates."""
    said: Columns = {
        STEP_LOSS: [event.loss for event in steps],
        PENALTY: [event.penalty for event in steps],
        LEARNING_RATE: [event.learning_rate for event in steps],
        "time": [event.time for event in steps],
    }
    rows = _Rows(table, len(steps), said)
    for row, event in enumerate(steps):
        if event.metrics is not msgspec.UNSET:
            rows.put(event.metrics, row)
    return rows.columns


def of_evaluations(evaluations: Sequence[EpochEnded | Evaluated], table: Table) -> Columns:
    """Give the columns of some evaluations."""
    said: Columns = {
        "epoch": [event.epoch for event in evaluations],
        "measured": [float(event.train is not None or event.valid is not None) for event in evaluations],
        LEARNING_RATE: [event.learning_rate for event in evaluations],
        "time": [event.time for event in evaluations],
    }
    rows = _Rows(table, len(evaluations), said)
    for row, event in enumerate(evaluations):
        # A million records are folded in a few seconds: what one does not say is not gone into.
        if event.metrics:
            rows.put(event.metrics, row)
        if event.train:
            rows.put(event.train, row, "train/")
        if event.valid:
            rows.put(event.valid, row, "valid/")
        if isinstance(event, EpochEnded) and event.weight_norms:
            rows.put(event.weight_norms, row, NORM)
    for name, field in BESIDE.items():
        beside = [getattr(event, field, None) for event in evaluations]
        if any(value is not None for value in beside):
            rows.columns[name] = beside
    return rows.columns


def of_samples(samples: Sequence[SystemSampled], table: Table) -> Columns:
    """Give the columns of some looks at the machine."""
    rows = _Rows(table, len(samples), {"time": [event.time for event in samples]})
    for row, event in enumerate(samples):
        rows.put(event.metrics, row)
    return rows.columns
