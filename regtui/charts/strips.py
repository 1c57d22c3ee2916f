"""What each strip shows: curves, scale and labels from a History. It knows places, not cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from regtui.charts.canvas import Curve, Kind
from regtui.charts.scales import Scale, XAxis, count, linear, logarithmic, number
from regtui.charts.view import View
from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.core.schedules import preview as planned_rates
from regtui.core.series import Column, FloatArray, thin

LINEAR_POLICIES = ("cosine", "linear", "polynomial", "one_cycle")
"""Policies whose shape a log axis would bend, and which mostly end at 0; the others fall by factors."""

EPOCH_SMOOTHING = 0.6
"""Most that curves with one point an epoch are smoothed: runs have tens of epochs, but thousands of steps."""


@dataclass(frozen=True)
class EndLabel:
    """A name at the end of its curve."""

    role: str
    name: str
    value: float
    x: float
    y: float


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
class Strip:
    """One chart of the stack."""

    name: str
    title: str
    curves: list[Curve] = field(default_factory=list)
    """Strongest first."""
    scale: Scale | None = None
    labels: list[EndLabel] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    zero: float | None = None
    """Place of the zero line up the axis."""
    over: FloatArray | None = None
    """Places across the plot at which the running loss has left the top."""
    hint: str = ""
    """What to say where there is nothing to draw."""


@dataclass(frozen=True)
class Sampled:
    """A column as seen through the x axis: at most two points a screen column."""

    x: FloatArray
    y: FloatArray

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value in sight, NaN where there is none."""
        finite = self.y[np.isfinite(self.y)]
        return (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)

    @property
    def end(self) -> tuple[float, float] | None:
        """Place and value of the last point in sight that is a number."""
        finite = np.flatnonzero(np.isfinite(self.y) & np.isfinite(self.x))
        return (float(self.x[finite[-1]]), float(self.y[finite[-1]])) if len(finite) else None


EMPTY = Sampled(np.empty(0), np.empty(0))


def sample(column: Column, steps: Column, axis: XAxis, stretch: float = 1.0) -> Sampled:
    """Thin a column to what the x axis can show; `stretch` scales its steps to those of the axis.

    Up to two points a column are kept as they are; of more, the lowest and highest of each column, in the order
    in which they make the shorter line.
    """
    if not len(column) or not len(steps):
        return EMPTY
    edges = axis.edges / stretch
    places = np.searchsorted(steps.values, [edges[0], edges[-1]], side="left")
    first, last = int(places[0]), int(np.searchsorted(steps.values, edges[-1], side="right"))
    if last - first <= 2 * axis.columns:
        window = slice(max(first, 0), last)
        return Sampled(axis.place(steps.values[window] * stretch), column.values[window].copy())
    low, high = thin(column, steps, edges)
    held = np.diff(np.searchsorted(steps.values, edges, side="left")) > 0
    held[-1] = True
    low, high = low[held], high[held]
    middle = low / 2 + high / 2
    falling = np.append(np.diff(middle) < 0, False)
    if len(falling) > 1:
        falling[-1] = falling[-2]
    left = (np.flatnonzero(held) + 0.25) / axis.columns
    x = np.stack([left, left + 0.5 / axis.columns], axis=1).reshape(-1)
    y = np.stack([np.where(falling, high, low), np.where(falling, low, high)], axis=1).reshape(-1)
    return Sampled(x, y)


def bridged(sampled: Sampled, unmeasured: Sampled) -> Sampled:
    """Leave out the points of epochs that were not evaluated, so that a line spans them; NaN losses stay gaps."""
    if len(sampled.y) != len(unmeasured.y):
        return sampled
    kept = ~(np.isnan(sampled.y) & np.isfinite(unmeasured.y))
    return Sampled(sampled.x[kept], sampled.y[kept])


