"""Samples of the machine, as they go along with a run that trains here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regtui.core.events import Record
from regtui.system import Sampler

if TYPE_CHECKING:
    from regtui.sources.here import LiveRun


class Machine:
    """Has the machine sampled from the run's first record to its end."""

    def __init__(self) -> None:
        self._sampler: Sampler | None = None

    def begin(self, run: "LiveRun") -> None:
        self._sampler = Sampler(run.put, step=lambda: run.step, paused=lambda: run.stage == "paused")
        self._sampler.start()

    def see(self, events: Sequence[Record]) -> None:
        """Do nothing: the run is asked how far it is when the machine is looked at."""

    def end(self) -> None:
        if self._sampler is not None:
            self._sampler.stop()
