"""Strips to lines: plotext's cells on the grid, then tint, rules, cursor and labels where no data stands."""

import math

import numpy as np
from numpy.typing import NDArray

from regtui.analysis.facts import only_prints
from regtui.charts.grid import Grid
from regtui.charts.kept import kept
from regtui.charts.labels import names, pin, rules, say, tint
from regtui.charts.layout import Layout, Place, layout, x_axis
from regtui.charts.plotter import Foot, Plot, Stroke, Tick, build, build_foot, column_of, row_of
from regtui.charts.rules import rules_of
from regtui.charts.scales import LABEL, Scale, XAxis, count
from regtui.charts.strip import Content, Sight
from regtui.charts.strips import STRIPS
from regtui.charts.view import Glyphs, StyledLine, View, glyphs
from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.core.text import plain

LINES = frozenset({"valid", "train", "ghost"})
"""Curves that a mark of what lies beyond the axis does not cover where it can stand elsewhere."""


def draw(
    history: History, width: int, height: int, view: View | None = None, *, preview: RunConfig | None = None
) -> list[StyledLine]:
    """Draw a run as exactly `height` lines of exactly `width` cells.

    `preview` is the configuration about to be run: its planned learning rate is drawn while the history is empty.
    Never raises on data; a size below one cell gives no lines. Only one thread draws at a time, see `plotter`.
    """
    if width < 1 or height < 1:
        return [()] * max(height, 0)
    view = view or View()
    signs = glyphs(view.ascii)
    grid = Grid(width, height)
    plan = layout(width, height, view.strips)
    empty = not len(history.steps) and not len(history.evaluations)
    axis = x_axis(history, view, plan.columns, preview if empty else None)
    planned = {place.name for place in plan.strips if STRIPS[place.name].planned}
    plannable = axis is not None and axis.per_epoch > 0 and planned
    if empty and (not plannable or history.end is not None):
        say(grid, 0, 0, width, height, _nothing_yet(history))
        return _finish(grid, view)
    if axis is None:
        say(grid, 0, 0, width, height, "nothing to draw in this run")
        return _finish(grid, view)
    for place in plan.strips:
        sight = Sight(history, view, axis, place.rows, preview if empty else None)
        content = STRIPS[place.name].draw(sight)
        if empty and place.name not in planned:
            content.hint = _nothing_yet(history) if place is plan.strips[0] else ""
        _paint(grid, plan, place, content, history, view, signs)
    tint(grid, plan, view, axis, history, signs)
    rules(grid, plan, rules_of(history, axis, signs), signs)
    under = _cursor(grid, plan, view, axis, history, signs)
    _foot(grid, plan, axis, history, under)
    return _finish(grid, view)


def row_at(history: History, width: int, height: int, column: int, view: View | None = None) -> int | None:
    """Give the row of the evaluation drawn nearest to a column of the chart, such as one clicked; None without any."""
    view = view or View()
    plan = layout(max(width, 1), max(height, 1), view.strips)
    axis = x_axis(history, view, plan.columns)
    if axis is None or not len(history.evaluations):
        return None
    share = min(max((column - plan.left + 0.5) / plan.columns, 0.0), 1.0)
    steps = history.evaluations.step.values
    return int(np.abs(steps - (axis.low + share * (axis.high - axis.low))).argmin())


def _finish(grid: Grid, view: View) -> list[StyledLine]:
    lines = grid.lines()
    if not view.ascii:
        return lines
    return [tuple(span._replace(text=plain(span.text)) for span in line) for line in lines]


def _nothing_yet(history: History) -> str:
    if only_prints(history):
        return "No log of a training: what the command prints is all there is."
    if history.end is not None:
        return "The run ended before its first step."
    if history.run is not None:
        return "Waiting for the first step."
    return "No run yet. Its curves appear here as soon as it trains."


def _paint(
    grid: Grid, plan: Layout, place: Place, content: Content, history: History, view: View, signs: Glyphs
) -> None:
    """Draw one strip: title, y axis, curves, and the names at their ends."""
    if place.titled:
        grid.write(place.first, 0, content.title[: plan.left + plan.columns], "title")
    for plot, part in zip(_plots(plan, place, content, view), ("dots", "lines"), strict=True):
        cells = kept(history, f"{place.name} {part}", plot, lambda plot=plot: build(plot))  # type: ignore[misc]
        grid.put_cells(place.top, plan.left, cells)
    if content.scale is None:
        if place.rows:
            say(grid, place.top, plan.left, plan.columns, place.rows, content.hint)
        return
    _mark_beyond(grid, plan, place, content.strokes, signs)
    names(grid, plan, place, content.labels)
    for each in content.pins:
        pin(grid, plan, place, each, signs)


