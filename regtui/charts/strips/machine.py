"""The machine: how much of the time each GPU computes, and how much of its processors the run keeps busy."""

import numpy as np

from regtui.analysis.machine import gpus
from regtui.charts.plotter import Kind
from regtui.charts.sampling import logged, sample
from regtui.charts.scales import linear
from regtui.charts.strip import Content, Sight, Strip
from regtui.core.history import History
from regtui.core.series import Column

KINDS: tuple[Kind, ...] = ("bold", "line", "dashed", "dotted")

MOST_GPUS = 4
"""GPUs that are drawn: more curves near 100 % cannot be told apart, nor named."""


def draw(sight: Sight) -> Content:
    content = Content("in use, %")
    curves = _curves(sight.history)
    numbers = [name for name in curves if name != "CPU"]
    if len(numbers) > MOST_GPUS:
        content.title += f", {MOST_GPUS} of {len(numbers)} GPUs"
        curves = {name: curves[name] for name in (*numbers[:MOST_GPUS], "CPU") if name in curves}
    content.scale = linear(0.0, 100.0, sight.rows)
    steps = sight.history.system.step
    for index, (name, column) in enumerate(curves.items()):
        shown = sample(column, steps, sight.axis, joined=True)
        text = f"{shown.end[1]:.0f} %" if shown.end else ""
        content.draw(shown, f"norm{index % 4 + 1}", KINDS[index % 4], str((index + 1) % 10), name, text)
    if not content.strokes:
        content.scale, content.hint = None, "nothing of the machine was sampled in sight"
    return content


def _curves(history: History) -> dict[str, Column]:
    """Give what is drawn by its name, in percent: GPUs first, then the process."""
    return history.now(_in_percent)


def _in_percent(history: History) -> dict[str, Column]:
    table = history.system
    shares = {f"GPU {number}": table[f"gpu{number}/utilization"].values for number in gpus(history)}
    with np.errstate(all="ignore"):
        shares["CPU"] = table["cpu"].values / table["cores"].values
        columns = {name: Column(100 * values) for name, values in shares.items()}
    return {name: column for name, column in columns.items() if np.isfinite(column.values).any()}


def _has_data(history: History) -> bool:
    # Samples of a run that counts no steps have no place on its axis.
    table = history.system
    sampled = logged(table, "cpu", *(f"gpu{number}/utilization" for number in gpus(history)))
    return sampled and history.counts_steps and table.step.last > 0


STRIP = Strip(
    name="machine",
    title="the share of the time in which each GPU computes, and of its processors that the run keeps busy",
    share=3,
    has_data=_has_data,
    draw=draw,
)
