"""History: the pure fold from events to what the screen and the report show."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec
import numpy as np

from regtui.core.config import RunConfig
from regtui.core.events import (
    Changed,
    Checkpoint,
    CheckpointsSeen,
    EpochEnded,
    Evaluated,
    Event,
    Noted,
    Resumed,
    Rows,
    RunEnded,
    RunStarted,
    StepEnded,
    SystemSampled,
)
from regtui.core.plan import MOST_COUNT, Plan, plan_from
from regtui.core.rows import ALWAYS_KEPT, of_evaluations, of_samples, of_steps
from regtui.core.series import FloatArray
from regtui.core.table import Table

T = TypeVar("T")

MOST_EVALUATIONS = 1 << 20
"""Rows of the evaluations; of more, every second one is kept. Ten times the longest run that anybody has shown us."""

MOST_CHANGES = 200_000
"""Changes kept, the newest: a policy that drops the rate at every step of a day's run makes as many."""

MOST_NOTES = 10_000
"""Notes kept, the newest: nobody scrolls further."""

CHANGES_LEFT_OUT = "of its changes only the newest are kept: there are too many to keep all"
NOTES_LEFT_OUT = "of its notes only the newest are kept: there are too many to keep all"
"""What a History says of a log that is too large for it."""


class History:
    """Everything known of one run, folded from its events; the fold does not depend on how they are batched."""

    def __init__(self) -> None:
        self._reset(None)
        self.version = 0
        """Grows with every batch that brought something: cheap to compare."""
        self.news = 0
        """As `version`, but for batches of samples of the machine alone: those go on beside a training that hangs."""

    def _reset(self, run: RunStarted | None) -> None:
        self.run = run
        self.end: RunEnded | None = None
        self.steps = Table(ALWAYS_KEPT)
        """A row a recorded update: `step/loss`, `penalty`, `learning_rate`, `time`, and what else was logged."""
        self.evaluations = Table(ALWAYS_KEPT, MOST_EVALUATIONS)
        """A row an epoch's end, or any step at which metrics were measured: `epoch`, `measured` (1 where a split was
        measured, whatever came of it), `train/loss`, `valid/loss`, `train/accuracy`, ..., `step/loss` (mean of the
        batches), `penalty`, `learning_rate`, `norm/<layer>`, `seconds`, `evaluate_seconds`, `time`, and what else was
        logged."""
        self.system = Table(ALWAYS_KEPT, MOST_EVALUATIONS)
        """A row a sample of the machine that trains, by `time`."""
        self.changes: list[Changed] = []
        self.notes: list[Noted] = []
        self.resumed: list[Resumed] = []
        """Where the run went on from an earlier point; what had been recorded after it is gone."""
        self.checkpoints: tuple[Checkpoint, ...] = ()
        """What lies beside the log, as far as it is known."""
        self._steps_counted = False
        self.plan: Plan = plan_from(run.plan, run.config, run.environment) if run else Plan()
        """What the run intends, as far as it was said."""
        self._left_out: tuple[str, ...] = ()
        self._derived: dict[Callable[[History], Any], Any] = {}
        self._now: dict[Callable[[History], Any], Any] = {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was too much to keep of this run, a sentence each."""
        tables = (self.steps.left_out, self.evaluations.left_out, self.system.left_out)
        return tuple(dict.fromkeys(sentence for said in (*tables, self._left_out) for sentence in said))

    def derived(self, make: "Callable[[History], T]") -> T:
        """Give what `make` made of this run, the same one until a new run begins.

        Here lives whatever follows the run as it grows, such as the judge of its epochs, so that it goes with the
        run.
        """
        if make not in self._derived:
            self._derived[make] = make(self)
        made: T = self._derived[make]
        return made

    def now(self, make: "Callable[[History], T]") -> T:
        """Give what `make` makes of this run as it stands: worked out once, however often it is asked for."""
        if make not in self._now:
            self._now[make] = make(self)
        made: T = self._now[make]
        return made

    @property
    def config(self) -> RunConfig | None:
        """What was asked for; None for a run that regtui did not train, and for a log that does not say."""
        return self.run.config if self.run else None

    @property
    def trainer(self) -> str | None:
        """Who trained; a log of version 1 says it by its configuration. None where nobody said."""
        if self.run is None:
            return None
        return self.run.trainer or ("regtui" if self.run.config is not None else None)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was set, by name: of regtui's own runs the fields of the configuration that have a value."""
        if self.config is None:
            return self.run.settings if self.run else {}
        values = msgspec.structs.asdict(self.config)
        return {name: value for name, value in values.items() if value is not None}

    @property
    def status(self) -> str:
        """`empty`, `running` (no end seen), `unknown` (its log never says) or the status of the end."""
        if self.end is not None:
            return self.end.status
        if self.run is not None and self.run.open_end is True:
            return "unknown"
        return "running" if self.run or len(self.steps) or len(self.evaluations) else "empty"

    @property
    def step(self) -> int:
        """Updates completed, as far as is known; where nobody counts them, epochs."""
        last = [self.steps.step.last, self.evaluations.step.last, float(self.end.step) if self.end else 0.0]
        return int(max((value for value in last if value == value), default=0))

    @property
    def steps_per_epoch(self) -> float:
        """Updates in one epoch: as the run said, else as its epochs show; NaN while unknown."""
        if self.plan.steps_per_epoch:
            return self.plan.steps_per_epoch
        epoch = self.evaluations["epoch"].last
        return self.evaluations.step.last / epoch if epoch > 0 else math.nan

    @property
    def total_steps(self) -> float:
        """Updates of the whole run as planned; NaN while unknown."""
        if self.plan.total_steps:
            return float(self.plan.total_steps)
        return self.steps_per_epoch * self.plan.epochs if self.plan.epochs else math.nan

    @property
    def counts_steps(self) -> bool:
        """Whether anybody counts updates, as far as is known; else `step` of the tables is the epoch."""
        return self._steps_counted or not (len(self.evaluations) or "epoch" in self.steps)

    @property
    def counts_epochs(self) -> bool:
        """Whether the rows of `evaluations` say their epoch, as far as there are any; before them, whether it is so
        planned."""
        if len(self.evaluations):
            return "epoch" in self.evaluations
        planned = self.plan.epochs or self.plan.steps_per_epoch
        return bool(planned) or "epoch" in self.steps or not len(self.steps)

    def newest(self, name: str) -> float | None:
        """Give the last known number of a quantity that steps and evaluations carry; None where there is none.

        The newer table wins: of a long run only some steps are recorded, and its epochs end between them.
        """
        steps_are_newer = len(self.steps) and not self.steps.step.last <= self.evaluations.step.last
        tables = (self.steps, self.evaluations)
        for table in tables if steps_are_newer else reversed(tables):
            if math.isfinite(table[name].last):
                return table[name].last
        return None

    @property
    def resumed_at(self) -> list[float]:
        """The places, in the unit of the tables' steps, after which the run went on from an earlier point."""
        by_step = self.counts_steps
        return [float(each.step) if by_step or each.epoch is None else each.epoch for each in self.resumed]

    @property
    def unit(self) -> str:
        """What `progress` counts: `epoch` or `evaluation`."""
        return "epoch" if self.counts_epochs else "evaluation"

    @property
    def progress(self) -> FloatArray:
        """Where each row of `evaluations` is, for slopes and distances: its epoch, else its number from 1."""
        if self.counts_epochs:
            return self.evaluations["epoch"].values
        return np.arange(1.0, len(self.evaluations) + 1)

    def epoch_of(self, row: int) -> int | None:
        """Give the number of the epoch that a row of `evaluations` ended; None for one within an epoch, or no row."""
        values = self.evaluations["epoch"].values
        known = 0 <= row < len(values) and abs(values[row]) <= MOST_COUNT and values[row] == int(values[row])
        return int(values[row]) if known else None

    def step_of(self, row: int) -> int | None:
        """Give the updates completed at a row of `evaluations`; None for no row, and where nobody counts them."""
        if not self.counts_steps:
            return None
        values = self.evaluations.step.values
        return int(values[row]) if 0 <= row < len(values) and math.isfinite(values[row]) else None

    def where(self, row: int) -> str:
        """Say where a row of `evaluations` is: `epoch 16`, `epoch 2.4`, `step 4,000`; empty for no row."""
        if not 0 <= row < len(self.evaluations):
            return ""
        epoch = self.evaluations["epoch"].values[row]
        if math.isfinite(epoch):
            return f"epoch {self.epoch_of(row) if self.epoch_of(row) is not None else format(epoch, '.3g')}"
        return f"step {self.step_of(row) or 0:,}"

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events in; a `run` record starts afresh, so that the newest run of a log is shown."""
        batch = list(events)
        if not batch:
            return
        self.version += 1
        self._now.clear()
        # By exact types, all at once: a log is nearly all steps, and a million of them are folded in a second.
        kinds = list(map(type, batch))
        self.news += kinds.count(SystemSampled) < len(kinds)
        if RunStarted in kinds:
            newest = len(kinds) - 1 - kinds[::-1].index(RunStarted)
            self._reset(cast(RunStarted, batch[newest]))
            batch, kinds = batch[newest + 1 :], kinds[newest + 1 :]
        halvings = self.steps.halvings + self.evaluations.halvings
        grown = self._fold(batch, kinds)
        self._keep_to_bounds()
        if not grown or halvings != self.steps.halvings + self.evaluations.halvings:
            # Whatever followed the rows one by one begins again, on those that are there now.
            self._derived.clear()

    def _fold(self, batch: list[Event], kinds: list[type]) -> bool:
        """Fold in events of one run; False where rows or changes that were there before are no longer the same."""
        grown, start = True, 0
        if Rows in kinds or Resumed in kinds:
            for at, event in enumerate(batch):
                if isinstance(event, Rows | Resumed):
                    # They change rows, so what came before them must have its place in the tables by then.
                    self._add(batch[start:at], kinds[start:at])
                    grown = (self._put(event) if isinstance(event, Rows) else self._resume(event)) and grown
                    start = at + 1
        self._add(batch[start:], kinds[start:])
        return grown

    def _add(self, batch: list[Event], kinds: list[type]) -> None:
        """Add records at the end of what there is."""
        steps, others = batch, []
        if kinds.count(StepEnded) < len(batch):
            steps = [event for event, kind in zip(batch, kinds, strict=True) if kind is StepEnded]
            others = [event for event, kind in zip(batch, kinds, strict=True) if kind is not StepEnded]
        evaluations: list[EpochEnded | Evaluated] = []
        samples: list[SystemSampled] = []
        for event in others:
            match event:
                case EpochEnded() | Evaluated():
                    evaluations.append(event)
                case Changed():
                    self.changes.append(_placed(event))
                case Noted():
                    self.notes.append(event)
                case CheckpointsSeen():
                    self.checkpoints = event.checkpoints
                case SystemSampled():
                    samples.append(event)
                case RunEnded():
                    self.end = event
        if steps:
            self._steps_counted = True
            known = cast(list[StepEnded], steps)
            self.steps.extend([event.step for event in known], of_steps(known, self.steps))
        if evaluations:
            places = [self._place(event) for event in evaluations]
            self.evaluations.extend(places, of_evaluations(evaluations, self.evaluations))
        if samples:
            self.system.extend([event.step for event in samples], of_samples(samples, self.system))

    def _keep_to_bounds(self) -> None:
        """Let the oldest notes and changes go, half of them at a time, so that it is seldom done."""
        if len(self.notes) > 2 * MOST_NOTES:
            del self.notes[:-MOST_NOTES]
            self._left_out = tuple(dict.fromkeys((*self._left_out, NOTES_LEFT_OUT)))
        if len(self.changes) > MOST_CHANGES:
            del self.changes[: -MOST_CHANGES // 2]
            self._left_out = tuple(dict.fromkeys((*self._left_out, CHANGES_LEFT_OUT)))
            self._derived.clear()

    def _place(self, event: EpochEnded | Evaluated) -> float:
        """Give the step of an evaluation; where nobody counts steps its epoch stands for it."""
        self._steps_counted = self._steps_counted or event.step > 0
        return float(event.step or event.epoch or 0)

    def _put(self, rows: Rows) -> bool:
        """Lay rows of another trainer's log into their table; False where others have changed by it."""
        columns: Mapping[str, FloatArray] = dict(rows.columns)
        step = rows.step
        if rows.table == "evaluations" and "measured" not in columns:
            columns = {**columns, "measured": _measured(columns, len(step))}
        if np.isnan(step).all():
            step = columns.get("epoch", step)
        else:
            self._steps_counted = True
        known = np.isfinite(step)
        if not known.all():
            step, columns = step[known], {name: values[known] for name, values in columns.items()}
        table: Table = getattr(self, rows.table)
        if rows.table == "system":
            table.extend(step, columns)
            return True
        return table.put(step, columns)

    def _resume(self, resumed: Resumed) -> bool:
        """Go back to an earlier point: what came after it did not lead to where the run is now."""
        self.resumed.append(resumed)
        self.end = None
        step = self.resumed_at[-1]
        kept = [change for change in self.changes if change.step <= step]
        tables = (self.steps, self.evaluations, self.system)
        cut = [len(kept) < len(self.changes), *(table.cut(step) for table in tables)]
        self.changes = kept
        return not any(cut)


def _placed(change: Changed) -> Changed:
    """Give a change its place where nobody counts steps, which is the epoch that was over by then."""
    counted = change.step > 0 or change.epoch <= 1
    return change if counted else msgspec.structs.replace(change, step=change.epoch - 1)


def _measured(columns: Mapping[str, FloatArray], size: int) -> FloatArray:
    """Tell, row by row, whether a split was measured: 1 or 0."""
    found = np.zeros(size)
    for name, values in columns.items():
        if name.startswith(("train/", "valid/")):
            found[np.isfinite(values)] = 1.0
    return found
