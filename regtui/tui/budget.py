"""How often the screen may be drawn without slowing the training that it watches, or filling the line to it."""

SHARE = 0.02
"""The part of the wall time that drawing aims at while a run lives.

It must not take more than 3 %: the first frames of a run, whose cost is not known yet, and single slow ones come on
top. On two cores a frame holds the thread that trains up for longer than it takes, and 6 % is all that may be lost.
"""

BYTES_A_CELL = 1.75
"""What drawing may send a second for each cell of the screen: 3.4 kB at 80x24 and 9.8 kB at 140x40, of which the goals
are 4 and 10. A line of 5 kB/s is thin, and still has room for what a key asks for."""

LINE_SHARE = 1 / 3
"""The part of the time that a frame may be under way: mostly the line is free when a key is pressed."""

FASTEST, SLOWEST = 10.0, 1.0
"""Frames a second: more are not seen in a terminal, fewer look as if the run had hung."""

MEMORY = 0.7
"""Weight of the past in the running mean of a frame's cost: one slow frame does not halve the rate."""


class FrameBudget:
    """Decide when the next frame is due from what the last ones cost.

    Times are given by the caller in seconds, of any one clock; costs in seconds of processor time.
    """

    def __init__(self, *, share: float = SHARE, cells: int = 80 * 24) -> None:
        """Begin with nothing known; `cells` are those of the screen."""
        self._share = share
        self.cells = cells
        """Cells of the screen."""
        self._cost: float | None = None
        self._bytes, self._way = 0.0, 0.0
        self._last = float("-inf")
        self.frames = 0
        """Frames drawn so far."""
        self.spent_seconds = 0.0
        """Processor time of all of them."""

    @property
    def interval(self) -> float:
        """Seconds from one frame to the next at the present cost."""
        wanted = max(
            (self._cost or 0.0) / self._share, self._bytes / (BYTES_A_CELL * self.cells), self._way / LINE_SHARE
        )
        return min(max(wanted, 1 / FASTEST), 1 / SLOWEST)

    def wait(self, now: float) -> float:
        """Give the seconds until a frame may be drawn; 0 when one is due."""
        return max(0.0, self._last + self.interval - now)

    def begin(self, now: float) -> None:
        """Note that a frame begins; the next one is counted from here, also while this one is still being drawn."""
        self._last = now
        self.frames += 1

    def end(self, cost: float, sent_bytes: int = 0, way: float = 0.0) -> None:
        """Note what the frame has cost, what was sent since the last one, and how long frames are under way."""
        past = MEMORY if self._cost is not None else 0.0
        self._cost = past * (self._cost or 0.0) + (1 - past) * cost
        # The first frame is the whole screen, as no other is.
        self._bytes = MEMORY * self._bytes + (1 - MEMORY) * sent_bytes
        self._way = way
        self.spent_seconds += cost
