"""What a run is between two of its chunks, beside its weights: all that its loop must know to go on to the bit."""

import math
from typing import Any

import msgspec

from regtui.core.events import Changed, Count, SetKnob


class RunState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The loop's own numbers at a chunk's end; JSON holds it, but for numbers that are not finite."""

    step: Count
    """Updates completed."""
    epoch: Count
    """Epochs completed; within one, `step` says how many of its updates are made."""
    loss_sum: float = 0.0
    """Sum of the rows' losses in the epoch so far."""
    seconds: float = 0.0
    """Training time in the epoch so far."""
    best_loss: float
    """Lowest validation loss; infinite before the first."""
    best_epoch: Count = 0
    """The epoch that had it; 0 before the first."""
    bound: float = 0.0
    """The loss beyond which the run has diverged; 0 before the first step."""
    warned: bool = False
    """It was said that a run goes on although it has diverged."""
    knobs: dict[str, float]
    """l2, l1, weight_decay and dropout as they are turned now."""
    turned: Count = 0
    """How many changes by hand are in it, of those that the log has."""
    paused: bool = False
    pause_at_epoch: bool = False
    """The run is to pause when the epoch has ended."""
    end: tuple[str, str] | None = None
    """Status and reason of the end that the numbers have brought about, where it is not in the log yet."""
    schedule: dict[str, Any] = {}
    """State of the learning-rate schedule."""


def knob_of(change: Changed) -> SetKnob:
    """Give the command that a change by hand obeyed."""
    if change.how == "scale" and change.old and change.new is not None:
        return SetKnob(knob="learning_rate", value=change.new / change.old, scale=True)
    return SetKnob(knob=change.what, value=math.nan if change.new is None else change.new)  # type: ignore[arg-type]