def loss(history: History, view: View, axis: XAxis, rows: int) -> Strip:
    """Make the loss strip: validation, training, running loss, and on demand penalty and ghost."""
    steps, epochs, weight = history.steps, history.epochs, view.weight
    strip = Strip("loss", "loss" + (" (log)" if view.log_y else "") + (" smoothed" if weight else ""))
    running_column = steps.loss if len(steps) else epochs.running_loss
    running_steps = steps.step if len(steps) else epochs.step
    running = sample(running_column, running_steps, axis)
    per_epoch = sample(epochs.running_loss, epochs.step, axis)
    valid = bridged(sample(epochs.valid_loss, epochs.step, axis), per_epoch)
    train = bridged(sample(epochs.train_loss, epochs.step, axis), per_epoch)
    ghost = _ghost(view, axis)
    penalty = EMPTY
    if view.show_penalty:
        penalty = sample(*((steps.penalty, steps.step) if len(steps) else (epochs.penalty, epochs.step)), axis)
    scale = _loss_scale(view, rows, running, [valid, train, penalty], ghost)
    if scale is None:
        anything = any(math.isfinite(shown.bounds[0]) for shown in (running, valid, train, ghost))
        strip.hint = "log y needs a loss above zero" if anything and view.log_y else "no loss measured yet"
        return strip
    strip.scale = scale

    def add(shown: Sampled, role: str, kind: Kind, sign: str, name: str = "") -> None:
        if not np.isfinite(shown.y).any():
            return
        strip.curves.append(Curve(role=role, x=shown.x, y=scale.place(shown.y), kind=kind, sign=sign))
        end = shown.end
        if name and end is not None:
            strip.labels.append(EndLabel(role, name, end[1], end[0], float(scale.place(np.array([end[1]]))[0])))

    if weight:
        slow = min(weight, EPOCH_SMOOTHING)
        add(
            bridged(sample(epochs.valid_loss.smoothed(slow), epochs.step, axis), per_epoch),
            "valid",
            "bold",
            "#",
            "validation",
        )
        add(
            bridged(sample(epochs.train_loss.smoothed(slow), epochs.step, axis), per_epoch),
            "train",
            "line",
            "o",
            "train",
        )
        add(sample(running_column.smoothed(weight), running_steps, axis), "running", "line", ",", "running")
        add(penalty, "penalty", "dotted", "p", "penalty")
        add(ghost, "ghost", "dotted", "`", "previous")
        for shown in (valid, train, running):
            add(shown, "raw", "dots", ".")
    else:
        add(valid, "valid", "bold", "#", "validation")
        add(train, "train", "line", "o", "train")
        add(penalty, "penalty", "dotted", "p", "penalty")
        add(ghost, "ghost", "dotted", "`", "previous")
        add(running, "running", "dots", ".", "running")
    with np.errstate(invalid="ignore"):
        strip.over = running.x[np.isfinite(running.x) & (running.y > scale.high * (1 + 1e-9) + 1e-300)]
    _pin_best(strip, history, axis, scale)
    return strip


def _ghost(view: View, axis: XAxis) -> Sampled:
    """Sample the earlier run's validation loss at the same epochs, also where its epochs are of another length."""
    if view.ghost is None:
        return EMPTY
    past = view.ghost.epochs
    theirs, ours = view.ghost.steps_per_epoch, axis.per_epoch
    stretch = ours / theirs if theirs > 0 and ours > 0 else 1.0
    shown = sample(past.valid_loss, past.step, axis, stretch)
    return bridged(shown, sample(past.running_loss, past.step, axis, stretch))


