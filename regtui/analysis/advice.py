"""One line of advice that follows from a run's own settings and curves.

It names values only of knobs that the run shows it has, and values of its own only for nets that regtui trains; for
others it names the remedy.
"""

import math
from typing import Literal

import numpy as np

from regtui.analysis.checkpoints import keep
from regtui.analysis.curve import RECENT
from regtui.analysis.judge import Judgement
from regtui.analysis.overfitting import FEWEST
from regtui.analysis.settings import Settings
from regtui.core.history import History
from regtui.core.metrics import VALID_LOSS
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

NEAR_ZERO = 0.02
"""Kernels with less than a fiftieth of their norm let nothing through."""

SOON = 5
"""Epochs since the best within which a run counts as still improving."""

FEW_ROWS = 500
"""Fewer validation rows than this are worth naming as the cause of noise: one row more or less wrong is seen."""

BY_HEART = 0.5
"""A training loss under half of the validation loss: what is still learned is learned by heart."""

RISEN = 3.0
"""Noises by which the last epochs of a run that is over must lie above its best to be no improvement any more."""

JUMPY = 0.2
"""A noise of a fifth of the loss itself: its epochs cannot be compared one by one."""

SAME_ACCURACY = 0.005
"""Accuracies that differ by less than half a percent are called the same."""

MORE_ACCURATE = 0.002
"""An epoch is named for its accuracy when it is right in two rows of a thousand more, and in two rows more at least."""

MOST_KEPT = 5
"""Values turned at one step that are named: there are no more knobs."""

ASK_FOR_VALIDATION = "log a validation loss to see whether the run overfits"
"""What to do about a run that evaluates nothing."""


def rough(value: float) -> str:
    """Write a noise for people: no more than two digits of it are known."""
    return short(value, 2)


Trend = Literal["falls", "holds", "rises", "unclear"]
"""What a curve has done; `unclear` where it moved, but by no more than its noise."""


def accuracy_trend(found: Judgement) -> Trend | None:
    """Say what the validation accuracy has done since the best validation loss; None where there is no accuracy."""
    change = found.accuracy - found.accuracy_at_best
    if not math.isfinite(change):
        return None
    if abs(change) < SAME_ACCURACY:
        return "holds"
    if math.isfinite(found.accuracy_noise) and abs(change) < found.accuracy_noise:
        return "unclear" if change < 0 else "holds"
    return "rises" if change > 0 else "falls"


def advise(history: History, found: Judgement, settings: Settings, *, row: int, over: bool) -> str:
    """Say in one line what to try next, after a row of the evaluations; `over` where the run has ended there."""
    advice = _advise(history, found, settings, row=row, over=over)
    last = row == len(history.evaluations) - 1
    if not last or found.state == "warming_up" or found.best < 0 or found.best == found.valid_row:
        return advice
    more_accurate = found.accuracy_best if _more_accurate(history, found) else found.best
    kept = keep(history, found.best, more_accurate)
    return f"{advice}; {kept}" if kept else advice


def _advise(history: History, found: Judgement, settings: Settings, *, row: int, over: bool) -> str:
    if found.state == "overfitting":
        return _against_overfitting(history, found, settings)
    if found.state == "underfitting":
        return _against_underfitting(history, found, settings, row)
    if found.state == "recovered":
        return _after_recovery(history, found)
    if found.state == "warming_up":
        return when_judged(history, over=over)
    return _while_fitting(history, found, settings, over=over)


def by_epochs(history: History) -> bool:
    """Tell whether each evaluation ends an epoch, so that one may speak of epochs; before the first, as was planned."""
    last = len(history.evaluations) - 1
    if last < 0:
        return history.run is None or bool(history.plan.epochs or history.plan.steps_per_epoch)
    return history.epoch_of(last) is not None


def from_one_to_the_next(history: History) -> str:
    """Say between what a loss jumps."""
    return "from epoch to epoch" if by_epochs(history) else "from one evaluation to the next"


def when_judged(history: History, *, over: bool) -> str:
    """Say when a run that is too young is judged."""
    if history.status == "unknown" and len(history.evaluations) and VALID_LOSS not in history.evaluations:
        return ASK_FOR_VALIDATION
    if not by_epochs(history):
        if not len(history.evaluations) and len(history.steps):
            return f"{ASK_FOR_VALIDATION}: a verdict needs {FEWEST} evaluations"
        return f"a verdict needs {FEWEST} evaluations"
    return f"train for at least {FEWEST} epochs" if over else f"a first verdict comes at epoch {FEWEST}"


