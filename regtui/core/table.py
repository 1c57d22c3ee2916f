"""Named columns over one column of steps."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from regtui.core.series import Column, FloatArray, IntArray

MOST_NAMES = 1_000
"""Columns beside those that are always kept; a net of 300 layers with three metrics each has fewer."""

MOST_NUMBERS = 1 << 24
"""Numbers in all columns (128 MB), beyond which those that came last are let go: sixteen columns of a million rows."""

MOST_ROWS = 1 << 22
"""Rows (32 MB a column); of more, every second one is kept: what a chart shows of them stays the same."""

NAMES_LEFT_OUT = "of its metrics those that came last are left out: there are too many to keep"
ROWS_LEFT_OUT = "of its records every second one is kept: there are too many to keep all"
"""What a table says of a log that is too large for it."""

Numbers = Sequence[float | None] | FloatArray


class Table:
    """What was recorded at some steps, a column a name, all of one length.

    Names are whatever a log has; `core/metrics.py` says what is known of them. A column that begins late is NaN before.
    """

    def __init__(self, always: Collection[str] = (), most_rows: int = MOST_ROWS) -> None:
        """Keep the columns named `always` whatever else there is."""
        self.step = Column()
        """Updates completed; never falls, also in a log whose steps do: charts look positions up by bisection."""
        self._columns: dict[str, Column] = {}
        self._absent = Column()
        self._always = always
        self._most_rows = most_rows
        self.left_out: tuple[str, ...] = ()
        """What was too much to keep, a sentence each."""
        self.halvings = 0
        """How often every second row was let go: then rows that others have noted are rows no more."""

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
                self._columns[name] = Column(np.full(before, np.nan) if before else ())
        for name, column in self._columns.items():
            given = columns.get(name)
            column.extend(given if given is not None else np.full(len(steps), np.nan))
        self._keep_to_bounds()

    def _keep_to_bounds(self) -> None:
        self._let_go()
        while len(self) > self._most_rows:
            self._halve()

    def put(self, steps: FloatArray, columns: Mapping[str, FloatArray]) -> bool:
        """Lay rows where their steps belong: a step that has a row is filled in, the later number winning.

        `steps` are finite; of a step that comes twice the later numbers win, too. Returns whether rows were only
        added at the end, as `extend` does; else whatever was worked out from the table no longer holds.
        """
        if not len(steps):
            return True
        columns = self._with_room(columns)
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
        else:
            self._keep_to_bounds()
        return same

    def _with_room(self, columns: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """Give the columns that there is room for: of new names the first."""
        new = [name for name in columns if name not in self._columns and name not in self._always]
        if len(new) <= max(self.room, 0):
            return columns
        self.leave_out_names()
        return {name: values for name, values in columns.items() if name not in new[max(self.room, 0) :]}

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

    @property
    def room(self) -> int:
        """How many columns may still be added, beside those that are always kept."""
        return min(MOST_NAMES, MOST_NUMBERS // max(len(self), 1)) - len(self._columns)

    def leave_out_names(self) -> None:
        """Note that columns were left out."""
        self._leave_out(NAMES_LEFT_OUT)

    def _let_go(self) -> None:
        """Take the columns away that came last, until the rest has room."""
        most = MOST_NUMBERS // max(len(self), 1)
        if len(self._columns) <= most:
            return
        for name in [name for name in self._columns if name not in self._always][::-1][: len(self._columns) - most]:
            del self._columns[name]
            self.leave_out_names()

    def _halve(self) -> None:
        """Keep every second row, the later of each two."""
        self.step = Column(self.step.values[1::2])
        self._columns = {name: Column(column.values[1::2]) for name, column in self._columns.items()}
        self._absent = Column()
        self.halvings += 1
        self._leave_out(ROWS_LEFT_OUT)

    def _leave_out(self, sentence: str) -> None:
        if sentence not in self.left_out:
            self.left_out += (sentence,)


def _sorted(steps: FloatArray, columns: Mapping[str, FloatArray]) -> tuple[FloatArray, Mapping[str, FloatArray]]:
    """Put rows into the order of their steps, one a step, the last finite number of each column winning."""
    every, places = np.unique(steps, return_inverse=True)
    merged = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        merged[name] = np.full(len(every), np.nan)
        merged[name][places[known]] = np.asarray(values)[known]
    return every, merged
