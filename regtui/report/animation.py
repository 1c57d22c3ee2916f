"""A recorded run shown on a terminal as it went, only the lines that changed drawn anew."""

import math
from collections.abc import Callable, Iterable
from typing import TextIO

from regtui.charts import StyledLine, View
from regtui.core.events import Event
from regtui.core.history import History
from regtui.readers.folding import singly
from regtui.report.page import page
from regtui.report.paint import as_text

FRAME_SECONDS = 0.1
"""Ten pictures a second look like motion and cost little, over SSH too."""

LONGEST_GAP = 60.0
"""Recorded seconds between two records that are kept; a longer one is a night's pause or a clock that was set,
since a run writes thousands of records."""

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""A screen of its own, without a cursor."""

LEAVE = "\x1b[?25h\x1b[?1049l"
"""Back to what was there before."""


class Animation:
    """Draws a run in place while its records come due."""

    def __init__(
        self, out: TextIO, view: View, speed: float, size: Callable[[], tuple[int, int]], colour: bool
    ) -> None:
        """Draw on a terminal, `speed` recorded seconds in one."""
        self._out = out
        self._view = view
        self._speed = speed
        self._size = size
        self._colour = colour
        self._shown: list[StyledLine] = []
        self._shown_size = (0, 0)

    def play(
        self, batches: Iterable[list[Event]], *, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> History:
        """Show the run to its end and give its history."""
        history = History()
        self._out.write(ENTER)
        try:
            self._play(history, batches, now, sleep)
        finally:
            self._out.write(LEAVE)
            self._out.flush()
        return history

    def _play(
        self, history: History, batches: Iterable[list[Event]], now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        start = frame = now()
        recorded, previous = 0.0, math.nan
        for events in batches:
            folded, events = 0, list(singly(events))
            for index, event in enumerate(events):
                time = event.time
                if time is not None and math.isfinite(time):
                    recorded += min(max(time - previous, 0.0), LONGEST_GAP) if previous == previous else 0.0
                    previous = time
                due = start + recorded / self._speed
                if due <= frame:
                    continue
                # All that was due before this picture is known: fold it, and show it when its time has come.
                history.apply(events[folded:index])
                folded = index
                sleep(max(0.0, frame - now()))
                self._draw(history)
                frame = max(due, now() + FRAME_SECONDS)
            history.apply(events[folded:])
        sleep(max(0.0, frame - now()))
        self._draw(history)

    def _draw(self, history: History) -> None:
        width, height = size = self._size()
        lines = page(history, width, height, view=self._view)[:height]
        if size != self._shown_size:
            self._out.write("\x1b[2J")
            self._shown = []
        for row, line in enumerate(lines):
            if row >= len(self._shown) or self._shown[row] != line:
                self._out.write(f"\x1b[{row + 1};1H{as_text([line], colour=self._colour)}\x1b[K")
        self._out.write(f"\x1b[{len(lines) + 1};1H\x1b[J" if len(lines) < len(self._shown) else "")
        self._out.flush()
        self._shown, self._shown_size = lines, size
