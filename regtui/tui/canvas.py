"""Canvas: a widget that shows lines of styled text and sends the terminal only the cells that changed."""

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from regtui.charts import Span, StyledLine
from regtui.charts.wrap import wrap
from regtui.core.text import plain as in_ascii
from regtui.tui.theme import role_style


class Canvas(Widget):
    """Lines of `Span`s in the colours of their roles; `show` repaints only what differs from the lines before."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 # Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: list[StyledLine] = []
        self._strips: dict[int, Strip] = {}
        self._styles: dict[tuple[str, bool], Style] = {}
        self._filtered: dict[int, tuple[Strip, Strip]] = {}

    @property
    def text(self) -> str:
        """What is shown, without colours."""
        return "\n".join(plain("".join(span.text for span in line), self.app).rstrip() for line in self._lines)

    @property
    def last_size(self) -> Size:
        """What it has for its content where it is shown, and had when it last was where it is hidden.

        A widget that is hidden has no content size, and one that is shown again at its old size may not be told: what
        is made meanwhile is made for that size.
        """
        return self.outer_size.region.shrink(self.styles.gutter).size

    def fit(self) -> None:
        """Make the lines anew for the size that the canvas has now; one whose lines do not depend on it need not."""

    def on_resize(self) -> None:
        self.fit()

    def watch_virtual_size(self) -> None:
        """Fit to a new size of which Textual tells nobody.

        A widget that comes to be shown gets no Resize when anything asked any widget for its region between a scroll
        (the event log's) and the layout: Textual then finds that it has been there before.
        """
        self.fit()

    def show(self, lines: Sequence[StyledLine]) -> None:
        before, self._lines = self._lines, list(lines)
        dirty = []
        for y in range(max(len(before), len(self._lines))):
            old = before[y] if y < len(before) else ()
            new = self._lines[y] if y < len(self._lines) else ()
            if old == new:
                continue
            self._strips.pop(y, None)
            dirty.append(self._changed_part(y, old, new))
        if dirty and self.is_mounted:
            self.refresh(*dirty)

    def _changed_part(self, y: int, old: StyledLine, new: StyledLine) -> Region:
        """Bound the cells of a row that differ, within the content, so that only those go to the terminal."""
        before, after = _cells(old), _cells(new)
        head = _shared(before, after)
        # Signs are one cell wide but for a few letters of file names: where a row has those, its tail is sent whole.
        plain_width = len(before) == len(after) == width_of(old) == width_of(new)
        tail = _shared(before[:head:-1], after[:head:-1]) if plain_width else 0
        head = head if plain_width else 0
        width = self.content_size.width - head - tail
        return Region(head, y, max(width, 1), 1)

    def render_line(self, y: int) -> Strip:
        """Give one row, from the cache unless it changed."""
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != self.content_size.width:
            line = self.line_at(y)
            segments = [
                Segment(plain(part.text, self.app), self._style(part.role, part.tinted)) for part in line if part.text
            ]
            strip = Strip(segments).adjust_cell_length(self.content_size.width, self._style("text"))
            self._strips[y] = strip
        return strip

    def line_at(self, y: int) -> StyledLine:
        """Give the line of a row as it is drawn at the size of now."""
        return self._lines[y] if y < len(self._lines) else ()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Give the cells of some rows, from finished rows.

        Textual's own way works out borders and backgrounds for each of the many small regions of a frame: a third
        of the frame's cost. A canvas without border and padding has neither.
        """
        if self.gutter:
            return super().render_lines(crop)
        return [self._finished(y).crop(crop.x, crop.right) for y in crop.line_range]

    def _finished(self, y: int) -> Strip:
        """Give a whole row as the terminal can show it: without colours, or with dim ones mixed by hand."""
        strip = self.render_line(y)
        known = self._filtered.get(y)
        if known is None or known[0] is not strip:
            finished = strip
            for line_filter in self.get_line_filters():
                finished = finished.apply_filter(line_filter, self.background_colors[1])
            known = self._filtered[y] = strip, finished
        return known[1]

    def _style(self, role: str, tinted: bool = False) -> Style:
        style = self._styles.get((role, tinted))
        if style is None:
            style = self.rich_style + role_style(role, self.app.theme_variables, tinted=tinted)
            self._styles[role, tinted] = style
        return style

    def notify_style_update(self) -> None:
        """Forget the colours of the theme before."""
        self._styles = {}
        self._strips = {}
        self._filtered = {}
        super().notify_style_update()


def _cells(line: StyledLine) -> list[tuple[str, str, bool]]:
    return [(sign, part.role, part.tinted) for part in line for sign in part.text]


def _shared(one: Sequence[object], other: Sequence[object]) -> int:
    """Count the items at the start that are the same in both."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))


def ascii_only(app: App[Any]) -> bool:
    """Tell whether the app's terminal has no signs but those of ASCII."""
    return bool(getattr(app, "ascii_only", False))


def plain(text: str, app: App[Any]) -> str:
    """Write a text in the signs that the app's terminal has."""
    return in_ascii(text) if ascii_only(app) else text


def span(text: str, role: str = "text") -> Span:
    return Span(text, role)


def width_of(line: Sequence[Span]) -> int:
    """Count the cells of a line."""
    return sum(cell_len(part.text) for part in line)


def spread(left: Sequence[Span], right: Sequence[Span], width: int) -> StyledLine:
    """Put one part at the left edge and one at the right; the left one gives way when both do not fit."""
    room = width - width_of(right)
    fitted = clip(left, room - 1 if right else room)
    return (*fitted, span(" " * max(room - width_of(fitted), 0)), *right)


def clip(line: Sequence[Span], width: int) -> StyledLine:
    """Cut a line to a width, with an ellipsis where something is missing."""
    if width_of(line) <= width:
        return tuple(line)
    kept: list[Span] = []
    room = max(width - 1, 0)
    for part in line:
        if len(part.text) > room:
            kept.append(part._replace(text=part.text[:room].rstrip() + "…"))
            break
        kept.append(part)
        room -= len(part.text)
    return tuple(kept) if width > 0 else ()


def wrapped(text: str, width: int, role: str = "text") -> list[StyledLine]:
    """Set a text one cell in, on as many rows as it takes."""
    return [clip([span(" "), span(row, role)], width) for row in wrap(text, max(width - 2, 1))]


def fold_line(line: Sequence[Span], width: int, indent: int = 11) -> list[StyledLine]:
    """Break a line into rows of at most `width` cells, the later ones set in under the text of an event."""
    rows: list[StyledLine] = []
    row: list[Span] = []
    room = width
    for part in line:
        text = part.text
        while len(text) > room:
            cut = text.rfind(" ", 0, room + 1)
            cut = cut if cut > 0 else room
            rows.append((*row, part._replace(text=text[:cut])))
            text = text[cut:].lstrip()
            row = [span(" " * min(indent, width // 2))]
            room = max(width - width_of(row), 1)
        if text:
            row.append(part._replace(text=text))
            room -= len(text)
    return [*rows, tuple(row)]
