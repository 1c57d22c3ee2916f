"""What was sent to a run in another process, until its log says what came of it."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from regtui.core.config import fields
from regtui.core.events import (
    COMMANDS,
    Changed,
    Command,
    Event,
    Noted,
    Pause,
    Resume,
    RunEnded,
    RunEpoch,
    SetKnob,
    Stop,
)
from regtui.core.text import short

PATIENCE_SECONDS = 5.0
"""When a person is told that nobody has answered: a run looks for commands ten times a second, but an epoch's
evaluation, or a machine that is busy, may hold it up for some seconds."""

TOLD_EVERY_SECONDS = 5
"""How often that is counted on: each new number is sent over the line."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A command that lies where whoever trains looks for it."""

    command: Command
    at: float
    """When it was sent, by a monotonic clock."""

    def is_answered_by(self, event: Event) -> bool:
        """Tell whether an event of the log says what came of it: that it was obeyed, refused or came too late."""
        if isinstance(event, RunEnded):
            return True
        match self.command:
            case SetKnob() as turned:
                return _is_turned_by(turned, event)
            case Pause():
                return _is_state(event, "paused")
            case Resume():
                return _is_state(event, "training")
            case RunEpoch():
                return _is_state(event, "training", "paused")
            case Stop():
                return _is_state(event, "stopping")

    def seconds_of_silence(self, now: float) -> int:
        """Count how long nobody has answered, as far as that is worth a word; 0 where it is not yet."""
        waited = now - self.at
        return int(waited // TOLD_EVERY_SECONDS) * TOLD_EVERY_SECONDS if waited >= PATIENCE_SECONDS else 0


def _is_state(event: Event, *states: str) -> bool:
    return isinstance(event, Noted) and event.level == "state" and event.text in states


def _is_turned_by(turned: SetKnob, event: Event) -> bool:
    if isinstance(event, Noted):
        # A value out of its range is refused by the name of the option or by that of the knob.
        return event.level == "warning" and turned.knob in event.text.replace("-", "_")
    if not isinstance(event, Changed) or event.what != turned.knob or event.cause != "user":
        return False
    # A policy may not let a rate have just the value that was asked for; of all else it tells whose turn it was.
    return turned.knob == "learning_rate" or (event.new is not None and math.isclose(event.new, turned.value))


def names_of(listens: Collection[type]) -> list[str]:
    """Name the commands that a run listens to, as its log does."""
    return [name for name, kind in COMMANDS.items() if kind in listens]


def name_of(command: Command) -> str:
    """Name a command for a person: `pause`, `one epoch`, `LR ×0.5`, `Dropout 0.4`."""
    match command:
        case SetKnob(knob=knob, value=value, scale=scale):
            label = "LR" if knob == "learning_rate" else fields()[knob].label
            return f"{label} {'×' if scale else ''}{short(value)}"
        case RunEpoch():
            return "one epoch"
        case Pause() | Resume() | Stop():
            return type(command).__name__.lower()