def _against_overfitting(history: History, found: Judgement, settings: Settings) -> str:
    valid = history.evaluations["valid/loss"].values
    lowest, now = number(valid[found.best]), number(valid[found.valid_row])
    either = f"try {_remedies(settings)}, or stop at {history.where(found.best)}"
    right = _more_accurate(history, found)
    if right:
        return f"{either} for probabilities (loss {lowest}, now {now}), {right}"
    return f"{either}: validation {lowest} there, {now} now"


def _more_accurate(history: History, found: Judgement) -> str:
    """Say which epoch answers right most often, where that lies after the one of the lowest loss."""
    accuracy = history.evaluations["valid/accuracy"].values
    if accuracy_trend(found) not in ("holds", "rises") or found.accuracy_best <= found.best:
        return ""
    rows = valid_rows(history)
    more = max(MORE_ACCURATE, 2 / rows if rows else 0.0)
    if not accuracy[found.accuracy_best] >= accuracy[found.best] + more * (1 - 1e-9):
        return ""
    return f"at {history.where(found.accuracy_best)} for right answers (accuracy {accuracy[found.accuracy_best]:.1%})"


def _remedies(settings: Settings) -> str:
    """Name what holds a net back from learning rows by heart and is not in full use yet."""
    has, remedies = settings.knobs, []
    dropout, l2, decay = settings.knob("dropout"), settings.knob("l2"), settings.knob("weight_decay")
    if dropout < USUAL_DROPOUT:
        remedies.append(f"dropout {short(USUAL_DROPOUT)}" if "dropout" in has else "dropout")
    elif dropout < MOST_DROPOUT:
        remedies.append(f"dropout {short(min(dropout + 0.1, MOST_DROPOUT), 2)}")
    if 0 < l2 < MOST_L2:
        remedies.append(f"l2 {short(min(l2 * 3, MOST_L2), 2)}")
    elif l2 == 0 and decay == 0:
        remedies.append(f"l2 {short(STRONG_L2)}" if "l2" in has else "weight decay")
    elif l2 == 0 and decay < MOST_L2:
        remedies.append(f"weight decay {short(min(decay * 3, MOST_L2), 2)}")
    if not remedies:
        remedies.append("more train rows" if settings.few_rows or not settings.ours else "a smaller net")
    return ", ".join(remedies)


def _against_underfitting(history: History, found: Judgement, settings: Settings, row: int) -> str:
    held = _held_down(history, settings, row)
    if held:
        return held
    start, rate, usual = settings.start_rate, settings.rate, settings.usual_rate
    running = history.evaluations["step/loss"].values[: row + 1]
    highest = float(np.nanmax(running)) if np.isfinite(running).any() else math.nan
    jumps = found.train_noise > 0.01 * found.guessing
    high = start is not None and usual is not None and start > usual
    if high and (highest > 1.5 * found.guessing or jumps or found.slope >= 0):
        return settings.lower_rate()
    if start is not None and rate is not None and rate < start / 100:
        return f"the learning rate has fallen from {short(start)} to {short(rate)}: let it fall later or more slowly"
    if start is None or usual is None:
        return "try another learning rate, or a larger net"
    if start < usual:
        return f"try learning rate {short(usual)} instead of {short(start)}"
    if found.slope < 0 and not jumps and found.stuck_since < 0:
        return f"try learning rate {short(3 * start)} instead of {short(start)}, or more epochs"
    widths = ",".join(str(2 * width) for width in settings.hidden)
    return f"try a wider net (hidden {widths}), or learning rate {short(start / 3, 2)}"


def _held_down(history: History, settings: Settings, row: int) -> str:
    """Blame the regularisation where it is strong and the kernels have shrunk."""
    share = settings.shrunk(history, row)
    # Our own logs hold the norms, but for those from which they were taken: then the penalty alone must do.
    collapsed = settings.ours if share is None else share < COLLAPSED
    if collapsed:
        near_zero = share is None or share < NEAR_ZERO
        how = "the weights near zero" if near_zero else f"the weights at {share:.0%} of their start"
        for name, value in settings.knobs.items():
            least = STRONG_L2 if name == "l2" else 0.0
            if name != "dropout" and value > least:
                lower = STRONG_L2 if name == "l2" else value / 10
                holds = "it holds" if name == "weight_decay" else "the penalty holds"
                return f"try {name.replace('_', ' ')} {short(lower)} instead of {short(value)}: {holds} {how}"
    if settings.knob("dropout") > 0.5:
        return f"try dropout {short(USUAL_DROPOUT)} instead of {short(settings.knob('dropout'))}"
    return ""