def _loss_scale(view: View, rows: int, running: Sampled, main: Sequence[Sampled], ghost: Sampled) -> Scale | None:
    """Fit the axis to what is compared; single batches and another run's start may leave it at the top."""
    lows, highs = zip(*(shown.bounds for shown in main), strict=True)
    lowest, highest = _least(lows), _most(highs)
    ghost_low, ghost_high = ghost.bounds
    run_low, run_high = running.bounds
    if view.log_y:
        positive = [shown.y[shown.y > 0] for shown in (*main, ghost, running) if len(shown.y)]
        lowest = _least([float(some.min()) for some in positive if len(some)])
        return logarithmic(lowest, _most([highest, ghost_high, run_high]), rows)
    if math.isfinite(run_high):
        # Of the columns, the highest twentieth may leave: the first batches and spikes would flatten all the rest.
        usual = float(np.percentile(running.y[np.isfinite(running.y)], 95))
        limit = _most([highest, usual])
        highest = run_high if run_high <= limit + 0.3 * abs(limit) else limit
        lowest = _least([lowest, run_low])
    if math.isfinite(ghost_high):
        room = 1.5 * (highest / 2 - lowest / 2) * 2 if math.isfinite(highest) else math.inf
        highest = _most([highest, min(ghost_high, highest + room) if math.isfinite(room) else ghost_high])
        lowest = _least([lowest, ghost_low])
    if not math.isfinite(highest):
        return None
    # Zero is where a loss can go at most: near enough, it is a better foot than a number that moves.
    if 0 < lowest < highest / 3:
        lowest = 0.0
    return linear(lowest, highest, rows)


def _least(values: Sequence[float]) -> float:
    return min((value for value in values if math.isfinite(value)), default=math.nan)


