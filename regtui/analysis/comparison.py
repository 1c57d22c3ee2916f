"""Two runs side by side: what differs in what was asked for, and what came of it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from regtui.analysis import best_row, gap
from regtui.core.config import difference
from regtui.core.history import History
from regtui.core.metrics import VALID_LOSS
from regtui.core.text import MISSING, clock, number, signed


class Compared(NamedTuple):
    """One number that a remedy changes, of this run and of the other, as it is written for people."""

    name: str
    ours: str
    theirs: str


def compared(history: History, other: History) -> list[Compared]:
    """Give the numbers that are compared, in the order in which they are told."""
    rows: dict[str, Callable[[History], str]] = {
        "best validation loss": _best_loss,
        "at": _best_place,
        "final gap": _final_gap,
        "time": lambda run: clock(run_seconds(run)),
    }
    found = [Compared(name, read(history), read(other)) for name, read in rows.items()]
    if history.config is not None:
        return found
    return [row for row in found if (row.ours, row.theirs) != (MISSING, MISSING)]


def asked_differently(history: History, other: History) -> str:
    """Say which settings differ: 'Dropout 0.4 (was 0)'."""
    unknown = "what was asked for is not known"
    if history.config is not None or other.config is not None:
        return difference(history.config, other.config) or unknown
    ours, theirs = history.settings, other.settings
    if not ours or not theirs:
        return unknown
    changed = [
        f"{name} {ours.get(name, MISSING)} (was {theirs.get(name, MISSING)})"
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name) and not isinstance(ours.get(name, theirs.get(name)), dict | list)
    ]
    return ", ".join(changed) or "the same settings"


def last_evaluated(history: History) -> int | None:
    """Give the row of the last evaluation, whatever came of it."""
    rows = np.flatnonzero(history.evaluations["measured"].values == 1)
    return int(rows[-1]) if len(rows) else None


def run_seconds(history: History) -> float:
    """Give the time from a run's start to the last that is known of it; NaN where the log does not say."""
    start = history.run.time if history.run else None
    ends = [history.end.time if history.end else None, history.evaluations["time"].last, history.steps["time"].last]
    known = [end for end in ends if end is not None and math.isfinite(end)]
    return max(known) - start if start is not None and math.isfinite(start) and known else math.nan


def _best_loss(history: History) -> str:
    row = best_row(history)
    return MISSING if row is None else number(history.evaluations[VALID_LOSS].values[row])


def _best_place(history: History) -> str:
    row = best_row(history)
    return MISSING if row is None else history.where(row)


def _final_gap(history: History) -> str:
    """Write the gap where the run stands; the last epoch may have been left unmeasured."""
    row = last_evaluated(history)
    return MISSING if row is None else signed(float(gap(history)[row]))
