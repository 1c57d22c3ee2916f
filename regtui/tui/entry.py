"""What a field of the form is edited with: a line to type in, or one of a few choices."""

from collections.abc import Sequence
from typing import NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.screen import ModalScreen
from textual.validation import ValidationResult
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from regtui.charts import StyledLine
from regtui.tui.canvas import Canvas, span, spread


class Item(NamedTuple):
    """One line of a menu."""

    value: str
    """What it stands for."""
    note: str = ""
    """Shown beside it, faint."""
    usable: bool = True
    """Can be chosen; the others are shown grey."""


class Menu(ModalScreen[str | None]):
    """A short list that opens at a field; gives back what was chosen, or None."""

    BINDINGS = [Binding("escape,left", "dismiss(None)", "Close", show=False)]

    def __init__(self, items: Sequence[Item], value: str, at: Region) -> None:
        super().__init__()
        self._items = items
        self._value = value
        self._at = at

    def compose(self) -> ComposeResult:
        wide = max(len(item.value) for item in self._items) + 2
        yield OptionList(
            *(
                # Not markup, to which the package in `pip install 'regtui[torch]'` would be a style.
                Option(
                    Content.assemble(f"{item.value:<{wide}}", (item.note, "dim")),
                    id=item.value,
                    disabled=not item.usable,
                )
                for item in self._items
            ),
            compact=True,
        )

    def on_mount(self) -> None:
        """Open under the field, or over it where there is no room below."""
        menu = self.query_one(OptionList)
        width = max(len(item.value) + len(item.note) for item in self._items) + 5
        height = len(self._items)
        width = min(max(width, self._at.width), self.app.size.width - 2)
        menu.styles.width = width
        menu.styles.height = min(height, self.app.size.height)
        below = self._at.bottom
        y = below if below + height <= self.app.size.height else self._at.y - height
        # A field that is only being scrolled to lies outside of the screen as yet.
        y = max(min(y, self.app.size.height - height), 0)
        menu.styles.offset = (max(min(self._at.x, self.app.size.width - width - 1), 0), y)
        usable = [item.value for item in self._items]
        menu.highlighted = usable.index(self._value) if self._value in usable else 0
        menu.focus()

    @on(OptionList.OptionSelected)
    def choose(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(message.option_id)

    def on_click(self, event: events.Click) -> None:
        """Close when a click lands outside of the list."""
        if event.widget is self:
            self.dismiss(None)


class Edited(Message):
    """The text of a field has changed."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__()
        self.field = field
        self.text = text


class Submitted(Message):
    """Enter was pressed in a field."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__()
        self.field = field
        self.text = text


class Entry(Input):
    """A line to type in; while locked it can be read but not changed, and keys mean what they mean elsewhere."""

    BINDINGS = [Binding("down", "open_menu", "Suggestions", show=False)]

    def __init__(self, field: str, text: str, *, suggestions: Sequence[Item] = (), any_text: bool = False) -> None:
        super().__init__(text, compact=True, id=f"field-{field}")
        self.any_text = any_text
        """Its value may hold a `?`, as a path may; elsewhere that sign asks for help."""
        self.field = field
        self.locked = False
        self.suggestions = suggestions

    def set_text(self, text: str) -> None:
        """Put another text in, without a message to the form."""
        with self.prevent(Input.Changed):
            self.value = text
            self.cursor_position = len(text)

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Leave the keys to the screen while locked, and those to it always that no value can hold."""
        return not self.locked and (character != "?" or self.any_text) and super().check_consume_key(key, character)

    def validate(self, value: str) -> ValidationResult | None:  # noqa: ARG002 # Textual's
        """Leave the checking to the form; Input would set classes, which styles each field again as it is mounted."""
        return None

    async def _on_key(self, event: events.Key) -> None:
        if self.locked or (event.character == "?" and not self.any_text):
            # Textual calls the handler of each base class too: without this, Input would insert the character.
            event.prevent_default()
            return
        await super()._on_key(event)

    def replace(self, text: str, start: int, end: int) -> None:
        """Change the text, unless it is locked: every edit of an Input comes through here."""
        if not self.locked:
            super().replace(text, start, end)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer suggestions only where there are some."""
        if action == "open_menu":
            return bool(self.suggestions) and not self.locked
        return super().check_action(action, parameters)

    def action_open_menu(self) -> None:
        self.app.push_screen(Menu(self.suggestions, self.value, self.region), self._put)

    def _put(self, value: str | None) -> None:
        if value is not None:
            self.value = value
            self.cursor_position = len(value)

    @on(Input.Changed)
    def tell_edit(self, message: Input.Changed) -> None:
        message.stop()
        self.post_message(Edited(self.field, message.value))

    @on(Input.Submitted)
    def tell_submit(self, message: Input.Submitted) -> None:
        message.stop()
        self.post_message(Submitted(self.field, message.value))


class Choice(Canvas, can_focus=True):
    """One of a few fixed values: left and right step through them, enter or a click lists them."""

    BINDINGS = [
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right", "step(1)", "Next", show=False),
        Binding("enter,down", "open_menu", "Choose", show=False),
    ]

    def __init__(self, field: str, text: str, items: Sequence[Item]) -> None:
        super().__init__(id=f"field-{field}", classes="choice")
        self.field = field
        self.chosen = text
        self.items = items
        self._locked = False

    @property
    def locked(self) -> bool:
        """Whether it can only be read; then nothing about it looks as if it could be opened."""
        return self._locked

    @locked.setter
    def locked(self, locked: bool) -> None:
        if locked != self._locked:
            self._locked = locked
            self._draw()

    @property
    def value(self) -> str:
        return self.chosen

    def set_text(self, text: str) -> None:
        """Choose without a message to the form."""
        self.chosen = text
        self._draw()

    def on_mount(self) -> None:
        self._draw()

    def _draw(self) -> None:
        usable = next((item.usable for item in self.items if item.value == self.chosen), True)
        role = "text" if usable and not self._locked else "muted"
        self.show([(span(self.chosen, role), span(" " if self._locked else "▾", "muted"))])

    def line_at(self, y: int) -> StyledLine:
        """Put the arrow at the right edge: only as it is drawn is it sure how wide a field is that was hidden."""
        line = super().line_at(y)
        return spread(line[:-1], line[-1:], self.content_size.width)

    def _changed_part(self, y: int, old: StyledLine, new: StyledLine) -> Region:  # noqa: ARG002 # Canvas's
        """Draw the whole row again: the arrow does not stand where it does in the line."""
        return Region(0, y, max(self.content_size.width, 1), 1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let left and right move the cursor of the curves while the field is locked."""
        if action in {"step", "open_menu"}:
            return not self.locked
        return super().check_action(action, parameters)

    def action_step(self, by: int) -> None:
        """Choose the next usable value in one direction."""
        usable = [item.value for item in self.items if item.usable]
        if usable:
            at = usable.index(self.chosen) if self.chosen in usable else 0
            self._choose(usable[(at + by) % len(usable)])

    def action_open_menu(self) -> None:
        self.app.push_screen(Menu(self.items, self.chosen, self.region), self._choose)

    def on_click(self) -> None:
        if not self.locked:
            self.action_open_menu()

    def _choose(self, value: str | None) -> None:
        if value is not None and value != self.chosen:
            self.set_text(value)
            self.post_message(Edited(self.field, value))


Editor = Entry | Choice
