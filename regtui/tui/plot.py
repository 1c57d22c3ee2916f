"""The chart widget: strips of curves over one x axis, of which only changed cells are drawn again."""

from textual import events
from textual.message import Message

from regtui.charts import View, draw
from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.tui.canvas import Canvas


class Plot(Canvas, can_focus=True):
    """The curves of one run, or before it the rates that its policy plans."""

    class Pointed(Message):
        """A column of the curves was clicked."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    _drawn: tuple[History, View, RunConfig | None] | None = None

    def fit(self) -> None:
        """Draw for the new size: the rows below take room when there is a patience to meter."""
        if self._drawn is not None:
            self.draw(*self._drawn)

    def draw(self, history: History, view: View, preview: RunConfig | None = None) -> None:
        """Show a run; costs nothing while the widget cannot be seen."""
        self._drawn = history, view, preview
        width, height = self.content_size
        if self.is_on_screen and width and height:
            self.show(draw(history, width, height, view, preview=preview))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None:
            self.post_message(self.Pointed(offset.x))
