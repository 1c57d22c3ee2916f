"""Strokes, ticks and axes to cells: the only file that knows plotext.

plotext draws: it joins the points, merges the dots of strokes that share a cell, and sets axes and ticks. What it has
built is read back from the text of its matrix, where a colour stands for a role. It is given only finite places from 0
to 1, at most two points a column and a few more for dashes: its kernel ends the whole process on a NaN inside a line.

plotext has one figure a process, and all its settings are that figure's; so one thread draws at a time, and every
build sets what it needs.
"""

import re
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regtui.charts.view import ROLES
from regtui.core.series import FloatArray

Kind = Literal["bold", "line", "dashed", "dotted", "dots"]
"""A line two dots thick, a line, long dashes, single dots along a line, unconnected points."""

Cell = tuple[int, int, str, str]
"""Row from the top, column from the left edge of the plot (an axis stands left of 0), sign and role."""

Tick = tuple[float, str]
"""Place along an axis, 0 to 1, and label."""

Points = tuple[FloatArray, FloatArray, NDArray[np.bool_]]
"""Places across and up, and whether a line leads to each from the one before."""

Dots = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]
"""The same in whole dots, across from the left and down from the top."""

DASH, DASH_PERIOD = 8, 12
"""Dots drawn of each so many across: four cells and a gap of two, which no noise looks like."""

DOT_PERIOD = 3
"""Dots across from one dot of a dotted line to the next: no two share a cell's column, none leaves a cell empty."""

INSET = 0.0017585662, 0.001616152
"""How far from the edges of the plot plotext puts the two ends of an axis that is aligned to them, in cells."""

GRAIN = 1e-9
"""Cells by which places are moved on: one on the border of two cells, but for rounding, is in the second."""

FAR_OUT = 1e6
"""Heights of the plot above and below it beyond which a place is drawn as this."""

COLOURS = {role: number for number, role in enumerate(ROLES)}
ROLE_OF = {str(number): role for role, number in COLOURS.items()}
PART = re.compile(r"\x1b\[0m(?:\x1b\[38;5;(\d+)m)?(?:\x1b\[48;5;\d+m)?([^\x1b]*)")
"""One run of cells of a colour in the text of a matrix."""

