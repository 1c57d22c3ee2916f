"""What each drop of the learning rate did to the validation loss."""

import math
from typing import NamedTuple

import msgspec
import numpy as np

from regtui.analysis.advice import rough
from regtui.analysis.rate_changes import rate_changes
from regtui.core.events import Changed
from regtui.core.history import History
from regtui.core.series import FloatArray
from regtui.core.text import number, short, who

WINDOW = 5
"""Evaluated epochs looked at on each side: the gain of a drop is made within a few epochs, and later ones tell of
other things."""

FEWEST_SIDE = 3
"""Fewer than three points have a slope but no error of the slope."""

SURE = 2.0
"""Standard errors by which slopes must differ: one chance in twenty of calling noise a difference."""


MOST_DROPS = 1_000
"""Drops whose effect is weighed, the newest: where the rate drops at each step, no drop has an effect of its own."""


class DropEffect(msgspec.Struct, frozen=True, kw_only=True):
    """One drop of the learning rate, and what came of it."""

    step: int
    """Updates completed when the rate dropped."""
    epoch: int
    """The epoch it belongs to; 0 where epochs are not counted."""
    old: float
    """The rate before."""
    new: float
    """The rate from then on."""
    cause: str
    """`plateau`, `step`, `user`, ..."""
    slope_before: float | None
    """Change of the validation loss per epoch over up to five evaluated epochs before, in nats; None if not known."""
    slope_after: float | None
    """The same over up to five epochs after, counted from the last one before, so that a sudden gain is in it."""
    helped: bool | None
    """True: the loss fell faster, rose more slowly or lies lower than before; False: the reverse; None: can't tell."""
    reason: str
    """The numbers behind `helped`, or why it cannot be told."""

    @property
    def line(self) -> str:
        """Say it in one line: `LR 0.001 → 0.0001 at epoch 12 (plateau): helped; ...`."""
        word = {True: "helped", False: "did not help", None: "can't tell if it helped"}[self.helped]
        by = f" ({who(self.cause)})" if self.cause else ""
        place = f"epoch {self.epoch}" if self.epoch else f"step {self.step:,}"
        return f"LR {short(self.old)} → {short(self.new)} at {place}{by}: {word}; {self.reason}"


class _Line(NamedTuple):
    """A straight line through some values, by least squares."""

    slope: float
    """Change per epoch."""
    error: float
    """Standard error of the slope."""


VISIBLE = 0.02
"""A difference under 2 % of the loss is none that a person would see or act on."""

MOST_UPSETS = {(3, 3): 0, (3, 4): 0, (3, 5): 1, (4, 4): 1, (4, 5): 2, (5, 5): 4}
"""Mann and Whitney's critical values of U, one-sided at 5 %: by the sizes of the two groups, the smaller first."""


def _settled(_history: History) -> list[DropEffect]:
    """Begin the list of effects that do not change any more, which the History carries."""
    return []


def drop_effects(history: History) -> list[DropEffect]:
    """Tell for each drop of the learning rate, in their order, whether it helped.

    Compared are up to five evaluated epochs on each side, cut at the neighbouring drops. A drop helped when the
    slope of the validation loss after it is lower than before by more than two standard errors, or when the loss
    had not been falling clearly and now lies lower (Mann and Whitney's U test, which asks no more than which of two
    values is lower, so that the spikes a drop puts an end to do not hide it). It did harm when the slope is higher by
    more than two standard errors. The error of a least-squares slope is s / sqrt(sum (x - mean x)^2), with s^2 the
    squared residuals over n - 2. Effects whose five epochs after are complete do not change any more and are kept.
    """
    return history.now(_effects)


