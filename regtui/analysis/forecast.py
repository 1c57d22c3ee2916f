"""What is still to come: the rates a policy will give, and when it reaches its floor."""

import math

import msgspec
import numpy as np

from regtui.analysis.rate_changes import rate_changes, steps_of_changes
from regtui.core.config import RunConfig
from regtui.core.events import Changed
from regtui.core.fields import ConfigError
from regtui.core.history import History
from regtui.core.metrics import LEARNING_RATE
from regtui.core.series import FloatArray
from regtui.core.text import short
from regtui.schedules.policies import make_schedule
from regtui.schedules.rates import Schedule

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
        return f"LR {'reached' if self.floor_step <= step else 'reaches'} its floor {short(self.floor)} {when}"


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """What hands have made of the rate: one function says it, for forecast, chart, meters and JSON."""

    held: float | None = None
    """The rate held, whatever the policy says."""
    factor: float = 1.0
    """What the policy's rates are multiplied by while none is held."""


class _Policy:
    """A run's policy as it would go if nobody turned the rate."""

    def __init__(self, config: RunConfig, steps_per_epoch: int) -> None:
        """Raises ConfigError and what arithmetic raises for a configuration that cannot be followed."""
        self.schedule = make_schedule(config, steps_per_epoch=steps_per_epoch)
        self.total = steps_per_epoch * config.epochs
        self.floor_step = _floor_step(config, self.schedule, self.total)
        self.floor = self.rate(self.floor_step) if self.floor_step is not None else None

    def rate(self, step: int) -> float:
        """Give the rate of the update after `step` completed ones."""
        return float(self.schedule.plan(max(0, step), 1)[0])


def _floor_step(config: RunConfig, schedule: Schedule, total: int) -> int | None:
    """Give the number of updates before the first that uses the policy's floor; None where the run ends above it.

    Between restarts a rate leaves its floor again: there is no one step to name.
    """
    reached = config.lr_floor or 0.0
    low, high = config.warmup, total - 1
    falls_for_good = schedule.open_loop and bool(config.lr_floor) and not config.restart_every
    if not falls_for_good or low > high or float(schedule.plan(high, 1)[0]) > reached:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if float(schedule.plan(middle, 1)[0]) <= reached else (middle + 1, high)
    return low


UNFOLLOWABLE = (ConfigError, ValueError, ArithmeticError, MemoryError)
"""What a configuration that no policy can run ends in: then nothing is forecast."""


class _Followed:
    """The policy of one run, made once its length is known."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._made: _Policy | None = None
        self._tried_with = 0

    def policy(self) -> _Policy | None:
        """Give the policy; None while the run's length is not known, and for one that cannot be followed."""
        history = self._history
        config, per_epoch = history.config, history.steps_per_epoch
        if config is None or not 1 <= history.total_steps <= MOST_STEPS:
            return None
        steps = max(1, round(per_epoch))
        if steps != self._tried_with:
            self._tried_with = steps
            try:
                self._made = _Policy(config, steps)
            except UNFOLLOWABLE:
                self._made = None
        return self._made


def forecast(history: History, points: int = 200) -> Forecast | None:
    """Foresee the rates of the rest of the run at about `points` steps, from the next update to the last.

    None while the log does not say what is planned. A plateau is drawn at its present rate, since nobody knows when
    it will fire.
    """
    policy = history.derived(_Followed).policy()
    if policy is None or history.config is None:
        return None
    per_epoch, step, last = history.steps_per_epoch, history.step, round(history.total_steps)
    over = history.end is not None or step >= last
    count = 0 if over else min(max(points, 2), last - step)
    done = np.unique(np.linspace(step, last - 1, count).round()) if count else np.empty(0)
    steered = steering(history)
    if policy.schedule.open_loop:
        held, factor = steered.held, steered.factor
    else:
        now = _rate_now(history)
        held, factor = now if now is not None else history.config.learning_rate, 1.0
    rates = (
        np.full(len(done), held)
        if held is not None
        else np.array([factor * policy.rate(int(each)) for each in done], dtype=np.float64)
    )
    floor = policy.floor if held is None else None
    return Forecast(
        steps=done + 1,
        rates=rates,
        certain=policy.schedule.open_loop,
        floor=floor * factor if floor is not None else None,
        floor_step=policy.floor_step if floor is not None else None,
        floor_epoch=policy.floor_step / per_epoch if floor is not None and policy.floor_step is not None else None,
    )


def planned(config: RunConfig, steps_per_epoch: int, points: int = 200) -> Forecast | None:
    """Foresee the rates of a run that has not begun; None for a configuration that cannot be followed."""
    try:
        policy = _Policy(config, steps_per_epoch)
        done = np.unique(np.linspace(0, policy.total - 1, min(max(points, 2), policy.total)).round())
        rates = np.array([policy.rate(int(each)) for each in done], dtype=np.float64)
    except UNFOLLOWABLE:
        return None
    step = policy.floor_step
    return Forecast(
        steps=done + 1,
        rates=rates,
        certain=policy.schedule.open_loop,
        floor=policy.floor,
        floor_step=step,
        floor_epoch=None if step is None else step / steps_per_epoch,
    )


def _rate_now(history: History) -> float | None:
    """Give the rate of the next update: the newest record or change of it, whichever is later."""
    best, rate = -1.0, None
    for table in (history.steps, history.evaluations):
        step, value = table.step.last, table[LEARNING_RATE].last
        if math.isfinite(value) and step > best:
            best, rate = step, value
    for change in reversed(rate_changes(history).all):
        if change.new is not None:
            return change.new if change.step >= best else rate
    return rate


def steering(history: History) -> Steering:
    """Say what the hands on the rate have come to so far, from what each change says of itself (`how`).

    Logs of version 1 do not say it; there a rate that stayed although the policy moved was held, and any other was
    scaled. Worked out once until more comes.
    """
    return history.now(_steering)


def _steering(history: History) -> Steering:
    held, factor = None, 1.0
    for turn in rate_changes(history).by_hand:
        if turn.new is None:
            continue
        how = turn.how or _seen_to_be(history, turn)
        if how == "hold" or held is not None:
            held = turn.new
        else:
            factor *= turn.new / turn.old if turn.old else 1.0
    return Steering(held=held, factor=factor)


def _seen_to_be(history: History, turn: Changed) -> str:
    """Tell `hold` from `scale` by the rates after a change that does not say which it was, up to the next change."""
    policy = history.derived(_Followed).policy()
    if policy is None or not policy.schedule.open_loop:
        return "scale"
    new, rates, steps = turn.new or 0.0, history.steps[LEARNING_RATE].values, history.steps.step.values
    changed = steps_of_changes(history)
    later = int(np.searchsorted(changed, turn.step, side="right"))
    until = int(np.searchsorted(steps, changed[later], side="right")) if later < len(changed) else len(steps)
    first = int(np.searchsorted(steps, turn.step, side="right"))
    known = np.flatnonzero(np.isfinite(rates[first:until]))
    if not len(known):
        return "scale"
    last = first + int(known[-1])
    rate, before = float(rates[last]), policy.rate(turn.step)
    moved = abs(policy.rate(int(steps[last]) - 1) - before) > 1e-3 * before
    return "hold" if moved and abs(rate - new) <= 1e-6 * new else "scale"
