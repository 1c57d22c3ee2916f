"""What a log says of its run in a word or a number: who trained, where, and how far it came."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE
from regtui.core.series import FloatArray


def learning_rates(history: History) -> FloatArray:
    """Give the rate at each evaluation, shape (evaluations,): as logged there, else that of the last step before it."""
    return history.now(_learning_rates)


def _learning_rates(history: History) -> FloatArray:
    said = history.evaluations[LEARNING_RATE].values
    is_said = np.isfinite(said)
    # Asked first: mostly it is so, and steps are a thousand times as many.
    if is_said.all():
        return said
    rates = history.steps[LEARNING_RATE].values
    known = np.flatnonzero(np.isfinite(rates))
    if not len(known):
        return said
    places = np.searchsorted(history.steps.step.values[known], history.evaluations.step.values, side="right") - 1
    return np.where(is_said | (places < 0), said, rates[known[places]])


def asked_for(settings: Mapping[str, Any]) -> str:
    """Put another trainer's settings on one line, those that are a word or a number."""
    return " · ".join(f"{name} {value}" for name, value in settings.items() if isinstance(value, str | int | float))


def only_prints(history: History) -> bool:
    """Tell whether nothing is known of a run but what it prints: a command that has written no log of a training."""
    measured = len(history.steps) or len(history.evaluations)
    return history.trainer == "command" and not measured


def framework(history: History) -> str | None:
    """Name the framework: the one that trained, else the one that was asked for; None where nobody says."""
    said = environment(history, "framework")
    return said or (history.config.framework if history.config else None)


def device(history: History) -> str | None:
    """Name the device: the one that trained, else the one that was asked for."""
    return environment(history, "device") or (history.config.device if history.config else None)


def environment(history: History, key: str) -> str | None:
    """Give a text of the run's environment, None where it has none."""
    value = history.run.environment.get(key) if history.run else None
    return value if isinstance(value, str) and value else None


def completed_epochs(history: History) -> int:
    """Give the number of the last epoch that has ended; 0 before the first, and where epochs are not counted."""
    return history.now(_completed_epochs)


def _completed_epochs(history: History) -> int:
    table = history.evaluations if len(history.evaluations) else history.steps
    epochs = table["epoch"].values
    # The newest may not say it, where others do.
    known = np.flatnonzero(np.isfinite(epochs))
    return int(epochs[known[-1]]) if len(known) else 0


def how_far(history: History) -> str:
    """Say how far a run is, and of how much: in epochs where they are counted, else in steps."""
    if history.counts_epochs and (len(history.evaluations) or not len(history.steps) or history.plan.epochs):
        planned = history.plan.epochs
        return f"epoch {completed_epochs(history)}" + (f" of {planned}" if planned else "")
    total = history.plan.total_steps
    return f"step {history.step:,}" + (f" of {total:,}" if total else "")
