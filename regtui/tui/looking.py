"""Looking at a run: cursor, zoom, strips, smoothing. None of it touches the run itself."""

from dataclasses import replace
from typing import Any

from textual import on
from textual.screen import Screen

from regtui.charts import SMOOTHING, View, row_at, stacks
from regtui.charts.layout import x_axis
from regtui.charts.view import Zoom
from regtui.core.history import History
from regtui.sources import Watched
from regtui.tui.plot import Plot

TALL_ROWS = 20
"""Rows of curves from which on three strips can be read."""

ZOOMS: tuple[Zoom, ...] = ("all", "half", "tenth")

LOOKS = frozenset({"zoom", "log_y", "smooth", "penalty", "strips"})
"""Actions that change how curves are drawn, from the start of a run on."""

CURSORS = frozenset({"cursor", "cursor_first", "cursor_last"})
"""Actions that read one evaluation out."""


class Looking(Screen[None]):
    """A screen with a run on show, others behind it, and a view of it that keys change."""

    def __init__(self, watched: list[Watched]) -> None:
        super().__init__()
        self.watched = watched
        """The run on show, then those behind it."""
        self.view = View(ghost=self.ghost)
        """How it is looked at."""

    @property
    def shown(self) -> Watched:
        return self.watched[0]

    @property
    def history(self) -> History:
        return self.shown.history

    @property
    def ghost(self) -> History | None:
        """What is known of the run behind it."""
        return self.watched[1].history if len(self.watched) > 1 else None

    def put_on_show(self, watched: list[Watched]) -> None:
        """Show another run, or the same one before others."""
        self.watched = watched
        self.view = replace(self.view, ghost=self.ghost, cursor=None)

    def draw(self) -> None:
        """Draw everything that may have changed."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 # Textual's
        """Hide the keys that cannot work now."""
        if action in LOOKS:
            return self.history.run is not None or bool(len(self.history.evaluations))
        if action in CURSORS:
            return bool(len(self.history.evaluations))
        return True

    def action_strips(self) -> None:
        tall = self.query_one(Plot).content_size.height >= TALL_ROWS
        sets = stacks(self.history, View().strips, tall=tall)
        at = sets.index(self.view.strips) if self.view.strips in sets else -1
        self._look_at(strips=sets[(at + 1) % len(sets)])

    def action_zoom(self) -> None:
        self._look_at(zoom=ZOOMS[(ZOOMS.index(self.view.zoom) + 1) % len(ZOOMS)])

    def action_log_y(self) -> None:
        self._look_at(log_y=not self.view.log_y)

    def action_smooth(self) -> None:
        self._look_at(smoothing=0.0 if self.view.smoothing else SMOOTHING)

    def action_penalty(self) -> None:
        self._look_at(show_penalty=not self.view.show_penalty)

    def action_cursor(self, by: int) -> None:
        """Move the cursor by one evaluation; the first time it is put on the newest."""
        newest = len(self.history.evaluations) - 1
        self._read(newest if self.view.cursor is None else min(max(self.view.cursor + by, 0), newest))

    def action_cursor_first(self) -> None:
        self._read(0)

    def action_cursor_last(self) -> None:
        self._read(len(self.history.evaluations) - 1)

    def _read(self, row: int) -> None:
        """Put the cursor on a row of the evaluations, and show all of the run where the zoom leaves that row out."""
        step = float(self.history.evaluations.step.values[row])
        axis = x_axis(self.history, self.view, self.query_one(Plot).content_size.width)
        in_sight = axis is None or axis.low <= step <= axis.high
        self._look_at(cursor=row, zoom=self.view.zoom if in_sight else "all")

    @on(Plot.Pointed)
    def point(self, message: Plot.Pointed) -> None:
        plot = self.query_one(Plot)
        self._look_at(cursor=row_at(self.history, *plot.content_size, message.column, self.view))

    def _look_at(self, **changes: Any) -> None:
        self.view = replace(self.view, **changes)
        self.draw()
