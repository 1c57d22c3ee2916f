"""What a learning-rate schedule is, and the parts that any schedule can be put together from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from regtui.schedules.state import State, put_back, taken_out

FloatArray = NDArray[np.float64]
Losses = Sequence[float] | FloatArray
"""Batch losses in order; a policy that does not look at them takes a `range` as well."""


NO_JUMP = (2**62, "")
"""After the last jump of a rate: a step that no run reaches."""


@dataclass(frozen=True, kw_only=True)
class RunShape:
    """How long a run is, as far as its policy is concerned."""

    steps_per_epoch: int
    """Updates in one epoch."""
    total_steps: int
    """Updates from the end of the warm-up to the end of the run, at least 1."""
    warmup: int = 0
    """Updates before the policy begins."""


@dataclass(frozen=True, kw_only=True)
class RateDrop:
    """The rate took a new value at once, rather than gliding."""

    step: int
    """Updates completed when it changed: the next update is the first to use `new`."""
    old: float
    """The rate used for update `step`."""
    new: float
    """The rate from then on."""
    cause: str
    """`plateau`, `step`, `restart`, `floor` or `user`."""


@dataclass(frozen=True, kw_only=True)
class PlateauMeter:
    """How far a plateau policy's patience is used up."""

    bad: int
    """Losses since the last improvement, as the rule counts them."""
    patience: int
    """How many the rule puts up with."""
    per: str
    """What a loss is the loss of: `step` (a batch) or `epoch` (the validation split)."""
    cooldown: int
    """Losses still to come that will not be counted."""
    best: float
    """The lowest loss that counted as an improvement; NaN before the first."""
    better_than: float
    """What the next loss must lie below to be an improvement; NaN before the first."""
    rate: float
    """The rate now."""
    next_rate: float
    """The rate after the next drop; `rate` itself when no drop can come any more."""


class Schedule(Protocol):
    """An object that computes rates; the rate it gives for an update is the rate used for that update.

    A run asks `plan`, makes the updates, and reports their losses to `observe` in order. Whatever the sizes of
    the chunks in which that happens, the rates are the same.
    """

    open_loop: bool
    """The rates depend on the step alone, so that all of them are known before the run starts."""

    def plan(self, step: int, limit: int) -> FloatArray:
        """Give the rates of the next 1 to `limit` updates, those that are already certain.

        `step` counts the updates completed, 0 at the start.
        """

    def observe(self, losses: Losses) -> None:
        """Take note of updates just made, by their batch losses (data loss, dropout on), in order."""

    def observe_epoch(self, valid_loss: float) -> None:  # noqa: ARG002 most policies do not look at it
        """Take note of an epoch's validation loss, after its last update was observed."""
        return

    def drops(self) -> list[RateDrop]:
        """Give the discrete changes of the observed updates since the last call."""
        return []

    def meter(self) -> PlateauMeter | None:
        """Say how far patience is used up; None for a policy that has none."""
        return None

    def state(self) -> State:
        """Take out all that the losses, the steps and a person's hand have made of it."""
        return taken_out(self, RateDrop)

    def restore(self, state: State) -> None:
        """Put back the state of a schedule that was made alike; raises ValueError where it is another's."""
        put_back(self, state, RateDrop)


