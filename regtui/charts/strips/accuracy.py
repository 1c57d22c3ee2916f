"""Accuracy: validation and training accuracy after each epoch."""

import math
from dataclasses import replace

from regtui.charts.sampling import Sampled, evaluated, logged
from regtui.charts.scales import Scale, linear
from regtui.charts.span import Start, settled
from regtui.charts.strip import Content, Sight, Strip
from regtui.core.metrics import TRAIN_ACCURACY, VALID_ACCURACY

MOST = 1.0
"""No accuracy is above it, so no axis needs to be."""


def draw(sight: Sight) -> Content:
    content = Content("accuracy")
    evaluations, axis = sight.history.evaluations, sight.axis
    valid = evaluated(evaluations, evaluations[VALID_ACCURACY], axis)
    train = evaluated(evaluations, evaluations[TRAIN_ACCURACY], axis)
    content.scale = _scale(sight.rows, [valid, train], Start.of(axis, sight.history.step))
    if content.scale is None:
        content.hint = "no accuracy measured"
        return content
    content.draw(valid, "valid", "bold", "#", "validation")
    content.draw(train, "train", "line", "o", "train")
    return content


def _scale(rows: int, curves: list[Sampled], start: Start) -> Scale | None:
    """Fit the axis from its top: an accuracy starts low, and its start leaves at the foot."""
    lowest, highest = settled([replace(shown, y=-shown.y) for shown in curves], start)
    if not math.isfinite(lowest):
        return None
    scale = linear(-highest, -lowest, rows)
    return linear(scale.low, MOST, rows) if -lowest <= MOST < scale.high else scale


STRIP = Strip(
    name="accuracy",
    title="validation and training accuracy, measured after each epoch",
    share=3,
    has_data=lambda history: logged(history.evaluations, "valid/accuracy", "train/accuracy"),
    draw=draw,
    judged=True,
)
