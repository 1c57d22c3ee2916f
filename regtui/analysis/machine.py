"""What the machine that trains has to do: its newest numbers in a line, and whether its GPU waits for the rest.

A GPU waits where it computes for less than half of the time while each update has it idle for longer than starting its
work takes: then something else is slow, mostly what brings the rows. A run of many fast updates has an idle GPU, too,
but only since the net is small. Nothing is said of runs on the processor, nor where utilization is not known (MIG).
"""

import math
import re
from dataclasses import dataclass

import msgspec
import numpy as np

from regtui.analysis.facts import device
from regtui.core.history import History
from regtui.core.text import short

GIB = 2.0**30

LOOKS = 60
"""Newest samples that are judged: a minute, in which a slow evaluation or checkpoint is not all there is."""

FEWEST_LOOKS = 30
"""Fewer are not judged: at the start kernels are compiled and chosen, and the first rows come from a cold disk."""

GAP = 3.0
"""Times the usual distance of two samples, from which on the run did not go on in between."""

WAITING = 0.5
"""Share of the time below which a GPU counts as waiting: more than half of what it could compute is lost."""

TOUCHED = 0.02, 0.1
"""Mean and highest utilization from which on a GPU counts as used by the run at all: a screen alone takes less."""

STARTING_SECONDS = 0.02
"""Idle time an update that is no sign of waiting: a large net starts some 2,000 kernels a step, at 5 to 10 µs each."""

BUSY_CORES, BUSY_HOST = 0.85, 0.95
"""Shares of the run's processors, and of the whole machine's, from which on they are what is short."""

ABSURD = 1e18
"""No machine has so many bytes, nor watts: what a log says beyond is left out."""

GPU = re.compile(r"gpu(\d+)/")


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU waits for the rest of the machine."""

    utilization: float
    """Mean share of the time, 0 to 1, in which the busiest GPU of the run computed."""
    idle_seconds: float
    """Time an update in which it did not."""
    steps_per_second: float
    """Updates a second, over the same samples."""
    seconds: float
    """What the samples span."""
    cpu: float | None
    """Processors that the process and its children kept busy meanwhile."""
    cores: float | None
    """Processors that it may use."""
    host: float | None
    """Share, 0 to 1, of the whole machine's processors that was in use, by whomever."""

    @property
    def line(self) -> str:
        """Say it for people, with what to try."""
        idle = f"{self.idle_seconds:.1f} s" if self.idle_seconds >= 1 else f"{1000 * self.idle_seconds:.0f} ms"
        said = (
            f"the GPU waits: it computed {100 * self.utilization:.0f} % of the last {self.seconds:.0f} s, "
            f"idle for {idle} of each step at {short(self.steps_per_second)} steps/s"
        )
        if self.cpu is None or self.cores is None:
            return f"{said}: look at what comes between steps, first the loading of rows"
        used = f"{self.cpu:.1f} of {short(self.cores)} processors are in use"
        if self.cpu >= BUSY_CORES * self.cores:
            return f"{said}; {used}: prepare rows once and keep them, or give them more processors"
        if self.host is not None and self.host >= BUSY_HOST:
            return f"{said}, while {used}: other programs take the rest"
        if self.cpu >= 0.5:
            return f"{said}, while {used}: load rows with more workers, or in larger batches"
        return f"{said}, while {used}: the processors wait, too, for a disk or a network"


def waiting(history: History) -> Waiting | None:
    """Tell that the GPU of a run waits, from its newest samples; None where it does not, or where that is not known."""
    return history.now(_waiting)


@np.errstate(all="ignore")
def _waiting(history: History) -> Waiting | None:
    table = history.system
    if (device(history) or "").lower().startswith("cpu") or len(table) < FEWEST_LOOKS:
        return None
    steps, times = table.step.values[-LOOKS:], table["time"].values[-LOOKS:]
    between = np.diff(times)
    known = between[np.isfinite(between)]
    if not len(known):
        return None
    # A longer gap is a pause, in which nothing is sampled.
    lived = between <= GAP * np.median(known)
    passed, made = float(between[lived].sum()), float(np.diff(steps)[lived].sum())
    if not (passed > 0 and made > 0):
        return None
    used = [table[f"gpu{gpu}/utilization"].values[-LOOKS:] for gpu in gpus(history)]
    used = [values for values in used if np.isfinite(values).sum() >= FEWEST_LOOKS]
    used = [values for values in used if np.nanmean(values) >= TOUCHED[0] and np.nanmax(values) >= TOUCHED[1]]
    if not used:
        return None
    # Of several the busiest: those that the run may use and does not are none that wait.
    utilization = max(float(np.nanmean(values)) for values in used)
    idle = (1 - utilization) * passed / made
    if utilization >= WAITING or idle < STARTING_SECONDS:
        return None
    return Waiting(
        utilization=utilization, idle_seconds=idle, steps_per_second=made / passed, seconds=passed,
        cpu=_mean(table["cpu"].values[-LOOKS:]), cores=_known(table["cores"].last),
        host=_mean(table["host/utilization"].values[-LOOKS:]),
    )  # fmt: skip