def _effects(history: History) -> list[DropEffect]:
    drops = rate_changes(history).drops
    known = history.derived(_settled)
    effects = known[:]
    steps = history.evaluations.step.values
    valid, numbers = history.evaluations["valid/loss"].values, history.progress
    evaluated = np.flatnonzero(np.isfinite(valid)) if len(drops) > len(known) else np.empty(0, np.intp)
    ends = steps[evaluated]
    for index in range(len(known), len(drops)):
        drop = drops[index]
        if index < len(drops) - MOST_DROPS:
            effects.append(_effect(drop, reason=f"of this many drops the last {MOST_DROPS:,} are looked at"))
            known.append(effects[-1])
            continue
        first = drops[index - 1].step if index else -math.inf
        last = drops[index + 1].step if index + 1 < len(drops) else math.inf
        at = int(np.searchsorted(ends, drop.step, side="right"))
        begin = max(int(np.searchsorted(ends, first, side="right")), at - WINDOW)
        stop = min(int(np.searchsorted(ends, last, side="right")), at + WINDOW)
        before, after = evaluated[begin:at], evaluated[max(begin, at - 1) : stop]
        with np.errstate(all="ignore"):
            sides = numbers[before], valid[before], numbers[after], valid[after]
            effect = _weigh(drop, *sides, unit=history.unit)
        effects.append(effect)
        complete = stop - at >= WINDOW or (len(ends) > 0 and ends[-1] > last)
        if complete and len(known) == index:
            known.append(effect)
    return effects


def _effect(
    drop: Changed,
    *,
    reason: str,
    slope_before: float | None = None,
    slope_after: float | None = None,
    helped: bool | None = None,
) -> DropEffect:
    """Tell of a drop, and what came of it as far as it was weighed."""
    return DropEffect(
        step=drop.step,
        epoch=drop.epoch,
        old=drop.old or 0.0,
        new=drop.new or 0.0,
        cause=drop.cause,
        slope_before=slope_before,
        slope_after=slope_after,
        helped=helped,
        reason=reason,
    )


def _weigh(
    drop: Changed,
    epochs_before: FloatArray,
    before: FloatArray,
    epochs_after: FloatArray,
    after: FloatArray,
    *,
    unit: str,
) -> DropEffect:
    """Compare the validation losses on both sides; `after` begins with the last one before, where there is one."""
    anchored = len(before) > 0
    since = len(after) - anchored
    first = _line(epochs_before, before) if len(before) >= FEWEST_SIDE else None
    then = _line(epochs_after[anchored:], after[anchored:]) if since >= FEWEST_SIDE else None
    slope_after = _line(epochs_after, after).slope if since >= FEWEST_SIDE else math.nan
    helped: bool | None = None
    if first is None:
        reason = f"only {_counted(len(before), unit)} before it"
    elif then is None:
        reason = f"only {_counted(since, unit)} since"
    else:
        error = math.hypot(first.error, then.error)
        change = slope_after - first.slope
        old, new = float(np.median(before)), float(np.median(after[anchored:]))
        fell_before = first.slope < -SURE * first.error
        lower = new < old * (1 - VISIBLE) and _lie_lower(after[anchored:], before)
        visible = abs(change) * WINDOW > VISIBLE * old
        if (change < -SURE * error and visible) or (lower and not fell_before):
            helped = True
        elif change > SURE * error and visible:
            helped = False
        reason = (
            f"validation loss {_pace(first.slope, unit)} before, {_pace(slope_after, unit)} after; "
            f"{number(old)} → {number(new)}"
        )
        if helped is None:
            reason += ", no more than its noise"
    return _effect(
        drop,
        slope_before=first.slope if first and math.isfinite(first.slope) else None,
        slope_after=slope_after if math.isfinite(slope_after) else None,
        helped=helped,
        reason=reason,
    )


def _lie_lower(values: FloatArray, others: FloatArray) -> bool:
    """Tell whether values lie below others, by counting the pairs in which they do not."""
    upsets = int((values[:, None] >= others[None, :]).sum())
    few, many = sorted((len(values), len(others)))
    return upsets <= MOST_UPSETS[few, many]


def _line(epochs: FloatArray, values: FloatArray) -> _Line:
    x = epochs if np.all(np.diff(epochs) > 0) else np.arange(len(values), dtype=np.float64)
    x = x - x.mean()
    across = float(x @ x)
    slope = float(x @ values) / across
    rest = values - values.mean() - slope * x
    noise = math.sqrt(float(rest @ rest) / max(1, len(values) - 2))
    return _Line(slope, noise / math.sqrt(across))


def _counted(count: int, unit: str) -> str:
    if unit == "epoch":
        return f"{count} epoch{'' if count == 1 else 's'} evaluated"
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _pace(slope: float, unit: str) -> str:
    return f"{'fell' if slope < 0 else 'rose'} by {rough(abs(slope))} {'an' if unit[0] in 'aeiou' else 'a'} {unit}"