class OpenLoop(Schedule):
    """A rate that is a function of the step alone.

    It is worked out step by step with Python's own floats, 0.1 to 0.3 microseconds each: numpy's vectorised cosine and
    power may round the same step differently in arrays of different lengths, and the rates of a run would then
    depend on how it was cut into chunks.
    """

    open_loop = True

    def __init__(self, rate: Callable[[int], float], jumps: Iterable[tuple[int, str]] = ()) -> None:
        """Take the rate of the update after `step` completed ones, and where and why it jumps, in rising order."""
        self._rate = rate
        self._jumps = iter(jumps)
        self._next_jump = next(self._jumps, NO_JUMP)
        self._done = 0
        self._drops: list[RateDrop] = []

    def plan(self, step: int, limit: int) -> FloatArray:
        """Give all `limit` rates: every one of them is certain."""
        rate = self._rate
        return np.array([rate(at) for at in range(step, step + limit)], dtype=np.float64)

    def observe(self, losses: Losses) -> None:
        """Pass over the jumps that the updates just made have reached."""
        self._done += len(losses)
        while self._next_jump[0] <= self._done:
            step, cause = self._next_jump
            old, new = self._rate(step - 1), self._rate(step)
            if old != new:
                self._drops.append(RateDrop(step=step, old=old, new=new, cause=cause))
            self._next_jump = next(self._jumps, NO_JUMP)

    def drops(self) -> list[RateDrop]:
        given, self._drops = self._drops, []
        return given

    def restore(self, state: State) -> None:
        """Put back a state; the jumps that lie before it have been told."""
        super().restore(state)
        while self._next_jump[0] <= self._done:
            self._next_jump = next(self._jumps, NO_JUMP)


class Decay:
    """The products start, start * factor, start * factor * factor, ... while above a floor.

    They are made by multiplying, as a loop would, not as powers, which differ in the last digits: enough to
    decide whether a rate that all but equals the floor is multiplied once more.
    """

    _BLOCK = 4096
    """Products between two that are kept: 0.01 ms to find any, 8 bytes in 4,096 steps."""
    _KEPT_BLOCKS = 1024
    """As many blocks are begun by multiplying, over 4 million steps, in 10 ms and 8 kB; a run may have a million times
    as many. The blocks after them begin at a power, which differs by less than one part in a billion."""

    def __init__(self, start: float, factor: float, floor: float) -> None:
        self._factor = factor
        self._floor = floor
        self._end: int | None = None if start > floor and factor < 1 else 0
        self._starts = [start]
        """The first product of each block that was searched for the end, and of the one after."""
        self._block_number = 0
        self._block: FloatArray = np.array([start])

    def __call__(self, step: int) -> float:
        """Give the product after `step` multiplications, or the last one."""
        if self._end is None:
            self._search(step)
        if self._end is not None and step > self._end:
            step = self._end
        number, offset = divmod(step, self._BLOCK)
        if number != self._block_number or offset >= len(self._block):
            self._block_number, self._block = number, self._products(number)
        return float(self._block[offset])

    def end(self, limit: int) -> int | None:
        """Say after how many multiplications the floor is reached; None when that is more than `limit`."""
        if self._end is None:
            self._search(limit)
        return self._end if self._end is not None and self._end <= limit else None

    def _search(self, step: int) -> None:
        while self._end is None and step >= (searched := len(self._starts) - 1) * self._BLOCK:
            if searched == self._KEPT_BLOCKS:
                self._end = self._far_end()
                return
            products = self._products(searched)
            low = np.flatnonzero(products <= self._floor)
            if len(low):
                self._end = searched * self._BLOCK + int(low[0])
            self._starts.append(float(products[-1]))

    def _far_end(self) -> int:
        """Find the end beyond the blocks that are kept: the last block that begins above the floor, then within it."""
        low, high = self._KEPT_BLOCKS, 2 * self._KEPT_BLOCKS
        while self._begin(high) > self._floor:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._begin(middle) > self._floor else (low, middle)
        reached = np.flatnonzero(self._products(low) <= self._floor)
        return low * self._BLOCK + int(reached[0]) if len(reached) else high * self._BLOCK

    def _begin(self, number: int) -> float:
        """Give the first product of a block."""
        if number < len(self._starts):
            return self._starts[number]
        return self._starts[0] * self._factor ** (number * self._BLOCK)

    def _products(self, number: int) -> FloatArray:
        factors = np.full(self._BLOCK + 1, self._factor)
        factors[0] = self._begin(number)
        return np.multiply.accumulate(factors)


