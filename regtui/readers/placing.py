"""Where the rows of a log are: its columns of steps, epochs and times, and what stands in for missing ones."""

import math

import numpy as np

from regtui.core.series import FloatArray
from regtui.readers.names import PLACES
from regtui.readers.samples import Samples


class Placing:
    """Follows the places of one log's rows; counts epochs from 1, and rows where nothing is counted."""

    def __init__(self) -> None:
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
            if place is not None:
                values = columns.pop(name)
                # Of two that count steps, such as MMEngine's `iter` and `step`, the first that does.
                placed.setdefault(place, values)
        if not placed.keys() & {"step", "epoch"}:
            placed["epoch"] = self._given + np.arange(1.0, rows + 1)
            self._first = 1.0
        self._given += rows
        step, epoch = placed.get("step"), placed.get("epoch")
        if epoch is not None:
            epoch = self._from_one(epoch)
            epoch = self._drawn_on(epoch) if step is None else epoch
        return Samples(columns=columns, step=step, epoch=epoch, time=placed.get("time"))

    def _from_one(self, epoch: FloatArray) -> FloatArray:
        """Count epochs from 1, whatever the log begins with."""
        known = epoch[np.isfinite(epoch)]
        if math.isnan(self._first) and len(known):
            self._first = float(known[0])
        return epoch + 1 if self._first == 0 else epoch

    def _drawn_on(self, epoch: FloatArray) -> FloatArray:
        """Count on through the parts of a log that several fits were appended to.

        A count that begins again at its first number is another fit; one that falls back to the middle is the same
        one, taken up from a checkpoint.
        """
        first = self._first + (self._first == 0)
        known = np.isfinite(epoch)
        again = np.flatnonzero(known & (epoch == first))
        if not len(again) or (len(again) == 1 and self._last < first and not known[: again[0]].any()):
            self._last = max(self._last, float(np.nanmax(epoch)) + self._offset) if known.any() else self._last
            return epoch + self._offset
        out = epoch.copy()
        for row in np.flatnonzero(known):
            if epoch[row] == first and epoch[row] + self._offset <= self._last:
                self._offset = self._last - first + 1
            out[row] = epoch[row] + self._offset
            self._last = max(self._last, float(out[row]))
        return out
