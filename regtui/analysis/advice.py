"""One line of advice that follows from a run's own configuration and curves."""

import math
from dataclasses import dataclass

import numpy as np

from regtui.analysis.judge import FEWEST, Judgement
from regtui.core.config import RunConfig
from regtui.core.history import History
from regtui.core.metrics import NORM
from regtui.core.optimizers import OPTIMIZERS
from regtui.core.text import number, short

STRONG_L2 = 0.001
"""The tutorial's weight; far above it the penalty outweighs what is to be learned."""

USUAL_DROPOUT = 0.4
"""The tutorial's share."""

MOST_DROPOUT = 0.6
"""More leaves too few units to learn with in nets of this width."""

MOST_L2 = 0.01
"""Ten times the tutorial's weight: more was seen to hold the loss up (tests/logs: l2 0.005 already does)."""

COLLAPSED = 0.5
"""Kernels that have lost half of the norm they started with are held down by a penalty, not by the data."""

SOON = 5
"""Epochs since the best within which a run counts as still improving."""

FEW_ROWS = 500
"""Fewer validation rows than this are worth naming as the cause of noise: one row more or less wrong is seen."""

BY_HEART = 0.5
"""A training loss under half of the validation loss: what is still learned is learned by heart."""

JUMPY = 0.2
"""A noise of a fifth of the loss itself: its epochs cannot be compared one by one."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration as it stood at one epoch, knobs turned by hand included."""

    config: RunConfig
    l2: float
    l1: float
    weight_decay: float
    dropout: float
    learning_rate: float
    """The rate used last."""

    @classmethod
    def at(cls, history: History, row: int) -> "Settings":
        """Read the configuration and the knobs turned up to the end of an epoch."""
        config = history.config or RunConfig()
        knobs = {name: getattr(config, name) for name in ("l2", "l1", "weight_decay", "dropout")}
        table = history.evaluations
        # A knob turned between two epochs belongs to the later one, whose number it carries.
        last = table["epoch"].values[row] if 0 <= row < len(table) - 1 else math.inf
        for change in history.changes:
            if change.what in knobs and change.new is not None and change.epoch <= last:
                knobs[change.what] = change.new
        rate = table["learning_rate"].values[row] if 0 <= row < len(table) else math.nan
        return cls(config=config, learning_rate=float(rate) if rate > 0 else config.learning_rate, **knobs)

    @property
    def usual_rate(self) -> float:
        """Where this run's optimizer usually works; the rate it has, for one that is not known here."""
        known = OPTIMIZERS.get(self.config.optimizer)
        return known.usual_rate if known is not None else self.config.learning_rate

    def lower_rate(self) -> str:
        """Advise a lower learning rate: the optimizer's usual one, or a tenth where that is not lower."""
        start = self.config.learning_rate
        lower = min(start / 10, self.usual_rate)
        return f"try learning rate {lower:g} instead of {start:g}"


def rough(value: float) -> str:
    """Write a noise for people: no more than two digits of it are known."""
    return short(value, 2)


def advise(history: History, found: Judgement, settings: Settings, *, row: int, over: bool) -> str:
    """Say what to try next."""
    if found.state == "overfitting":
        return _against_overfitting(history, found, settings)
    if found.state == "underfitting":
        return _against_underfitting(history, found, settings, row)
    if found.state == "recovered":
        return _after_recovery(history, found)
    if found.state == "warming_up":
        return f"train for at least {FEWEST} epochs" if over else f"a first verdict comes at epoch {FEWEST}"
    return _while_fitting(history, found, settings, over=over)


def _against_overfitting(history: History, found: Judgement, settings: Settings) -> str:
    valid, epochs = history.evaluations["valid/loss"].values, history.evaluations["epoch"].values
    best = f"stop at epoch {epochs[found.best]:g}"
    there = f"validation {number(valid[found.best])} there, {number(valid[found.valid_row])} now"
    return f"try {_remedies(settings)}, or {best}: {there}"


def _remedies(settings: Settings) -> str:
    """Name what holds a net back from learning rows by heart and is not in full use yet."""
    remedies = []
    if settings.dropout < USUAL_DROPOUT:
        remedies.append(f"dropout {USUAL_DROPOUT:g}")
    elif settings.dropout < MOST_DROPOUT:
        remedies.append(f"dropout {min(settings.dropout + 0.1, MOST_DROPOUT):g}")
    if settings.l2 == 0 and settings.weight_decay == 0:
        remedies.append(f"l2 {STRONG_L2:g}")
    elif 0 < settings.l2 < MOST_L2:
        remedies.append(f"l2 {min(settings.l2 * 3, MOST_L2):.2g}")
    elif settings.l2 == 0 and settings.weight_decay < MOST_L2:
        remedies.append(f"weight decay {min(settings.weight_decay * 3, MOST_L2):.2g}")
    if not remedies:
        remedies.append("a smaller net" if settings.config.train_rows is None else "more train rows")
    return ", ".join(remedies)


