"""Curves to cells: the only file that knows plotext.

Measured at 88x18 cells on the 2-core machine that this was written on: plotext's own lines and braille grouping
cost 2 ms for a smooth curve and 16 ms for a noisy one, a whole plot with axes 10 ms and more, because each dot
passes through a Python list several times. So numpy joins the points and packs the dots of a cell into one
braille sign, and plotext is given one ready marker a cell, in one build for all the curves of a strip: 1 to 2 ms.
Its private monitor is used, not the global figure, so that charts can be drawn in any thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regtui.core.series import FloatArray

Kind = Literal["bold", "line", "dashed", "dotted", "dots"]
"""A line two dots thick, a line, a line with gaps, a line of single dots, unconnected points."""

Cell = tuple[int, int, str, str]
"""Row from the top, column, sign and role."""

Laid = tuple[int, int, str, int]
"""Row from the top, column, sign and index of the curve."""

BRAILLE = 0x2800
_WEIGHTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint16)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points to be drawn in one way."""

    role: str
    """What it is; the role of its cells."""
    x: FloatArray
    """Places across the plot, 0 to 1, shape (n,)."""
    y: FloatArray
    """Places up the plot, 0 to 1; NaN is a gap."""
    kind: Kind = "line"
    """How it is drawn, so that curves differ without colour."""
    sign: str = "*"
    """Its character where there is no braille."""


def draw_curves(curves: Sequence[Curve], columns: int, rows: int, *, ascii_only: bool) -> list[Cell]:
    """Draw curves, the strongest first, and give the cells that they touch.

    A cell that several curves touch belongs to the strongest, and shows the dots of all lines in it; unconnected dots
    keep out of the cells of stronger curves.
    """
    if columns < 1 or rows < 1 or not curves:
        return []
    across, down = (1, 1) if ascii_only else (2, 4)
    code = np.zeros((rows, columns), dtype=np.uint16)
    owner = np.full((rows, columns), -1, dtype=np.int16)
    for index, curve in enumerate(curves):
        mine = _cells(_dots(curve, columns * across, rows * down, thick=not ascii_only), across, down)
        if curve.kind in ("dots", "dotted", "dashed"):
            mine[owner >= 0] = 0
        owner[(mine > 0) & (owner < 0)] = index
        code |= mine
    signs = tuple(curve.sign for curve in curves) if ascii_only else None
    laid = _lay(owner.tobytes(), code.tobytes(), columns, rows, signs)
    return [(row, column, sign, curves[index].role) for row, column, sign, index in laid]


@lru_cache(maxsize=16)
def _lay(owner: bytes, code: bytes, columns: int, rows: int, signs: tuple[str, ...] | None) -> tuple[Laid, ...]:
    """Let plotext lay the signs on its canvas, with the index of the curve in place of a colour, and read it back.

    From one frame to the next most strips are the same to the dot: those are remembered.
    """
    # Imported with the first curve and not with this file: it takes 30 ms that the app's first paint need not wait for.
    from plotext._date import date_class
    from plotext._monitor import monitor_class

    owners = np.frombuffer(owner, dtype=np.int16)
    used = np.flatnonzero(owners >= 0)
    if not len(used):
        return ()
    indices = owners[used].tolist()
    if signs is None:
        markers = [chr(BRAILLE + dots) for dots in np.frombuffer(code, dtype=np.uint16)[used].tolist()]
    else:
        markers = [signs[index] for index in indices]
    plot = monitor_class()
    plot.set_date(date_class())
    plot.set_size([columns, rows])
    plot.xaxes = plot.yaxes = [False, False]
    plot.set_xfrequency(0)
    plot.set_yfrequency(0)
    plot.set_theme("clear")
    plot.draw((used % columns).tolist(), (rows - 1 - used // columns).tolist(), marker=markers, color=indices)
    plot.set_xlim(0, max(columns - 1, 1))
    plot.set_ylim(0, max(rows - 1, 1))
    plot.build_plot()
    found: list[Laid] = []
    for row in range(rows):
        laid, colours = plot.matrix.marker[rows - 1 - row], plot.matrix.fullground[rows - 1 - row]
        found += [(row, column, sign, colours[column]) for column, sign in enumerate(laid) if sign != " "]
    return tuple(found)


def _cells(dots: NDArray[np.bool_], across: int, down: int) -> NDArray[np.uint16]:
    """Pack the dots of each cell into the bits of its braille sign."""
    if down == 1:
        return dots.astype(np.uint16)
    rows, columns = dots.shape[0] // down, dots.shape[1] // across
    packed = dots.reshape(rows, down, columns, across) * _WEIGHTS[None, :, None, :]
    bits: NDArray[np.uint16] = packed.sum(axis=(1, 3), dtype=np.uint16)
    return bits


def _dots(curve: Curve, width: int, height: int, *, thick: bool) -> NDArray[np.bool_]:
    """Set the dots of one curve, row 0 at the top; what lies outside is drawn along the edge."""
    dots = np.zeros((height, width), dtype=np.bool_)
    finite = np.isfinite(curve.x) & np.isfinite(curve.y)
    if not finite.any():
        return dots
    x = np.clip(np.nan_to_num(curve.x) * width, 0, width - 1).astype(np.int64)
    y = np.clip(np.rint((1 - np.nan_to_num(curve.y)) * (height - 1)), 0, height - 1).astype(np.int64)
    dots[y[finite], x[finite]] = True
    joined = np.flatnonzero(finite[:-1] & finite[1:])
    if curve.kind == "dots" or not len(joined):
        return dots
    x0, y0 = x[joined], y[joined]
    dx, dy = x[joined + 1] - x0, y[joined + 1] - y0
    counts = np.maximum(np.maximum(abs(dx), abs(dy)), 1)
    begins = np.cumsum(counts) - counts
    part = (np.arange(int(counts.sum())) - np.repeat(begins, counts)) / np.repeat(counts, counts)
    across = np.rint(np.repeat(x0, counts) + part * np.repeat(dx, counts)).astype(np.int64)
    along = np.rint(np.repeat(y0, counts) + part * np.repeat(dy, counts)).astype(np.int64)
    if curve.kind in ("dashed", "dotted"):
        # Gaps lie at fixed places, so that they stand still while the line moves on.
        drawn, period = (2, 4) if curve.kind == "dashed" and thick else (1, 3 if thick else 2)
        kept = np.where(np.repeat(abs(dy) > abs(dx), counts), along, across) % period < drawn
        dots[:] = False
        across, along = across[kept], along[kept]
    dots[along, across] = True
    if thick and curve.kind == "bold" and height > 1:
        dots[:-1] |= dots[1:]
    return dots
