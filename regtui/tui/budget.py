"""How often the screen may be drawn without slowing the training that it watches."""

SHARE = 0.02
"""The part of the wall time that drawing aims at while a run lives.

It must not take more than 3 %: the first frames of a run, whose cost is not known yet, and single slow ones come on
top. On two cores a frame holds the thread that trains up for longer than it takes, and 6 % is all that may be lost.
"""

FASTEST, SLOWEST = 10.0, 1.0
"""Frames a second: more are not seen in a terminal, fewer look as if the run had hung."""

MEMORY = 0.7
"""Weight of the past in the running mean of a frame's cost: one slow frame does not halve the rate."""


class FrameBudget:
    """Decide when the next frame is due from what the last ones cost.

    Times are given by the caller in seconds, of any one clock; costs in seconds of processor time.
    """

    def __init__(self, *, share: float = SHARE) -> None:
        self._share = share
        self._cost: float | None = None
        self._last = float("-inf")
        self.frames = 0
        """Frames drawn so far."""
        self.spent_seconds = 0.0
        """Processor time of all of them."""

    @property
    def interval(self) -> float:
        """Seconds from one frame to the next at the present cost."""
        wanted = (self._cost or 0.0) / self._share
        return min(max(wanted, 1 / FASTEST), 1 / SLOWEST)

    def wait(self, now: float) -> float:
        """Give the seconds until a frame may be drawn; 0 when one is due."""
        return max(0.0, self._last + self.interval - now)

    def begin(self, now: float) -> None:
        """Note that a frame begins; the next one is counted from here, also while this one is still being drawn."""
        self._last = now
        self.frames += 1

    def end(self, cost: float) -> None:
        self._cost = cost if self._cost is None else MEMORY * self._cost + (1 - MEMORY) * cost
        self.spent_seconds += cost