class Warmup(Schedule):
    """A straight rise from near 0 in front of a schedule, which begins when it is over.

    Update i of n gets i / (n + 1) of the schedule's first rate: torch's LinearLR from 1 / (n + 1). The losses of
    the rise are not shown to the schedule, and its steps are counted from the end of the rise.
    """

    def __init__(self, inner: Schedule, steps: int) -> None:
        self.open_loop = inner.open_loop
        self._inner = inner
        self._steps = steps
        self._top = float(inner.plan(0, 1)[0])
        self._done = 0

    def plan(self, step: int, limit: int) -> FloatArray:
        """Give the rates of the rise, and after it as many as the schedule is certain of."""
        if step >= self._steps:
            return self._inner.plan(step - self._steps, limit)
        end = min(step + limit, self._steps)
        rise = self._top * np.arange(step + 1, end + 1) / (self._steps + 1)
        left = step + limit - end
        return np.concatenate([rise, self._inner.plan(0, left)]) if left else rise

    def observe(self, losses: Losses) -> None:
        """Show the schedule what was lost after the rise."""
        rest = losses[max(self._steps - self._done, 0) :]
        self._done += len(losses)
        if len(rest):
            self._inner.observe(rest)

    def observe_epoch(self, valid_loss: float) -> None:
        """Show the schedule an epoch that ended after the rise."""
        if self._done > self._steps:
            self._inner.observe_epoch(valid_loss)

    def drops(self) -> list[RateDrop]:
        """Give the schedule's changes, at the run's steps."""
        return [replace(drop, step=drop.step + self._steps) for drop in self._inner.drops()]

    def meter(self) -> PlateauMeter | None:
        """Give the schedule's own; None while the rate rises."""
        return self._inner.meter() if self._done >= self._steps else None


class Steered(Schedule):
    """A schedule whose rates a person can hold or scale while it runs."""

    def __init__(self, inner: Schedule) -> None:
        self.open_loop = inner.open_loop
        self._inner = inner
        self._held: float | None = None
        self._factor = 1.0
        self._done = 0

    def plan(self, step: int, limit: int) -> FloatArray:
        """Give the rate held, or the schedule's certain rates times the factor."""
        if self._held is not None:
            return np.full(limit, self._held)
        rates = self._inner.plan(step, limit)
        return rates if self._factor == 1 else rates * self._factor

    def observe(self, losses: Losses) -> None:
        """Show the schedule the losses; it goes on underneath a rate that is held."""
        self._done += len(losses)
        self._inner.observe(losses)

    def observe_epoch(self, valid_loss: float) -> None:
        self._inner.observe_epoch(valid_loss)

    def drops(self) -> list[RateDrop]:
        """Give the changes that reached the optimizer: none while a rate is held."""
        drops = self._inner.drops()
        if self._held is not None:
            return []
        return [replace(drop, old=drop.old * self._factor, new=drop.new * self._factor) for drop in drops]

    def meter(self) -> PlateauMeter | None:
        """Give the schedule's, in the rates that are used; None while a rate is held."""
        meter = self._inner.meter()
        if meter is None or self._held is not None:
            return None
        return replace(meter, rate=meter.rate * self._factor, next_rate=meter.next_rate * self._factor)

    def hold(self, rate: float) -> RateDrop:
        """Use one rate from the next update on, whatever the schedule says; gives the change, cause `user`."""
        old = self.next_rate()
        self._held = rate
        return self._turned(old)

    def scale(self, factor: float) -> RateDrop:
        """Multiply the rates used from the next update on, a held one too; factors multiply up."""
        old = self.next_rate()
        if self._held is not None:
            self._held *= factor
        else:
            self._factor *= factor
        return self._turned(old)

    def next_rate(self) -> float:
        return float(self.plan(self._done, 1)[0])

    def _turned(self, old: float) -> RateDrop:
        return RateDrop(step=self._done, old=old, new=self.next_rate(), cause="user")


def count_from(first: int, stride: int, cause: str) -> Iterator[tuple[int, str]]:
    """Name evenly spaced steps at which a rate jumps, without end."""
    step = first
    while True:
        yield step, cause
        step += stride
