"""Everything the screen shows of one run: curves, numbers, meters, event log, comparison with the run before."""

from collections import deque
from collections.abc import Iterable
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.css.scalar import Scalar
from textual.widget import Widget

from regtui.analysis import facts
from regtui.charts import StyledLine, View
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Event, Noted, Resumed, RunEnded, RunStarted
from regtui.core.history import History
from regtui.tui.canvas import Canvas, fold_line, span
from regtui.tui.compared import comparison_lines
from regtui.tui.eventlines import event_line
from regtui.tui.panels import WIDE_CURVES, held, machine_lines, meter_lines, number_lines
from regtui.tui.plot import Plot

KEPT_LINES = 500
"""Lines of the event log that can be scrolled back to."""


COMPARISON_WIDTH = (38, 64)
"""Cells of the comparison, at least and at most: its numbers, and what differs on few rows where there is room."""

FOOT_ROWS = 7
"""Rows of the event log and the comparison beside it, border included, as in the stylesheet; more where it is long."""

LEAST_FOOT = 2
"""Rows of the event log that are left to it, border included, where the meters take many."""

LEAST_PLOT = 11
"""Rows that the curves keep: two strips with their axis; half of a higher screen is theirs, too."""


class EventLog(VerticalScroll, can_focus=False):
    """What happened, a line an event, framework output too; the newest is at the bottom."""

    def __init__(self) -> None:
        super().__init__(id="events")
        self._told: deque[StyledLine] = deque(maxlen=KEPT_LINES)

    def compose(self) -> ComposeResult:
        """Put one canvas into the scrolling region, as high as its lines."""
        yield Canvas(id="events-text")

    def tell(self, lines: Iterable[StyledLine]) -> None:
        before = len(self._told)
        self._told.extend(lines)
        if len(self._told) != before or before == KEPT_LINES:
            self.rewrap()

    def clear(self) -> None:
        """Forget all lines."""
        self._told.clear()

    def on_resize(self) -> None:
        self.rewrap()

    def rewrap(self) -> None:
        """Break all lines to the width, and stay at the newest."""
        canvas = self.query_one("#events-text", Canvas)
        width = self.scrollable_content_region.width
        if not width:
            return
        rows = [row for line in self._told for row in fold_line(line, width)]
        canvas.styles.height = len(rows)
        canvas.show(rows)
        # The canvas has its new height only after the next layout.
        self.call_after_refresh(self.scroll_end, animate=False)


class RunView(Vertical):
    """One run, drawn from its History."""

    def __init__(self) -> None:
        super().__init__(id="run")
        self._drawn: tuple[History, View, RunConfig | None] | None = None

    def compose(self) -> ComposeResult:
        yield Plot(id="plot")
        yield Canvas(id="numbers")
        yield Canvas(id="meters")
        with Horizontal(id="foot"):
            yield EventLog()
            yield Canvas(id="comparison")

    def on_resize(self) -> None:
        """Draw for the new width, in which other rows are needed: the form may have come beside the curves."""
        if self._drawn is not None:
            self.draw(*self._drawn)

    def draw(self, history: History, view: View, preview: RunConfig | None) -> None:
        self._drawn = history, view, preview
        # Of a command that writes no log of a training the output is all there is, and has the place of the curves.
        only_prints = facts.only_prints(history)
        for part in ("#plot", "#numbers", "#meters"):
            self.query_one(part).display = not only_prints
        if only_prints:
            self.query_one("#comparison").display = False
            _set(self.query_one("#foot"), "height", self.content_size.height)
            return
        numbers = self.query_one("#numbers", Canvas)
        numbers.show(number_lines(history, *numbers.content_size, row=view.cursor))
        least_foot = self._draw_comparison(history, view.ghost)
        self._draw_meters(history, view.ghost, least_foot)
        self.query_one(Plot).draw(history, view, preview)

    def _draw_meters(self, history: History, ghost: History | None, least_foot: int) -> None:
        """Give the meters the rows that they need; where they are many, the event log beneath gives some of its own."""
        meters, foot = self.query_one("#meters", Canvas), self.query_one("#foot")
        height = self.content_size.height
        spare = height - _rows(self.query_one("#numbers").styles.height) - max(LEAST_PLOT, height // 2)
        lines = meter_lines(history, ghost, self.content_size.width, max(spare - least_foot, 1))
        if len(lines) < spare - least_foot:
            # The machine has a row that nothing else needs.
            lines += machine_lines(history, self.content_size.width)
        _set(foot, "height", max(least_foot, min(_rows(foot.styles.base.height), spare - len(lines))))
        _set(meters, "height", len(lines))
        meters.show(lines)

    def _draw_comparison(self, history: History, ghost: History | None) -> int:
        """Draw the comparison where it has a panel; gives the rows of the foot that cannot be spared."""
        comparison = self.query_one("#comparison", Canvas)
        # Not its own width, which is not known before it is laid out for the first time.
        whole, height = self.content_size.width, self.content_size.height
        shown = ghost is not None and whole >= WIDE_CURVES and bool(len(history.evaluations))
        comparison.display = shown
        if ghost is None or not shown:
            return LEAST_FOOT
        least, most = COMPARISON_WIDTH
        width = min(max(least, whole * 2 // 5), most)
        lines = comparison_lines(history, ghost, width)
        rows = max(FOOT_ROWS, min(len(lines) + 1, height * 2 // 5))
        _set(comparison, "width", width)
        comparison.show(held(lines, rows - 1, width))
        return rows

    def tell(self, events: list[Event]) -> None:
        """Put the discrete ones of some events into the log."""
        discrete = [event for event in events if isinstance(event, RunStarted | Changed | Noted | Resumed | RunEnded)]
        if discrete:
            # No more than can be scrolled back to: a log may hold nothing else.
            self.query_one(EventLog).tell(map(event_line, discrete[-KEPT_LINES:]))

    def retell(self, history: History) -> None:
        """Tell another run's events from its start; what had been said of the one before goes."""
        log = self.query_one(EventLog)
        log.clear()
        told: list[Changed | Noted | Resumed] = [*history.changes, *history.notes, *history.resumed]
        told.sort(key=lambda event: (event.step, event.time or 0.0))
        whole: list[Event | None] = [history.run, *told[-KEPT_LINES:], history.end]
        self.tell([event for event in whole if event is not None])
        log.rewrap()

    def say(self, text: str, role: str = "text") -> None:
        """Put a line into the log that is no event of a run."""
        self.query_one(EventLog).tell([(span(f" {text}", role),)])


def _rows(height: Scalar | None) -> int:
    """Count the rows that a style says, which a layout still to come will give."""
    return int(height.value) if height is not None else 0


def _set(widget: Widget, side: Literal["width", "height"], cells: int) -> None:
    """Give a widget so many cells, without a new layout where it has them."""
    known = getattr(widget.styles, side)
    if known is None or known.value != cells:
        setattr(widget.styles, side, cells)