def _plots(plan: Layout, place: Place, content: Content, view: View) -> tuple[Plot, Plot]:
    """Give the dots of a strip and the lines over them: dots move with every step, lines with every evaluation."""
    lines = tuple(stroke for stroke in content.strokes if stroke.kind != "dots")
    dots = tuple(stroke for stroke in content.strokes if stroke.kind == "dots")
    columns, rows = plan.columns, place.rows
    under = Plot(strokes=dots, columns=columns, rows=rows, axis=False, ascii=view.ascii, beside=lines)
    ticks, axis = _ticks(content.scale, rows), plan.left > 0
    over = Plot(strokes=lines, columns=columns, rows=rows, ticks=ticks, axis=axis, zero=content.zero, ascii=view.ascii)
    return under, over


def _ticks(scale: Scale | None, rows: int) -> tuple[Tick, ...]:
    """Choose the numbers of a y axis: never two in a row, nor on neighbouring ones where there is room for distance."""
    chosen: dict[int, Tick] = {}
    for place, text in scale.ticks if scale else ():
        row = row_of(place, rows)
        if text and row not in chosen and not (rows > 4 and {row - 1, row + 1} & chosen.keys()):
            chosen[row] = place, text.rjust(LABEL - 1).ljust(LABEL)
    return tuple(chosen.values())


def _mark_beyond(grid: Grid, plan: Layout, place: Place, strokes: list[Stroke], signs: Glyphs) -> None:
    """Mark the columns in which something lies above or below the axis."""
    if not place.rows:
        return
    for stroke in strokes:
        for row, sign, columns in (
            (place.top, signs.over, _columns(stroke, stroke.y > 1 + 1e-9, 1.0, plan.columns)),
            (place.top + place.rows - 1, signs.under, _columns(stroke, stroke.y < -1e-9, 0.0, plan.columns)),
        ):
            for column in columns:
                # A line that fills its cell is data, too: then the mark stands over it, in the row of the title.
                outside = place.first if place.titled and sign == signs.over else row
                taken = grid.role(row, plan.left + column) in LINES and grid.free(outside, plan.left + column, 1)
                grid.put(outside if taken else row, plan.left + column, sign, "beyond")


def _columns(stroke: Stroke, beyond: NDArray[np.bool_], edge: float, columns: int) -> set[int]:
    """Give the columns of what lies beyond an edge: of each lone point, and where a line leaves and returns."""
    at = np.flatnonzero(beyond & np.isfinite(stroke.x))
    if not len(at):
        return set()
    if stroke.kind == "dots":
        return {column_of(place, columns) for place in stroke.x[at].tolist()}
    found = set()
    for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        first, last = int(run[0]), int(run[-1])
        ends = column_of(float(stroke.x[first]), columns), column_of(float(stroke.x[last]), columns)
        # The mark stands beside the cell in which the line crosses the edge, on the side from which it comes.
        if first > 0 and math.isfinite(stroke.y[first - 1]):
            found.add(min(column_of(_crossing(stroke, first - 1, edge), columns) + 1, ends[0]))
        else:
            found.add(ends[0])
        if last + 1 < len(stroke.y) and math.isfinite(stroke.y[last + 1]):
            found.add(max(column_of(_crossing(stroke, last, edge), columns) - 1, ends[1]))
        else:
            found.add(ends[1])
    return found


def _crossing(stroke: Stroke, index: int, edge: float) -> float:
    """Give the place at which the line from this point to the next crosses an edge."""
    (x, then), (y, up) = stroke.x[index : index + 2].tolist(), stroke.y[index : index + 2].tolist()
    return float(x + (edge - y) / (up - y) * (then - x)) if up != y else float(x)


def _cursor(
    grid: Grid, plan: Layout, view: View, axis: XAxis, history: History, signs: Glyphs
) -> tuple[int, str] | None:
    """Draw a line through all strips at the evaluation under the cursor; give its column and what stands under it."""
    step = None if view.cursor is None else history.step_of(view.cursor)
    column = None if step is None else axis.column(float(step))
    if column is None:
        return None
    for place in plan.strips:
        for row in range(place.top, place.top + place.rows):
            grid.put_behind(row, plan.left + column, signs.cursor, "cursor")
    epoch = history.evaluations["epoch"].values[view.cursor or 0]
    return column, f"{epoch:.4g}" if math.isfinite(epoch) and axis.in_epochs else count(step or 0)


def _foot(grid: Grid, plan: Layout, axis: XAxis, history: History, under: tuple[int, str] | None) -> None:
    """Draw the x axis: its line where there is room, its numbers, their unit, and what the cursor is at."""
    if not plan.foot:
        return
    row, lined = grid.height - 1, plan.foot > 1
    ticks, unit = axis.ticks()
    foot = Foot(columns=plan.columns, ticks=tuple(ticks), lined=lined, corner=plan.left > 0)
    grid.put_cells(row - lined, plan.left, kept(history, "foot", foot, lambda: build_foot(foot)))
    if under is not None:
        column, text = under
        start = min(max(plan.left + column - len(text) // 2, 0), max(grid.width - len(text), 0))
        grid.clear_word(row, start - 1, len(text) + 2)
        grid.put(row, start, text, "cursor")
    if plan.left:
        grid.write(row, 0, unit, "title")
