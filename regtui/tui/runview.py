"""Everything the screen shows of one run: curves, numbers, meters, event log, comparison with the run before."""

from collections import deque
from collections.abc import Iterable
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget

from regtui.charts import StyledLine, View
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Event, Noted, RunEnded, RunStarted
from regtui.core.history import History
from regtui.tui.canvas import Canvas, fold_line
from regtui.tui.panels import WIDE_CURVES, comparison_lines, event_line, meter_lines, number_lines
from regtui.tui.plot import Plot

KEPT_LINES = 500
"""Lines of the event log that can be scrolled back to."""


COMPARISON_WIDTH = (38, 64)
"""Cells of the comparison, at least and at most: its numbers, and what differs on few rows where there is room."""

FOOT_ROWS = 7
"""Rows of the event log and the comparison beside it, border included, as in the stylesheet; more where it is long."""

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

    def compose(self) -> ComposeResult:
        yield Plot(id="plot")
        yield Canvas(id="numbers")
        yield Canvas(id="meters")
        with Horizontal(id="foot"):
            yield EventLog()
            yield Canvas(id="comparison")

    def draw(self, history: History, view: View, preview: RunConfig | None) -> None:
        numbers = self.query_one("#numbers", Canvas)
        numbers.show(number_lines(history, *numbers.content_size, row=view.cursor))
        self._draw_meters(history, view.ghost)
        self._draw_comparison(history, view.ghost)
        self.query_one(Plot).draw(history, view, preview)

    def _draw_meters(self, history: History, ghost: History | None) -> None:
        meters = self.query_one("#meters", Canvas)
        height = self.content_size.height
        taken = self.query_one("#numbers").outer_size.height + self.query_one("#foot").outer_size.height
        most = max(height - taken - max(LEAST_PLOT, height // 2), 1)
        lines = meter_lines(history, ghost, self.content_size.width, most)
        _set(meters, "height", len(lines))
        meters.show(lines)

    def _draw_comparison(self, history: History, ghost: History | None) -> None:
        comparison, foot = self.query_one("#comparison", Canvas), self.query_one("#foot")
        # Not its own width, which is not known before it is laid out for the first time.
        whole = self.content_size.width
        shown = ghost is not None and whole >= WIDE_CURVES and bool(len(history.evaluations))
        comparison.display = shown
        if ghost is None or not shown:
            if foot.styles.has_rule("height"):
                foot.styles.clear_rule("height")
            return
        least, most = COMPARISON_WIDTH
        width = min(max(least, whole * 2 // 5), most)
        lines = comparison_lines(history, ghost, width)
        _set(comparison, "width", width)
        _set(foot, "height", max(FOOT_ROWS, min(len(lines) + 1, self.content_size.height // 3)))
        comparison.show(lines)

    def tell(self, events: list[Event]) -> None:
        """Put the discrete ones of some events into the log."""
        told = [event_line(event) for event in events if isinstance(event, RunStarted | Changed | Noted | RunEnded)]
        if told:
            self.query_one(EventLog).tell(told)

    def say(self, line: StyledLine) -> None:
        """Put a line into the log that is no event of a run."""
        self.query_one(EventLog).tell([line])


def _set(widget: Widget, side: Literal["width", "height"], cells: int) -> None:
    """Give a widget so many cells, without a new layout where it has them."""
    known = getattr(widget.styles, side)
    if known is None or known.value != cells:
        setattr(widget.styles, side, cells)
