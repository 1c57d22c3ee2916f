"""Further losses: those of other evaluation sets, and the parts that a loss is summed from."""

from regtui.charts.strip import Content, Strip
from regtui.charts.strips.metrics import draw_named, further
from regtui.core.history import History


def _losses(history: History) -> list[str]:
    return [name for name in further(history) if name.endswith("loss") and not name.startswith("train/")]


STRIP = Strip(
    name="losses",
    title="the losses of further evaluation sets, or the parts of the validation loss",
    share=3,
    has_data=lambda history: bool(_losses(history)),
    draw=lambda sight: draw_named(sight, Content("further losses"), _losses(sight.history)),
)
