"""The epochs of a run that matter, as a table."""

import math
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from regtui.analysis import best_row, gap, training_loss
from regtui.analysis.facts import learning_rates
from regtui.charts import glyphs
from regtui.charts.rules import RESUMED, change_label
from regtui.core.history import History
from regtui.core.text import number

FEWEST_ROWS = 4
"""First, best, last and what changed most recently: below this a table says too little."""


class EpochOfNote(NamedTuple):
    """One epoch that matters, and why."""

    row: int
    """Its row in the table of epochs."""
    why: str
    """`first`, `best`, `÷10 plateau`, `last`, or several of them."""


def epochs_of_note(history: History, most: int, *, ascii_only: bool = False) -> list[EpochOfNote]:
    """Give the first epoch, the best, those of each discrete change, and the last, in their order.

    Of more than `most`, the oldest changes are left out.
    """
    count = len(history.evaluations)
    if not count:
        return []
    why: dict[int, list[str]] = {}
    for row, label in _change_rows(history, ascii_only):
        why.setdefault(row, []).append(label)
    fixed = {0, count - 1}
    if (best := best_row(history)) is not None:
        fixed.add(best)
        why.setdefault(best, []).insert(0, "best")
    why.setdefault(0, []).insert(0, "first")
    why.setdefault(count - 1, []).append("last")
    changed = sorted(row for row in why if row not in fixed)
    room = max(most, FEWEST_ROWS) - len(fixed)
    kept = sorted(fixed | set(changed[len(changed) - room :] if len(changed) > room else changed))
    return [EpochOfNote(row, _joined(why[row])) for row in kept]


def place(history: History, row: int) -> str:
    """Name a row's place without its unit: 16, 2.4 or 4,000; each row in the unit of the table."""
    return history.where(row).removeprefix("epoch ").removeprefix("step ")


def _change_rows(history: History, ascii_only: bool) -> list[tuple[int, str]]:
    """Find for each change the epoch in which its new value was first used."""
    ends = history.evaluations.step.values
    signs = glyphs(ascii_only)
    rows = []
    for change in history.changes:
        row = int(np.searchsorted(ends, float(min(change.step, 2**62)), side="right"))
        if row < len(ends):
            rows.append((row, change_label(change, signs)))
    for step in history.resumed_at:
        row = int(np.searchsorted(ends, step, side="right"))
        if row < len(ends):
            rows.append((row, RESUMED))
    return rows


def _joined(reasons: list[str]) -> str:
    """Name each reason once, and how often it came."""
    counts = Counter(reasons)
    return ", ".join(reason if times == 1 else f"{reason} ({times} times)" for reason, times in counts.items())


def epoch_table(history: History, width: int, most: int, *, ascii_only: bool = False) -> list[str]:
    """Write the epochs that matter as lines of at most `width` cells, the heading first; empty without epochs.

    Columns that do not fit are left out, accuracies first.
    """
    table = history.evaluations
    notes = epochs_of_note(history, most, ascii_only=ascii_only)
    if not notes:
        return []
    missing = "-" if ascii_only else "—"

    def loss(value: float) -> str:
        return number(value) if math.isfinite(value) else missing

    def share(value: float) -> str:
        return f"{value:.1%}" if math.isfinite(value) else missing

    gaps, train, rates = gap(history), training_loss(history), learning_rates(history)
    first = "epoch" if history.counts_epochs else "step"
    columns: list[tuple[str, int, Callable[[int], str]]] = [
        # heading, what is given up first (highest), cell
        (first, 0, lambda row: place(history, row)),
        ("validation", 1, lambda row: loss(table["valid/loss"].values[row])),
        ("train", 2, lambda row: loss(train[row])),
        ("gap", 3, lambda row: loss(gaps[row])),
        ("val. acc", 5, lambda row: share(table["valid/accuracy"].values[row])),
        ("train acc", 6, lambda row: share(table["train/accuracy"].values[row])),
        ("LR", 4, lambda row: loss(rates[row])),
    ]
    if history.config is None:
        # What another trainer's log never says is no column of the table.
        columns = [column for column in columns if any(column[2](note.row) != missing for note in notes)]
    written = [
        (given_up, _column([heading, *(cell(note.row) for note in notes)])) for heading, given_up, cell in columns
    ]
    widest = min(max(len(note.why) for note in notes) + 2, 20)
    while len(written) > 2 and sum(len(cells[0]) for _, cells in written) + widest > width:
        written.remove(max(written, key=lambda column: column[0]))
    reasons = ["", *(f"  {note.why}" for note in notes)]
    lines = ["".join(row) for row in zip(*(cells for _, cells in written), reasons, strict=True)]
    return [line[:width] for line in lines]


def _column(cells: list[str]) -> list[str]:
    """Set the cells of a column to the right, as wide as the widest, two blanks before it."""
    width = max(map(len, cells))
    return [f"  {cell:>{width}}" for cell in cells]
