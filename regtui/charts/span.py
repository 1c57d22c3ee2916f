"""How much of a y axis each thing may take, so that its rows go to what is compared now.

The first evaluations of a run are often many times higher than all later ones and would press those into the lowest
rows. So the start of a run leaves at the top once it would take more than a third of the height: two thirds for what
goes on are enough to compare, and a third for the start is still worth showing. The same third holds for single
batches and for an earlier run. What has left is marked in its column, and `l` shows all of it on a log axis.

The start is at least an eighth and at most a quarter of the steps so far and ends at a power of two, and whether it
leaves is judged when the steps have doubled, from what was there then: so the axis does not creep or flicker with every
epoch. A run of less than four epochs has no start that holds an evaluation; and rising, flat and diverging losses are
highest after it: they are shown whole.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from regtui.charts.sampling import Sampled
from regtui.charts.scales import XAxis
from regtui.core.series import FloatArray


@dataclass(frozen=True)
class Start:
    """The start of a run on an x axis."""

    ends: float
    """Place across the plot at which it ends; also outside the plot."""
    judged: float
    """Place up to which its height is compared with that of the rest."""

    @classmethod
    def of(cls, axis: XAxis, steps: float, stretch: float = 1.0) -> "Start":
        """Give the start of a run of so many steps, each of which is `stretch` of the axis."""
        if not 4 <= steps < math.inf:
            return cls(-math.inf, math.inf)
        return cls(axis.fraction(start_of(steps) * stretch), axis.fraction(4 * start_of(steps) * stretch))


def start_of(steps: float) -> float:
    """Give the step with which the start of a run of so many steps ends."""
    return float(2.0 ** math.floor(math.log2(steps / 4)))


def lifted(top: float, low: float, more: float, *, part: bool = False) -> float:
    """Raise the top of an axis to `more` if that takes at most a third of its height; with `part`, as far as it may."""
    if not math.isfinite(top) or not more > top:
        return more if not math.isfinite(top) else top
    allowed = top + (top / 2 - low / 2 if math.isfinite(low) else 0.0)
    return more if more <= allowed else allowed if part else top


def settled(curves: Sequence[Sampled], start: Start) -> tuple[float, float]:
    """Give the lowest value and the highest that the axis needs; NaN where there is none."""
    finite = [(shown.x[known], shown.y[known]) for shown in curves for known in [np.isfinite(shown.y)]]
    lowest, highest = least(_lows(y for _, y in finite)), most(_highs(y for _, y in finite))
    later = most(_highs(y[~(x <= start.ends)] for x, y in finite))
    judged = [(x[x <= start.judged], y[x <= start.judged]) for x, y in finite]
    rest = most(_highs(y[~(x <= start.ends)] for x, y in judged))
    first = most(_highs(y for _, y in judged))
    stays = not rest < first or lifted(rest, least(_lows(y for _, y in judged)), first) == first
    return lowest, highest if stays else later


def usual(shown: Sampled, start: Start, share: float = 95.0) -> float:
    """Give what all but the highest twentieth lie below, after the start if there is anything."""
    finite = np.isfinite(shown.y)
    later: FloatArray = shown.y[finite & ~(shown.x <= start.ends)]
    values = later if len(later) else shown.y[finite]
    return float(np.percentile(values, share)) if len(values) else math.nan


def until(shown: Sampled, place: float) -> Sampled:
    """Give the part of a curve up to a place."""
    part = shown.x <= place
    return Sampled(shown.x[part], shown.y[part])


def _lows(values: Iterable[FloatArray]) -> list[float]:
    return [float(some.min()) for some in values if len(some)]


def _highs(values: Iterable[FloatArray]) -> list[float]:
    return [float(some.max()) for some in values if len(some)]


def least(values: Iterable[float]) -> float:
    """Give the least number, NaN where there is none."""
    return min((value for value in values if math.isfinite(value)), default=math.nan)


def most(values: Iterable[float]) -> float:
    """Give the greatest number, NaN where there is none."""
    return max((value for value in values if math.isfinite(value)), default=math.nan)
