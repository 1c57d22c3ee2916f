"""Everything the screen shows of one run: curves, numbers, meters, event log, comparison with the run before."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import RichLog

from regtui.charts import StyledLine, View
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Event, Noted, RunEnded, RunStarted
from regtui.core.history import History
from regtui.tui.canvas import Canvas, clip, plain
from regtui.tui.panels import WIDE_CURVES, comparison_lines, event_line, meter_lines, number_line
from regtui.tui.plot import Plot

KEPT_LINES = 2000
"""Lines of the event log that can be scrolled back to."""


class EventLog(RichLog):
    """What happened, a line an event; framework output too."""

    COMPONENT_CLASSES = Canvas.COMPONENT_CLASSES

    def __init__(self) -> None:
        super().__init__(id="events", max_lines=KEPT_LINES, wrap=True, min_width=1, markup=False, highlight=False)

    def tell(self, line: StyledLine) -> None:
        """Add one line."""
        text = Text(end="")
        for part in line:
            text.append(plain(part.text), self.get_component_rich_style(f"role-{part.role}", partial=True))
        self.write(text)


class RunView(Vertical):
    """One run, drawn from its History."""

    def __init__(self) -> None:
        super().__init__(id="run")

    def compose(self) -> ComposeResult:
        """Put the curves over the numbers over the log."""
        yield Plot(id="plot")
        yield Canvas(id="numbers")
        yield Canvas(id="meters")
        with Horizontal(id="foot"):
            yield EventLog()
            yield Canvas(id="comparison")

    def draw(self, history: History, view: View, preview: RunConfig | None) -> None:
        """Show a run as it stands."""
        numbers = self.query_one("#numbers", Canvas)
        numbers.show([number_line(history, numbers.content_size.width, epoch=view.cursor)])
        self._draw_meters(history, view.ghost)
        self._draw_comparison(history, view.ghost)
        self.query_one(Plot).draw(history, view, preview)

    def _draw_meters(self, history: History, ghost: History | None) -> None:
        meters = self.query_one("#meters", Canvas)
        lines = meter_lines(history, ghost, self.content_size.width)
        if meters.styles.height is None or meters.styles.height.value != len(lines):
            meters.styles.height = len(lines)
        meters.show(lines)

    def _draw_comparison(self, history: History, ghost: History | None) -> None:
        comparison = self.query_one("#comparison", Canvas)
        wide = self.content_size.width >= WIDE_CURVES
        comparison.display = ghost is not None and wide and bool(len(history.epochs))
        if ghost is not None and comparison.display:
            comparison.show(comparison_lines(history, ghost, comparison.content_size.width))

    def tell(self, events: list[Event]) -> None:
        """Put the discrete ones of some events into the log."""
        log = self.query_one(EventLog)
        for event in events:
            if isinstance(event, RunStarted | Changed | Noted | RunEnded):
                log.tell(event_line(event))

    def say(self, line: StyledLine) -> None:
        """Put a line into the log that is no event of a run."""
        self.query_one(EventLog).tell(clip(line, 400))
