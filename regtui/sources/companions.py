"""What goes along with a run that trains here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from regtui.core.events import Record

if TYPE_CHECKING:
    from regtui.sources.here import LiveRun


class Companion(Protocol):
    """Something that goes along with a run, such as who tells of its end; what it has to add, it gives to `put`."""

    def begin(self, run: "LiveRun") -> None:
        """Take note that the run's first record is written; in the driving thread."""

    def see(self, events: Sequence[Record]) -> None:
        """Take what was just recorded; in the driving thread, which it must not hold up."""

    def end(self) -> None:
        """Let go, on every path: the run is over and its log closed."""
