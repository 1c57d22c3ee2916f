"""Which of the checkpoints that a run has saved is worth keeping, and what it would have saved to stop there."""

import math
from dataclasses import dataclass

import numpy as np

from regtui.core.events import Checkpoint
from regtui.core.history import History
from regtui.core.series import FloatArray
from regtui.core.text import clock, number

WORTH_SAVING = 0.1
"""A tenth of the run or more is worth a word."""

NEAR = 0.05
"""Of the run's length: a checkpoint further from the best than that is called the nearest, not the best."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The checkpoint nearest to a row of the evaluations."""

    checkpoint: Checkpoint
    row: int
    """The evaluation nearest to the checkpoint itself."""
    exact: bool
    """Whether it was saved at the best row."""


def nearest(history: History, row: int) -> Kept | None:
    """Find the checkpoint nearest to a row of the evaluations; None where the run has none."""
    places = _places(history)
    steps = history.evaluations.step.values
    if not len(places) or not 0 <= row < len(steps):
        return None
    distances = np.abs(places - steps[row])
    if not np.isfinite(distances).any():
        return None
    chosen = int(np.nanargmin(distances))
    at = int(np.argmin(np.abs(steps - places[chosen])))
    # A step more or less is how trainers count: the update that is under way, or the one that is done.
    return Kept(checkpoint=history.checkpoints[chosen], row=at, exact=bool(at == row and distances[chosen] <= 1))


def keep(history: History, best: int, most_accurate: int) -> str:
    """Say which checkpoint to keep, by loss and by accuracy; empty where none was saved, or the newest is the best."""
    kept = nearest(history, best)
    if kept is None:
        return ""
    named = f"keep {_told(history, kept)}"
    other = nearest(history, most_accurate) if most_accurate > best else None
    if other is not None and other.checkpoint != kept.checkpoint:
        accuracy = history.evaluations["valid/accuracy"].values[other.row]
        right = f" (accuracy {accuracy:.1%})" if math.isfinite(accuracy) else ""
        named += f", for right answers {other.checkpoint.name}{right}"
        return f"{named}{_saved(history, max(kept.row, other.row))}"
    return f"{named}{_saved(history, kept.row)}"


def _told(history: History, kept: Kept) -> str:
    loss = history.evaluations["valid/loss"].values[kept.row]
    what = f" (validation {number(loss)})" if math.isfinite(loss) else ""
    return f"{kept.checkpoint.name}{what}" if kept.exact else f"{kept.checkpoint.name}, the nearest to it{what}"


def _saved(history: History, row: int) -> str:
    """Say what stopping at a row would have saved: time where the log has it, else a share of the run."""
    steps, times = history.evaluations.step.values, history.evaluations["time"].values
    whole = steps[-1]
    share = (whole - steps[row]) / whole if whole > 0 else 0.0
    if not share >= WORTH_SAVING:
        return ""
    seconds = times[-1] - times[row]
    if math.isfinite(seconds) and seconds >= 1:
        return f"; stopping there would have saved {clock(seconds)}"
    return f"; stopping there would have saved {share:.0%} of the run"


def _places(history: History) -> FloatArray:
    """Give the place of each checkpoint in the unit of the tables, NaN where it cannot be known."""
    epochs, steps = history.evaluations["epoch"].values, history.evaluations.step.values
    known = np.isfinite(epochs)
    found = []
    for each in history.checkpoints:
        if history.counts_steps and each.step is not None:
            found.append(float(each.step))
        elif each.epoch is None:
            found.append(math.nan)
        elif not history.counts_steps:
            found.append(float(each.epoch))
        elif known.any() and epochs[known].min() <= each.epoch <= epochs[known].max():
            found.append(float(np.interp(each.epoch, epochs[known], steps[known])))
        else:
            found.append(math.nan)
    return np.array(found)
