"""The machine that a run trains on, looked at once a second by a thread of its own.

The names of what is sampled: `cpu` (processors that the process and its children keep busy, 1.9 of 16), `cores` (those
that it may use), `rss` (its memory and its children's, bytes); of the whole machine `host/utilization` (0 to 1),
`host/memory` and `host/memory_total` (bytes); of each NVIDIA GPU that the run may use `gpu0/utilization` (0 to 1),
`gpu0/memory` and `gpu0/memory_total` (bytes), `gpu0/power` (watts) and `gpu0/temperature` (°C), numbered as the run
numbers them. What cannot be known has no name. Whatever fails or hangs here stays here: training goes on without it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from regtui.core.events import Metrics, SystemSampled

PERIOD_SECONDS = 1.0
"""How often the machine is looked at."""

MOST_SHARE = 0.004
"""Of a core, that looking may take: where a look costs more, as on a machine of many GPUs, it is done more seldom. With
the thread's own waking it stays under half a percent."""

THIN_AFTER_SECONDS, LONGEST_SECONDS = 3600.0, 10.0
"""A record each second for an hour; then one stands for as long as a chart of 3,600 columns shows in one, up to ten
seconds, since a person looks at the newest. The first day takes some 17,000 records of about 300 bytes, each
further one 8,640."""

NEAR_A_LIMIT = ("memory", "rss", "temperature")
"""Of these a record that stands for several looks says the highest, which is what a limit is compared with; of all
others the mean."""


class Probe(Protocol):
    """Something that numbers are read from."""

    def read(self) -> Mapping[str, float]:
        """Give what is known now, by name; what is a rate, since the last call."""


def _probes() -> list[Probe]:
    """Make what is there to be read: without psutil or without a GPU it is less."""
    from regtui.system.gpus import Gpus
    from regtui.system.host import Host

    found: list[Probe] = []
    for make in (Host, Gpus):
        try:
            found.append(make())
        except Exception:  # a package or a driver that is not there, broken, or not for this user
            continue
    return found


class Sampler:
    """Looks at the machine from `start` to `stop` and gives each record away; neither call waits for it.

    A driver that hangs takes the thread with it, and nothing else.
    """

    def __init__(
        self,
        put: Callable[[SystemSampled], object],
        *,
        step: Callable[[], int],
        paused: Callable[[], bool],
        probes: Callable[[], list[Probe]] = _probes,
    ) -> None:
        """Name who takes the records, and who knows how many updates are completed and whether the run is paused.

        All are called in the sampler's thread. Nothing is sampled of a paused run: the machine waits, too.
        """
        self._put = put
        self._step = step
        self._paused = paused
        self._probes = probes
        self._over = threading.Event()
        self.cost_seconds = 0.0
        """Processor time that looking has taken."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="regtui-system", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        # What is over within the first second has loaded nothing for this.
        if self._over.wait(PERIOD_SECONDS):
            return
        probes = self._probes()
        thinning = Thinning(time.monotonic())
        began, woken = time.monotonic(), time.thread_time()
        rested = True
        while probes:
            if self._paused():
                rested = True
            else:
                found = _read(probes)
                # What is a rate would be one over the pause.
                record = None if rested and thinning.begun else thinning.add(time.monotonic(), found)
                rested = False
                if record and not self._over.is_set():
                    self._put(SystemSampled(time=time.time(), step=self._step(), metrics=record))
            self.cost_seconds = time.thread_time() - woken
            owed = self.cost_seconds / MOST_SHARE - (time.monotonic() - began)
            if self._over.wait(max(PERIOD_SECONDS, owed)):
                return


def _read(probes: list[Probe]) -> dict[str, float]:
    found: dict[str, float] = {}
    for probe in list(probes):
        try:
            found.update(probe.read())
        except Exception:
            # It has failed as a whole, such as a driver that was taken away: it will not come back.
            probes.remove(probe)
    return found


class Thinning:
    """What several looks say, made one record."""

    def __init__(self, began: float) -> None:
        """Count the time from `began`, in seconds on a clock that only rises."""
        self._began = self._from = began
        self._looks: list[Mapping[str, float]] = []
        self.begun = False
        """Whether a record was made."""

    def add(self, now: float, look: Mapping[str, float]) -> Metrics | None:
        """Take one look; give the record that is due, None where none is."""
        if look:
            self._looks.append(look)
        span = min(max((now - self._began) / THIN_AFTER_SECONDS, PERIOD_SECONDS), LONGEST_SECONDS)
        # Half a period early counts: the next look would be further off.
        if not self._looks or (self.begun and now - self._from < span - PERIOD_SECONDS / 2):
            return None
        made: Metrics = {}
        for name in dict.fromkeys(name for each in self._looks for name in each):
            values = [each[name] for each in self._looks if name in each]
            highest = name.rpartition("/")[2] in NEAR_A_LIMIT
            made[name] = _rounded(max(values) if highest else sum(values) / len(values))
        self._looks, self._from, self.begun = [], now, True
        return made


def _rounded(value: float) -> float:
    """Keep what was measured and no digits beyond: a record is short."""
    return float(round(value)) if abs(value) >= 1000 else round(value, 3)