def _most(values: Sequence[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _pin_best(strip: Strip, history: History, axis: XAxis, scale: Scale) -> None:
    epochs = history.epochs
    values = epochs.valid_loss.values
    if not len(values) or not math.isfinite(epochs.valid_loss.bounds[0]):
        return
    index = int(np.nanargmin(values))
    place = float(axis.place(epochs.step.values[index : index + 1])[0])
    if not math.isfinite(place):
        return
    value, epoch = number(float(values[index])), count(float(epochs.epoch.values[index]))
    texts = (f"best {value} at epoch {epoch}", f"best {value}", value)
    strip.pins.append(Pin("best", texts, place, float(scale.place(values[index : index + 1])[0]), True))


def rate(history: History, axis: XAxis, rows: int, preview: RunConfig | None) -> Strip:
    """Make the learning-rate strip: the rates used, and those that the policy plans."""
    steps, epochs = history.steps, history.epochs
    table = steps if len(steps) else epochs
    past = sample(table.learning_rate, table.step, axis)
    config = history.config or preview
    future = EMPTY if history.end is not None or config is None else _future(history, config, axis, past)
    values = np.concatenate([past.y, future.y])
    finite = values[np.isfinite(values)]
    strip = Strip("rate", "learning rate")
    if not len(finite):
        strip.hint = "no learning rate in this log"
        return strip
    changed = any(change.what == "learning_rate" for change in history.changes)
    wanted_log = config is None or config.lr_policy not in LINEAR_POLICIES or changed
    scale = None
    if wanted_log:
        positive = finite[finite > 0]
        lowest = float(positive.min()) if len(positive) == len(finite) else -1.0
        scale = logarithmic(lowest, float(finite.max()), rows)
        strip.title += " (log)" if scale else ""
    scale = scale or linear(min(0.0, float(finite.min())), float(finite.max()), rows)
    strip.scale = scale
    for shown, role, kind, sign in ((past, "rate", "line", "*"), (future, "future", "dotted", ".")):
        if np.isfinite(shown.y).any():
            strip.curves.append(
                Curve(
                    role=role, x=shown.x, y=scale.place(shown.y), kind="line" if kind == "line" else "dotted", sign=sign
                )
            )
    end = past.end or (None if not len(future.y) else (float(future.x[0]), float(future.y[0])))
    if past.end is not None and end is not None:
        strip.labels.append(EndLabel("rate", "LR", end[1], end[0], float(scale.place(np.array([end[1]]))[0])))
    _pin_floor(strip, config, future, axis, scale)
    return strip


@lru_cache(maxsize=8)
def _planned(config: RunConfig, steps_per_epoch: int, points: int) -> tuple[FloatArray, FloatArray]:
    steps, rates = planned_rates(config, steps_per_epoch, points)
    return np.asarray(steps, dtype=np.float64), np.asarray(rates, dtype=np.float64)


def _future(history: History, config: RunConfig, axis: XAxis, past: Sampled) -> Sampled:
    """Give the rates planned from here on, scaled to the rate of now, which a knob or a plateau may have moved."""
    per_epoch = axis.per_epoch
    if not per_epoch >= 1 or not per_epoch * config.epochs < 1e15:
        return EMPTY
    try:
        steps, rates = _planned(config, round(per_epoch), 2 * axis.columns)
    except (ValueError, ArithmeticError):
        # A log from elsewhere may carry a configuration that no policy here can run: then nothing is forecast.
        return EMPTY
    now = history.step
    if past.end is not None and len(steps):
        here = float(np.interp(now, steps, rates))
        steps, rates = np.append(now, steps[steps > now]), np.append(here, rates[steps > now])
        if here > 0:
            rates = rates * (past.end[1] / here)
    return Sampled(axis.place(steps), rates)


def _pin_floor(strip: Strip, config: RunConfig | None, future: Sampled, axis: XAxis, scale: Scale) -> None:
    """Say when the policy will reach its floor."""
    floor = config.lr_floor if config is not None else None
    if not floor or not len(future.y):
        return
    with np.errstate(invalid="ignore"):
        reached = np.flatnonzero((future.y <= floor * (1 + 1e-6)) & np.isfinite(future.x))
    if not len(reached):
        return
    index = int(reached[0])
    step = axis.low + float(future.x[index]) * (axis.high - axis.low)
    when = f"epoch {count(float(round(step / axis.per_epoch, 1)))}" if axis.in_epochs else f"step {count(round(step))}"
    texts = (f"floor {number(floor)} at {when}", f"floor {number(floor)}", "floor")
    place = float(scale.place(future.y[index : index + 1])[0])
    strip.pins.append(Pin("future", texts, float(future.x[index]), place, False))


def gap(history: History, axis: XAxis, rows: int) -> Strip:
    """Make the gap strip: validation minus training loss after each epoch, around a zero line."""
    epochs = history.epochs
    strip = Strip("gap", "gap: validation − train")
    valid = sample(epochs.valid_loss, epochs.step, axis)
    train = sample(epochs.train_loss, epochs.step, axis)
    shown = Sampled(valid.x, np.clip(valid.y, -1e299, 1e299) - np.clip(train.y, -1e299, 1e299))
    shown = bridged(shown, sample(epochs.running_loss, epochs.step, axis))
    lowest, highest = shown.bounds
    if not math.isfinite(lowest):
        strip.hint = "no gap: it needs validation and training loss of one epoch"
        return strip
    scale = strip.scale = linear(min(lowest, 0.0), max(highest, 0.0), rows)
    strip.zero = float(scale.place(np.zeros(1))[0])
    strip.curves.append(Curve(role="gap", x=shown.x, y=scale.place(shown.y), kind="bold", sign="#"))
    end = shown.end
    if end is not None:
        strip.labels.append(EndLabel("gap", "gap", end[1], end[0], float(scale.place(np.array([end[1]]))[0])))
    return strip


def norms(history: History, axis: XAxis, rows: int) -> Strip:
    """Make the weight-norm strip: one curve a layer, named at its end."""
    strip = Strip("norms", "weight norms")
    layers = {name: sample(column, history.epochs.step, axis) for name, column in history.epochs.weight_norms.items()}
    bounds = [shown.bounds for shown in layers.values()]
    highest = _most([high for _, high in bounds])
    if not math.isfinite(highest):
        strip.hint = "no weight norms in this log"
        return strip
    lowest = _least([low for low, _ in bounds])
    scale = strip.scale = linear(0.0 if 0 < lowest < highest / 2 else lowest, highest, rows)
    for index, (name, shown) in enumerate(layers.items()):
        end = shown.end
        if end is None:
            continue
        role = f"norm{index % 4 + 1}"
        kind: Kind = "bold" if index % 4 == 0 else "dotted" if index % 4 == 3 else "line"
        strip.curves.append(Curve(role=role, x=shown.x, y=scale.place(shown.y), kind=kind, sign=str((index + 1) % 10)))
        strip.labels.append(EndLabel(role, name, end[1], end[0], float(scale.place(np.array([end[1]]))[0])))
    return strip
