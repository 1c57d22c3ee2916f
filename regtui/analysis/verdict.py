"""What a run's curves say, in words and numbers: the verdict, its evidence and one line of advice.

States: `warming_up` (too few epochs to say), `fitting` (learning, nothing wrong), `underfitting` (has not learned
what it could and is not on its way), `overfitting` (validation loss risen above its best by more than its own noise
for several epochs, while the training loss fell), `recovered` (was overfitting; the validation loss came back),
`diverged` (a loss that is no number, or far above that of guessing).
"""

import math

import msgspec

from regtui.analysis.advice import FEW_ROWS, JUMPY, Settings, advise, rough, valid_rows
from regtui.analysis.judge import FEWEST, Judgement, State, judgement
from regtui.core.history import History
from regtui.core.series import FloatArray
from regtui.core.text import number

VISIBLE = 0.005
"""A noise under 0.005 nats hides nothing."""


STILL = 0.0005
"""A training loss that changes by less than this in an epoch, in nats, stands still: 2,000 epochs for one nat."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said of a run, at one of its epochs."""

    state: State
    """One of `warming_up`, `underfitting`, `fitting`, `overfitting`, `recovered`, `diverged`."""
    since_epoch: int | None
    """Epoch since which it holds; for overfitting that of the best validation loss. None before the first epoch, and
    for a run that does not count epochs."""
    since_step: int | None = None
    """The same as updates completed; None before the first evaluation."""
    evidence: str
    """The numbers it rests on, for a person; losses in nats."""
    advice: str
    """One line: what to try next, from this run's own configuration."""
    cannot_judge: tuple[str, ...] = ()
    """What could not be judged, and why; a sentence each."""
    overfitting_judged: bool = False
    """Whether there was enough to say if the run overfits."""

    @property
    def words(self) -> str:
        """The state as one says it: `warming up`, `overfitting since epoch 24`."""
        text = self.state.replace("_", " ")
        if self.state not in ("overfitting", "recovered", "diverged"):
            return text
        if self.since_epoch is not None:
            return f"{text} since epoch {self.since_epoch}"
        return text if self.since_step is None else f"{text} since step {self.since_step:,}"


def verdict(history: History) -> Verdict:
    """Say what the run's curves show now."""
    return history.now(_newest)


def _newest(history: History) -> Verdict:
    return _verdict(history, len(history.evaluations) - 1, latest=True)


def verdict_at(history: History, row: int) -> Verdict:
    """Say what was known at a row of the evaluations, from it and those before it alone; -1 is before the first."""
    return _verdict(history, row, latest=row == len(history.evaluations) - 1 and row >= 0)


def _verdict(history: History, row: int, *, latest: bool) -> Verdict:
    found = judgement(history, row) if row >= 0 else None
    lost = _lost_at(history) if latest else None
    if lost is not None or (found and found.state == "diverged"):
        return _diverged(history, row, found, lost)
    if found is None:
        return Verdict(
            state="warming_up",
            since_epoch=None,
            evidence="no epoch has ended yet" if history.status != "empty" else "no run yet",
            advice=f"a first verdict comes at epoch {FEWEST}",
            cannot_judge=("overfitting: no epoch has been evaluated",),
        )
    settings = Settings.at(history, row)
    over = latest and history.end is not None
    return Verdict(
        state=found.state,
        since_epoch=history.epoch_of(found.since),
        since_step=history.step_of(found.since),
        evidence=_evidence(history, found),
        advice=advise(history, found, settings, row=row, over=over),
        cannot_judge=tuple(_gaps(history, found, over=over)),
        overfitting_judged=found.evaluated >= FEWEST,
    )


def _lost_at(history: History) -> int | None:
    """Give the step at which the loss stopped being a number, within the epoch that has not ended yet.

    A log without a single finite batch loss has not measured them: nothing is lost there.
    """
    if history.end is not None and history.end.status == "diverged":
        return history.step
    loss, steps = history.steps["step/loss"].values, history.steps.step.values
    if not len(loss) or math.isfinite(loss[-1]) or not history.steps.step.last > _last_step(history):
        return None
    # Backwards in blocks, so that a frame late in a long run does not look at all of it.
    end = len(loss)
    while end > 0:
        block: FloatArray = loss[max(0, end - 4096) : end]
        finite = (block == block).nonzero()[0]
        if len(finite):
            first = end - len(block) + int(finite[-1]) + 1
            return int(steps[first])
        end -= len(block)
    return None


def _last_step(history: History) -> float:
    return history.evaluations.step.last if len(history.evaluations) else -math.inf


