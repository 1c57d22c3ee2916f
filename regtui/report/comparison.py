"""Two runs side by side: what a remedy did."""

import math

from regtui.analysis import best_row, gap
from regtui.charts.scales import number
from regtui.core.config import difference
from regtui.core.history import History
from regtui.report.result import last_evaluated


def comparison(history: History, ghost: History) -> list[str]:
    """Put this run beside an earlier one: what differs in what was asked for, and in what came of it."""
    asked = f"Compared with {ghost.run.run_id if ghost.run else 'the other run'}: "
    asked += difference(history.config, ghost.config) or "what was asked for is not known"
    numbers = [f"{name} {ours} (was {theirs})" for name, ours, theirs in _numbers(history, ghost)]
    return [asked, ", ".join(numbers)]


def _numbers(history: History, ghost: History) -> list[tuple[str, str, str]]:
    rows = {"best validation loss": _best_loss, "at": _best_place, "final gap": _final_gap, "time": _seconds}
    return [(name, read(history), read(ghost)) for name, read in rows.items()]


def _best_loss(history: History) -> str:
    row = best_row(history)
    return "-" if row is None else number(history.evaluations["valid/loss"].values[row])


def _best_place(history: History) -> str:
    row = best_row(history)
    return "-" if row is None else history.where(row)


def _final_gap(history: History) -> str:
    row = last_evaluated(history)
    value = math.nan if row is None else float(gap(history)[row])
    return number(value) if math.isfinite(value) else "-"


def _seconds(history: History) -> str:
    """Give the time from the run's start to the last that is known of it."""
    start = history.run.time if history.run else None
    ends = [history.end.time if history.end else None, history.evaluations["time"].last, history.steps["time"].last]
    known = [end for end in ends if end is not None and math.isfinite(end)]
    if start is None or not math.isfinite(start) or not known:
        return "-"
    return f"{max(known) - start:.1f} s"
