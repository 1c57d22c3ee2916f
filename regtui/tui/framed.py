"""Frames for a terminal or a page, so that nothing waits for it: one is under way at a time, and then the newest."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from textual._ansi_sequences import SYNC_END, SYNC_START
from textual.driver import Driver

from regtui.tui.cells import Picture
from regtui.tui.line import PATIENCE_SECONDS, Line

CLOSE_SECONDS = 0.3
"""How long leaving waits until what was written last is taken, such as the terminal's own modes."""


class FramedDriver(Driver):
    """A driver that sends of each frame what is not there yet, and none while one is under way."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._line: Line | None = None
        self._leaving = False
        self._frame: list[str] | None = None
        self._picture, self._at_once = Picture(1, 1), False
        self._reminder: asyncio.TimerHandle | None = None
        self.sent_bytes = 0
        """Sent in frames so far."""

    @property
    def way_seconds(self) -> float:
        """How long a frame is under way: the last one that arrived."""
        return self._line.way_seconds if self._line is not None else 0.0

    def open_line(self, line: Line) -> None:
        """Draw on a line from now on."""
        self._line, self._leaving = line, False
        self._picture.forget()

    def settle(self, seconds: float) -> None:
        """Draw no more, and wait until what was drawn has arrived: the terminal is someone else's next."""
        self._leaving = True
        if self._line is not None:
            self._line.settle(seconds)

    def write(self, data: str) -> None:
        if self._frame is not None:
            self._frame.append(data)
        elif self._line is not None:
            self._line.write(data.encode(errors="replace"))

    @contextmanager
    def frame(self, columns: int, rows: int) -> Iterator[None]:
        """Take what is written meanwhile as one frame of a screen of this size."""
        written: list[str] = []
        self._frame = written
        try:
            yield
        finally:
            self._frame = None
            if self._picture.size != (columns, rows):
                self._picture = Picture(columns, rows)
            if written:
                self._picture.put("".join(written))
                self._at_once = written[0] == SYNC_START
                self._draw()

    def forget(self) -> None:
        """Draw all of the screen the next time."""
        self._picture.forget()

    def say_there_is_room(self) -> None:
        """Draw what was held back; from any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._draw)

    def _draw(self) -> None:
        """Send what the terminal lacks, if the last frame has arrived; else come back when it has."""
        self._cancel_reminder()
        if self._line is None or self._leaving or not self._picture.differs:
            return
        if not self._line.takes_frame():
            # Should the answer be lost, nothing else would draw.
            self._reminder = self._loop.call_later(PATIENCE_SECONDS, self._draw)
            return
        changes = self._picture.changes()
        if changes:
            frame = (SYNC_START + changes + SYNC_END if self._at_once else changes).encode(errors="replace")
            self.sent_bytes += len(frame)
            self._line.frame(frame)

    def _cancel_reminder(self) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None

    def close(self) -> None:
        self._cancel_reminder()
        if self._line is not None:
            self._line.close(CLOSE_SECONDS)
            self._line = None
        super().close()