def _after_recovery(history: History, found: Judgement) -> str:
    table = history.evaluations
    turned = [
        change for change in history.changes if change.step <= table.step.values[found.since] and change.new is not None
    ]
    best = f"best so far {number(table['valid/loss'].values[found.best])} at {history.where(found.best)}"
    if not turned:
        return f"go on; {best}"
    last = turned[-1]
    values = {change.what: change.new for change in turned if change.step == last.step and change.new is not None}
    kept = ", ".join(f"{what.replace('_', ' ')} {short(new)}" for what, new in list(values.items())[:MOST_KEPT])
    since = f"epoch {last.epoch}" if history.counts_epochs else f"step {last.step:,}"
    return f"keep {kept} (since {since}); {best}"


def _while_fitting(history: History, found: Judgement, settings: Settings, *, over: bool) -> str:
    if found.valid_row < 0:
        return ASK_FOR_VALIDATION
    start, rate = settings.start_rate, settings.rate
    loud = found.noise > JUMPY * max(found.valid, 1e-3) and found.train_noise > JUMPY * max(found.train, 0.1)
    if loud and goes_up_and_down(history, found.valid_row):
        lower = f"learning rate {short(rate / 3, 2)}" if rate is not None else "a lower learning rate"
        return f"losses jump by ±{rough(found.noise)} {from_one_to_the_next(history)}: try {lower}"
    if start is not None and rate is not None and rate < start / 100 and abs(found.slope) < 1e-3 * found.train:
        fallen = f"the learning rate has fallen from {short(start)} to {short(rate, 2)}"
        return f"{fallen} and nothing moves any more: stop, or let it fall more slowly"
    idle, unit = idle_since(history, found.improved, found.valid_row)
    if idle < SOON and not (over and found.improved != found.valid_row and _has_risen(history, found)):
        return _still_improving(history, settings, over=over)
    if idle < 2 * SOON:
        return (
            ("try more epochs" if by_epochs(history) else "train for longer")
            if over
            else f"no better for {idle} {unit}: wait a little longer"
        )
    rows = valid_rows(history)
    if rows is not None and rows < FEW_ROWS and found.noise > JUMPY * found.valid:
        return f"leave more rows for validation than {rows}: its noise hides what changes"
    return _gone_stale(history, found, settings)


def _has_risen(history: History, found: Judgement) -> bool:
    """Tell whether the validation loss now lies above its best by more than its noise may do."""
    best = history.evaluations["valid/loss"].values[found.best]
    return bool(found.valid > best + RISEN * found.noise)


def goes_up_and_down(history: History, row: int) -> bool:
    """Tell whether the validation loss up to a row has turned more than once of late.

    The changes of a curve that bends differ from each other, too, and look like noise; but nothing jumps there.
    """
    values = history.evaluations["valid/loss"].values[: row + 1]
    recent = values[np.isfinite(values)][-RECENT - 1 :]
    before, after = recent[:-1], recent[1:]
    return min(int((after > before).sum()), int((after < before).sum())) > 1


def _still_improving(history: History, settings: Settings, *, over: bool) -> str:
    if not over:
        return "validation is still falling: go on"
    start, usual = settings.start_rate, settings.usual_rate
    faster = ""
    if settings.constant_rate and start is not None and usual is not None and start < usual / 3:
        faster = f" or learning rate {short(usual)} instead of {short(start)}"
    longer = f"try more than {history.plan.epochs} epochs" if history.plan.epochs else "train for longer"
    return f"still improving: {longer}{faster}"


def _gone_stale(history: History, found: Judgement, settings: Settings) -> str:
    hardly = "no better" if found.improved == found.best else "hardly better"
    stale = f"{hardly} since {history.where(found.improved)} and not clearly worse"
    right = _more_accurate(history, found)
    if right and accuracy_trend(found) == "rises":
        rises = f"accuracy rises ({found.accuracy_at_best:.1%} → {found.accuracy:.1%})"
        return f"{stale}, but {rises}: stop at {history.where(found.best)} for probabilities, {right}"
    if found.train < BY_HEART * found.valid and math.isfinite(
        history.evaluations["train/loss"].values[found.train_row]
    ):
        return f"{stale}, while training loss is {number(found.train)}: stop, or try {_remedies(settings)}"
    return f"{stale}: stop, or lower the learning rate"


def idle_since(history: History, since: int, row: int) -> tuple[int, str]:
    """Count the epochs from one row of the evaluations to another, or the evaluations where there are more of them."""
    epochs = history.evaluations["epoch"].values
    passed = epochs[row] - epochs[since]
    return (int(passed), "epochs") if passed >= row - since else (row - since, "evaluations")


def valid_rows(history: History) -> int | None:
    """Give the number of validation rows, where the log says it."""
    return history.plan.valid_rows
