"""What a run's curves say, in words and numbers: the verdict, its evidence and one line of advice.

States: `warming_up` (too few epochs to say), `fitting` (learning, nothing wrong), `underfitting` (has not learned
what it could and is not on its way), `overfitting` (validation loss risen above its best by more than its own noise
for several epochs, while the training loss fell), `recovered` (was overfitting; the validation loss came back),
`diverged` (a loss that is no number, or far above that of guessing, or climbing there; also where nothing is
evaluated). What each is asked for stands in `overfitting.py`, `underfitting.py` and `divergence.py`.
"""

import math

import msgspec

from regtui.analysis.advice import (
    ASK_FOR_VALIDATION,
    FEW_ROWS,
    JUMPY,
    advise,
    by_epochs,
    from_one_to_the_next,
    goes_up_and_down,
    rough,
    valid_rows,
    when_judged,
)
from regtui.analysis.divergence import Climb, lost_at
from regtui.analysis.evidence import epoch_under_way, evidence, evidence_of_batches, evidence_of_divergence, measured
from regtui.analysis.facts import only_prints
from regtui.analysis.judge import Judgement, State, judgement
from regtui.analysis.overfitting import FEWEST
from regtui.analysis.settings import Settings
from regtui.core.history import History
from regtui.core.text import number

VISIBLE = 0.005
"""A noise under 0.005 nats hides nothing."""

NO_VALIDATION = "overfitting: the log has no validation loss"
NOTHING_EVALUATED = "overfitting: no epoch has been evaluated"
"""What cannot be judged before the first evaluation."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What can be said of a run, at one of its epochs."""

    state: State
    """One of `warming_up`, `underfitting`, `fitting`, `overfitting`, `recovered`, `diverged`."""
    since_epoch: int | None
    """Epoch since which it holds; for overfitting that of the best validation loss. None before the first epoch, and
    for a run that does not count epochs."""
    since_step: int | None = None
    """The same as updates completed; None before the first evaluation."""
    since: str = ""
    """The same in words: `epoch 16`, `epoch 2.4`, `step 4,000`; empty where nothing is known."""
    evidence: str
    """The numbers it rests on, for a person; losses in nats."""
    advice: str
    """One line: what to try next, from this run's own settings."""
    cannot_judge: tuple[str, ...] = ()
    """What could not be judged, and why; a sentence each."""
    overfitting_judged: bool = False
    """Whether there was enough to say if the run overfits."""

    @property
    def words(self) -> str:
        """The state as one says it: `warming up`, `overfitting since epoch 24`."""
        text = self.state.replace("_", " ")
        dated = self.state in ("overfitting", "recovered", "diverged") and self.since
        return f"{text} since {self.since}" if dated else text


def verdict(history: History) -> Verdict:
    """Say what the run's curves show at its newest record; worked out once until more comes."""
    return history.now(_newest)


def _newest(history: History) -> Verdict:
    return _verdict(history, len(history.evaluations) - 1, latest=True)


def verdict_at(history: History, row: int) -> Verdict:
    """Say what was known at a row of the evaluations, from it and those before it alone; -1 is before the first."""
    return _verdict(history, row, latest=row == len(history.evaluations) - 1 and row >= 0)


def _verdict(history: History, row: int, *, latest: bool) -> Verdict:
    found = judgement(history, row) if row >= 0 else None
    lost = lost_at(history) if latest else None
    if lost is not None or (found and found.state == "diverged"):
        return _diverged(history, row, found, lost)
    if found is None or max(found.train_row, found.valid_row) < 0:
        climb = _climb(history) if latest else None
        if climb is not None:
            return climb
    over = latest and history.end is not None
    if found is None:
        return _before_the_first(history, over=over)
    return Verdict(
        state=found.state,
        since_epoch=history.epoch_of(found.since),
        since_step=history.step_of(found.since),
        since=history.where(found.since),
        evidence=evidence(history, found),
        advice=advise(history, found, Settings.at(history, row), row=row, over=over),
        cannot_judge=tuple(_gaps(history, found, over=over)),
        overfitting_judged=found.evaluated >= FEWEST,
    )


