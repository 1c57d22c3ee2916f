"""The gap: validation minus training loss after each epoch, around a zero line."""

import math

import numpy as np

from regtui import analysis
from regtui.charts.sampling import sample
from regtui.charts.scales import linear
from regtui.charts.strip import Content, Sight, Strip, in_nats
from regtui.core.history import History
from regtui.core.series import Column


def draw(sight: Sight) -> Content:
    content = Content(f"gap{in_nats(sight.history)}: validation − train")
    evaluations = sight.history.evaluations
    shown = sample(_gap(sight.history), evaluations.step, sight.axis, joined=True)
    lowest, highest = shown.bounds
    if not math.isfinite(lowest):
        content.hint = "no gap: it needs validation and training loss of one epoch"
        return content
    content.scale = linear(min(lowest, 0.0), max(highest, 0.0), sight.rows)
    content.zero = content.place(0.0)
    content.draw(shown, "gap", "bold", "#", "gap")
    return content


def _gap(history: History) -> Column:
    difference = Column()
    with np.errstate(over="ignore"):
        difference.extend(analysis.gap(history))
    return difference


STRIP = Strip(
    name="gap",
    title="the gap: validation minus training loss, around zero",
    share=3,
    has_data=lambda history: math.isfinite(_gap(history).bounds[0]),
    draw=draw,
    judged=True,
)
