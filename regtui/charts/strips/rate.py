"""The learning rate: what was used for each update, and what the policy plans from here on."""

import math

import numpy as np

from regtui import analysis
from regtui.analysis.forecast import planned
from regtui.analysis.rate_changes import rate_changes
from regtui.charts.kept import kept
from regtui.charts.sampling import EMPTY, Sampled, finest, logged, sample
from regtui.charts.scales import FAR, Scale, XAxis, count, linear, logarithmic, short
from regtui.charts.strip import Content, Pin, Sight, Strip
from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE
from regtui.core.series import FloatArray

LINEAR_POLICIES = ("cosine", "linear", "polynomial", "one_cycle")
"""Policies whose shape a log axis would bend, and which mostly end at 0; the others fall by factors."""

BENT = 0.1
"""A rate that nobody has named a policy for falls by factors where half of it lies below this share of its highest."""


def draw(sight: Sight) -> Content:
    history, axis = sight.history, sight.axis
    past = _past(history, axis)
    newest, forecast = history.newest(LEARNING_RATE), _forecast(sight)
    future = _future(forecast, history.step, newest, axis)
    values = np.concatenate([past.y, future.y])
    values = values[np.isfinite(values)]
    content = Content("learning rate")
    if not len(values):
        content.hint = "no learning rate in this log"
        return content
    lowest, highest = float(values.min()), float(values.max())
    if _falls_by_factors(sight, values):
        content.scale = logarithmic(lowest, highest, sight.rows)
        content.title += ", log" if content.scale else ""
    content.scale = content.scale or linear(min(0.0, lowest), highest, sight.rows)
    content.draw(past, "rate", "line", "*", "LR", None if newest is None else short(newest))
    content.draw(future, "future", "dashed", ".")
    if forecast is not None and len(future.y):
        _pin_floor(content, content.scale, forecast, history.step, axis)
    return content


def _past(history: History, axis: XAxis) -> Sampled:
    return sample(*finest(history, LEARNING_RATE), axis, joined=True)


def _forecast(sight: Sight) -> analysis.Forecast | None:
    """Ask what is planned: of the run, or of the configuration that is about to be one."""
    history, points = sight.history, sight.axis.columns
    if history.end is not None:
        return None
    if history.run is not None or sight.preview is None:
        return analysis.forecast(history, points)
    config, per_epoch = sight.preview, round(sight.axis.per_epoch)
    return kept(history, "preview", (config, per_epoch, points), lambda: planned(config, per_epoch, points))


def _future(forecast: analysis.Forecast | None, now: int, used: float | None, axis: XAxis) -> Sampled:
    """Place the rates to come, led to from the last one used."""
    if forecast is None or not len(forecast.steps):
        return EMPTY
    steps: FloatArray = forecast.steps.astype(np.float64)
    rates = forecast.rates
    if used is not None:
        steps, rates = np.append(float(now), steps), np.append(used, rates)
    return Sampled(axis.place(steps), np.clip(rates, -FAR, FAR))


def _falls_by_factors(sight: Sight, values: FloatArray) -> bool:
    """Say whether a log axis shows the rates' shape: constant and falling by factors it does, falling to zero not."""
    history = sight.history
    if rate_changes(history).by_hand:
        return True
    policy = sight.preview.lr_policy if sight.preview else history.settings.get("lr_policy")
    if policy is not None:
        return policy not in LINEAR_POLICIES
    return float(values.min()) == float(values.max()) or float(np.median(values)) < BENT * float(values.max())


def _pin_floor(content: Content, scale: Scale, forecast: analysis.Forecast, now: int, axis: XAxis) -> None:
    """Say when the policy will reach its floor."""
    floor, step = forecast.floor, forecast.floor_step
    if floor is None or step is None or step <= now:
        return
    place = float(axis.place(np.array([float(step)]))[0])
    if not math.isfinite(place):
        return
    when = f"epoch {count(round(step / axis.per_epoch, 1))}" if axis.in_epochs else f"step {count(step)}"
    # Two digits: the exponential policy undershoots its floor by up to one last factor.
    texts = (f"floor {short(floor, 2)} at {when}", f"floor {short(floor, 2)}", "floor")
    content.pins.append(Pin("future", texts, place, float(scale.place(np.array([floor]))[0]), False))


STRIP = Strip(
    name="rate",
    title="the learning rate used, and what the policy plans from here on",
    share=3,
    has_data=lambda history: any(logged(table, LEARNING_RATE) for table in (history.steps, history.evaluations)),
    draw=draw,
    planned=True,
)
