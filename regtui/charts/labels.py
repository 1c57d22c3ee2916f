"""Words and lines laid over the plots, only where no data stands: names, pins, tint, rules, hints."""

from regtui.charts.grid import FAINT, Grid
from regtui.charts.layout import Layout, Place
from regtui.charts.plotter import column_of, row_of
from regtui.charts.rules import Rule
from regtui.charts.scales import XAxis
from regtui.charts.strip import EndLabel, Pin
from regtui.charts.strips import STRIPS
from regtui.charts.view import Glyphs, View
from regtui.charts.wrap import wrap
from regtui.core.history import History

SAME_END = 2
"""Curves that end within so many columns of each other are named together."""

BESIDE = frozenset({"blank", "rule", "rule-user", ""})
"""What may stand beside a rule's label."""

RULES_PER_CELL = 1 / 6
"""With more rules than this to a column, only their upper ends are drawn: a fence would hide the curves."""

FAR_PIN = 4
"""Rows within which a pin's text still belongs to its point."""


def say(grid: Grid, row: int, column: int, width: int, height: int, text: str) -> None:
    """Write a sentence in the middle of a box, over several lines if it must, cut where the box ends."""
    lines = wrap(text, width)[:height]
    for index, line in enumerate(lines):
        line = line[:width]
        grid.put(row + (height - len(lines)) // 2 + index, column + (width - len(line)) // 2, line, "hint")


def names(grid: Grid, plan: Layout, place: Place, labels: list[EndLabel]) -> None:
    """Write each curve's name at its end, one a row, as near to its own row as the others leave room.

    Curves that end in other places, such as a ghost that runs on, are named there, on their own.
    """
    if not place.rows:
        return
    groups: dict[int, list[EndLabel]] = {}
    for label in labels:
        column = column_of(label.x, plan.columns)
        near = next((end for end in groups if abs(end - column) <= SAME_END), column)
        groups.setdefault(near, []).append(label)
    for end, group in groups.items():
        wanted = sorted(group, key=lambda label: -label.y)[: place.rows]
        at = _apart([row_of(label.y, place.rows) for label in wanted], place.rows)
        start = plan.left + max(column_of(label.x, plan.columns) for label in wanted) + 2
        later = min((other for other in groups if other > end), default=None)
        room = grid.width - start if later is None else max(plan.left + later - start, 0)
        for label, row in zip(wanted, at, strict=True):
            _name(
                grid,
                label,
                [place.top + near for near in (row, row - 1, row + 1) if 0 <= near < place.rows],
                start,
                room,
            )


def _name(grid: Grid, label: EndLabel, rows: list[int], start: int, room: int) -> None:
    """Write as much of a name as has room, in the first of these rows where it stands on no data."""
    for text in label.texts:
        for row in rows:
            if len(text) <= room and grid.free(row, start, len(text), FAINT):
                grid.write(row, start, text, label.role)
                return


def _apart(at: list[int], rows: int) -> list[int]:
    """Move rows that fall down the plot so far that each has one of its own."""
    for index in range(1, len(at)):
        at[index] = max(at[index], at[index - 1] + 1)
    for index in range(len(at) - 1, -1, -1):
        at[index] = min(at[index], rows - len(at) + index)
    return at


def pin(grid: Grid, plan: Layout, place: Place, pin: Pin, signs: Glyphs) -> None:
    """Mark a point and write beside it, where nothing else stands."""
    if not place.rows:
        return
    column = plan.left + column_of(pin.x, plan.columns)
    row = place.top + row_of(pin.y, place.rows)
    if pin.dot:
        grid.put(row, column, signs.best, pin.role)
    first, last = plan.left + 1, plan.left + plan.columns
    for text in pin.texts:
        for roles in (frozenset({"blank", "rule"}), FAINT):
            for down in (way * far for far in range(1, FAR_PIN + 1) for way in (1, -1)):
                for start in (column - len(text) // 2, column + 1, column - len(text)):
                    start = min(max(start, first), last - len(text))
                    if not (place.top <= row + down < place.top + place.rows and start >= first):
                        continue
                    if grid.free(row + down, start - 1, min(len(text) + 2, grid.width - start + 1), roles):
                        grid.write(row + down, start, text, pin.role)
                        return


def tint(grid: Grid, plan: Layout, view: View, axis: XAxis, history: History, signs: Glyphs) -> None:
    """Colour the ground after the best epoch, and say why in a line over it, which needs no colour to be read."""
    step = view.overfit_since
    if step is None or not step < axis.high:
        return
    first = plan.left + (axis.column(max(step, axis.low)) or 0) + 1
    last = plan.left + (axis.column(min(float(history.step), axis.high)) or 0)
    judged = [place for place in plan.strips if STRIPS[place.name].judged and place.rows]
    for place in judged:
        for row in range(place.top, place.top + place.rows):
            grid.tint(row, first, last)
    if judged:
        _name_tint(grid, judged[0].top, first, last, signs)


def _name_tint(grid: Grid, row: int, first: int, last: int, signs: Glyphs) -> None:
    """Write `overfitting` on a line along a row, wherever it has room for the word."""
    text = " overfitting "
    if last - first + 1 < len(text) + 2:
        return
    start = next((at for at in range(first + 1, last - len(text) + 1) if grid.free(row, at, len(text), FAINT)), None)
    for column in range(first, last + 1):
        grid.put_behind(row, column, signs.horizontal, "overfit")
    if start is not None:
        grid.write(row, start, text, "overfit")


def rules(grid: Grid, plan: Layout, found: list[Rule], signs: Glyphs) -> None:
    """Draw each rule through all strips, behind the curves, and its label over the first, the newest first."""
    fence = len({rule.column for rule in found if rule.role == "rule"}) > max(plan.columns * RULES_PER_CELL, 2)
    under = frozenset({"blank", "zero"})
    for rule in found:
        column = plan.left + rule.column
        for place in plan.strips:
            if fence and rule.role == "rule":
                grid.put_behind(place.top, column, signs.rule_tick, rule.role, under)
                continue
            for row in range(place.first, place.top + place.rows):
                grid.put_behind(row, column, signs.rule, rule.role, under)
    top = plan.strips[0]
    newest = max((rule for rule in found if rule.role == "rule"), key=lambda rule: rule.column, default=None)
    for rule in sorted(found, key=lambda rule: (rule.role == "rule", -rule.column)):
        if fence and rule.role == "rule" and rule is not newest:
            continue
        # What a hand did is told in the first rows of the plot where the title's row is full.
        more = min(top.rows, 3) if rule.role != "rule" else 0
        _label(grid, plan, rule, range(top.first, top.top + more) if top.titled else range(0))


def _label(grid: Grid, plan: Layout, rule: Rule, rows: range) -> None:
    """Write what a rule says to its right or left in the first of these rows that has room."""
    column, size = plan.left + rule.column, len(rule.label)
    for row, start in ((row, start) for row in rows for start in (column + 1, column - size)):
        # A blank cell, or the rule itself, on either side keeps labels apart.
        if grid.free(row, start, size) and {grid.role(row, start - 1), grid.role(row, start + size)} <= BESIDE:
            grid.write(row, start, rule.label, "rule-user" if rule.role == "rule-user" else "label")
            return