def _against_underfitting(history: History, found: Judgement, settings: Settings, row: int) -> str:
    config = settings.config
    held = _held_down(history, settings, row)
    if held:
        return held
    table = history.evaluations
    running = table["step/loss"].values[: row + 1]
    highest = float(np.nanmax(running)) if np.isfinite(running).any() else math.nan
    jumps = found.train_noise > 0.01 * found.guessing
    usual = settings.usual_rate
    if config.learning_rate > usual and (highest > 1.5 * found.guessing or jumps or found.slope >= 0):
        return settings.lower_rate()
    if settings.learning_rate < config.learning_rate / 100:
        return (
            f"the learning rate has fallen from {config.learning_rate:g} to {settings.learning_rate:.3g}: "
            "let it fall later or more slowly"
        )
    if config.learning_rate < usual:
        return f"try learning rate {usual:g} instead of {config.learning_rate:g}"
    if found.slope < 0 and not jumps:
        return f"try learning rate {3 * config.learning_rate:g} instead of {config.learning_rate:g}, or more epochs"
    widths = ",".join(str(2 * width) for width in config.hidden)
    return f"try a wider net (hidden {widths}), or learning rate {config.learning_rate / 3:.2g}"


def _held_down(history: History, settings: Settings, row: int) -> str:
    """Blame the regularisation where it is strong and the kernels have shrunk."""
    if settings.l2 > STRONG_L2 and _has_collapsed(history, settings, row):
        return f"try l2 {STRONG_L2:g} instead of {settings.l2:g}: the penalty holds the weights near zero"
    if settings.l1 > 0 and _has_collapsed(history, settings, row):
        return f"try l1 {settings.l1 / 10:g} instead of {settings.l1:g}: the penalty holds the weights near zero"
    if settings.weight_decay > 0 and _has_collapsed(history, settings, row):
        lower = settings.weight_decay / 10
        return f"try weight decay {lower:g} instead of {settings.weight_decay:g}: it holds the weights near zero"
    if settings.dropout > 0.5:
        return f"try dropout {USUAL_DROPOUT:g} instead of {settings.dropout:g}"
    return ""


def _has_collapsed(history: History, settings: Settings, row: int) -> bool:
    """Tell whether a hidden kernel has less than half of its starting norm; True where norms were not logged.

    Kernels start He uniform, with variance 2 / inputs, so a kernel (inputs, outputs) starts with norm sqrt(2 outputs).
    """
    table = history.evaluations
    norms = [table[name].values[row] for name in table.names if name.startswith(NORM)]
    starts = [math.sqrt(2 * width) for width in settings.config.hidden]
    known = [now / start for now, start in zip(norms, starts, strict=False) if math.isfinite(now)]
    return min(known) < COLLAPSED if known else True


def _after_recovery(history: History, found: Judgement) -> str:
    steps, epochs = history.evaluations.step.values, history.evaluations["epoch"].values
    turned = [change for change in history.changes if change.step <= steps[found.since] and change.new is not None]
    best = f"best so far {number(history.evaluations['valid/loss'].values[found.best])} at epoch {epochs[found.best]:g}"
    if not turned:
        return f"go on; {best}"
    last = [change for change in turned if change.step == turned[-1].step]
    kept = ", ".join(f"{change.what.replace('_', ' ')} {change.new:g}" for change in last)
    return f"keep {kept} (since epoch {turned[-1].epoch}); {best}"


def _while_fitting(history: History, found: Judgement, settings: Settings, *, over: bool) -> str:
    config = settings.config
    if found.valid_row < 0:
        return "log a validation loss to see whether the run overfits"
    epochs = history.evaluations["epoch"].values
    idle = int(epochs[found.valid_row] - epochs[found.best])
    rate = settings.learning_rate
    if found.noise > JUMPY * max(found.valid, 1e-3) and found.train_noise > JUMPY * max(found.train, 0.1):
        return f"losses jump by ±{rough(found.noise)} from epoch to epoch: try learning rate {rate / 3:.2g}"
    if rate < config.learning_rate / 100 and abs(found.slope) < 1e-3 * found.train:
        fallen = f"the learning rate has fallen from {config.learning_rate:g} to {rate:.2g}"
        return f"{fallen} and nothing moves any more: stop, or let it fall more slowly"
    if idle < SOON:
        if not over:
            return "validation is still falling: go on"
        slow = config.lr_policy == "constant" and config.learning_rate < settings.usual_rate / 3
        faster = f" or learning rate {settings.usual_rate:g} instead of {config.learning_rate:g}" if slow else ""
        return f"still improving: try more than {config.epochs} epochs{faster}"
    if idle < 2 * SOON:
        return "try more epochs" if over else f"no better for {idle} epochs: wait a little longer"
    rows = valid_rows(history)
    if rows is not None and rows < FEW_ROWS and found.noise > JUMPY * found.valid:
        return f"leave more rows for validation than {rows}: its noise hides what changes"
    stale = f"no better since epoch {epochs[found.best]:g} and not clearly worse"
    if found.train < BY_HEART * found.valid:
        return f"{stale}, while training loss is {number(found.train)}: stop, or try {_remedies(settings)}"
    return f"{stale}: stop, or lower the learning rate"


def valid_rows(history: History) -> int | None:
    """Give the number of validation rows, where the log says it."""
    return history.plan.valid_rows
