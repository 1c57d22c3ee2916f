"""What each strip shows: curves, scale and labels from a History. It knows places, not cells."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from regtui import analysis
from regtui.charts.canvas import Curve, Kind
from regtui.charts.sampling import EMPTY, Sampled, evaluated, sample
from regtui.charts.scales import Scale, XAxis, count, linear, logarithmic, number, short
from regtui.charts.view import View, narrow
from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.core.metrics import NORM
from regtui.core.series import Column, FloatArray
from regtui.schedules.policies import make_schedule
from regtui.schedules.policies import preview as planned_rates

LINEAR_POLICIES = ("cosine", "linear", "polynomial", "one_cycle")
"""Policies whose shape a log axis would bend, and which mostly end at 0; the others fall by factors."""

SHORT_NAMES = {"validation": "valid", "previous": "prev"}
"""Names of curves where there is no room for the whole one."""

EPOCH_SMOOTHING = 0.6
"""Most that curves with one point an epoch are smoothed: runs have tens of epochs, but thousands of steps."""


@dataclass(frozen=True)
class EndLabel:
    """A name at the end of its curve."""

    role: str
    """Role of the curve."""
    texts: tuple[str, ...]
    """What to say, the longest first: the name with a number, the name alone, a short one."""
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

    def draw(self, shown: Sampled, role: str, kind: Kind, sign: str, name: str = "", text: str | None = None) -> None:
        """Add a curve behind those that are there; `text` is what stands beside its name, else its last number."""
        if self.scale is None or not np.isfinite(shown.y).any():
            return
        self.curves.append(Curve(role=role, x=shown.x, y=self.scale.place(shown.y), kind=kind, sign=sign))
        if name and shown.end is not None:
            x, last = shown.end
            text = number(last) if text is None else text
            names = (f"{name} {text}", name, SHORT_NAMES.get(name, name))
            self.labels.append(EndLabel(role, names, x, self.place(last)))

    def place(self, value: float) -> float:
        """Give the place of one value up the axis."""
        return float(self.scale.place(np.array([value]))[0]) if self.scale else math.nan


def loss(history: History, view: View, axis: XAxis, rows: int) -> Strip:
    """Make the loss strip: validation, training, running loss, and on demand penalty and ghost."""
    steps, epochs, weight = history.steps, history.evaluations, view.weight
    strip = Strip("loss", "loss, nats" + (", log" if view.log_y else "") + (", smoothed" if weight else ""))
    running_column, running_steps = _finest(steps["step/loss"], steps.step, epochs["step/loss"], epochs.step)
    running = sample(running_column, running_steps, axis)
    valid = evaluated(epochs["valid/loss"], epochs, axis)
    train = evaluated(epochs["train/loss"], epochs, axis)
    ghost = _ghost(view, axis)
    penalty = EMPTY
    if view.show_penalty:
        penalty = sample(*_finest(steps["penalty"], steps.step, epochs["penalty"], epochs.step), axis, joined=True)
    scale = _loss_scale(view, rows, running, [valid, train, penalty], ghost)
    if scale is None:
        anything = any(math.isfinite(shown.bounds[0]) for shown in (running, valid, train, ghost))
        strip.hint = "log y needs a loss above zero" if anything and view.log_y else "no loss measured yet"
        return strip
    strip.scale = scale
    smooth_valid, smooth_train, smooth_running = valid, train, running
    if weight:
        slow = min(weight, EPOCH_SMOOTHING)
        smooth_valid = evaluated(epochs["valid/loss"].smoothed(slow), epochs, axis)
        smooth_train = evaluated(epochs["train/loss"].smoothed(slow), epochs, axis)
        smooth_running = sample(running_column.smoothed(weight), running_steps, axis)
    # One batch says little: beside the name stands the mean of the last whole epoch, where there is one.
    usual = number(epochs["step/loss"].last) if math.isfinite(epochs["step/loss"].last) else None
    strip.draw(smooth_valid, "valid", "bold", "#", "validation", _end_text(valid))
    strip.draw(smooth_train, "train", "line", "o", "train", _end_text(train))
    if weight:
        strip.draw(smooth_running, "running", "line", ",", "running")
    strip.draw(penalty, "penalty", "dotted", "p", "penalty")
    strip.draw(ghost, "ghost", "dotted", "`", "previous")
    if weight:
        for shown in (valid, train, running):
            strip.draw(shown, "raw", "dots", ".")
    else:
        strip.draw(running, "running", "dots", ".", "running", usual)
    with np.errstate(invalid="ignore"):
        strip.over = running.x[np.isfinite(running.x) & (scale.place(running.y) > 1 + 1e-9)]
    _pin_best(strip, history, axis)
    return strip


def _end_text(shown: Sampled) -> str | None:
    """Write the last number as it was measured, also beside a smoothed curve."""
    return number(shown.end[1]) if shown.end else None


def _finest(column: Column, steps: Column, per_epoch: Column, epochs: Column) -> tuple[Column, Column]:
    """Give a quantity step by step, or where that was not recorded, epoch by epoch."""
    return (column, steps) if math.isfinite(column.bounds[0]) else (per_epoch, epochs)


def _ghost(view: View, axis: XAxis) -> Sampled:
    """Sample the earlier run's validation loss at the same epochs, also where its epochs are of another length."""
    if view.ghost is None:
        return EMPTY
    past = view.ghost.evaluations
    theirs, ours = view.ghost.steps_per_epoch, axis.per_epoch
    stretch = ours / theirs if theirs > 0 and ours > 0 else 1.0
    return evaluated(past["valid/loss"], past, axis, stretch=stretch)


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
        highest = max(run_high, limit) if run_high <= limit + 0.3 * abs(limit) else limit
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


