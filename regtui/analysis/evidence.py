"""The numbers that a verdict rests on, written for people; losses in nats."""

import math

from regtui.analysis.advice import accuracy_trend, rough
from regtui.analysis.divergence import Climb
from regtui.analysis.judge import Judgement
from regtui.analysis.underfitting import PACE, SURE
from regtui.core.history import History
from regtui.core.text import number

STILL = 0.0005
"""A training loss that changes by less than this in an epoch, in nats, stands still: 2,000 epochs for one nat."""


def evidence(history: History, found: Judgement) -> str:
    """Write the numbers behind any state but `diverged`."""
    if found.state == "underfitting":
        return _of_underfitting(history, found)
    if found.valid_row < 0:
        train = number(found.train)
        return f"training loss {train}, no validation loss" if math.isfinite(found.train) else "no loss measured yet"
    table = history.evaluations
    valid, best = (number(table["valid/loss"].values[row]) for row in (found.valid_row, found.best))
    where = history.where(found.best)
    noise = f"noise ±{rough(found.noise)}" if math.isfinite(found.noise) else "noise not known yet"
    if found.state == "overfitting":
        above = number(table["valid/loss"].values[found.valid_row] - table["valid/loss"].values[found.best])
        text = f"validation {valid}, {above} above its best {best} at {where} ({noise})"
        if math.isfinite(found.train):
            text += f"; training {number(found.train_at_best)} → {number(found.train)}"
        return text + _accuracy(found)
    if found.state == "recovered":
        return f"validation loss {valid}, down again to near its best {best} of {where} ({noise})"
    text = f"validation loss {valid}, best {best} at {where}"
    if measured(history, found):
        text += f"; training loss {number(table['train/loss'].values[found.train_row])}"
    elif math.isfinite(found.train):
        text += f"; running training loss {number(found.train)}"
    return f"{text}; {noise}"


def _accuracy(found: Judgement) -> str:
    """Say whether the accuracy agrees with a rising loss: where it does not, the net is surer than it is right."""
    trend = accuracy_trend(found)
    if trend is None:
        return ""
    moved = f"{found.accuracy_at_best:.1%} → {found.accuracy:.1%}"
    if trend == "unclear":
        return f"; accuracy {moved} (noise ±{found.accuracy_noise:.1%})"
    return f"; accuracy falls, too ({moved})" if trend == "falls" else f"; overconfident: accuracy {trend} ({moved})"


def _of_underfitting(history: History, found: Judgement) -> str:
    unit = "an epoch" if history.counts_epochs else "an evaluation"
    if abs(found.slope) < max(STILL, SURE * found.train_noise / PACE):
        pace = "standing still" + (f" since {history.where(found.stuck_since)}" if found.stuck_since >= 0 else "")
    else:
        pace = f"{'falling' if found.slope < 0 else 'rising'} by {rough(abs(found.slope))} {unit}"
    text = f"training loss {number(found.train)}, guessing costs {number(found.guessing)}; {pace}"
    if found.valid_row < 0:
        return text
    text += f"; validation loss {number(history.evaluations['valid/loss'].values[found.valid_row])}"
    return f"{text}, accuracy {found.accuracy:.1%}" if math.isfinite(found.accuracy) else text


def measured(history: History, found: Judgement) -> bool:
    """Tell whether the training loss is one that was measured beside the validation loss, not a running mean."""
    return found.train_row >= 0 and math.isfinite(history.evaluations["train/loss"].values[found.train_row])


def evidence_of_divergence(history: History, row: int, found: Judgement | None, lost: int | None) -> str:
    """Write what is known of a loss that is lost: at a row of the evaluations, or at a step after the last of them."""
    parts = []
    running, train = history.evaluations["step/loss"].values, history.evaluations["train/loss"].values
    here = train[row] if row >= 0 and math.isfinite(train[row]) else (running[row] if row >= 0 else math.nan)
    if found is not None and found.state == "diverged" and math.isfinite(here):
        parts.append(f"training loss {number(here)} in {history.where(row)}")
        if found.guessing > 0:
            parts[0] += f", guessing costs {number(found.guessing)}"
        lowest = found.train_lowest
        before = running[lowest] if math.isnan(train[lowest]) else train[lowest]
        if 0 <= lowest < found.since:
            parts.append(f"lowest {number(before)} at {history.where(lowest)}")
    elif history.end is not None and lost is not None and history.end.status == "diverged":
        parts.append(history.end.reason or "the run ended as diverged")
    else:
        parts.append(f"the loss is not a finite number {_since(history, row, found, lost)}")
    if found and found.best >= 0:
        value = number(history.evaluations["valid/loss"].values[found.best])
        parts.append(f"best validation loss {value} at {history.where(found.best)}")
    return "; ".join(parts)


def _since(history: History, row: int, found: Judgement | None, lost: int | None) -> str:
    at = f"at step {lost:,}" if lost is not None else ""
    if found is not None and found.state == "diverged":
        return " ".join(part for part in (f"since {history.where(found.since)}", at) if part)
    epoch = epoch_under_way(history, row)
    return " ".join(part for part in (f"since epoch {epoch}" if epoch else "", at) if part)


def epoch_under_way(history: History, row: int) -> int | None:
    """Give the number of the epoch that follows a row of the evaluations, -1 for the first; None where none count."""
    if 0 <= row < len(history.evaluations):
        ended = history.evaluations["epoch"].values[row]
        return int(ended) + 1 if math.isfinite(ended) else None
    return 1 if history.plan.steps_per_epoch else None


def evidence_of_batches(history: History, climb: Climb) -> str:
    """Write what the batch losses show of a run that has no other."""
    if not climb.on:
        now = f"training loss {number(climb.level)} at step {int(history.steps.step.last):,}"
        return f"{now}, {number(climb.start)} at the start, lowest {number(climb.lowest)}"
    lowest = f", lowest {number(climb.lowest)}" if climb.lowest < climb.start else ""
    return (
        f"training loss {number(climb.level)} at step {int(history.steps.step.last):,}, "
        f"{number(climb.start)} at the start{lowest}; nothing was evaluated"
    )
