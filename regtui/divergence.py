"""When a run's losses have left all bounds."""

import math

import numpy as np

from regtui.backends import StepLosses

DIVERGED_AT = 1e4
"""A loss this many times its start has left all bounds: nets that recover were seen to come back from 1,000 times,
while one that goes on rising reaches any bound within a few more steps."""


class Bound:
    """The loss beyond which a run has diverged, known from its first step on."""

    def __init__(self, classes: int) -> None:
        self._guess = math.log(max(2, classes))
        self.value = 0.0
        """0 before the first step."""

    def broken_at(self, losses: StepLosses) -> int | None:
        """Find the first of some steps whose loss is not finite or has left all bounds."""
        if not self.value:
            # Guessing costs ln(classes); a start below that is no reason for a tighter bound.
            start = float(losses.data_loss[0])
            self.value = DIVERGED_AT * (max(start, self._guess) if math.isfinite(start) else self._guess)
        good = (losses.data_loss <= self.value) & np.isfinite(losses.penalty)
        return None if good.all() else int(np.argmin(good))

    def words(self, losses: StepLosses, at: int, step: int) -> str:
        """Say what is wrong with the loss of one of these steps."""
        loss = float(losses.data_loss[at])
        what = "is not a finite number" if not math.isfinite(loss) else f"of {loss:.3g} has left all bounds"
        if loss <= self.value:
            what = "is finite but its penalty is not"
        return f"the loss {what} at step {step}"