def _pin_best(strip: Strip, history: History, axis: XAxis) -> None:
    """Mark the epoch of the lowest validation loss on its curve."""
    index = analysis.best_row(history)
    if index is None:
        return
    epochs = history.evaluations
    place = float(axis.place(epochs.step.values[index : index + 1])[0])
    if not math.isfinite(place):
        return
    value = float(epochs["valid/loss"].values[index])
    epoch = count(float(epochs["epoch"].values[index]))
    texts: tuple[str, ...] = (f"best {number(value)} at epoch {epoch}", f"best {number(value)}", number(value))
    if index == len(epochs) - 1:
        # At the end of the curve its own label says the value: the point is enough.
        texts = ()
    strip.pins.append(Pin("best", texts, place, strip.place(value), True))


def rate(history: History, axis: XAxis, rows: int, preview: RunConfig | None) -> Strip:
    """Make the learning-rate strip: the rates used, and those that the policy plans."""
    steps, epochs = history.steps, history.evaluations
    past = sample(*_finest(steps["learning_rate"], steps.step, epochs["learning_rate"], epochs.step), axis, joined=True)
    config = history.config or preview
    future = EMPTY if history.end is not None or config is None else _future(history, config, axis, past)
    values = np.concatenate([past.y, future.y])
    values = values[np.isfinite(values)]
    strip = Strip("rate", "learning rate")
    if not len(values):
        strip.hint = "no learning rate in this log"
        return strip
    lowest, highest = float(values.min()), float(values.max())
    turned = any(change.what == "learning_rate" and change.cause == "user" for change in history.changes)
    if config is None or config.lr_policy not in LINEAR_POLICIES or turned:
        strip.scale = logarithmic(lowest, highest, rows)
        strip.title += ", log" if strip.scale else ""
    strip.scale = strip.scale or linear(min(0.0, lowest), highest, rows)
    strip.draw(past, "rate", "line", "*", "LR", short(past.end[1]) if past.end else None)
    strip.draw(future, "future", "dashed", ".")
    _pin_floor(strip, config, future, axis)
    return strip


@lru_cache(maxsize=8)
def _planned(config: RunConfig, steps_per_epoch: int, points: int) -> tuple[FloatArray, FloatArray]:
    steps, rates = planned_rates(config, steps_per_epoch, points)
    return np.asarray(steps, dtype=np.float64), np.asarray(rates, dtype=np.float64)


def _future(history: History, config: RunConfig, axis: XAxis, past: Sampled) -> Sampled:
    """Give the rates planned from here on, moved to the rate of now, which a hand or a plateau may have changed."""
    per_epoch = axis.per_epoch
    if not per_epoch >= 1 or not per_epoch * config.epochs < 1e15:
        return EMPTY
    try:
        steps, rates = _planned(config, round(per_epoch), 2 * axis.columns)
    except (ValueError, ArithmeticError):
        # A log from elsewhere may carry a configuration that no policy here can run: then nothing is forecast.
        return EMPTY
    now = history.step
    if past.end is None:
        return Sampled(axis.place(steps), rates)
    last = past.end[1]
    here = float(np.interp(now, steps, rates))
    ahead = steps > now
    steps = np.append(now, steps[ahead])
    if _held(
        history, last, now, lambda step: float(np.interp(step, *_planned(config, round(per_epoch), 2 * axis.columns)))
    ):
        return Sampled(axis.place(steps), np.full(len(steps), last))
    # Only a hand and a plateau leave the plan. Between its points, and in a thinned log, `last` is not quite `here`.
    moved = any(change.what == "learning_rate" and change.cause in ("user", "plateau") for change in history.changes)
    factor = last / here if moved and here > 0 else 1.0
    return Sampled(axis.place(steps), np.append(here, rates[ahead]) * factor)


