"""The runs in a folder, as a table and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from regtui.core.text import number, printable
from regtui.readers import LogError
from regtui.runs import none_yet
from regtui.runs.listing import Listing, Run, list_runs
from regtui.runs.summary import Summary

HEADINGS = ("run", "trainer", "data", "epochs", "best validation", "verdict", "status")

Told = Callable[[int, int], None]
"""Hears how many of how many logs have been read."""


def runs_table(folder: Path | str, told: Told = lambda _done, _total: None) -> str:
    """List the runs in a folder, oldest first; logs that cannot be read are named under the table.

    Raises LogError for what is there and is no folder.
    """
    folder = Path(folder)
    listing = _listing(folder, told)
    if not listing.runs and not listing.problems:
        return none_yet(folder)
    table = [HEADINGS, *map(_row, listing.runs)] if listing.runs else []
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))] if table else []
    lines = ["  ".join(f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines + listing.problems)


def runs_json(folder: Path | str, told: Told = lambda _done, _total: None) -> tuple[str, list[str]]:
    """Give the runs in a folder as a list of objects, and a sentence for each log that cannot be read.

    What a run's own JSON says, too, has the same key here. Raises LogError for what is there and is no folder.
    """
    listing = _listing(Path(folder), told)
    found = [_object(run) for run in listing.runs]
    return json.dumps(found, indent=2, allow_nan=False), listing.problems


def _listing(folder: Path, told: Told) -> Listing:
    if folder.exists() and not folder.is_dir():
        raise LogError(f"{folder} is not a folder: --runs-dir names the folder of the recorded runs")
    return list_runs(folder, told)


def _row(run: Run) -> tuple[str, ...]:
    said = run.summary
    return (
        printable(run.name),
        said.framework or said.trainer or said.format,
        said.dataset if said.dataset is not None else "-",
        _progress(said),
        f"{number(said.best_valid_loss)} at {said.best}" if said.best_valid_loss is not None else "-",
        _verdict(said),
        _status(run),
    )


def _verdict(said: Summary) -> str:
    """Give the verdict's words; a run that is over and of which nothing was measured is not warming up any more."""
    measured = said.valid_loss is not None or said.train_loss is not None or said.steps
    is_over = said.status not in {"running", "unknown", "empty"}
    return "-" if said.verdict == "warming_up" and is_over and not measured else said.verdict_words


def _progress(said: Summary) -> str:
    """Say how far a run came: in epochs, else in steps where only those are counted."""
    if said.planned_epochs:
        return f"{said.epochs}/{said.planned_epochs}"
    return f"step {said.steps:,}" if said.steps and not said.epochs else str(said.epochs)


def _status(run: Run) -> str:
    """Tell a run that trains now from one that was killed: the writer of a log holds a lock on it."""
    if run.summary.status == "unknown":
        return "written just now" if run.being_written else "not said"
    if run.summary.status == "running" and not run.being_written:
        return "no end: killed, or written elsewhere"
    return run.summary.status.replace("_", " ")


def _object(run: Run) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.to_builtins(run.summary)
    verdict = {
        "state": said.pop("verdict"),
        "since_epoch": said.pop("since_epoch"),
        "since_step": said.pop("since_step"),
        "words": said.pop("verdict_words"),
    }
    return {
        "name": run.name, "path": str(run.path), **said, "verdict": verdict, "being_written": run.being_written
    }  # fmt: skip
