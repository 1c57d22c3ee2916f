"""The help screen: made from the bindings, the charts' roles, the form's fields and a few exact explanations."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from regtui.charts import ROLES, STRIPS, Span, StyledLine
from regtui.charts.wrap import wrap
from regtui.core.config import fields
from regtui.tui.canvas import Canvas, span
from regtui.tui.keys import LAB_KEYS
from regtui.tui.texts import EXPLANATIONS

SIGNS = (
    "valid",
    "train",
    "running",
    "penalty",
    "ghost",
    "rate",
    "future",
    "gap",
    "norm1",
    "best",
    "beyond",
    "rule",
    "rule-user",
)
"""The roles that a person meets as curves and marks; the others are axes and labels."""


class HelpScreen(ModalScreen[None]):
    """Keys, curves, words, fields."""

    BINDINGS = [
        Binding("escape,q,question_mark,f1,enter", "dismiss(None)", "Close", show=False),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("space,pagedown", "scroll(10)", "Page", show=False),
        Binding("pageup", "scroll(-10)", "Page", show=False),
    ]

    def __init__(self, keys: Sequence[Binding] = LAB_KEYS) -> None:
        """Explain these keys: those that can work where the help was asked for."""
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Canvas(id="help-text")

    def on_mount(self) -> None:
        self.call_after_refresh(self._write)

    def on_resize(self) -> None:
        self.call_after_refresh(self._write)

    def _write(self) -> None:
        page = self.query_one("#help-text", Canvas)
        lines = help_lines(max(page.content_size.width, 30), self._keys)
        page.styles.height = len(lines)
        page.show(lines)

    def action_scroll(self, rows: int) -> None:
        self.query_one("#help", VerticalScroll).scroll_relative(y=rows, animate=False)


def help_lines(width: int, keys: Sequence[Binding] = LAB_KEYS) -> list[StyledLine]:
    lines: list[StyledLine] = [
        (span("regtui  ", "strong"), span("escape closes, arrows and space scroll", "muted")),
        (),
    ]
    lines += _section("Keys")
    for binding in keys:
        lines += _entry(binding.key_display or binding.key, binding.tooltip, width, "key")
    lines += [(), *_section("Curves")]
    for role in SIGNS:
        lines += _entry(role, ROLES[role], width, role)
    lines += [(), *_section("Strips")]
    for strip in STRIPS.values():
        lines += _entry(strip.name, strip.title, width, "label")
    lines += [(), *_section("Words")]
    for title, text in EXPLANATIONS.items():
        lines.append((span(title, "strong"),))
        lines += [(span("  "), span(part)) for part in wrap(text, width - 2)]
    lines += [(), *_section("Fields of the form")]
    for field in fields().values():
        lines += _entry(field.label, field.hint, width, "label")
    return lines


def _section(title: str) -> list[StyledLine]:
    return [(span(title, "heading"),)]


def _entry(name: str, text: str, width: int, role: str) -> list[StyledLine]:
    head = 16
    rows = wrap(text, width - head - 1) or [""]
    first: tuple[Span, ...] = (span(f"{name:<{head}}", role), span(rows[0]))
    return [first, *((span(" " * head), span(row)) for row in rows[1:])]
