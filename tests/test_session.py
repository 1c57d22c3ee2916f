"""A live run records itself, obeys, and ends in its log whatever happens."""

import threading
from pathlib import Path

import numpy as np
import pytest

from regtui.core.config import RunConfig, fields
from regtui.core.events import Noted, Pause, Resume, RunEnded, RunEpoch, RunStarted, StepEnded, Stop
from regtui.core.history import History
from regtui.readers import LogError
from regtui.session import LiveRun, LogSource, find_run, new_run_id


def small(**given: object) -> RunConfig:
    return RunConfig.create(**{"framework": "torch", "hidden": (8,), "epochs": 3, **given})


def folded(source: LiveRun | LogSource) -> History:
    history = History()
    history.apply(source.poll())
    return history


def test_what_is_polled_is_what_was_logged(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    live.drive()
    assert live.problem is None
    assert not live.alive
    assert live.poll() == LogSource(live.log_path).poll()


def test_nothing_exists_before_the_run_is_driven(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path / "runs")
    assert live.alive
    assert not (tmp_path / "runs").exists()


def test_the_stages_are_told_in_order(tmp_path: Path) -> None:
    stages: list[str] = []
    live = LiveRun(small(), runs_dir=tmp_path)
    live.listen(lambda: None if stages[-1:] == [live.stage] else stages.append(live.stage))
    live.drive()
    assert stages == ["loading digits", "importing torch", "building the model", "training", "ended"]


def test_poll_hands_out_at_most_its_limit_and_loses_nothing(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=1), runs_dir=tmp_path)
    live.drive()
    events = []
    while taken := live.poll(7):
        assert len(taken) <= 7
        events += taken
    assert events == LogSource(live.log_path).poll()


def test_a_run_pauses_resumes_and_stops_as_it_is_told(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=100_000), runs_dir=tmp_path)
    paused, resumed = threading.Event(), threading.Event()

    def notice() -> None:
        if live.stage == "paused":
            paused.set()
        elif paused.is_set() and live.stage == "training":
            resumed.set()

    live.listen(notice)
    driver = threading.Thread(target=live.drive)
    driver.start()
    live.send(Pause())
    assert paused.wait(60)
    at_pause = folded(live).step
    assert live.poll() == []
    live.send(Resume())
    assert resumed.wait(60)
    live.send(Stop(reason="enough"))
    driver.join(60)
    history = folded(live)
    assert history.end == LogSource(live.log_path).poll()[-1]
    assert (history.end.status, history.end.reason) == ("stopped", "enough")
    assert history.end.step > at_pause


def test_one_epoch_then_pause(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=100_000), runs_dir=tmp_path)
    pauses: list[int] = []
    history = History()

    def notice() -> None:
        history.apply(live.poll())
        if live.stage == "paused" and (not pauses or pauses[-1] != len(history.epochs)):
            pauses.append(len(history.epochs))
            live.send(RunEpoch() if len(pauses) < 3 else Stop())

    live.listen(notice)
    live.send(Pause())
    live.drive()
    assert pauses == [0, 1, 2]


def test_what_a_framework_prints_becomes_a_note_of_the_log_behind_the_first_record(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    live.say("W0000 something harmless")
    live.drive()
    first, second, *_ = LogSource(live.log_path).poll()
    assert isinstance(first, RunStarted)
    assert isinstance(second, Noted)
    assert (second.level, second.text) == ("output", "W0000 something harmless")


def test_data_that_cannot_be_loaded_is_said_and_leaves_no_log(tmp_path: Path) -> None:
    live = LiveRun(small(dataset=str(tmp_path / "none.npz")), runs_dir=tmp_path / "runs")
    live.drive()
    assert live.problem is not None
    assert "none.npz" in live.problem
    assert list((tmp_path / "runs").glob("*")) == []
    assert live.poll() == []


def test_a_runs_folder_that_cannot_be_made_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    live = LiveRun(small(), runs_dir=tmp_path / "runs")
    live.drive()
    assert live.problem is not None
    assert str(tmp_path / "runs") in live.problem
    assert live.poll() == []


def test_a_model_too_large_for_the_memory_ends_the_run_as_failed_in_its_log(tmp_path: Path) -> None:
    # 64 x 65,536 x 65,536 x 65,536 weights: 16 GiB a kernel and their gradients; the third cannot be had.
    many = (65_536,) * 40
    live = LiveRun(small(hidden=many), runs_dir=tmp_path)
    limit_memory(2 << 30)
    try:
        live.drive()
    finally:
        limit_memory(None)
    *_, end = LogSource(live.log_path).poll()
    assert isinstance(end, RunEnded)
    assert end.status == "failed"
    assert "building the model" in end.reason


def limit_memory(more: int | None) -> None:
    """Let this process take at most so many bytes more, so that the machine's size does not matter."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if more is None:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))


def test_a_full_disk_stops_the_log_but_not_the_run(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path, log=Path("/dev/full"))
    live.drive()
    history = folded(live)
    if history.run is None:
        # Refused before training: said, not lost.
        assert live.problem is not None
        assert "/dev/full" in live.problem
        return
    assert history.status == "finished"
    assert live.problem is not None
    assert "/dev/full" in live.problem


def test_the_run_that_is_meant_is_found_by_id_by_folder_and_by_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        live = LiveRun(small(epochs=1, hidden=(2,)), runs_dir=tmp_path, log=tmp_path / name / "events.jsonl")
        live.drive()
    newest = tmp_path / "b" / "events.jsonl"
    assert find_run("a", tmp_path) == tmp_path / "a" / "events.jsonl"
    assert find_run(str(newest), tmp_path) == newest
    assert find_run(str(tmp_path), Path("elsewhere")) == newest
    assert find_run(None, tmp_path) == newest
    with pytest.raises(LogError, match="regtui runs"):
        find_run("c", tmp_path)
    with pytest.raises(LogError, match="holds no run"):
        find_run(None, tmp_path / "a")


def test_a_log_that_grows_is_followed_to_its_end(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    live.drive()
    whole = live.log_path.read_bytes()
    growing = tmp_path / "growing.jsonl"
    growing.write_bytes(whole[:1500])
    source = LogSource(growing)
    history = History()
    history.apply(source.poll())
    assert source.alive
    with growing.open("ab") as file:
        file.write(whole[1500:])
    history.apply(source.poll())
    assert not source.alive
    assert np.array_equal(history.steps.loss.values, folded(live).steps.loss.values)


def test_a_log_is_growing_while_its_run_trains_and_not_afterwards(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    seen: list[bool] = []

    def look() -> None:
        if live.stage == "training" and len(live.poll()):
            source = LogSource(live.log_path)
            source.poll()
            seen.append(source.growing)

    live.listen(look)
    live.drive()
    source = LogSource(live.log_path)
    source.poll()
    assert True in seen
    assert not source.growing


def test_steps_are_counted_from_one(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    live.drive()
    steps = [event.step for event in live.poll() if isinstance(event, StepEnded)]
    assert steps == list(range(1, len(steps) + 1))


def test_the_end_of_a_run_id_cannot_be_read_as_a_field_or_a_value() -> None:
    tails = {new_run_id("torch", 0.0).rpartition("-")[2] for _ in range(2000)}
    signs = set("".join(tails))
    words = {word for name, field in fields().items() for word in (*name.split("_"), *field.choices, *name.split())}
    assert len(tails) > 200
    assert not any(set(word) <= signs for word in {*words, "lr", "bs", "wd", "mps", "gpu", "fp16", "sgd"})
