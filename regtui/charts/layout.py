"""Where the strips and axes of a chart stand, from its size alone, and which steps its x axis spans."""

import math
from dataclasses import dataclass

import numpy as np

from regtui.charts.scales import LABEL, XAxis
from regtui.charts.strips import STRIPS
from regtui.charts.view import View
from regtui.core.config import RunConfig
from regtui.core.history import History

TRAIN_ROWS = {"digits": 1438, "mnist": 50_000, "fashion_mnist": 50_000}
"""Training rows of the named data sets, all but those for validation, so that a plan is drawn before they are read."""

SMALLEST_STRIP = 4
"""Rows below which a strip is left out: its title and three rows of curve."""


@dataclass(frozen=True)
class Place:
    """Where one strip stands."""

    name: str
    top: int
    """First row of its plot; a title stands in the row above."""
    rows: int
    """Rows of its plot."""
    titled: bool
    """Whether it has a row for its title."""

    @property
    def first(self) -> int:
        """Its first row, with the title."""
        return self.top - self.titled


@dataclass(frozen=True)
class Layout:
    """Where things stand, so that numbers keep their place while they change."""

    left: int
    """Columns of the y axis with its numbers."""
    columns: int
    """Columns of the plot."""
    right: int
    """Columns kept free for the names at the curves' ends."""
    foot: int
    """Rows of the x axis: its line and its numbers."""
    strips: tuple[Place, ...]


def layout(width: int, height: int, wanted: tuple[str, ...]) -> Layout:
    """Share out the cells; what does not fit is left out: strips from the last, then titles, axes, names."""
    left = LABEL + 1 if width >= 30 else 0
    right = 17 if width >= 72 else 11 if width >= 48 else 0
    foot = 2 if height >= 8 else 1 if height >= 5 else 0
    names = [name for name in dict.fromkeys(wanted) if name in STRIPS] or ["loss"]
    room = height - foot
    names = names[: max(1, room // SMALLEST_STRIP)]
    shares = [STRIPS[name].share for name in names]
    heights = [max(SMALLEST_STRIP, room * share // sum(shares)) for share in shares]
    heights[0] += room - sum(heights)
    placed, first = [], 0
    for name, high in zip(names, heights, strict=True):
        titled = high >= 3
        placed.append(Place(name, first + titled, high - titled, titled))
        first += high
    return Layout(left, max(width - left - right, 1), right, foot, tuple(placed))


def x_axis(history: History, view: View, columns: int, preview: RunConfig | None = None) -> XAxis | None:
    """Choose the steps in sight: the whole planned run while it lives, what there is once it has ended."""
    per_epoch = steps_per_epoch(history)
    last = float(history.step)
    planned = history.total_steps
    if preview is not None and not per_epoch > 0:
        per_epoch = float(planned_steps_per_epoch(preview))
        planned = per_epoch * preview.epochs
    if view.zoom == "all":
        low = min(0.0, *(float(c.values[0]) for c in (history.steps.step, history.evaluations.step) if len(c)), 0.0)
        high = last if history.end is not None and last > 0 else max(last, planned if math.isfinite(planned) else 0.0)
    else:
        low, high = last * (0.5 if view.zoom == "half" else 0.9), last
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    high = high if high > low else low + 1.0
    return XAxis(low, high, columns, per_epoch)


def steps_per_epoch(history: History) -> float:
    """Give the steps of one epoch, NaN where epochs begin again, as in logs of several fits."""
    per_epoch, epochs = history.steps_per_epoch, history.evaluations["epoch"].values
    epochs = epochs[np.isfinite(epochs)]
    return per_epoch if per_epoch > 0 and bool((epochs[1:] >= epochs[:-1]).all()) else math.nan


def planned_steps_per_epoch(config: RunConfig) -> int:
    """Give the steps of one epoch before the data is loaded; a file of unknown length is taken for 10,000 rows."""
    rows = config.train_rows or TRAIN_ROWS.get(config.dataset, 10_000)
    return max(1, -(-rows // config.batch_size))
