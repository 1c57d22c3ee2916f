"""Processor and memory of this process, its children and the whole machine, through psutil."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHILDREN_SECONDS, CHILDREN_SHARE = 10.0, 0.0005
"""How often children are looked for, such as those that load data; but never for more than this share of a core: it
takes a look at each process of the machine."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux tells a container what it may use: microseconds of processor a period, or `max`."""


class Host:
    """Reads the machine; raises ImportError without psutil."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._own = psutil.Process()
        self._children: list[Any] = []
        self._children_at = 0.0
        self._busy: dict[int, float] = {}
        """Process -> processor seconds it had used at the last look."""
        self._looked_at = time.monotonic()
        self._busy_here = time.process_time()
        self._cores = cores()
        psutil.cpu_percent()
        self._again = False

    def read(self) -> Mapping[str, float]:
        """Give what is known now; processors are those kept busy since the last call.

        Memory that processes share, as a child does with its parent until one of them writes, is counted for each.
        """
        now, here = time.monotonic(), time.process_time()
        passed, used = now - self._looked_at, here - self._busy_here
        self._looked_at, self._busy_here = now, here
        self._find_children(now)
        rss = self._own.memory_info().rss
        busy: dict[int, float] = {}
        for child in self._children:
            try:
                times, memory = child.cpu_times(), child.memory_info()
            except self._psutil.Error:  # it has ended, or become another user's
                continue
            busy[child.pid] = times.user + times.system
            used += max(busy[child.pid] - self._busy.get(child.pid, busy[child.pid]), 0.0)
            rss += memory.rss
        self._busy = busy
        memory = self._psutil.virtual_memory()
        found = {"rss": float(rss), "host/memory": float(memory.total - memory.available)}
        found["host/memory_total"] = float(memory.total)
        host = self._psutil.cpu_percent() / 100
        if self._again:
            # Both are means since the look before, which the first has not.
            found |= {"cpu": used / passed if passed > 0 else 0.0, "cores": self._cores, "host/utilization": host}
        self._again = True
        return found

    def _find_children(self, now: float) -> None:
        if now < self._children_at:
            return
        begun = time.thread_time()
        try:
            self._children = self._own.children(recursive=True)
        except self._psutil.Error:
            self._children = []
        self._children_at = now + max(CHILDREN_SECONDS, (time.thread_time() - begun) / CHILDREN_SHARE)


def cores() -> float:
    """Give how many processors this process may use: those it is bound to, or the quota of its container."""
    bound = getattr(os, "sched_getaffinity", None)
    usable = float(len(bound(0)) if bound else os.cpu_count() or 1)
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return min(usable, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return usable
