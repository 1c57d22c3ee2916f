"""Where the rows of a log are: its columns of steps, epochs and times, and what stands in for missing ones."""

import math

import numpy as np

from regtui.core.series import FloatArray
from regtui.readers.names import PLACES
from regtui.readers.samples import Samples


class Placing:
    """Follows the places of one log's rows; counts epochs from 1, and rows where nothing is counted."""

    def __init__(self, *, from_one: bool = False, row_an_epoch: bool = False) -> None:
        """Say whether epochs count from 1 for sure, and whether no two rows of one fit are of the same epoch."""
        self._from_one_already = from_one
        self.row_an_epoch = row_an_epoch
        self.fractions = False
        """Whether epochs have been seen that are no counts: how much is completed, and 0 is no first epoch."""
        self.wrong = False
        """Whether that was learned after rows had been placed otherwise: they have to be placed anew."""
        self._given = 0
        """Rows placed so far."""
        self._first = math.nan
        """The first epoch as it was written."""
        self._last = -math.inf
        self._offset = 0.0
        """Epochs of the parts before this one, where another fit was appended to a log."""

    def place(self, columns: dict[str, FloatArray], rows: int) -> Samples:
        """Take the columns that say where rows are out of the others; a row that nothing places is an epoch."""
        placed: dict[str, FloatArray] = {}
        for name in list(columns):
            place = PLACES.get(name.strip().lower())
            if place is None and not name:
                columns.pop(name)  # the index that pandas writes without a name
            if place is not None:
                values = columns.pop(name)
                # Of two that count steps, such as MMEngine's `iter` and `step`, the first that does.
                placed.setdefault(place, values)
        if not placed.keys() & {"step", "epoch"}:
            placed["epoch"] = self._given + np.arange(1.0, rows + 1)
            self._first = 1.0
        self._given += rows
        step, epoch = placed.get("step"), placed.get("epoch")
        marks: tuple[int, ...] = ()
        if epoch is not None:
            epoch = self._from_one(epoch)
            if step is None and not self._from_one_already:
                epoch, marks = self._drawn_on(epoch)
        return Samples(columns=columns, step=step, epoch=epoch, time=placed.get("time"), fits=marks)

    def again(self) -> "Placing":
        """Give one that places the same rows from their start, with what has been learned of them."""
        other = Placing(from_one=self._from_one_already, row_an_epoch=self.row_an_epoch)
        other.fractions = self.fractions
        return other

    def _from_one(self, epoch: FloatArray) -> FloatArray:
        """Count epochs from 1, whatever the log begins with."""
        known = epoch[np.isfinite(epoch)]
        if not self.fractions and (known != np.floor(known)).any():
            self.fractions, self.wrong = True, self._first == 0
        if math.isnan(self._first) and len(known):
            self._first = float(known[0])
        return epoch + 1 if self._first == 0 and not self.fractions and not self._from_one_already else epoch

    def _drawn_on(self, epoch: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
        """Count on through the parts of a log that several fits were appended to; also the rows where they begin.

        A count that begins again at its first number is another fit; one that falls back to the middle is the same
        one, taken up from a checkpoint.
        """
        first = self._first + (self._first == 0 and not self.fractions)
        known = np.flatnonzero(np.isfinite(epoch))
        if not len(known):
            return epoch, ()
        out = epoch + self._offset
        marks = []
        for row in known[epoch[known] == first] if not self.fractions else ():
            before = float(np.nanmax(out[:row])) if row and np.isfinite(out[:row]).any() else self._last
            last = max(self._last, before)
            if out[row] < last or (out[row] == last and self.row_an_epoch):
                self._last, rise = last, last - first + 1 - self._offset
                self._offset += rise
                out[row:] += rise
                marks.append(int(row))
        self._last = max(self._last, float(np.nanmax(out)))
        return out, tuple(marks)
