"""The changes of the learning rate, followed as they come: there may be as many as steps, too many for each frame."""

import numpy as np

from regtui.core.events import Changed
from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE
from regtui.core.series import FloatArray


class RateChanges:
    """What a run's changes of the rate are, in their order."""

    def __init__(self, _history: History) -> None:
        self.all: list[Changed] = []
        self.by_hand: list[Changed] = []
        """Those that a person made."""
        self.drops: list[Changed] = []
        """Those that made it lower, but for the last one of a policy that reaches its floor."""
        self._seen = 0

    def follow(self, history: History) -> None:
        """Take in what has come since the last call."""
        for change in history.changes[self._seen :]:
            if change.what != LEARNING_RATE:
                continue
            self.all.append(change)
            if change.cause == "user":
                self.by_hand.append(change)
            if (
                change.cause != "floor"
                and change.old is not None
                and change.new is not None
                and change.new < change.old
            ):
                self.drops.append(change)
        self._seen = len(history.changes)


def rate_changes(history: History) -> RateChanges:
    """Give the changes of the rate so far; not to be written to."""
    changes = history.derived(RateChanges)
    changes.follow(history)
    return changes


def steps_of_changes(history: History) -> FloatArray:
    """Give the steps of all changes of the rate, rising."""
    return history.now(_steps_of_changes)


def _steps_of_changes(history: History) -> FloatArray:
    return np.sort(np.array([change.step for change in rate_changes(history).all], dtype=np.float64))
