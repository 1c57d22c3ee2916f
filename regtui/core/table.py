"""Named columns over one column of steps."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from regtui.core.series import Column, FloatArray

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