def _diverged(history: History, row: int, found: Judgement | None, lost: int | None) -> Verdict:
    settings = Settings.at(history, row)
    in_table = found is not None and found.state == "diverged"
    if in_table and found is not None:
        since, since_step = history.epoch_of(found.since), history.step_of(found.since)
    else:
        since = (history.epoch_of(row) or 0) + 1 if history.counts_epochs else None
        since_step = lost
    parts = []
    running, train = history.evaluations["step/loss"].values, history.evaluations["train/loss"].values
    here = train[row] if row >= 0 and math.isfinite(train[row]) else (running[row] if row >= 0 else math.nan)
    guessing = found.guessing if found else math.nan
    if in_table and math.isfinite(here):
        parts.append(
            f"training loss {number(here)} in epoch {history.epoch_of(row)}, guessing costs {number(guessing)}"
        )
    elif history.end is not None and history.end.reason and lost is not None:
        parts.append(history.end.reason)
    else:
        at = f" at step {lost:,}" if lost is not None else ""
        parts.append(f"the loss is not a finite number since epoch {since}{at}")
    if found and found.best >= 0:
        value = number(history.evaluations["valid/loss"].values[found.best])
        parts.append(f"best validation loss {value} at epoch {history.epoch_of(found.best)}")
    return Verdict(
        state="diverged",
        since_epoch=since,
        since_step=since_step,
        evidence="; ".join(parts),
        advice=settings.lower_rate(),
        overfitting_judged=True,
    )


def _evidence(history: History, found: Judgement) -> str:
    table = history.evaluations
    valid = number(table["valid/loss"].values[found.valid_row]) if found.valid_row >= 0 else ""
    best = number(table["valid/loss"].values[found.best]) if found.best >= 0 else ""
    best_epoch = history.epoch_of(found.best)
    train = number(found.train)
    noise = f"noise ±{rough(found.noise)}" if math.isfinite(found.noise) else "noise not known yet"
    if found.state == "overfitting":
        above = table["valid/loss"].values[found.valid_row] - table["valid/loss"].values[found.best]
        return (
            f"validation {valid}, {number(above)} above its best {best} at epoch {best_epoch} ({noise}); "
            f"training {number(found.train_at_best)} → {train}"
        )
    if found.state == "recovered":
        return f"validation loss {valid}, down again to near its best {best} of epoch {best_epoch} ({noise})"
    if found.state == "underfitting":
        moving = f"{'falling' if found.slope < 0 else 'rising'} by {rough(abs(found.slope))} an epoch"
        pace = moving if abs(found.slope) >= STILL else "standing still"
        text = f"training loss {train}, guessing costs {number(found.guessing)}; {pace}"
        return f"{text}; validation loss {valid}" if valid else text
    if not valid:
        return f"training loss {train}, no validation loss" if math.isfinite(found.train) else "no loss measured yet"
    text = f"validation loss {valid}, best {best} at epoch {best_epoch}"
    if math.isfinite(found.train):
        text += (
            f"; training loss {number(table['train/loss'].values[found.train_row])}"
            if _measured(history, found)
            else ""
        )
    return f"{text}; {noise}"


def _measured(history: History, found: Judgement) -> bool:
    return found.train_row >= 0 and math.isfinite(history.evaluations["train/loss"].values[found.train_row])


def _gaps(history: History, found: Judgement, *, over: bool) -> list[str]:
    """Say what could not be judged, and why."""
    gaps = []
    if not found.evaluated:
        gaps.append("overfitting: the log has no validation loss")
    elif found.evaluated < FEWEST:
        so_far = f"{found.evaluated} epoch{'s' if found.evaluated > 1 else ''} evaluated"
        gaps.append(f"overfitting: {so_far}, at least {FEWEST} are needed" + (", and the run is over" if over else ""))
    elif found.state == "fitting" and found.noise > max(JUMPY * found.valid, VISIBLE):
        rows = valid_rows(history)
        few = f" ({rows} rows)" if rows is not None and rows < FEW_ROWS else ""
        gaps.append(
            f"a small rise: the validation loss{few} jumps by ±{rough(found.noise)} from epoch to epoch, "
            f"and a rise under {number(found.threshold)} does not stand out"
        )
    if found.train_row < 0:
        gaps.append("underfitting: the log has no training loss")
    elif not _measured(history, found):
        gaps.append("gap: the training loss was not measured after the epochs, only while training")
    if not found.guessing > 0:
        gaps.append("underfitting: the loss at the start is not known")
    return gaps
