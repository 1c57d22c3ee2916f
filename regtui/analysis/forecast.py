"""What is still to come: the rates a policy will give, and when it reaches its floor."""

import math
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from regtui.core.fields import ConfigError
from regtui.core.history import EpochColumns, History
from regtui.core.series import FloatArray
from regtui.schedules.policies import make_schedule, preview_drops
from regtui.schedules.rates import RateDrop, Schedule

MOST_STEPS = 1e15
"""Beyond this a float no longer counts every step, and no run has as many."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The learning rate from the newest step to the end of the run, as far as it is known."""

    steps: FloatArray
    """Updates still to come, counted as in the log, rising; empty at the end."""
    rates: FloatArray
    """The rate of each."""
    certain: bool
    """Whether the rates follow from the step alone; a plateau's hold only until it fires."""
    floor: float | None
    """The rate at which the policy stops falling; None where it has none or will not reach it in this run."""
    floor_step: int | None
    """Update before which the floor is reached; may lie in the past."""
    floor_epoch: float | None
    """The same in epochs, with fractions."""

    def line(self, step: int) -> str:
        """Say when the floor is reached, seen from a step; empty where there is nothing to say."""
        if self.floor_step is None or self.floor_epoch is None or self.floor is None:
            return "" if self.certain else "LR stays until the loss stops improving"
        when = f"at epoch {self.floor_epoch:.1f} (step {self.floor_step:,})"
        return f"LR {'reached' if self.floor_step <= step else 'reaches'} its floor {self.floor:.3g} {when}"


class _Plan:
    """A run's policy as it would go if nobody turned the rate."""

    def __init__(self, schedule: Schedule, drops: list[RateDrop]) -> None:
        self.schedule = schedule
        self.floor = next((drop for drop in drops if drop.cause == "floor"), None)

    def rate(self, step: int) -> float:
        """Give the rate of the update after `step` completed ones."""
        return float(self.schedule.plan(max(0, step), 1)[0])


_plans: "WeakKeyDictionary[EpochColumns, _Plan]" = WeakKeyDictionary()


def forecast(history: History, points: int = 200) -> Forecast | None:
    """Foresee the rates of the rest of the run at about `points` steps, from the next update to the last.

    None while the log does not say what is planned. A rate that was turned by hand is taken on: held where it has
    not moved since although the policy would have moved, else as a factor on what the policy does. A plateau is
    drawn at its present rate, since nobody knows when it will fire.
    """
    config, per_epoch, total = history.config, history.steps_per_epoch, history.total_steps
    if config is None or not 1 <= total <= MOST_STEPS:
        return None
    plan = _plans.get(history.epochs)
    if plan is None:
        try:
            schedule = make_schedule(config, steps_per_epoch=max(1, round(per_epoch)))
            drops = preview_drops(config, max(1, round(per_epoch)))
        except (ConfigError, ValueError, OverflowError, ZeroDivisionError):
            return None
        plan = _plans[history.epochs] = _Plan(schedule, drops)
    step, last = history.step, round(total)
    over = history.end is not None or step >= last
    count = 0 if over else min(max(points, 2), last - step)
    done = np.unique(np.linspace(step, last - 1, count).round()) if count else np.empty(0)
    now = _rate_now(history)
    if not plan.schedule.open_loop:
        held: float | None = now if now is not None else config.learning_rate
        factor = 1.0
    else:
        held, factor = _turned(history, plan)
    rates = (
        np.full(len(done), held)
        if held is not None
        else np.array([factor * plan.rate(int(each)) for each in done], dtype=np.float64)
    )
    floor = plan.floor if held is None else None
    return Forecast(
        steps=done + 1,
        rates=rates,
        certain=plan.schedule.open_loop,
        floor=floor.new * factor if floor else None,
        floor_step=floor.step if floor else None,
        floor_epoch=floor.step / per_epoch if floor else None,
    )


def _rate_now(history: History) -> float | None:
    """Give the rate of the next update: the newest record or change of it, whichever is later."""
    best, rate = -1.0, None
    for table in (history.steps, history.epochs):
        step, value = table.step.last, table.learning_rate.last
        if math.isfinite(value) and step > best:
            best, rate = step, value
    for change in reversed(history.changes):
        if change.what == "learning_rate" and change.new is not None:
            return change.new if change.step >= best else rate
    return rate


def _turned(history: History, plan: _Plan) -> tuple[float | None, float]:
    """Give the rate held by hand, or None and the factor by which the policy's rates are multiplied."""
    turns = [change for change in history.changes if change.what == "learning_rate" and change.cause == "user"]
    if not turns or turns[-1].new is None:
        return None, 1.0
    turn, new = turns[-1], turns[-1].new
    planned = plan.rate(turn.step)
    factor = new / planned if planned > 0 else 1.0
    rate, step = history.steps.learning_rate.last, history.steps.step.last
    if step > turn.step and math.isfinite(rate):
        later = plan.rate(int(step) - 1)
        moved = abs(later - planned) > 1e-3 * planned
        if moved and abs(rate - new) <= 1e-6 * new:
            return new, 1.0
    return None, factor
