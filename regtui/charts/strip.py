"""What a strip is, what it is given, and what it gives back to be set on the grid. It knows places, not cells."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from regtui.charts.plotter import Kind, Stroke
from regtui.charts.sampling import Sampled
from regtui.charts.scales import Scale, XAxis, number
from regtui.charts.view import View
from regtui.core.config import RunConfig
from regtui.core.history import History

SHORT_NAMES = {"validation": "valid", "previous": "prev"}
"""Names of curves where there is no room for the whole one."""


def in_nats(history: History) -> str:
    """Name the unit of a loss where it is known: of regtui's own runs it is a cross entropy, of others anything."""
    return "" if history.run is not None and history.trainer != "regtui" else ", nats"


@dataclass(frozen=True)
class EndLabel:
    """A name at the end of its curve."""

    role: str
    """Role of the curve."""
    texts: tuple[str, ...]
    """What to say, the longest first: the name with its number, a short one with it, the names alone."""
    x: float
    """Place of the curve's end across the plot."""
    y: float
    """Place of its end up the axis."""


@dataclass(frozen=True)
class Pin:
    """A marked point with a text beside it."""

    role: str
    texts: tuple[str, ...]
    """What to say, the longest first; the first that fits is used."""
    x: float
    y: float
    dot: bool


@dataclass
class Content:
    """What one strip shows."""

    title: str
    strokes: list[Stroke] = field(default_factory=list)
    """Strongest first."""
    scale: Scale | None = None
    labels: list[EndLabel] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    zero: float | None = None
    """Place of the zero line up the axis."""
    hint: str = ""
    """What to say where there is nothing to draw."""

    def draw(self, shown: Sampled, role: str, kind: Kind, sign: str, name: str = "", text: str | None = None) -> None:
        """Add a curve behind those that are there; `text` is what stands beside its name, else its last number."""
        if self.scale is None or not np.isfinite(shown.y).any():
            return
        self.strokes.append(Stroke(role=role, x=shown.x, y=self.scale.place(shown.y), kind=kind, sign=sign))
        if name and shown.end is not None:
            x, last = shown.end
            text = number(last) if text is None else text
            brief = SHORT_NAMES.get(name, name)
            names = (f"{name} {text}", f"{brief} {text}", name, brief)
            self.labels.append(EndLabel(role, names, x, self.place(last)))

    def place(self, value: float) -> float:
        """Give the place of one value up the axis."""
        return float(self.scale.place(np.array([value]))[0]) if self.scale else math.nan


@dataclass(frozen=True)
class Sight:
    """What a strip is asked to draw, and how it is looked at."""

    history: History
    view: View
    axis: XAxis
    rows: int
    """Rows of its plot, which the number of ticks follows."""
    preview: RunConfig | None = None
    """The configuration about to be run, while there is no run."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One kind of chart, to be stacked with others on one x axis."""

    name: str
    """What `View.strips` calls it."""
    title: str
    """What it shows, in one sentence for help and README."""
    share: int
    """Its share of the height; the strip with the largest is the first that is offered."""
    has_data: Callable[[History], bool]
    """Whether a run has what it draws."""
    draw: Callable[[Sight], Content]
    planned: bool = False
    """Whether there is something to draw before the first step."""
    judged: bool = False
    """Whether its ground is coloured after the best evaluation while a run overfits."""
