"""Named columns over one column of steps."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from regtui.core.series import Column, FloatArray

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
        self._let_go()
        while len(self) > self._most_rows:
            self._halve()

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
