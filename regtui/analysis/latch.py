"""A condition that is believed when it has held several times in a row."""

from collections.abc import Callable

import numpy as np

from regtui.analysis.growing import Array, BoolArray
from regtui.core.series import IntArray

SEVERAL = 3
"""Evaluations for which a condition must hold, before the state follows; the same on the way back."""


class Latch:
    """A condition that must hold several times in a row before it is believed, and fail as often to be dropped."""

    def __init__(self, enter_after: int = SEVERAL) -> None:
        self.on = False
        self.since = -1
        """Row at which the condition that is believed began to hold."""
        self._enter_after = enter_after
        self._count = 0
        self._first = -1

    def follow(
        self,
        rows: IntArray,
        *,
        enter: BoolArray,
        leave: BoolArray,
        force: BoolArray | None = None,
        begun: Callable[[int], int] | None = None,
    ) -> tuple[BoolArray, IntArray]:
        """Take observations, one a row; give for each whether it is believed, and `since`.

        Where `force` holds it is believed at once, since what was seen leaves no doubt; whatever spoke against it
        counts no more. `begun` gives the row since which it holds, where that is not when it was first seen, for the
        observation at which it is believed.
        """
        forced = b"" if force is None else force.tobytes()
        if force is not None:
            enter, leave = enter & ~force, leave & ~force
        conditions = {False: enter.tobytes(), True: leave.tobytes()}
        on, since = np.full(len(rows), self.on), np.full(len(rows), self.since, dtype=np.int64)
        turns: list[tuple[int, bool, int]] = []
        at = 0
        while (found := self._next(conditions[self.on], at, -1 if self.on else forced.find(1, at))) is not None:
            at, first = found
            self.on, self.since = not self.on, int(rows[first]) if first >= 0 else self._first
            if begun is not None and self.on:
                self.since = begun(at)
            self._count = 0
            turns.append((at, self.on, self.since))
            at += 1
        self._keep_count(conditions[self.on], rows, at)
        ends = [each[0] for each in turns[1:]] + [len(rows)]
        for (start, is_on, row), end in zip(turns, ends, strict=False):
            on[start:end], since[start:end] = is_on, row
        return on, since

    def _next(self, holds: bytes, at: int, forced: int) -> tuple[int, int] | None:
        """Find the next turn: where it is, and where the condition began to hold; -1 for before these observations."""
        needed = SEVERAL if self.on else self._enter_after
        missing = needed - self._count
        if self._count and holds.startswith(b"\1" * missing):
            begun, turn = -1, missing - 1
        else:
            begun = holds.find(b"\1" * needed, at)
            turn = begun + needed - 1 if begun >= 0 else -1
        if forced >= 0 and not 0 <= turn < forced:
            return forced, forced
        return (turn, begun) if turn >= 0 else None

    def _keep_count(self, holds: bytes, rows: IntArray, at: int) -> None:
        """Count the last observations, from `at` on, at which the condition held."""
        rest = holds[at:]
        count = len(rest) - len(rest.rstrip(b"\1"))
        if count < len(rest) or at:
            self._count = 0
        if count and not self._count:
            self._first = int(rows[len(holds) - count])
        self._count += count


def held(before: float, values: Array, places: IntArray) -> Array:
    """Give what stood at each place, of values that hold until the next; place -1 is before the first of them."""
    return np.concatenate(((before,), values))[places + 1]
