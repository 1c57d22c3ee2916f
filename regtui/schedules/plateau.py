"""The policy that listens: the rate falls when the loss has stopped falling, by torch's rule or by Keras's."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from regtui.schedules.rates import FloatArray, Losses, PlateauMeter, RateDrop, RunShape, Schedule

FOREVER = 2**62
"""More losses than any run has."""


class PlateauRule(Protocol):
    """The state of one rule, fed one loss at a time."""

    patience: int
    rate: float
    bad: int
    cooldown_left: int
    best: float

    def observe(self, loss: float) -> bool:
        """Take one loss in; tells whether it made the rate fall."""

    def certain(self) -> int:
        """Say how many more losses must be seen before the rate can have another value, at least 1."""

    def better_than(self) -> float:
        """Say what a loss must lie below to be an improvement."""

    def next_rate(self) -> float:
        """Give the rate after a drop, `rate` itself where none can come any more."""


@dataclass(kw_only=True)
class TorchRule:
    """torch.optim.lr_scheduler.ReduceLROnPlateau, mode 'min', statement by statement."""

    rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    relative: bool = True
    cooldown: int = 0
    floor: float = 0.0
    eps: float = 1e-8
    best: float = math.inf
    bad: int = field(default=0, init=False)
    cooldown_left: int = field(default=0, init=False)

    def observe(self, loss: float) -> bool:
        """Count a loss that is not better as bad, outside of the cooldown; fall when bad > patience."""
        if loss < self.better_than():
            self.best = loss
            self.bad = 0
        else:
            self.bad += 1  # a NaN lands here: it is never better
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad = 0
        if self.bad <= self.patience:
            return False
        self.cooldown_left = self.cooldown
        self.bad = 0
        old, self.rate = self.rate, self.next_rate()
        return self.rate != old

    def certain(self) -> int:
        """The cooldown, then as many bad losses as patience lacks, then the one too many."""
        if self.next_rate() == self.rate:
            return FOREVER
        return self.cooldown_left + self.patience - self.bad * (self.cooldown_left == 0) + 1

    def better_than(self) -> float:
        """Relative: a share of the best; absolute: a difference from it."""
        return self.best * (1.0 - self.threshold) if self.relative else self.best - self.threshold

    def next_rate(self) -> float:
        """A drop smaller than eps is not made."""
        new = max(self.rate * self.factor, self.floor)
        return new if self.rate - new > self.eps else self.rate


@dataclass(kw_only=True)
class KerasRule:
    """keras.callbacks.ReduceLROnPlateau, mode 'min', statement by statement.

    Not torch's: it fires at wait >= patience, its threshold is absolute, the loss that ends the cooldown is
    counted, and a NaN first loss becomes a best that nothing is ever below. Keras compares in float32, so this does.
    """

    rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    floor: float = 0.0
    best: float = math.nan
    seen: bool = field(default=False, init=False)
    bad: int = field(default=0, init=False)
    cooldown_left: int = field(default=0, init=False)

    def observe(self, loss: float) -> bool:
        """Count a loss that is not better, outside of the cooldown; fall when that many reach patience."""
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.bad = 0
        if not self.seen or np.float32(loss + self.threshold) < np.float32(self.best):
            self.seen = True
            self.best = loss
            self.bad = 0
            return False
        if self.cooldown_left > 0:
            return False
        self.bad += 1
        if self.bad < self.patience or self._at_floor():
            return False  # at the floor Keras goes on counting
        old, self.rate = self.rate, self.next_rate()
        self.cooldown_left = self.cooldown
        self.bad = 0
        return self.rate != old

    def certain(self) -> int:
        """As many losses as patience lacks; the last one of the cooldown counts already."""
        if self._at_floor():
            return FOREVER
        if self.cooldown_left > 0:
            return self.cooldown_left - 1 + max(self.patience, 1)
        return max(self.patience - self.bad, 1)

    def better_than(self) -> float:
        """A difference from the best."""
        return self.best - self.threshold

    def next_rate(self) -> float:
        """Down to the floor and no further."""
        return self.rate if self._at_floor() else max(self.rate * self.factor, self.floor)

    def _at_floor(self) -> bool:
        return not np.float32(self.rate) > np.float32(self.floor)


class Plateau(Schedule):
    """A rate that falls when the losses of the batches, or of the validation split, stop falling.

    With `patience` p and b bad losses so far, the rate of the next p - b updates is certain (by torch's rule of one
    more): that many can be made at once, and the outcome is still that of looking after each.
    """

    open_loop = False

    def __init__(self, rule: PlateauRule, per: str, shape: RunShape) -> None:
        self._rule = rule
        self._per = per
        self._shape = shape
        self._done = 0
        self._drops: list[RateDrop] = []

    def plan(self, step: int, limit: int) -> FloatArray:
        """Give the present rate for as many updates as it is certain for."""
        certain = self._rule.certain()
        if self._per == "epoch":
            # The run's own epochs: a warm-up shifts the policy's steps against them.
            length = self._shape.steps_per_epoch
            into_epoch = (step + self._shape.warmup) % length
            certain = length * certain - into_epoch
        return np.full(min(limit, certain), self._rule.rate)

    def observe(self, losses: Losses) -> None:
        """Feed batch losses to the rule, when it is batches that it watches."""
        if self._per == "step":
            observe = self._rule.observe
            old = self._rule.rate
            for at, loss in enumerate(losses.tolist() if isinstance(losses, np.ndarray) else losses, self._done + 1):
                if observe(loss):
                    self._fell(at, old)
                    old = self._rule.rate
        self._done += len(losses)

    def observe_epoch(self, valid_loss: float) -> None:
        """Feed a validation loss to the rule, when it is epochs that it watches."""
        old = self._rule.rate
        if self._per == "epoch" and self._rule.observe(float(valid_loss)):
            self._fell(self._done, old)

    def drops(self) -> list[RateDrop]:
        given, self._drops = self._drops, []
        return given

    def meter(self) -> PlateauMeter:
        rule = self._rule
        return PlateauMeter(
            bad=rule.bad,
            patience=rule.patience,
            per=self._per,
            cooldown=rule.cooldown_left,
            best=rule.best if math.isfinite(rule.best) else math.nan,
            better_than=rule.better_than() if math.isfinite(rule.best) else math.nan,
            rate=rule.rate,
            next_rate=rule.next_rate(),
        )

    def _fell(self, step: int, old: float) -> None:
        self._drops.append(RateDrop(step=step, old=old, new=self._rule.rate, cause="plateau"))
