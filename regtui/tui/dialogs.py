"""A question that must be answered before anything is lost."""

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label


class Question(ModalScreen[bool]):
    """Ask one thing; True for yes."""

    BINDINGS = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n,escape", "answer(False)", "No", show=False),
        Binding("left,right", "app.focus_next", "Other", show=False),
    ]

    def __init__(self, question: str, yes: str, no: str) -> None:
        super().__init__()
        self._question = question
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        with Vertical(id="question"):
            yield Label(self._question)
            with Horizontal():
                yield Button(f"{self._yes}  y", id="yes", compact=True)
                yield Button(f"{self._no}  n", id="no", compact=True)

    def on_mount(self) -> None:
        """Rest on the answer that changes nothing."""
        self.query_one("#no").focus()

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)

    @on(Button.Pressed)
    def take(self, message: Button.Pressed) -> None:
        self.dismiss(message.button.id == "yes")

    def on_click(self, event: events.Click) -> None:
        """Take a click beside the question as no."""
        if event.widget is self:
            self.dismiss(False)
