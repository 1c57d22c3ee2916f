"""Where the rows of a tracker's log are: W&B and MLflow count calls, or whatever number a person handed them.

A log call is no update. Where a counter of updates is among the numbers it is the step; where each row has an epoch
of its own, or each is validated, the epoch says where it is; else the tracker's own count has to do. What later rows
teach may void what was told: then the run is told anew, with what was learned.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from regtui.core.plan import Plan
from regtui.core.series import FloatArray
from regtui.readers.names import PLACES, Place, parts
from regtui.readers.samples import Samples, is_number

CALLS = "_step"
"""W&B's own count of log calls."""

COUNTERS = ("trainer/global_step", "train/global_step", "global_step")
"""Counters of updates that are taken before others, such as `iter`."""

MOST_STEP = 2.0**53
"""Counts beyond it are not exact, and nobody's."""

MOST_EPOCHS = 20_000
"""Rows beyond this are followed no more for whether each is an epoch."""

MOST_CHANGES = 8
"""Changes of mind about whether each count is an epoch, each of which reads the log anew; then it is none."""

MOST_NAMES = 1_000
"""Names that are kept of one log, some hundred times what a person looks at; others are left out, and counted."""

MOST_NUMBERS = 24_000_000
"""Numbers in a table of all rows and names: 200 MB, and twice that while they are laid into it."""

LONGEST_NAME = 250
"""Letters of a name: MLflow's own limit."""

EPOCHS_SAID = ("epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs")
STEPS_SAID = ("max_steps", "total_steps", "max_iters", "num_steps", "num_iterations", "train_steps")


class _Kind(NamedTuple):
    """By what rows are placed."""

    counter: str
    """The name that counts updates, or empty."""
    epochs: bool
    """Each row is an epoch's end, and nothing else says where it is."""


