"""A recorded run shown on a terminal as it went, only the lines that changed drawn anew."""

import math
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

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

LOOK_SECONDS = 0.25
"""How soon a picture is drawn again that the terminal has lost: after ctrl+z and `fg`, or at another size."""

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
        self._stopped_seconds = 0.0
        self._lost = False

    def play(
        self, batches: Iterable[list[Event]], *, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> History:
        """Show the run to its end and give its history."""
        history = History()
        self._out.write(ENTER)
        try:
            with self._stops_and_goes_on(now):
                self._play(history, batches, lambda: now() - self._stopped_seconds, sleep)
        finally:
            self._out.write(LEAVE)
            self._out.flush()
        return history

    @contextmanager
    def _stops_and_goes_on(self, now: Callable[[], float]) -> Iterator[None]:
        """Give the screen back while the process is stopped by ctrl+z, and go on from there when it continues."""
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
            yield
            return

        def stop(_number: int, _frame: Any) -> None:
            began = now()
            self._write_past(LEAVE)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            # Here the process stands still.
            signal.signal(signal.SIGTSTP, stop)
            self._write_past(ENTER)
            self._lost = True
            self._stopped_seconds += now() - began

        signal.signal(signal.SIGTSTP, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def _write_past(self, codes: str) -> None:
        """Write at once; not through the stream, which may be in the middle of a picture."""
        with suppress(OSError):
            os.write(self._out.fileno(), codes.encode())

    def _wait(self, history: History, until: float, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """Wait, and draw again what the terminal has lost meanwhile: stopped and continued, or resized."""
        while (rest := until - now()) > 0:
            sleep(min(rest, LOOK_SECONDS))
            if self._lost or (self._shown and self._shown_size != self._size()):
                self._draw(history)

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
                self._wait(history, frame, now, sleep)
                self._draw(history)
                frame = max(due, now() + FRAME_SECONDS)
            history.apply(events[folded:])
        self._wait(history, frame, now, sleep)
        self._draw(history)

    def _draw(self, history: History) -> None:
        width, height = size = self._size()
        lines = page(history, width, height, view=self._view)[:height]
        if self._lost or size != self._shown_size:
            self._lost = False
            self._out.write("\x1b[2J")
            self._shown = []
        for row, line in enumerate(lines):
            if row >= len(self._shown) or self._shown[row] != line:
                self._out.write(f"\x1b[{row + 1};1H{as_text([line], colour=self._colour)}\x1b[K")
        self._out.write(f"\x1b[{len(lines) + 1};1H\x1b[J" if len(lines) < len(self._shown) else "")
        self._out.flush()
        self._shown, self._shown_size = lines, size
