"""What the form is put together from: a field's row, the heading over some, the hint under all."""

from collections.abc import Callable

from textual.app import ComposeResult

from regtui.charts.wrap import wrap
from regtui.tui.canvas import Canvas, span
from regtui.tui.entry import Editor
from regtui.tui.knobs import PENDING


class FieldRow(Canvas):
    """A field's label and its editor on one row; notes and what is wrong with it below."""

    def __init__(self, label: str, editor: Editor) -> None:
        super().__init__(id=f"row-{editor.field}", classes="field-row")
        self.label = label
        self.editor = editor
        self.mark = ""
        self.notes: list[str] = []
        self.problem = ""

    def compose(self) -> ComposeResult:
        yield self.editor

    def on_mount(self) -> None:
        self.draw()

    def fit(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Show label, notes and problem, as high as they need."""
        role = "bad" if self.problem else "muted" if self.editor.locked else "label"
        mark = span(f"{self.mark or ' ':<2}", "warn" if self.mark == PENDING else "live")
        lines = [(mark, span(self.label, role))]
        width = max(self.last_size.width - 2, 8)
        for text, role in [(self.problem, "bad"), *((note, "muted") for note in self.notes)]:
            lines += [(span("  "), span(part, role)) for part in wrap(text, width)]
        self.show(lines)
        if self.styles.height is None or self.styles.height.value != len(lines):
            self.styles.height = len(lines)


class Hint(Canvas):
    """What the field that is being edited means."""

    def __init__(self, explain: Callable[[], None]) -> None:
        super().__init__(id="hint")
        self._explain = explain

    def fit(self) -> None:
        self._explain()


class Heading(Canvas):
    """The name of a few fields that belong together."""

    def __init__(self, title: str) -> None:
        super().__init__(classes="heading")
        self.show([(span(title, "heading"),)])