def _before_the_first(history: History, *, over: bool) -> Verdict:
    if only_prints(history):
        said = f"this command {'wrote' if over else 'has written'} no log of a training{'' if over else ' so far'}"
        return Verdict(
            state="warming_up", since_epoch=None, evidence=said, advice="", cannot_judge=(NOTHING_EVALUATED,)
        )
    if history.status == "empty":
        said = "no run yet"
    elif by_epochs(history) and not over:
        said = "no epoch has ended yet"
    else:
        climb = history.derived(Climb)
        batches = f"; {evidence_of_batches(history, climb)}" if math.isfinite(climb.level) else ""
        said = f"nothing {'was' if over else 'has been'} evaluated{batches}"
    none = _has_none(history)
    asks = len(history.steps) and (over or none)
    return Verdict(
        state="warming_up",
        since_epoch=None,
        evidence=said,
        advice=ASK_FOR_VALIDATION if asks else when_judged(history, over=over),
        cannot_judge=(NO_VALIDATION if none else NOTHING_EVALUATED,),
    )


def _has_none(history: History) -> bool:
    """Tell whether a log of another trainer, which has batches, evaluates nothing as far as it goes."""
    return history.status == "unknown" and bool(len(history.steps))


def _climb(history: History) -> Verdict | None:
    """Judge a run that has measured nothing but its batches; None where they do not climb."""
    climb = history.derived(Climb)
    climb.follow(history)
    if not climb.on:
        return None
    step = int(history.steps.step.values[climb.since])
    return Verdict(
        state="diverged",
        since_epoch=None,
        since_step=step,
        since=f"step {step:,}",
        evidence=evidence_of_batches(history, climb),
        advice=Settings.at(history, len(history.evaluations) - 1).lower_rate(),
        cannot_judge=(NOTHING_EVALUATED,),
    )


def _diverged(history: History, row: int, found: Judgement | None, lost: int | None) -> Verdict:
    if found is not None and found.state == "diverged":
        since, since_step, where = (
            history.epoch_of(found.since),
            history.step_of(found.since),
            history.where(found.since),
        )
    else:
        since, since_step = epoch_under_way(history, row), lost
        where = f"epoch {since}" if since is not None else f"step {lost or 0:,}"
    return Verdict(
        state="diverged",
        since_epoch=since,
        since_step=since_step,
        since=where,
        evidence=evidence_of_divergence(history, row, found, lost),
        advice=Settings.at(history, row).lower_rate(),
        overfitting_judged=True,
    )


def _jumps(history: History, found: Judgement) -> bool:
    return math.isfinite(found.threshold) and goes_up_and_down(history, found.valid_row)


def _gaps(history: History, found: Judgement, *, over: bool) -> list[str]:
    """Say what could not be judged, and why."""
    gaps = []
    if not found.evaluated:
        gaps.append(NO_VALIDATION)
    elif found.evaluated < FEWEST:
        unit = "epoch{} evaluated" if by_epochs(history) else "evaluation{}"
        so_far = f"{found.evaluated} {unit.format('s' if found.evaluated > 1 else '')}"
        gaps.append(f"overfitting: {so_far}, at least {FEWEST} are needed" + (", and the run is over" if over else ""))
    elif found.state == "fitting" and found.noise > max(JUMPY * found.valid, VISIBLE) and _jumps(history, found):
        rows = valid_rows(history)
        few = f" ({rows} rows)" if rows is not None and rows < FEW_ROWS else ""
        gaps.append(
            f"a small rise: the validation loss{few} jumps by ±{rough(found.noise)} {from_one_to_the_next(history)}, "
            f"and a rise under {number(found.threshold)} does not stand out"
        )
    if found.train_row < 0:
        gaps.append("underfitting: the log has no training loss")
        if found.state == "overfitting":
            gaps[-1] = "whether the training loss falls meanwhile: the log has none"
    elif not measured(history, found):
        gaps.append(
            "gap: the training loss is the running one (dropout on), an upper bound of the one measured afterwards; so "
            "the gap is a lower bound"
        )
    if not found.guessing > 0 and found.state != "overfitting":
        gaps.append("underfitting: the log does not say how many classes there are")
    return gaps