class Places:
    """Follows the rows of one log and says where each is."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}
        """Name that counts updates -> its rank."""
        self._refused: set[str] = set()
        self._has_epochs = self._from_zero = self._fractions = False
        self._calls = False
        """Whether rows are too many, or too poor, for their epochs to place them."""
        self._changes = 0
        self._now = _Kind("", False)
        self.begin()

    def begin(self) -> None:
        """Go back to the first row, knowing what is known."""
        self._told: _Kind | None = None
        self._told_shift: float | None = None
        self._count = 0.0
        self._newest: dict[str, float] = {}
        self._counts: set[float] = set()
        self._validated: set[float] = set()
        self._each = False

    @property
    def rows_are_epochs(self) -> bool:
        """Whether each row of the newest block is an epoch's end."""
        return self._now.epochs

    @property
    def trainer(self) -> str:
        """Who trains, where the name of the counter tells."""
        known = {"trainer/global_step": "lightning", "train/global_step": "transformers"}
        return next((known[name] for name in self._counters if name in known), "")

    def place(self, columns: Mapping[str, FloatArray], order: FloatArray, time: FloatArray | None) -> Samples | None:
        """Say where rows are; None where rows that were told before are elsewhere: tell them anew, after `begin`.

        `order` is the tracker's own count at each row. `columns` may hold names that are places, too.
        """
        order = _counted(order)
        where = {name: said for name in columns if (said := _place(name)) is not None}
        measured = {name: values for name, values in columns.items() if name not in where and name != CALLS}
        for name in (name for name, said in where.items() if said == "step"):
            self._counters.setdefault(name, COUNTERS.index(name) if name in COUNTERS else len(COUNTERS))
        epoch = self._epoch([columns[name] for name, said in where.items() if said == "epoch"])
        counter = self._counter()
        step: FloatArray | None = None
        while counter:
            step = self._filled(columns.get(counter), len(order))
            own = np.isfinite(_counted(columns[counter])) if counter in columns else np.zeros(len(order), dtype=bool)
            if not self._comes_twice(measured, step, ~own):
                self._count = float(step[-1]) if len(step) else self._count
                break
            self._refused.add(counter)
            counter, step = self._counter(), None
        epochs = not counter and self._epochs_place(measured, epoch)
        if not counter and not epochs:
            self._calls = True
            if not self._has_epochs and self._each_is_an_epoch(measured, order):
                epochs, epoch = True, order + (min(self._counts) == 0)
            else:
                step = order
        self._now = _Kind(counter, epochs)
        shift = None if epoch is None else float(self._from_zero and not self._fractions)
        moved = None not in (shift, self._told_shift) and shift != self._told_shift
        if moved or self._told not in (None, self._now):
            return None
        self._told = self._now
        self._told_shift = self._told_shift if shift is None else shift
        return Samples(columns=measured, step=step, epoch=epoch, time=time)

    def _counter(self) -> str:
        """Give the best name that counts updates; empty where there is none."""
        known = [name for name in self._counters if name not in self._refused]
        return min(known, key=self._counters.__getitem__, default="")

    def _filled(self, values: FloatArray | None, size: int) -> FloatArray:
        """Give the updates completed at each row: those of the row before where one does not say."""
        if values is None:
            return np.full(size, self._count)
        own = _counted(values)
        said = np.maximum.accumulate(np.where(np.isfinite(own), np.arange(size), -1))
        return np.where(said >= 0, own[said], self._count)

    def _comes_twice(self, measured: Mapping[str, FloatArray], place: FloatArray, which: Any = None) -> bool:
        """Tell whether a name has two numbers at one place, of those rows that are asked for."""
        found = False
        for name, values in measured.items():
            rows = np.flatnonzero(np.isfinite(values))
            if len(rows):
                places = np.concatenate(([self._newest.get(name, np.nan)], place[rows]))
                again = np.diff(places) == 0
                found = found or bool((again if which is None else again & which[rows]).any())
                self._newest[name] = float(places[-1])
        return found

    def _epoch(self, said: list[FloatArray]) -> FloatArray | None:
        """Give the epochs completed at each row, counted from 1."""
        if not said:
            return None
        epoch = said[0].copy()
        for other in said[1:]:
            epoch = np.where(np.isfinite(epoch), epoch, other)
        epoch[~(np.abs(epoch) <= MOST_STEP)] = np.nan
        known = epoch[np.isfinite(epoch)]
        self._has_epochs = self._has_epochs or len(known) > 0
        self._fractions = self._fractions or bool((known != np.floor(known)).any())
        self._from_zero = self._from_zero or bool((known == 0).any())
        return epoch + (self._from_zero and not self._fractions)

    def _epochs_place(self, measured: Mapping[str, FloatArray], epoch: FloatArray | None) -> bool:
        """Tell whether epochs alone tell all rows apart."""
        if self._calls or epoch is None or not np.isfinite(epoch).all():
            return False
        return not self._comes_twice(measured, epoch)

    def _each_is_an_epoch(self, measured: Mapping[str, FloatArray], order: FloatArray) -> bool:
        """Tell whether each count is validated, from the first on: nobody does that after single updates.

        The last may be without its validation yet.
        """
        if self._changes > MOST_CHANGES or len(self._counts) > MOST_EPOCHS:
            return False
        for name, values in measured.items():
            known = parts(name)
            if known.quantity:
                counts = order[np.isfinite(values) & np.isfinite(order)]
                self._counts.update(counts.tolist())
                if known.split in ("valid", "test"):
                    self._validated.update(counts.tolist())
        if len(self._counts) < 2:
            return False
        first, last = min(self._counts), max(self._counts)
        whole = first in (0, 1) and last - first + 1 == len(self._counts)
        each = whole and self._counts - self._validated <= {last}
        self._changes += each != self._each
        self._each = each
        return each


def plan_of(settings: Mapping[str, Any]) -> Plan:
    """Find how long a run is to be among its settings."""
    return Plan(epochs=_count(settings, EPOCHS_SAID), total_steps=_count(settings, STEPS_SAID))


def _count(settings: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = settings.get(name)
        if is_number(value) and 0 < value < MOST_STEP:
            return int(value) or None
    return None


def _place(name: str) -> Place | None:
    return None if name == CALLS else PLACES.get(name.strip().lower())


def _counted(values: FloatArray) -> FloatArray:
    """Give counts, NaN for what is none."""
    return np.where((values >= 0) & (values <= MOST_STEP), values, np.nan)
