"""The learning-rate policies: what a form can offer, and the schedules that they become.

A policy is one decorated function below. It names its fields and their defaults; form, command line, help, the
configuration's checks and the contract tests find it by themselves. Where torch has the same scheduler, the
formula is torch's and a test compares the two.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

from regtui.core.fields import ConfigError
from regtui.core.policies import policies, policy
from regtui.schedules.plateau import KerasRule, Plateau, PlateauRule, TorchRule
from regtui.schedules.rates import Decay, OpenLoop, RunShape, Steered, Warmup, count_from
from regtui.schedules.rates import PlateauMeter as PlateauMeter
from regtui.schedules.rates import RateDrop as RateDrop
from regtui.schedules.rates import Schedule as Schedule

if TYPE_CHECKING:
    from regtui.core.config import RunConfig


@policy("constant", "the rate stays as it is")
def constant(start: float, shape: RunShape) -> Schedule:  # noqa: ARG001
    return OpenLoop(lambda step: start)  # noqa: ARG005


@policy("exponential", "times the decay at each step while above the floor", lr_decay=0.995, lr_floor=1e-6)
def exponential(start: float, shape: RunShape, *, lr_decay: float, lr_floor: float) -> Schedule:
    """Multiply at each step while above the floor, so that the last value may undershoot it once."""
    decay = Decay(start, lr_decay, lr_floor)

    def floor_reached() -> Iterator[tuple[int, str]]:
        end = decay.end(shape.total_steps)
        if end:
            yield end, "floor"

    return OpenLoop(decay, floor_reached())


@policy(
    "plateau",
    "times the factor when the loss has stopped falling",
    plateau_per="step",
    patience={"step": 200, "epoch": 5},
    factor=0.1,
    threshold=1e-4,
    threshold_mode={"torch": "rel", "keras": "abs"},
    cooldown=0,
    lr_floor=0.0,
    lr_eps={"torch": 1e-8, "keras": 0.0},
    plateau_rule="torch",
)
def plateau(
    start: float,
    shape: RunShape,
    *,
    plateau_per: str,
    patience: int,
    factor: float,
    threshold: float,
    threshold_mode: str,
    cooldown: int,
    lr_floor: float,
    lr_eps: float,
    plateau_rule: str,
) -> Schedule:
    """Watch the batch losses or the validation loss by torch's or Keras's rule."""
    rule: PlateauRule
    if plateau_rule == "keras":
        rule = KerasRule(
            rate=start, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, floor=lr_floor
        )
    else:
        rule = TorchRule(
            rate=start,
            factor=factor,
            patience=patience,
            threshold=threshold,
            relative=threshold_mode == "rel",
            cooldown=cooldown,
            floor=lr_floor,
            eps=lr_eps,
        )
    return Plateau(rule, plateau_per, shape)


@policy("step", "times gamma every so many epochs", gamma=0.5, every=10)
def step_down(start: float, shape: RunShape, *, gamma: float, every: int) -> Schedule:
    """Give start * gamma ^ (epoch // every)."""
    stride = every * shape.steps_per_epoch
    return OpenLoop(lambda step: start * gamma ** (step // stride), count_from(stride, stride, "step"))


@policy("cosine", "half a cosine to the floor, once or with restarts", lr_floor=0.0, restart_every=0, restart_mult=1)
def cosine(start: float, shape: RunShape, *, lr_floor: float, restart_every: int, restart_mult: int) -> Schedule:
    """Follow torch's CosineAnnealingLR over the run or, with restarts, its CosineAnnealingWarmRestarts."""
    total, first = shape.total_steps, restart_every * shape.steps_per_epoch

    def after(share: float) -> float:
        return lr_floor + (start - lr_floor) * (1 + math.cos(math.pi * share)) / 2

    if not first:
        return OpenLoop(lambda step: after(min(step, total) / total))
    if restart_mult == 1:
        return OpenLoop(lambda step: after(step % first / first), count_from(first, first, "restart"))
    lengths = [first]
    starts = [0, first]
    while starts[-1] < total:
        lengths.append(lengths[-1] * restart_mult)
        starts.append(starts[-1] + lengths[-1])

    def rate(step: int) -> float:
        cycle = min(bisect_right(starts, step), len(lengths)) - 1
        return after(min(step - starts[cycle], lengths[cycle]) / lengths[cycle])

    return OpenLoop(rate, [(step, "restart") for step in starts[1:-1]])


@policy("linear", "a straight line to the floor", lr_floor=0.0)
def linear(start: float, shape: RunShape, *, lr_floor: float) -> Schedule:
    """Go from the start to the floor over the run."""
    total = shape.total_steps
    return OpenLoop(lambda step: start + (lr_floor - start) * min(step, total) / total)


@policy("polynomial", "a bent line to the floor", lr_floor=0.0, power=2.0)
def polynomial(start: float, shape: RunShape, *, lr_floor: float, power: float) -> Schedule:
    """Go from the start to the floor as (1 - step / total) ^ power."""
    total = shape.total_steps
    return OpenLoop(lambda step: lr_floor + (start - lr_floor) * (1 - min(step, total) / total) ** power)


@policy("inverse_time", "start / (1 + decay * step)", lr_decay=0.01)
def inverse_time(start: float, shape: RunShape, *, lr_decay: float) -> Schedule:  # noqa: ARG001
    return OpenLoop(lambda step: start / (1 + lr_decay * step))


@policy("one_cycle", "up to the learning rate, then down to almost nothing", rise=0.3)
def one_cycle(start: float, shape: RunShape, *, rise: float) -> Schedule:
    """Follow torch's OneCycleLR: div_factor 25, final_div_factor 1e4, cosine both ways; momentum is left alone."""
    last = shape.total_steps - 1
    top = rise * shape.total_steps - 1
    low = start / 25
    end = low / 1e4

    def between(first: float, then: float, share: float) -> float:
        return then + (first - then) / 2.0 * (math.cos(math.pi * share) + 1)

    def rate(step: int) -> float:
        step = min(step, last)
        if step <= top:
            # Where the rise is one step long torch divides 0 by 0; that step is the top.
            return between(low, start, step / top if top else 1.0)
        # A rise shorter than a step begins before the run does: torch counts from there as well.
        return between(start, end, (step - top) / (last - top))

    return OpenLoop(rate)


def make_schedule(config: "RunConfig", *, steps_per_epoch: int) -> Steered:
    """Make the schedule of a run of `steps_per_epoch * config.epochs` updates, warm-up in front.

    Fields of the policy that are None take their defaults, so that a log written by hand can be previewed. Raises
    ConfigError for a policy that does not exist.
    """
    if config.lr_policy not in policies():
        raise ConfigError("lr_policy", f"must be one of {', '.join(policies())}, not {config.lr_policy!r}")
    chosen = policies()[config.lr_policy]
    fields = chosen.defaults_for(plateau_per=config.plateau_per, plateau_rule=config.plateau_rule)
    fields |= {name: given for name in fields if (given := getattr(config, name)) is not None}
    shape = RunShape(
        steps_per_epoch=steps_per_epoch,
        total_steps=max(steps_per_epoch * config.epochs - config.warmup, 1),
        warmup=config.warmup,
    )
    schedule = chosen.build(config.learning_rate, shape, **fields)
    return Steered(Warmup(schedule, config.warmup) if config.warmup else schedule)
