"""A question that must be answered before anything is lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

HIGH = 16
"""Rows from which a question has a margin around its words."""

ABREAST = 2
"""Answers that stand side by side; more of them stand one below the other, so that 40 cells hold them."""


@dataclass(frozen=True)
class Answer:
    """One of the answers that a question takes."""

    name: str
    """What the question gives for it, an identifier."""
    words: str
    """On its button, before its key."""
    key: str


class Question(ModalScreen[str]):
    """Ask one thing; gives `yes`, `no` or the name of a further answer."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (HIGH, "-high")]
    BINDINGS = [
        Binding("left,up", "app.focus_previous", "Before", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
        Binding("escape", "dismiss('no')", "No", show=False),
    ]

    def __init__(self, question: str, yes: str, no: str, *, further: Sequence[Answer] = (), note: str = "") -> None:
        """Offer two answers, of which `no` changes nothing, and further ones between them; `note` says more, muted."""
        super().__init__()
        self._question, self._note = question, note
        self._answers = (Answer("yes", yes, "y"), *further, Answer("no", no, "n"))

    def compose(self) -> ComposeResult:
        with Vertical(id="question"):
            yield Label(self._question)
            if self._note:
                yield Label(self._note, id="question-note")
            with Vertical(id="answers") if len(self._answers) > ABREAST else Horizontal(id="answers"):
                for answer in self._answers:
                    yield Button(f"{answer.words}  {answer.key}", id=answer.name, compact=True)

    def on_mount(self) -> None:
        """Rest on the answer that changes nothing."""
        self.query_one("#no").focus()

    def on_key(self, event: events.Key) -> None:
        """Take the letter of an answer."""
        for answer in self._answers:
            if event.character == answer.key:
                event.stop()
                self.dismiss(answer.name)

    @on(Button.Pressed)
    def take(self, message: Button.Pressed) -> None:
        self.dismiss(message.button.id)

    def on_click(self, event: events.Click) -> None:
        """Take a click beside the question as no."""
        if event.widget is self:
            self.dismiss("no")