def _mean(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def gpus(history: History) -> list[int]:
    """Give the numbers of the GPUs that were sampled, in their order."""
    return history.now(_gpus)


def _gpus(history: History) -> list[int]:
    return sorted({int(found[1]) for name in history.system if (found := GPU.match(name)) and len(found[1]) < 9})


@dataclass(frozen=True)
class Numbers:
    """What the machine showed, asked for by name; NaN where it showed none."""

    found: dict[str, float]

    def __call__(self, name: str) -> float:
        value = self.found.get(name, math.nan)
        return value if abs(value) < ABSURD else math.nan


def newest(history: History) -> dict[str, float]:
    """Give the newest number of each name that one of the last `LOOKS` samples says."""
    return history.now(_newest)


def _newest(history: History) -> dict[str, float]:
    found = {}
    for name in _measured(history):
        values = history.system[name].values
        known = np.flatnonzero(np.isfinite(values[-LOOKS:]))
        if len(known):
            found[name] = float(values[-LOOKS:][known[-1]])
    return found


def means(history: History) -> dict[str, float]:
    """Give the mean over the run's samples, by name."""
    return history.now(_means)


@np.errstate(all="ignore")  # numbers near the largest float have no mean
def _means(history: History) -> dict[str, float]:
    found = {name: _mean(history.system[name].values) for name in _measured(history)}
    return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


def highest(history: History) -> dict[str, float]:
    """Give the highest of the run's samples, by name."""
    bounds = {name: history.system[name].bounds[1] for name in _measured(history)}
    return {name: value for name, value in bounds.items() if math.isfinite(value)}


def _measured(history: History) -> list[str]:
    return [name for name in history.system if name != "time"]


def machine_parts(history: History) -> list[str]:
    """Say what the machine does, a part a thing: each GPU, or several in one, the process, then the host.

    While the run lives these are the newest numbers; once it is over the means, of memory and temperature the highest.
    """
    if not len(history.system):
        return []
    over = history.end is not None
    now = Numbers(means(history) if over else newest(history))
    most = Numbers(highest(history) if over else now.found)
    known = [number for number in gpus(history) if any(name.startswith(f"gpu{number}/") for name in now.found)]
    parts = [_gpu(number, now, most) for number in known] if len(known) <= 2 else [_several(known, now, most)]
    return [part for part in (*parts, _process(now, most), _host(now, most)) if part]


def _gpu(number: int, now: Numbers, most: Numbers) -> str:
    name = f"gpu{number}"
    said = [
        _percent(now(f"{name}/utilization")), _memory(most(f"{name}/memory"), most(f"{name}/memory_total")),
        _with_unit(now(f"{name}/power"), "W"), _with_unit(most(f"{name}/temperature"), "°C"),
    ]  # fmt: skip
    return f"GPU {number} {'  '.join(filter(None, said))}" if any(said) else ""


def _several(numbers: list[int], now: Numbers, most: Numbers) -> str:
    """Say of many GPUs their mean, the one that does least, the sums and the warmest."""

    def of(values: Numbers, quantity: str) -> list[float]:
        found = [values(f"gpu{number}/{quantity}") for number in numbers]
        return [value for value in found if math.isfinite(value)] or [math.nan]

    used = of(now, "utilization")
    least = min(numbers, key=lambda number: _or_infinity(now(f"gpu{number}/utilization")))
    said = [
        _percent(sum(used) / len(used)) and f"{_percent(sum(used) / len(used))} (GPU {least} {_percent(min(used))})",
        _memory(sum(of(most, "memory")), sum(of(most, "memory_total"))), _with_unit(sum(of(now, "power")), "W"),
        _with_unit(max(of(most, "temperature")), "°C"),
    ]  # fmt: skip
    return f"{len(numbers)} GPUs {'  '.join(filter(None, said))}" if any(said) else ""


def _or_infinity(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _process(now: Numbers, most: Numbers) -> str:
    of = f" of {short(now('cores'))} cores" if math.isfinite(now("cores")) else " cores"
    said = [f"CPU {now('cpu'):.1f}{of}" if math.isfinite(now("cpu")) else "", _rss(most("rss"))]
    return "  ".join(filter(None, said))


def _host(now: Numbers, most: Numbers) -> str:
    used = _percent(now("host/utilization"))
    said = [used, _memory(most("host/memory"), most("host/memory_total"))]
    return f"host {'  '.join(filter(None, said))}" if any(said) else ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else ""


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if math.isfinite(value) else ""


def _rss(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"RSS {value / GIB:.1f} GiB" if value >= GIB else f"RSS {1024 * value / GIB:.0f} MiB"


def _memory(used: float, total: float) -> str:
    if not math.isfinite(used):
        return ""
    return f"{used / GIB:.1f}" + (f" of {total / GIB:.0f} GiB" if math.isfinite(total) else " GiB")
