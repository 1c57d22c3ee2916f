"""The records of a run that wait for the thread that writes them."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regtui.numbers import Kept, is_read, keep, numbers_of, text_of
from regtui.recording.lines import Held
from regtui.recording.warned import Warned

MANY_HELD, MOST_HELD = 100_000, 500_000
"""Records at which the thread that writes is woken; and those that wait for a disk that hangs, some 100 MB: what comes
after them is lost."""

TURN_SECONDS, PATIENCE_SECONDS = 0.005, 1.0
"""How a loop that outruns the writer, at a microsecond a step, waits for it as long as it gets on; a disk that hangs
costs the loop one second, once."""


class Holding:
    """What has been recorded and not been taken yet; the loop adds to it, and the thread that writes takes."""

    def __init__(self, warned: Warned) -> None:
        self.records: list[Held] = []
        """Always the same list, which whoever records adds to under his lock; `crowded` is to be called where it gets
        longer than `MANY_HELD`. No method adds, since that would be one more call at each step."""
        self.unread = self.again = False
        """Whether numbers have been kept that are to be fetched, and whether a step has come twice: ever since."""
        self.many = threading.Event()
        """Set to have the records taken at once."""
        self._patience = PATIENCE_SECONDS
        """How long the loop would yet wait for the thread that writes."""
        self._warned = warned

    def take(self) -> list[Held]:
        """Give what has come since the last call."""
        # Without the lock, which a loop that was interrupted by a signal may hold until its run has ended.
        taken = self.records[:]
        del self.records[: len(taken)]
        self._patience = PATIENCE_SECONDS
        return taken

    def taken(self, name: str, value: Any) -> Kept:
        """Keep a number as it is, such as one on a GPU, to be read when it is written; what is none is said once."""
        kept = keep(value)
        if kept is None and value is not None:
            shape = f", shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
            said = f"= {value[:40]!r}" if isinstance(value, str) else f"of type {type(value).__name__}{shape}"
            self._warned.say("number", f"what is no number is left out, such as {name} {said}")
        elif not is_read(kept):
            self.unread = True
        return kept

    def split(self, split: str, values: Any) -> dict[str, float | None] | None:
        """Read what was measured of a split, now; a bare number is its loss."""
        if values is not None and not isinstance(values, Mapping):
            values = {"loss": values}
        found = numbers_of(values)
        for name, value in (values or {}).items():
            if value is not None and text_of(name) not in (found or {}):
                self.taken(f"{split} {name}".strip(), value)
        return found

    def crowded(self, log_path: Path | None) -> None:
        """Have much written at once; where it is too much, wait for the writer, and lose the newest if it hangs."""
        if not self.many.is_set():
            self.many.set()
        while len(self.records) > MOST_HELD and self._patience > 0:
            self._patience -= TURN_SECONDS
            time.sleep(TURN_SECONDS)
        if len(self.records) > MOST_HELD:
            del self.records[-1]
            self._warned.say("held", f"{log_path} takes nothing: {MOST_HELD:,} records wait, the rest is lost")
