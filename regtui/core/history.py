"""History: the pure fold from events to what the screen and the report show."""

from collections.abc import Iterable

import numpy as np

from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Metrics, Noted, RunEnded, RunStarted, StepEnded
from regtui.core.series import Column

NOT_MEASURED = Metrics()


class StepColumns:
    """What each recorded optimizer update left, one column a quantity, all of one length."""

    def __init__(self) -> None:
        self.step = Column()
        """Updates completed; never falls, also in a log whose steps do."""
        self.loss = Column()
        self.penalty = Column()
        self.learning_rate = Column()
        self.time = Column()

    def __len__(self) -> int:
        return len(self.step)


class EpochColumns:
    """What each epoch left, one column a quantity, all of one length."""

    def __init__(self) -> None:
        self.epoch = Column()
        self.step = Column()
        """Updates completed at its end; never falls."""
        self.train_loss = Column()
        self.train_accuracy = Column()
        self.valid_loss = Column()
        self.valid_accuracy = Column()
        self.running_loss = Column()
        self.penalty = Column()
        self.learning_rate = Column()
        self.seconds = Column()
        self.evaluate_seconds = Column()
        self.time = Column()
        self.measured = Column()
        """1 where the epoch was evaluated, whatever came of it; 0 where it was not."""
        self.weight_norms: dict[str, Column] = {}
        """L2 norm of each kernel by layer, in the order of the layers."""

    def __len__(self) -> int:
        return len(self.epoch)


class History:
    """Everything known of one run, folded from its events; the fold does not depend on how they are batched."""

    def __init__(self) -> None:
        self._reset(None)
        self.version = 0
        """Grows with every batch that brought something: cheap to compare."""

    def _reset(self, run: RunStarted | None) -> None:
        self.run = run
        self.end: RunEnded | None = None
        self.steps = StepColumns()
        self.epochs = EpochColumns()
        self.changes: list[Changed] = []
        self.notes: list[Noted] = []

    @property
    def config(self) -> RunConfig | None:
        """What was asked for; None for a log that does not say."""
        return self.run.config if self.run else None

    @property
    def status(self) -> str:
        """`empty`, `running` (no end seen) or the status of the end."""
        if self.end is not None:
            return self.end.status
        return "running" if self.run or len(self.steps) or len(self.epochs) else "empty"

    @property
    def step(self) -> int:
        """Updates completed, as far as is known."""
        last = [self.steps.step.last, self.epochs.step.last, float(self.end.step) if self.end else 0.0]
        return int(max((value for value in last if value == value), default=0))

    @property
    def steps_per_epoch(self) -> float:
        """Updates in one epoch: as the run said, else as its epochs show; NaN while unknown."""
        said = self.run.environment.get("steps_per_epoch") if self.run else None
        if isinstance(said, int | float) and not isinstance(said, bool) and 0 < said < float("inf"):
            return float(said)
        if len(self.epochs) and self.epochs.epoch.last > 0:
            return self.epochs.step.last / self.epochs.epoch.last
        return float("nan")

    @property
    def total_steps(self) -> float:
        """Updates of the whole run as planned; NaN while unknown."""
        return self.steps_per_epoch * self.config.epochs if self.config else float("nan")

    def apply(self, events: Iterable[Event]) -> None:
        """Fold events in; a second `run` record starts afresh, so that the newest run of a log is shown."""
        steps: list[StepEnded] = []
        epochs: list[EpochEnded] = []
        count = 0
        for event in events:
            count += 1
            # The exact type, and steps first: a log is nearly all steps.
            kind = type(event)
            if kind is StepEnded:
                steps.append(event)  # type: ignore[arg-type] # a type that was compared is not narrowed
            elif isinstance(event, EpochEnded):
                epochs.append(event)
            elif isinstance(event, RunStarted):
                steps.clear()
                epochs.clear()
                self._reset(event)
            elif isinstance(event, Changed):
                self.changes.append(event)
            elif isinstance(event, Noted):
                self.notes.append(event)
            elif isinstance(event, RunEnded):
                self.end = event
        if steps:
            self._add_steps(steps)
        if epochs:
            self._add_epochs(epochs)
        self.version += bool(count)

    def _add_steps(self, steps: list[StepEnded]) -> None:
        table = self.steps
        _extend_rising(table.step, [event.step for event in steps])
        table.loss.extend([event.loss for event in steps])
        table.penalty.extend([event.penalty for event in steps])
        table.learning_rate.extend([event.learning_rate for event in steps])
        table.time.extend([event.time for event in steps])

    def _add_epochs(self, epochs: list[EpochEnded]) -> None:
        table = self.epochs
        before = len(table)
        train = [event.train or NOT_MEASURED for event in epochs]
        valid = [event.valid or NOT_MEASURED for event in epochs]
        table.epoch.extend([event.epoch for event in epochs])
        _extend_rising(table.step, [event.step for event in epochs])
        table.train_loss.extend([metrics.loss for metrics in train])
        table.train_accuracy.extend([metrics.accuracy for metrics in train])
        table.valid_loss.extend([metrics.loss for metrics in valid])
        table.valid_accuracy.extend([metrics.accuracy for metrics in valid])
        table.running_loss.extend([event.running_loss for event in epochs])
        table.penalty.extend([event.penalty for event in epochs])
        table.learning_rate.extend([event.learning_rate for event in epochs])
        table.seconds.extend([event.seconds for event in epochs])
        table.evaluate_seconds.extend([event.evaluate_seconds for event in epochs])
        table.time.extend([event.time for event in epochs])
        table.measured.extend([float(event.train is not None or event.valid is not None) for event in epochs])
        for layer in dict.fromkeys(layer for event in epochs for layer in event.weight_norms):
            table.weight_norms.setdefault(layer, Column([None] * before))
        for layer, column in table.weight_norms.items():
            column.extend([event.weight_norms.get(layer) for event in epochs])


def _extend_rising(column: Column, values: list[int]) -> None:
    """Add steps so that the column never falls: charts look positions up in it by bisection."""
    before = len(column)
    column.extend(values)
    added = column.values[max(0, before - 1) :]
    np.fmax.accumulate(added, out=added)
