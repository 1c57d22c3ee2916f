"""What can be worked out from a History: gap, best epoch, verdict, drops, patience, what is to come, time left.

The public face of the analysis; each function is a pure function of the History. Losses are in nats, times in
seconds, speeds in steps a second. Sums of numbers near the largest float overflow to infinity, which compares as it
should: nobody is warned of it.
"""

import math

import numpy as np

from regtui.analysis.curve import RECENT
from regtui.analysis.drops import DropEffect as DropEffect
from regtui.analysis.drops import drop_effects as drop_effects
from regtui.analysis.forecast import Forecast as Forecast
from regtui.analysis.forecast import forecast as forecast
from regtui.analysis.judge import State as State
from regtui.analysis.meters import EarlyStopMeter as EarlyStopMeter
from regtui.analysis.meters import Meters as Meters
from regtui.analysis.meters import meters as meters
from regtui.analysis.training import is_running as is_running
from regtui.analysis.training import training_loss as training_loss
from regtui.analysis.verdict import Verdict as Verdict
from regtui.analysis.verdict import verdict as verdict
from regtui.analysis.verdict import verdict_at as verdict_at
from regtui.core.history import History
from regtui.core.series import FloatArray
from regtui.schedules.rates import PlateauMeter as PlateauMeter

SPEED_RECORDS = 4096
"""Newest step records that the speed is taken from: enough to be steady, few enough to follow a change."""


def gap(history: History) -> FloatArray:
    """Give the generalisation gap of each evaluation, validation loss minus training loss, NaN where one is missing.

    Of regtui's own runs both are measured after the epoch, dropout off and without the penalty. Where a log has but
    the running training loss, which is higher, this is a lower bound of the gap. Not to be written to.
    """
    return history.now(_gap)


@np.errstate(all="ignore")
def _gap(history: History) -> FloatArray:
    return history.evaluations["valid/loss"].values - training_loss(history)


def best_row(history: History) -> int | None:
    """Give the row of the lowest validation loss in the table of evaluations, the first on ties; None without one."""
    return history.now(_best_row)


def _best_row(history: History) -> int | None:
    values = history.evaluations["valid/loss"].values
    if not np.isfinite(values).any():
        return None
    return int(np.nanargmin(values))


def best_epoch(history: History) -> int | None:
    """Give the epoch of the lowest validation loss, the first on ties; None where none was measured."""
    row = best_row(history)
    return None if row is None else history.epoch_of(row)


def steps_per_second(history: History) -> float | None:
    """Give the training speed, the first steps and their compile time left out; None while it cannot be known.

    The records of one chunk share a time, so chunks are compared: steps made over time passed, for each chunk but
    the first (which traces and compiles), and of those the median weighted by steps. A pause or an evaluation makes
    one chunk look slow and does not move the median. Without times of steps, the epochs' own training seconds are
    taken, the first left out where there are others.
    """
    return history.now(_steps_per_second)


@np.errstate(all="ignore")
def _steps_per_second(history: History) -> float | None:
    steps, times = history.steps.step.values[-SPEED_RECORDS:], history.steps["time"].values[-SPEED_RECORDS:]
    known = np.isfinite(times) & np.isfinite(steps)
    steps, times = steps[known], times[known]
    ends = np.flatnonzero(np.diff(times) > 0)
    if len(ends) >= 3:
        last = np.append(ends, len(times) - 1)
        made, passed = np.diff(steps[last]), np.diff(times[last])
        useful = (made > 0) & (passed > 0)
        if useful.any():
            return _weighted_median(made[useful] / passed[useful], made[useful])
    seconds, ended = history.evaluations["seconds"].values, history.evaluations.step.values
    made = np.diff(ended, prepend=0.0)
    useful = np.isfinite(seconds) & (seconds > 0) & (made > 0)
    if useful.sum() > 1:
        useful[np.argmax(useful)] = False
    if not useful.any():
        times = history.evaluations["time"].values[-SPEED_RECORDS:]
        made, seconds = np.diff(ended[-SPEED_RECORDS:]), np.diff(times)
        # With the evaluations between them, as another trainer's log has it.
        useful = np.isfinite(seconds) & (seconds > 0) & (made > 0)
    if not useful.any():
        return None
    return _weighted_median((made[useful] / seconds[useful])[-RECENT:], made[useful][-RECENT:])


def _weighted_median(values: FloatArray, weights: FloatArray) -> float | None:
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    middle = float(values[order][np.searchsorted(passed, passed[-1] / 2)])
    return middle if math.isfinite(middle) and middle > 0 else None


@np.errstate(all="ignore")
def eta_seconds(history: History, now: float) -> float | None:
    """Estimate the seconds until the run has made all its steps; None for a run that is over or cannot say.

    Steps left over the present speed, plus an evaluation for each epoch left, less the time passed since the newest
    record (`now`, in seconds since the epoch of Unix, on the clock of the machine that trains); but no more than a
    second or an evaluation of it, since a run that says nothing for longer is paused or stuck.
    """
    if history.status not in ("running", "unknown"):
        return None
    speed, total = steps_per_second(history), history.total_steps
    if speed is None or not math.isfinite(total):
        return None
    left = max(0.0, total - history.step)
    evaluations = history.evaluations["evaluate_seconds"].values[-RECENT:]
    evaluations = evaluations[np.isfinite(evaluations)]
    evaluation = float(np.median(evaluations)) if len(evaluations) else 0.0
    epochs_left = max(0, (history.plan.epochs or 0) - len(history.evaluations))
    seconds = left / speed + evaluation * epochs_left
    latest = max(
        (time for time in (history.steps["time"].last, history.evaluations["time"].last) if math.isfinite(time)),
        default=now,
    )
    passed = min(max(0.0, now - latest), max(1.0, evaluation))
    return max(0.0, seconds - passed)
