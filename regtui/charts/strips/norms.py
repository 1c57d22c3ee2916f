"""Weight norms: one curve a layer, named at its end."""

import math

import numpy as np

from regtui.charts.plotter import Kind
from regtui.charts.sampling import logged, sample
from regtui.charts.scales import linear
from regtui.charts.span import least, most
from regtui.charts.strip import Content, Sight, Strip
from regtui.charts.view import narrow
from regtui.core.history import History
from regtui.core.metrics import NORM

KINDS: tuple[Kind, ...] = ("bold", "line", "dashed", "dotted")

MOST_LAYERS = 12
"""Layers that are drawn: more curves than the rows of the strip cannot be told apart, nor named."""


def draw(sight: Sight) -> Content:
    content = Content("weight norms")
    evaluations = sight.history.evaluations
    names = _norms(sight.history)
    drawn = names
    if len(names) > MOST_LAYERS:
        # From the first to the last, evenly: neighbours in a deep net are alike.
        drawn = [names[place] for place in np.linspace(0, len(names) - 1, MOST_LAYERS).round().astype(int)]
        content.title += f", {MOST_LAYERS} of {len(names)} layers"
    layers = {
        name.removeprefix(NORM): sample(evaluations[name], evaluations.step, sight.axis, joined=True) for name in drawn
    }
    highest = most(shown.bounds[1] for shown in layers.values())
    if not math.isfinite(highest):
        content.hint = "no weight norms in this log"
        return content
    lowest = least(shown.bounds[0] for shown in layers.values())
    content.scale = linear(0.0 if 0 < lowest < highest / 2 else lowest, highest, sight.rows)
    for index, (name, shown) in enumerate(layers.items()):
        content.draw(shown, f"norm{index % 4 + 1}", KINDS[index % 4], str((index + 1) % 10), narrow(name))
    return content


def _norms(history: History) -> list[str]:
    return [name for name in history.evaluations.names if name.startswith(NORM)]


STRIP = Strip(
    name="norms",
    title="the weight norm of each layer, which L2 holds back",
    share=3,
    has_data=lambda history: logged(history.evaluations, *_norms(history)),
    draw=draw,
)
