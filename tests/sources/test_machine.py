"""A run that trains here has its machine sampled into its log."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from regtui.checkpoints import find_point
from regtui.core.config import RunConfig
from regtui.core.events import Event, Pause, Record, Resumed, RunEnded, RunStarted, StepEnded, Stop, SystemSampled
from regtui.core.history import History
from regtui.readers import read_history
from regtui.report import result
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource


def long(**given: object) -> RunConfig:
    return RunConfig.create(**{"framework": "torch", "hidden": (8,), "epochs": 1_000_000, **given})


def folded(events: list[Event]) -> History:
    history = History()
    history.apply(events)
    return history


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the machine without waiting."""
    monkeypatch.setattr("regtui.system.PERIOD_SECONDS", 0.01)


def drive_until_sampled(live: LiveRun, stop: bool = True) -> list[Event]:
    """Drive a run until it has two samples of its processor, or for good."""
    events: list[Event] = []

    def look() -> None:
        events.extend(live.poll())
        if stop and sum("cpu" in event.metrics for event in events if isinstance(event, SystemSampled)) > 1:
            live.send(Stop())

    live.listen(look)
    live.drive()
    return events


def test_samples_stand_between_the_first_record_and_the_end_and_the_log_says_what_was_shown(tmp_path: Path) -> None:
    live = LiveRun(long(), runs_dir=tmp_path)
    events = drive_until_sampled(live)
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunEnded)
    samples = [event for event in events if isinstance(event, SystemSampled)]
    assert len(samples) > 1
    assert samples[-1].step > 0
    logged = LogSource(live.log_path).poll()
    assert logged == events
    assert result(folded(logged)) == result(folded(events))


def test_a_run_ends_with_its_sampler(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    drive_until_sampled(LiveRun(long(), runs_dir=tmp_path))
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


def test_a_run_that_resumed_from_an_earlier_step_shows_the_machine_from_there(tmp_path: Path) -> None:
    metrics = {"cpu": 1.0}
    history = folded(
        [
            *(StepEnded(step=step, epoch=1, loss=1.0) for step in range(1, 9)),
            SystemSampled(step=4, time=1.0, metrics=metrics), SystemSampled(step=8, time=2.0, metrics=metrics),
            Resumed(step=5), SystemSampled(step=6, time=3.0, metrics=metrics),
        ]
    )  # fmt: skip
    assert history.system.step.values.tolist() == [4, 6]


class FirstStepWaits:
    """A companion that holds a run up at its first record, until the machine was looked at."""

    def begin(self, run: LiveRun) -> None:
        end = time.monotonic() + 60
        while not any(isinstance(record, SystemSampled) for record in run._recorded.said):
            assert time.monotonic() < end
            time.sleep(0.005)

    def see(self, events: Sequence[Record]) -> None:
        pass

    def end(self) -> None:
        pass


def test_a_run_that_goes_on_has_its_machine_sampled_from_where_it_goes_on(tmp_path: Path) -> None:
    live = LiveRun(long(), runs_dir=tmp_path, checkpoint="last")
    live.listen(lambda: live.send(Stop()) if live.step >= 20 else None)
    live.drive()
    point = find_point(live.log_path, read_history(live.log_path))
    other = LiveRun(point.config, runs_dir=tmp_path, resume=point, companions=[FirstStepWaits()])
    events = drive_until_sampled(other)
    samples = [event for event in events if isinstance(event, SystemSampled)]
    assert samples[0].step == point.manifest.state.step >= 20


def test_a_run_that_is_paused_is_not_sampled(tmp_path: Path) -> None:
    live = LiveRun(long(), runs_dir=tmp_path)
    thread = threading.Thread(target=live.drive)
    paused = threading.Event()
    live.listen(lambda: paused.set() if live.stage == "paused" else None)
    thread.start()
    try:
        live.send(Pause())
        assert paused.wait(60)
        looked = threading.Semaphore(0)
        (sampler,) = [each._sampler for each in live._recorded._companions]
        sampler._paused = lambda asked=sampler._paused: (looked.release(), asked())[1]
        for _ in range(3):  # what was under way when it paused
            assert looked.acquire(timeout=60)
        said = len(live._recorded.said)
        for _ in range(5):
            assert looked.acquire(timeout=60)
        assert len(live._recorded.said) <= said
    finally:
        live.send(Stop())
        thread.join(60)
