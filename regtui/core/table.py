"""Named columns over one column of steps."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from regtui.core.series import Column, FloatArray, IntArray

Numbers = Sequence[float | None] | FloatArray


class Table:
    """What was recorded at some steps, a column a name, all of one length.

    Names are whatever a log has; `core/metrics.py` says what is known of them. A column that begins late is NaN before.
    """

    def __init__(self) -> None:
        self.step = Column()
        """Updates completed; never falls, also in a log whose steps do: charts look positions up by bisection."""
        self._columns: dict[str, Column] = {}
        self._absent = Column()

    def __len__(self) -> int:
        return len(self.step)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __getitem__(self, name: str) -> Column:
        """Give a column; one of NaN for a name that the log does not have."""
        column = self._columns.get(name)
        if column is None:
            column = self._absent
            column.extend(np.full(len(self) - len(column), np.nan))
        return column

    @property
    def names(self) -> tuple[str, ...]:
        """The names that were logged, in the order in which they first came."""
        return tuple(self._columns)

    def extend(self, steps: Numbers, columns: Mapping[str, Numbers]) -> None:
        """Add rows; a name that is new, or missing this time, is filled up with NaN."""
        before = len(self)
        self.step.extend(steps)
        added = self.step.values[max(0, before - 1) :]
        np.fmax.accumulate(added, out=added)
        for name in columns:
            if name not in self._columns:
                self._columns[name] = Column()
                self._columns[name].extend(np.full(before, np.nan))
        for name, column in self._columns.items():
            given = columns.get(name)
            column.extend(given if given is not None else np.full(len(steps), np.nan))

    def put(self, steps: FloatArray, columns: Mapping[str, FloatArray]) -> bool:
        """Lay rows where their steps belong: a step that has a row is filled in, the later number winning.

        `steps` are finite; of a step that comes twice the later numbers win, too. Returns whether rows were only
        added at the end, as `extend` does; else whatever was worked out from the table no longer holds.
        """
        if not len(steps):
            return True
        if not (np.diff(steps) > 0).all():
            steps, columns = _sorted(steps, columns)
        before = self.step.values
        if not len(before) or steps[0] > before[-1]:
            self.extend(steps, columns)
            return True
        within = int(np.searchsorted(steps, before[-1], side="right"))
        same = self._lay(steps[:within], {name: np.asarray(values)[:within] for name, values in columns.items()})
        if within < len(steps):
            self.extend(steps[within:], {name: np.asarray(values)[within:] for name, values in columns.items()})
        return same

    def _lay(self, steps: FloatArray, columns: Mapping[str, FloatArray]) -> bool:
        """Lay rising steps, none after the last row's, where they belong; tells whether all stayed as it was.

        Rows before the first of them are not touched, so that the cost does not grow with the table.
        """
        for name in columns:
            if name not in self._columns:
                self._columns[name] = Column()
                self._columns[name].extend(np.full(len(self), np.nan))
        before = self.step.values
        start = int(np.searchsorted(before, steps[0]))
        stayed = self._once_a_step(start)
        tail = self.step.values[start:]
        places = np.searchsorted(tail, steps)
        known = tail[places] == steps
        if not known.all():
            self._make_room(start, places[~known], steps[~known])
            stayed = False
            places += np.cumsum(~known) - ~known
        for name, values in columns.items():
            measured = np.isfinite(values)
            rows, column = start + places[measured], self._columns[name]
            if not np.array_equal(column.values[rows], values[measured]):
                column.put(rows, values[measured])
                stayed = False
        return stayed

    def _once_a_step(self, start: int) -> bool:
        """Of rows of one step that were added by `extend` leave the last; tells whether there were none."""
        tail = self.step.values[start:]
        last = np.append(np.diff(tail) > 0, True)
        if last.all():
            return True
        for column in (self.step, *self._columns.values()):
            column.replace(column.values[start:][last], start)
        self._absent = Column()
        return False

    def _make_room(self, start: int, places: IntArray, steps: FloatArray) -> None:
        """Put empty rows before those at some places of the rows from one on, for steps that have none."""
        size = len(self) - start
        kept = np.arange(size) + np.cumsum(np.bincount(places, minlength=size)[:size])
        for column in (self.step, *self._columns.values()):
            rows = np.full(size + len(steps), np.nan)
            rows[kept] = column.values[start:]
            if column is self.step:
                rows[places + np.arange(len(steps))] = steps
            column.replace(rows, start)
        self._absent = Column()

    def cut(self, step: float) -> bool:
        """Take out the rows after a step; tells whether there were any."""
        rows = int(np.searchsorted(self.step.values, step, side="right"))
        if rows == len(self):
            return False
        for column in (self.step, *self._columns.values()):
            column.replace(np.empty(0), rows)
        self._absent = Column()
        return True


def _sorted(steps: FloatArray, columns: Mapping[str, FloatArray]) -> tuple[FloatArray, Mapping[str, FloatArray]]:
    """Put rows into the order of their steps, one a step, the last finite number of each column winning."""
    every, places = np.unique(steps, return_inverse=True)
    merged = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        merged[name] = np.full(len(every), np.nan)
        merged[name][places[known]] = np.asarray(values)[known]
    return every, merged
