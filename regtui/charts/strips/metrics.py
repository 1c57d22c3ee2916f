"""Further metrics: what else was measured and lies between 0 and 1, such as F1 or mAP, each named at its end."""

from collections.abc import Sequence

from regtui.charts.plotter import Kind
from regtui.charts.sampling import evaluated, logged
from regtui.charts.scales import linear
from regtui.charts.span import least, most
from regtui.charts.strip import Content, Sight, Strip
from regtui.charts.view import narrow
from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE, NORM, PENALTY, STEP_LOSS

KINDS: tuple[Kind, ...] = ("bold", "line", "dashed", "dotted")

MOST_CURVES = 8
"""More curves than the rows of the strip cannot be told apart, nor named."""

ELSEWHERE = frozenset(
    {"epoch", "measured", "time", "seconds", "evaluate_seconds", STEP_LOSS, LEARNING_RATE, PENALTY}
    | {f"{split}/{quantity}" for split in ("train", "valid") for quantity in ("loss", "accuracy")}
)
"""Columns of the evaluations that say where and when, or that other strips draw."""


def further(history: History) -> list[str]:
    """Name what was measured beside the pair that is judged, in the order of the log; without what is no number."""
    table = history.evaluations
    return [name for name in table.names if name not in ELSEWHERE and not name.startswith(NORM) and logged(table, name)]


def short_name(name: str) -> str:
    """Name it without what all of them have in front."""
    return narrow(name.removeprefix("valid/").removeprefix("metrics/"))


def draw_named(sight: Sight, content: Content, names: Sequence[str], *, foot: float | None = None) -> Content:
    """Draw columns of the evaluations on one axis, from `foot` on where they lie near it, each with its name."""
    table = sight.history.evaluations
    if len(names) > MOST_CURVES:
        content.title += f", {MOST_CURVES} of {len(names)}"
    curves = {name: evaluated(table, table[name], sight.axis) for name in names[:MOST_CURVES]}
    lowest = least(shown.bounds[0] for shown in curves.values())
    highest = most(shown.bounds[1] for shown in curves.values())
    if not names or not lowest <= highest:
        content.hint = "nothing measured in sight"
        return content
    content.scale = linear(foot if foot is not None and lowest < highest / 2 else lowest, highest, sight.rows)
    for index, (name, shown) in enumerate(curves.items()):
        content.draw(shown, f"norm{index % 4 + 1}", KINDS[index % 4], str((index + 1) % 10), short_name(name))
    return content


def _shares(history: History) -> list[str]:
    bounds = {name: history.evaluations[name].bounds for name in further(history)}
    return [name for name, (low, high) in bounds.items() if low >= 0 and high <= 1 and not name.endswith("loss")]


STRIP = Strip(
    name="metrics",
    title="what else was measured and lies between 0 and 1, such as F1 or mAP",
    share=3,
    has_data=lambda history: bool(_shares(history)),
    draw=lambda sight: draw_named(sight, Content("metrics"), _shares(sight.history), foot=0.0),
)
