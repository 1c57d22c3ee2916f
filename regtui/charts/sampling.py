"""Columns as seen through the x axis: at most two points a screen column, in time that does not grow with them."""

import math
from dataclasses import dataclass

import numpy as np

from regtui.charts.scales import FAR, XAxis
from regtui.core.history import History
from regtui.core.series import Column, FloatArray, thin
from regtui.core.table import Table

TAIL = 256
"""Values looked through for the last number; behind a longer run of gaps the newest thinned point stands for it."""


@dataclass(frozen=True)
class Sampled:
    """What of a column is in sight."""

    x: FloatArray
    """Places across the plot, 0 to 1."""
    y: FloatArray
    """Values; NaN is a gap."""
    end: tuple[float, float] | None = None
    """Place and value of the last number in sight, as it came; None where there is none."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value in sight, NaN where there is none."""
        finite = self.y[np.isfinite(self.y)]
        return (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)


EMPTY = Sampled(np.empty(0), np.empty(0))


def sample(column: Column, steps: Column, axis: XAxis, *, stretch: float = 1.0, joined: bool = False) -> Sampled:
    """Thin a column to what the x axis can show; `stretch` scales its steps to those of the axis.

    Up to two points a column are kept as they are; with `joined`, a line from a point left of the plot enters it at
    its edge. Of more points, the lowest and highest of each column are kept, in the order that makes the shorter line.
    """
    if not len(column) or len(column) != len(steps):
        return EMPTY
    edges = axis.edges / stretch
    first = int(np.searchsorted(steps.values, edges[0], side="left"))
    last = int(np.searchsorted(steps.values, edges[-1], side="right"))
    if last - first <= 2 * axis.columns:
        x, y = axis.place(steps.values[first:last] * stretch), np.clip(column.values[first:last], -FAR, FAR)
        if joined and 0 < first < last:
            entry = np.interp(edges[0], steps.values[first - 1 : first + 1], column.values[first - 1 : first + 1])
            x, y = np.append(0.0, x), np.append(entry, y)
        return Sampled(x, y, _last_number(x, y))
    low, high = thin(column, steps, edges)
    held = np.diff(np.searchsorted(steps.values, edges, side="left")) > 0
    held[-1] = True
    low, high = np.clip(low[held], -FAR, FAR), np.clip(high[held], -FAR, FAR)
    falling = np.append(np.diff(low + high) < 0, False)
    if len(falling) > 1:
        falling[-1] = falling[-2]
    left = (np.flatnonzero(held) + 0.25) / axis.columns
    x = np.stack([left, left + 0.5 / axis.columns], axis=1).reshape(-1)
    y = np.stack([np.where(falling, high, low), np.where(falling, low, high)], axis=1).reshape(-1)
    tail = slice(max(first, last - TAIL), last)
    return Sampled(
        x, y, _last_number(axis.place(steps.values[tail] * stretch), column.values[tail]) or _last_number(x, y)
    )


def evaluated(table: Table, column: Column, axis: XAxis, *, stretch: float = 1.0, weight: float = 0.0) -> Sampled:
    """Sample a column of the evaluations: a line spans epochs without one, but a loss that is not finite is a gap."""
    column = column.smoothed(weight) if weight else column
    shown = sample(column, table.step, axis, stretch=stretch, joined=True)
    made = sample(table["measured"], table.step, axis, stretch=stretch, joined=True)
    if len(made.y) != len(shown.y):
        return shown
    kept = (made.y > 0) | np.isfinite(shown.y)
    return Sampled(shown.x[kept], shown.y[kept], shown.end)


def finest(history: History, name: str) -> tuple[Column, Column]:
    """Give a quantity step by step, or where that was not recorded, evaluation by evaluation, and the steps."""
    table = history.steps if logged(history.steps, name) else history.evaluations
    return table[name], table.step


def logged(table: Table, *names: str) -> bool:
    """Say whether a table has a number under one of these names."""
    return any(math.isfinite(table[name].bounds[0]) for name in names)


def _last_number(x: FloatArray, y: FloatArray) -> tuple[float, float] | None:
    numbers = np.flatnonzero(np.isfinite(y) & np.isfinite(x))
    return (float(x[numbers[-1]]), float(y[numbers[-1]])) if len(numbers) else None