_drawing = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """Points to be drawn in one way."""

    role: str
    """What it is; the role of its cells."""
    x: FloatArray
    """Places across the plot, 0 to 1, rising, shape (n,)."""
    y: FloatArray
    """Places up the plot, 0 to 1; NaN is a gap, and a line is cut where it leaves the plot."""
    kind: Kind = "line"
    """How it is drawn, so that strokes differ without colour."""
    sign: str = "*"
    """Its character where there is no braille."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """One box of strokes with its y axis; two that look the same to the dot are equal."""

    strokes: tuple[Stroke, ...]
    """The strongest first: it is drawn last, and cells that several touch are its."""
    columns: int
    rows: int
    ticks: tuple[Tick, ...] = ()
    """Numbers of the y axis, each in a row of its own, with labels of one length."""
    axis: bool = True
    """Whether there is room for a y axis."""
    zero: float | None = None
    """Place of the zero line."""
    ascii: bool = False
    beside: tuple[Stroke, ...] = ()
    """Lines that are drawn over this plot as another one: its dots keep out of their cells."""

    @property
    def size(self) -> tuple[int, int]:
        """Dots across and down."""
        return (self.columns, self.rows) if self.ascii else (2 * self.columns, 4 * self.rows)

    @cached_property
    def dots(self) -> tuple[Dots, ...]:
        """What plotext is to draw for each stroke."""
        return tuple(_dots(self, index) for index in range(len(self.strokes)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plot) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> Hashable:
        strokes = tuple(
            (stroke.role, stroke.sign, *(part.tobytes() for part in dots))
            for stroke, dots in zip(self.strokes, self.dots, strict=True)
        )
        return strokes, self.columns, self.rows, self.ticks, self.axis, self.zero, self.ascii


@dataclass(frozen=True, kw_only=True)
class Foot:
    """The x axis under all plots."""

    columns: int
    ticks: tuple[tuple[int, str], ...]
    """Column and label of each."""
    lined: bool
    """Whether there is room for its line, above the numbers."""
    corner: bool
    """Whether the line meets a y axis left of it."""


def row_of(place: float, rows: int) -> int:
    """Give the row, from the top, of a place up an axis."""
    return column_of(1 - place, rows)


def column_of(place: float, columns: int) -> int:
    """Give the column of a place across an axis."""
    return min(max(int(place * columns + GRAIN), 0), max(columns - 1, 0))


def build(plot: Plot) -> list[Cell]:
    """Let plotext draw a plot, and give the cells that are not blank."""
    if plot.columns < 1 or plot.rows < 1 or not (plot.axis or plot.strokes or plot.zero is not None):
        return []
    with _drawing:
        figure = _plotext().figure
        label = max((len(text) for _, text in plot.ticks), default=0) if plot.axis else 0
        left = label + plot.axis
        _clear(figure, plot.columns + left, plot.rows)
        if plot.axis:
            figure.axes(True, pixel=_pixel("axis"), axis="y", side="left")
        ticks = plot.ticks if plot.axis else ()
        places = 1 - _given(1 - np.array([place for place, _ in ticks]), plot.rows)
        figure.ruler("y", "left").ticks(places.tolist(), [text for _, text in ticks])
        if plot.zero is not None:
            figure.line(
                float(1 - _given(1 - np.array(plot.zero), plot.rows)),
                orientation="horizontal",
                pixel=_pixel("zero"),
                style="dotted",
            )
        width, height = plot.size
        for stroke, (across, down, joined) in reversed(list(zip(plot.strokes, plot.dots, strict=True))):
            if len(across):
                x, y = _given((across + 0.5) / width, plot.columns), 1 - _given((down + 0.5) / height, plot.rows)
                signal = figure.signal(x.tolist(), y.tolist(), marker=_marker(stroke, plot.ascii)).lines()
                for point in np.flatnonzero(~joined).tolist():
                    signal.line(point, False)
                figure.draw(signal)
        return list(_cells(figure.build().string(), left))


def build_foot(foot: Foot) -> list[Cell]:
    """Let plotext draw an x axis: row 0 is its line, if it has one, the next its numbers."""
    if foot.columns < 1:
        return []
    with _drawing:
        figure = _plotext().figure
        left = foot.lined and foot.corner
        _clear(figure, foot.columns + left, foot.lined + 1)
        if foot.lined:
            figure.axes(True, pixel=_pixel("axis"), axis="x", side="lower")
        if left:
            figure.axes(True, pixel=_pixel("axis"), axis="y", side="left")
        places = [(column + 0.5) / foot.columns for column, _ in foot.ticks]
        figure.ruler("x", "lower").ticks(places, [text for _, text in foot.ticks])
        return list(_cells(figure.build().string(), left))


def warm_up() -> None:
    """Bring plotext in, in any thread, before a frame that somebody waits for has to."""
    with _drawing:
        _plotext()


def _clear(figure: Any, width: int, height: int) -> None:
    figure.clear.data()
    figure.plot_size(width, height)
    figure.axes(False)
    figure.ruler("x", "lower").ticks([])
    figure.ruler("y", "left").ticks([])


@cache
def _plotext() -> Any:
    """Import plotext and set what holds for every build.

    With the first curve and not with this file: it takes 110 ms that the app's first paint need not wait for.
    """
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.canvas("default")
    figure.legend(False)
    for axis, side in (("x", "lower"), ("x", "upper"), ("y", "left"), ("y", "right")):
        figure.ruler(axis, side).frequency(0).lim(0, 1).alignment(lim="edge").pixel(plotext.pixel(COLOURS["label"]))
    return plotext


def _pixel(role: str) -> Any:
    """Make the colour that stands for a role; none is kept: one that outlives plotext complains as the app exits."""
    return _plotext().pixel(COLOURS[role])


def _marker(stroke: Stroke, ascii_only: bool) -> Any:
    return _plotext().marker(stroke.sign if ascii_only else "braille", _pixel(stroke.role))


def _cells(text: str, left: int) -> Iterator[Cell]:
    """Read a built matrix: its signs, and the role that the colour of each stands for."""
    for row, line in enumerate(text.split("\n")):
        column = -left
        for colour, signs in PART.findall(line):
            role = ROLE_OF.get(colour, "")
            if role:
                yield from ((row, column + at, sign, role) for at, sign in enumerate(signs) if sign != " ")
            column += len(signs)


def _dots(plot: Plot, index: int) -> Dots:
    """Give what plotext is to draw of one stroke: whole dots within the plot, so that nothing else can reach it."""
    stroke, (width, height) = plot.strokes[index], plot.size
    x, y, joined = _cropped(_points(stroke, width, fine=not plot.ascii))
    if stroke.kind == "dots":
        free = _beside(x, y, (*plot.beside, *plot.strokes[:index]), plot)
        x, y, joined = x[free], y[free], joined[free]
    across = np.minimum((x * width + GRAIN).astype(np.int64), width - 1)
    down = np.minimum(((1 - y) * height + GRAIN).astype(np.int64), height - 1)
    if stroke.kind == "dots":
        one = np.unique(across * height + down)
        return one // height, one % height, np.zeros(len(one), dtype=np.bool_)
    across, down, joined = _spared(across, down, joined)
    if stroke.kind == "bold" and not plot.ascii:
        # The same line again, one dot higher.
        across, down, joined = np.tile(across, 2), np.append(down, np.maximum(down - 1, 0)), np.tile(joined, 2)
    return across, down, joined


def _points(stroke: Stroke, width: int, *, fine: bool) -> Points:
    """Give the finite points of a stroke, cut into what its kind shows of it."""
    finite = np.isfinite(stroke.x) & np.isfinite(stroke.y)
    joined = np.append(False, finite[1:] & finite[:-1])[: len(finite)]
    points = stroke.x[finite], _near(stroke.y[finite]), joined[finite]
    if stroke.kind == "dots":
        return points[0], points[1], np.zeros(len(points[0]), dtype=np.bool_)
    if stroke.kind == "dotted":
        return _dotted(points, width, DOT_PERIOD if fine else 2)
    if stroke.kind == "dashed":
        return _dashed(points, width, *((DASH, DASH_PERIOD) if fine else (2, 3)))
    return points


def _near(y: FloatArray) -> FloatArray:
    """Bring in what lies so far out that a line to it leaves the plot at the same dot: arithmetic would overflow."""
    return np.clip(y, -FAR_OUT, FAR_OUT)


def _given(places: FloatArray, size: int) -> FloatArray:
    """Give the number, always finite and 0 to 1, that plotext puts at a place of an axis of so many cells."""
    return np.clip(np.nan_to_num((places * size + GRAIN - INSET[0]) / (size - sum(INSET))), 0.0, 1.0)


def _beside(x: FloatArray, y: FloatArray, strokes: Sequence[Stroke], plot: Plot) -> NDArray[np.bool_]:
    """Say which points lie in no cell of a line: within it they would only blur it."""
    columns = np.minimum((x * plot.columns + GRAIN).astype(np.int64), plot.columns - 1)
    rows = np.minimum(((1 - y) * plot.rows + GRAIN).astype(np.int64), plot.rows - 1)
    edges = np.arange(2 * plot.columns + 1) / (2 * plot.columns)
    free = np.ones(len(x), dtype=np.bool_)
    for stroke in strokes:
        known = np.isfinite(stroke.x)
        if stroke.kind in ("dots", "dotted") or known.sum() < 2:
            continue
        line = np.interp(edges, stroke.x[known], _near(stroke.y[known]), left=np.nan, right=np.nan)
        cells = np.stack([line[:-1:2], line[1::2], line[2::2]])
        with np.errstate(invalid="ignore"):
            lowest, highest = (1 - np.fmin.reduce(cells)) * plot.rows, (1 - np.fmax.reduce(cells)) * plot.rows
            free &= ~((rows <= lowest[columns]) & (rows + 1 > highest[columns]))
    return free


def _cropped(points: Points) -> Points:
    """Cut lines where they leave the plot at its top or foot, and leave out what lies outside."""
    x, y, joined = points
    if not len(x) or (float(y.min()) >= 0 and float(y.max()) <= 1):
        return points
    for edge in (0.0, 1.0):
        above = y > edge
        crossing = np.flatnonzero(joined & (above != np.append(above[:1], above[:-1])) & (y != edge))
        crossing = crossing[y[crossing - 1] != edge]
        part = (edge - y[crossing - 1]) / (y[crossing] - y[crossing - 1])
        x = np.insert(x, crossing, x[crossing - 1] + part * (x[crossing] - x[crossing - 1]))
        y = np.insert(y, crossing, edge)
        joined = np.insert(joined, crossing, True)
    inside = (y >= 0) & (y <= 1)
    joined = joined & inside & np.append(False, inside[:-1])
    return x[inside], y[inside], joined[inside]


def _spared(across: NDArray[np.int64], down: NDArray[np.int64], joined: NDArray[np.bool_]) -> Dots:
    """Leave out points of a line with both neighbours in the same row of dots: without them it is the same line."""
    level = joined[1:] & (down[1:] == down[:-1])
    kept = np.ones(len(across), dtype=np.bool_)
    kept[1:-1] = ~(level[1:] & level[:-1])
    return across[kept], down[kept], joined[kept]


def _dashed(points: Points, width: int, drawn: int, period: int) -> Points:
    """Take gaps out of a line, at fixed places, so that they stand still while the line moves on."""
    x, y, joined = points
    for first in (0, drawn):
        edges = np.arange(first, width + 1, period) / width
        at = np.searchsorted(x, edges, side="right")
        between = (at > 0) & (at < len(x))
        at, edges = at[between], edges[between]
        on = joined[at] & (x[at] > x[at - 1])
        at, edges = at[on], edges[on]
        part = (edges - x[at - 1]) / (x[at] - x[at - 1])
        y = np.insert(y, at, y[at - 1] + part * (y[at] - y[at - 1]))
        x, joined = np.insert(x, at, edges), np.insert(joined, at, True)
    alone = ~joined & ~np.append(joined[1:], False)
    middle = (x + np.append(x[:1], x[:-1])) / 2 * width
    joined = joined & (middle % period < drawn)
    kept = joined | np.append(joined[1:], False) | alone
    return x[kept], y[kept], joined[kept]


def _dotted(points: Points, width: int, period: int) -> Points:
    """Set single dots along a line, at fixed places across, and one at each point that no line leads to or from."""
    x, y, joined = points
    alone = ~joined & ~np.append(joined[1:], False)
    places = (np.arange(0, width, period) + 0.5) / width
    at = np.searchsorted(x, places, side="right")
    between = (at > 0) & (at < len(x))
    at, places = at[between], places[between]
    on = joined[at]
    dots = np.append(np.interp(places[on], x, y) if len(x) else x, y[alone])
    return np.append(places[on], x[alone]), dots, np.zeros(len(dots), dtype=np.bool_)
