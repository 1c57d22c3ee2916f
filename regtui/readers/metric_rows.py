"""Numbers logged one by one, each with its name, its count and its time, as MLflow keeps them: laid into rows.

A row is a count. Where a name's count falls the run was taken up again, and rows begin anew. Where each number of the
log has the count 0, nobody said one: then a name's numbers are counted.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regtui.core.events import RunEnded
from regtui.core.series import FloatArray
from regtui.readers.names import Names
from regtui.readers.protocol import NOTHING_WANTED, Wanted
from regtui.readers.samples import Anew, SampleReader, Samples, Told
from regtui.readers.tracked import LONGEST_NAME, MOST_NAMES, MOST_NUMBERS, MOST_STEP, Places, plan_of

SYSTEM = "system/"
"""What MLflow measures of the machine, under a count of its own."""

LARGEST = 1.7976931348623157e308
"""MLflow's databases hold this for an infinite number."""

ENDS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}
"""MLflow's status of a run that is over -> ours."""


class MetricReader(SampleReader):
    """What the readers of MLflow's files and of its databases share."""

    rank = 10
    says_end = True

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Name the log; nothing is read before the first poll."""
        self._places = Places()
        self._all_zero, self._repeated = True, False
        """Whether no count but 0 was seen, and whether a name has more than one number."""
        super().__init__(path, wanted)

    def _begin(self) -> None:
        super()._begin()
        self._last_step = 0.0

    def _start_over(self) -> None:
        self._names_seen: dict[str, int] = {}
        self._ordinals: dict[int, int] = {}
        """Column -> its numbers so far."""
        self._unnamed = self._given = 0
        self._numbered: bool | None = None
        self._full = False
        self._places.begin()
        self._run_id, self._status = "", ""
        self._settings: dict[str, Any] = {}

    def _another(self) -> None:
        """Forget what was learned: another log stands in the place of this one."""
        self._places = Places()
        self._all_zero, self._repeated = True, False

    def warnings(self) -> list[str]:
        """Say what was left out as well."""
        said = super().warnings()
        if self._unnamed:
            said.append(f"{self.path.name} has more than {MOST_NAMES:,} names; the numbers of the others are left out")
        if self._full:
            said.append(f"{self.path.name} has too many numbers; its first {self._given:,} rows are shown")
        return said

    def _tell(self) -> Told:
        end = None
        if self._status in ENDS:
            step = int(self._last_step) if 0 <= self._last_step <= MOST_STEP else 0
            end = RunEnded(
                status=ENDS[self._status], reason="killed" if self._status == "KILLED" else "", step=step
            )  # fmt: skip
        return Told(run_id=self._run_id, settings=self._settings, plan=plan_of(self._settings), end=end)

    def _column(self, name: str) -> int:
        """Give a name's column, a new one for a new name; -1 for one that is not kept."""
        column = self._names_seen.get(name)
        if column is None:
            if name.startswith(SYSTEM):
                return -1
            if len(self._names_seen) >= MOST_NAMES or len(name) > LONGEST_NAME:
                self._unnamed += 1
                return -1
            column = self._names_seen[name] = len(self._names_seen)
        return column

    def _rows_of(self, numbers: "list[tuple[int, float, float, float]]") -> Iterator[Samples]:
        """Lay (column, count, value, time) in the order in which they were logged into rows."""
        if not numbers or self._full:
            return
        table = np.array(numbers, dtype=np.float64)
        table = table[table[:, 0] >= 0]
        column, count, value, time = table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3]
        value[~(np.abs(value) < LARGEST)] = np.inf  # a loss that is none any more was logged all the same
        ordinal = self._ordinal(column)
        self._all_zero = self._all_zero and not count.any()
        self._repeated = self._repeated or bool((ordinal > 1).any())
        numbered = self._all_zero and self._repeated
        if self._numbered not in (None, numbered):
            raise Anew
        self._numbered = numbered
        if numbered:
            count = ordinal.astype(np.float64)
        names = list(self._names_seen)
        edges = [0, *_falls(column, count), len(column)]
        for start, stop in itertools.pairwise(edges):
            part = slice(start, stop)
            if start < stop:
                yield from self._segment(names, column[part], count[part], value[part], time[part])

    def _ordinal(self, column: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number each column's numbers from 1, on through the looks."""
        ordinal = np.zeros(len(column), dtype=np.int64)
        order = np.argsort(column, kind="stable")
        firsts = np.flatnonzero(np.diff(column[order], prepend=-1))
        for first, last in zip(firsts, [*firsts[1:], len(order)], strict=True):
            own = int(column[order[first]])
            before = self._ordinals.get(own, 0)
            ordinal[order[first:last]] = before + np.arange(1, last - first + 1)
            self._ordinals[own] = before + int(last - first)
        return ordinal

    def _segment(
        self, names: list[str], column: NDArray[np.int64], count: FloatArray, value: FloatArray, time: FloatArray
    ) -> Iterator[Samples]:
        """Give a row for each count, of numbers whose counts do not fall."""
        counts, row = np.unique(count, return_inverse=True)
        used, place = np.unique(column, return_inverse=True)
        most = max(1, MOST_NUMBERS // 8 // len(used))
        for start in range(0, len(counts), most):
            some = (row >= start) & (row < start + most)
            size = min(most, len(counts) - start)
            numbers, times = np.full((len(used), size), np.nan), np.full(size, np.nan)
            numbers[place[some], row[some] - start] = value[some]
            times[row[some] - start] = time[some]
            columns = {names[index]: numbers[at] for at, index in enumerate(used)}
            placed = self._places.place(columns, counts[start : start + size], times)
            if placed is None or self._places.rows_are_epochs != self.rows_are_epochs:
                self.rows_are_epochs = self._places.rows_are_epochs
                self._names = Names(self.wanted, rows_are_epochs=self.rows_are_epochs)
                raise Anew
            if placed.step is not None:
                self._last_step = max(self._last_step, float(np.nan_to_num(placed.step).max()))
            yield placed
            self._given += size
            if self._given * len(names) > MOST_NUMBERS:
                self._full = True
                return


def _falls(column: NDArray[np.int64], count: FloatArray) -> list[int]:
    """Find the numbers before which rows begin anew: a name's count is below its last one."""
    order = np.argsort(column, kind="stable")
    fell = (np.diff(count[order]) < 0) & (np.diff(column[order]) == 0)
    starts = sorted(order[1:][fell].tolist())
    # All names of a run that is taken up again fall, one after the other: they fall once.
    newest: dict[int, int] = {}
    found: list[int] = []
    if starts:
        wanted = set(starts)
        for at, own in enumerate(column.tolist()):
            if at in wanted and (not found or newest.get(own, -1) >= found[-1]):
                found.append(at)
            newest[own] = at
    return found


def setting(text: str) -> Any:
    """Read a parameter, which MLflow keeps as text: a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text) if len(text) < 40 else text
        except ValueError:
            continue
    return {"True": True, "False": False, "None": None}.get(text, text)