def _held(history: History, last: float, now: float, planned: Callable[[float], float]) -> bool:
    """Say whether a hand holds the rate, instead of scaling what the policy does.

    The log has the new rate, not which of the two was asked for; but once the policy would have moved, it shows.
    """
    turned = [c for c in history.changes if c.what == "learning_rate" and c.cause == "user" and c.new]
    if not turned:
        return False
    new, then, here = float(turned[-1].new or 0), planned(turned[-1].step), planned(now)
    if not (then > 0 and here > 0 and new > 0):
        return False
    scaled = new * here / then
    return abs(last - new) < abs(last - scaled)


@lru_cache(maxsize=8)
def _floor_step(config: RunConfig, steps_per_epoch: int) -> int | None:
    """Give the first update that will use the floor of the policy, None where the run ends above it."""
    schedule = make_schedule(config, steps_per_epoch=steps_per_epoch)
    reached = (config.lr_floor or 0.0) * (1 + 1e-6)
    low, high = config.warmup, steps_per_epoch * config.epochs - 1
    # Between restarts the rate leaves its floor again: there is no one step to name.
    if not schedule.open_loop or config.restart_every or low > high or float(schedule.plan(high, 1)[0]) > reached:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if float(schedule.plan(middle, 1)[0]) <= reached else (middle + 1, high)
    return low + 1


def _pin_floor(strip: Strip, config: RunConfig | None, future: Sampled, axis: XAxis) -> None:
    """Say when the policy will reach its floor, unless a hand has moved it away from there."""
    floor = config.lr_floor if config is not None else None
    if config is None or not floor or not len(future.y):
        return
    lowest = future.bounds[0]
    # The exponential policy may undershoot its floor by one last factor.
    if not floor * (config.lr_decay or 1.0) * (1 - 1e-6) <= lowest <= floor * (1 + 1e-6):
        return
    step = _floor_step(config, round(axis.per_epoch))
    place = float(axis.place(np.array([float(step or 0)]))[0])
    if step is None or not math.isfinite(place) or place < float(future.x[0]):
        return
    when = f"epoch {count(round(step / axis.per_epoch, 1))}" if axis.in_epochs else f"step {count(step)}"
    texts = (f"floor {short(floor)} at {when}", f"floor {short(floor)}", "floor")
    strip.pins.append(Pin("future", texts, place, strip.place(floor), False))


def gap(history: History, axis: XAxis, rows: int) -> Strip:
    """Make the gap strip: validation minus training loss after each epoch, around a zero line."""
    epochs = history.evaluations
    strip = Strip("gap", "gap, nats: validation − train")
    difference = Column()
    with np.errstate(over="ignore"):
        difference.extend(analysis.gap(history))
    shown = evaluated(difference, epochs, axis)
    lowest, highest = shown.bounds
    if not math.isfinite(lowest):
        strip.hint = "no gap: it needs validation and training loss of one epoch"
        return strip
    strip.scale = linear(min(lowest, 0.0), max(highest, 0.0), rows)
    strip.zero = strip.place(0.0)
    strip.draw(shown, "gap", "bold", "#", "gap")
    return strip


def norms(history: History, axis: XAxis, rows: int) -> Strip:
    """Make the weight-norm strip: one curve a layer, named at its end."""
    strip = Strip("norms", "weight norms")
    epochs = history.evaluations
    layers = {
        name.removeprefix(NORM): sample(epochs[name], epochs.step, axis, joined=True)
        for name in epochs.names
        if name.startswith(NORM)
    }
    highest = _most([shown.bounds[1] for shown in layers.values()])
    if not math.isfinite(highest):
        strip.hint = "no weight norms in this log"
        return strip
    lowest = _least([shown.bounds[0] for shown in layers.values()])
    strip.scale = linear(0.0 if 0 < lowest < highest / 2 else lowest, highest, rows)
    kinds: tuple[Kind, ...] = ("bold", "line", "line", "dotted")
    for index, (name, shown) in enumerate(layers.items()):
        strip.draw(shown, f"norm{index % 4 + 1}", kinds[index % 4], str((index + 1) % 10), narrow(name))
    return strip
