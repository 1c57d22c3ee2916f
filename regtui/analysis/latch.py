"""A condition that is believed when it has held several times in a row."""

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

    def feed(self, row: int, *, enter: bool, leave: bool) -> bool:
        """Take one more observation; tell whether the latch has just turned."""
        turning = leave if self.on else enter
        if not turning:
            self._count = 0
            return False
        self._first = row if self._count == 0 else self._first
        self._count += 1
        if self._count < (SEVERAL if self.on else self._enter_after):
            return False
        self._turn(self._first)
        return True

    def force(self, row: int) -> None:
        """Believe it at once, since what was seen leaves no doubt; whatever spoke against it counts no more."""
        if not self.on:
            self._turn(row)
        self._count = 0

    def _turn(self, since: int) -> None:
        self.on = not self.on
        self.since = since
        self._count = 0
