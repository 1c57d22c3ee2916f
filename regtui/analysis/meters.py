"""Patience: how much of it the plateau policy and early stopping have used up."""

import math
from dataclasses import replace

import msgspec
import numpy as np

from regtui.analysis.forecast import MOST_STEPS, steering
from regtui.core.fields import ConfigError
from regtui.core.history import History
from regtui.core.text import number, short
from regtui.schedules.policies import make_schedule
from regtui.schedules.rates import PlateauMeter, Schedule


class EarlyStopMeter(msgspec.Struct, frozen=True, kw_only=True):
    """How long early stopping has waited for a better validation loss."""

    waited: int
    """Epochs since the best."""
    patience: int
    """Epochs after which the run is stopped."""
    best: float
    """Lowest validation loss so far, in nats: only a loss below it counts as better. NaN before the first."""
    best_epoch: int
    """Its epoch, the first on ties; 0 before the first."""


class Meters(msgspec.Struct, frozen=True, kw_only=True):
    """All patience there is in a run."""

    plateau: PlateauMeter | None
    """The plateau policy's, from its own rule fed with the logged losses; None where the run has none."""
    early_stopping: EarlyStopMeter | None
    """Early stopping's; None where it is off."""
    cannot_judge: tuple[str, ...] = ()
    """What could not be worked out, and why."""

    def lines(self) -> tuple[str, ...]:
        """Write them for people, one line each: `plateau 143/200 → LR 0.001 → 0.0001 · best ...`."""
        lines = []
        if self.plateau is not None:
            lines.append(_plateau_line(self.plateau))
        if self.early_stopping is not None:
            meter = self.early_stopping
            line = f"early stop {meter.waited}/{meter.patience}"
            if math.isfinite(meter.best):
                line += f" · best validation loss {number(meter.best)} at epoch {meter.best_epoch}, better is below it"
            lines.append(line)
        return (*lines, *self.cannot_judge)


def _plateau_line(meter: PlateauMeter) -> str:
    line = f"plateau {meter.bad}/{meter.patience}"
    if meter.next_rate < meter.rate:
        line += f" → LR {short(meter.rate)} → {short(meter.next_rate)}"
    else:
        line += f" · LR {short(meter.rate)}, as low as it goes"
    if meter.cooldown:
        line += f" · cooldown {meter.cooldown}"
    if math.isfinite(meter.best):
        what = "batch loss" if meter.per == "step" else "validation loss"
        line += f" · best {what} {number(meter.best)}, better is below {number(meter.better_than)}"
    return line


def meters(history: History) -> Meters:
    """Work out how far patience is used up at the newest record.

    The plateau's is not logged: the schedule's own rule is fed with the logged losses again, each once, as they
    come. A run of more than 20,000 steps writes only some of them, so there its count per step is not known.
    """
    return history.now(_meters)


@np.errstate(all="ignore")
def _meters(history: History) -> Meters:
    plateau, problem = _plateau(history)
    return Meters(plateau=plateau, early_stopping=_early_stopping(history), cannot_judge=(problem,) if problem else ())


def _early_stopping(history: History) -> EarlyStopMeter | None:
    patience = history.config.early_stopping if history.config else 0
    if patience <= 0:
        return None
    table = history.evaluations
    valid, numbers = table["valid/loss"].values, history.progress
    newest = int(numbers[-1]) if len(table) and math.isfinite(numbers[-1]) else 0
    if not np.isfinite(valid).any():
        return EarlyStopMeter(waited=newest, patience=patience, best=math.nan, best_epoch=0)
    row = int(np.nanargmin(valid))
    best_epoch = int(numbers[row]) if math.isfinite(numbers[row]) else 0
    return EarlyStopMeter(
        waited=max(0, newest - best_epoch), patience=patience, best=float(valid[row]), best_epoch=best_epoch
    )


class _Replay:
    """A plateau schedule that is fed the logged losses as they come."""

    def __init__(self, schedule: Schedule, per: str) -> None:
        self.schedule = schedule
        self._per = per
        self._steps = 0
        self._epochs = 0

    def follow(self, history: History) -> bool:
        """Feed what came since the last call; tell whether every loss the rule looks at was logged."""
        if self._per == "epoch":
            table = history.evaluations
            ends, valid = table.step.values, table["valid/loss"].values
            for row in range(self._epochs, len(table)):
                made = int(ends[row]) - self._steps if math.isfinite(ends[row]) else 0
                self.schedule.observe(range(max(0, made)))
                self._steps += max(0, made)
                if table["measured"].values[row]:
                    self.schedule.observe_epoch(float(valid[row]))
            self._epochs = len(table)
            return True
        steps = history.steps
        # Steps count from 1 and never fall: as many records as the newest says means that none is missing.
        if len(steps) != steps.step.last:
            return False
        self.schedule.observe(steps["step/loss"].values[self._steps :])
        self._steps = len(steps)
        return True


class _Patience:
    """The plateau's rule of one run, begun once the length of an epoch is known."""

    def __init__(self, _history: History) -> None:
        self.replay: _Replay | None = None


def _plateau(history: History) -> tuple[PlateauMeter | None, str]:
    config = history.config
    if config is None or config.lr_policy != "plateau":
        return None, ""
    per = config.plateau_per or "step"
    patience = history.derived(_Patience)
    if patience.replay is None:
        per_epoch = history.steps_per_epoch
        if not 0 < per_epoch <= MOST_STEPS:
            return None, ""
        try:
            schedule = make_schedule(config, steps_per_epoch=max(1, round(per_epoch)))
        except (ConfigError, ValueError, OverflowError):
            return None, "plateau: the configuration in the log cannot be followed"
        patience.replay = _Replay(schedule, per)
    if per == "step" and not len(history.steps):
        return None, "" if not len(history.evaluations) else "plateau: the log has no step records to count"
    if not patience.replay.follow(history):
        return None, "plateau: the log keeps only some of the steps, so bad ones cannot be counted"
    meter = patience.replay.schedule.meter()
    return (_as_used(meter, history) if meter else None), ""


def _as_used(meter: PlateauMeter, history: History) -> PlateauMeter:
    """Show the rates that are used where a person has turned the rate: the rule itself does not know of that."""
    steered = steering(history)
    if steered.held is not None:
        return replace(meter, rate=steered.held, next_rate=steered.held)
    if steered.factor == 1:
        return meter
    return replace(meter, rate=meter.rate * steered.factor, next_rate=meter.next_rate * steered.factor)
