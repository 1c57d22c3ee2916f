"""The runs in a folder, as a table."""

import math
from pathlib import Path

from regtui.analysis import best_row, verdict
from regtui.core.history import History
from regtui.core.text import number, printable
from regtui.readers import LogError, is_being_written, read_history
from regtui.report.result import completed_epochs, framework
from regtui.runs import logs, none_yet

HEADINGS = ("run", "framework", "data", "epochs", "best validation", "verdict", "status")


def runs_table(folder: Path | str) -> str:
    """List the runs in a folder, oldest first; logs that cannot be read are named under the table.

    Raises LogError for what is there and is no folder.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise LogError(f"{folder} is not a folder: --runs-dir names the folder of the recorded runs")
    found = logs(folder)
    if not found:
        return none_yet(folder)
    rows, unreadable = [], []
    for log in found:
        try:
            rows.append(_row(log, read_history(log)))
        except LogError as error:
            unreadable.append(str(error))
    table = [HEADINGS, *rows] if rows else []
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))] if table else []
    lines = ["  ".join(f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines + unreadable)


def _row(log: Path, history: History) -> tuple[str, ...]:
    config = history.config
    best = best_row(history)
    lowest = history.evaluations["valid/loss"].values[best] if best is not None else math.nan
    return (
        printable(log.parent.name),
        framework(history) or "-",
        Path(config.dataset).name if config else "-",
        f"{completed_epochs(history)}/{history.plan.epochs}" if history.plan.epochs else str(completed_epochs(history)),
        f"{number(lowest)} at {history.where(best)}" if best is not None else "-",
        verdict(history).words,
        _status(log, history),
    )


def _status(log: Path, history: History) -> str:
    """Tell a run that trains now from one that was killed: the writer of a log holds a lock on it."""
    if history.status == "running" and not is_being_written(log):
        return "no end: killed, or written elsewhere"
    return history.status.replace("_", " ")
