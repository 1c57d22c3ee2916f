"""When the machine is looked at, and what becomes a record."""

import subprocess
import sys
import threading

import pytest

from regtui.core.events import SystemSampled
from regtui.system import LONGEST_SECONDS, THIN_AFTER_SECONDS, Sampler, Thinning
from regtui.system.host import Host, cores


class Taken:
    """What a sampler gave, and the waiting for it."""

    def __init__(self) -> None:
        self.records: list[SystemSampled] = []
        self._came = threading.Condition()

    def put(self, record: SystemSampled) -> None:
        with self._came:
            self.records.append(record)
            self._came.notify()

    def until(self, count: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.records) >= count, 30)


class Broken:
    def read(self):
        raise RuntimeError("the driver was taken away")


class Counting:
    def __init__(self) -> None:
        self.looks = 0

    def read(self):
        self.looks += 1
        return {"cpu": float(self.looks)}


@pytest.fixture
def sampler(monkeypatch):
    """Make samplers that look as often as they can and are stopped with the test."""
    monkeypatch.setattr("regtui.system.PERIOD_SECONDS", 0.01)
    monkeypatch.setattr("regtui.system.MOST_SHARE", 1.0)
    made = []

    def make(taken, *probes, paused=lambda: False):
        made.append(Sampler(taken.put, step=lambda: 7, paused=paused, probes=lambda: list(probes)))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_a_record_says_when_and_after_how_many_updates(sampler):
    taken = Taken()
    sampler(taken, Counting())
    taken.until(2)
    assert [record.step for record in taken.records[:2]] == [7, 7]
    assert taken.records[0].time < taken.records[1].time


def test_a_probe_that_fails_leaves_the_others(sampler):
    taken = Taken()
    sampler(taken, Broken(), Counting())
    taken.until(2)
    assert [set(record.metrics) for record in taken.records[:2]] == [{"cpu"}] * 2


def test_a_paused_run_is_not_looked_at_and_its_pause_is_in_no_rate(sampler):
    taken, probe, paused, asked = Taken(), Counting(), threading.Event(), threading.Semaphore(0)

    def ask():
        asked.release()
        return paused.is_set()

    sampler(taken, probe, paused=ask)
    taken.until(1)
    paused.set()
    asked.acquire()
    for _ in range(5):
        asked.acquire()
    before, looks = len(taken.records), probe.looks
    for _ in range(5):
        asked.acquire()
    assert (len(taken.records), probe.looks) == (before, looks)
    paused.clear()
    taken.until(before + 1)
    # The first look after the pause spans it.
    assert taken.records[before].metrics["cpu"] >= looks + 2


def test_the_first_hour_has_a_record_a_look_and_later_ones_stand_for_up_to_ten_seconds():
    thinning = Thinning(0.0)
    made = [at for at in range(1, 60_000) if thinning.add(float(at), {"cpu": 1.0}) is not None]
    assert made[:3600] == list(range(1, 3601))
    assert made[-1] - made[-2] == LONGEST_SECONDS
    early, late = (sum(1 for at in made if low <= at < low + THIN_AFTER_SECONDS) for low in (0, 4 * 3600))
    assert late < early / 4


def test_a_record_of_several_looks_has_the_mean_and_of_memory_and_temperature_the_highest():
    thinning = Thinning(-2.5 * THIN_AFTER_SECONDS)
    thinning.add(0.0, {"gpu0/utilization": 0.5})
    for at, value in ((1.0, 2.0), (2.0, 6.0), (3.0, 4.0)):
        found = thinning.add(at, {"cpu": value, "gpu0/memory": value, "gpu0/temperature": value})
    assert found == {"cpu": 4.0, "gpu0/memory": 6.0, "gpu0/temperature": 6.0}


def test_a_busy_process_shows_the_processor_it_takes():
    host = Host()
    assert "cpu" not in host.read()
    sum(range(3_000_000))
    found = host.read()
    assert 0 < found["cpu"] <= 1.5
    assert 0 < found["rss"] < found["host/memory_total"]
    assert found["cores"] == cores() >= 0.01


def test_children_count_with_their_parent():
    host = Host()
    alone = host.read()["rss"]
    child = subprocess.Popen([sys.executable, "-c", "print(bytearray(300_000_000)[:0], flush=True); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert child.stdout.readline()
        host._children_at = 0.0
        assert host.read()["rss"] > alone + 5e6
    finally:
        child.kill()
        child.communicate()
    assert host.read()["rss"] < alone + 300e6


def test_a_run_that_is_over_within_a_second_loads_and_logs_nothing_of_this(tmp_path):
    code = """
import sys, regtui
with regtui.record(log="run.jsonl") as run:
    run.step(loss=1.0)
print({"psutil", "pynvml"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    )
    assert done.stdout == "set()\n"
    assert '"system"' not in (tmp_path / "run.jsonl").read_text()
