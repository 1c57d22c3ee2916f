"""A run that was killed, stopped or handed over goes on from its checkpoint as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from regtui import backends, report
from regtui.analysis import verdict
from regtui.checkpoints import files, find_point
from regtui.core.config import RunConfig, options_of
from regtui.core.events import Pause, Resume, Resumed, RunEnded, SetKnob, Stop
from regtui.core.history import History
from regtui.readers import open_log, read_history
from regtui.sources.here import LiveRun

PATIENCE = 120.0
"""Seconds that a process may take on a machine with much else to do; nothing waits for so long."""

NOT_NUMBERS = {"time", "seconds", "evaluate_seconds"}


def config_of(framework: str, **given: object) -> RunConfig:
    usual = {"hidden": (16,), "epochs": 12, "dropout": 0.3, "l2": 1e-4, "lr_policy": "plateau", "patience": 20}
    return RunConfig.create("overfit", framework=framework, device="cpu", seed=2, **{**usual, **given})


def whole_run(config: RunConfig, folder: Path) -> History:
    live = LiveRun(config, runs_dir=folder, log=folder / "whole.jsonl")
    live.drive()
    return read_history(live.log_path)


def assert_same(one: History, other: History) -> None:
    """Hold every number of two runs against each other, to the bit, apart from what clocks say."""
    for table in ("steps", "evaluations"):
        first, second = getattr(one, table), getattr(other, table)
        assert set(first.names) == set(second.names)
        assert np.array_equal(first.step.values, second.step.values)
        for name in set(first.names) - NOT_NUMBERS:
            assert np.array_equal(first[name].values, second[name].values, equal_nan=True), name
    assert [(c.step, c.what, c.old, c.new, c.cause) for c in one.changes] == [
        (c.step, c.what, c.old, c.new, c.cause) for c in other.changes
    ]
    assert verdict(one) == verdict(other)
    assert one.status == other.status


def resumed(log: Path, **given: object) -> LiveRun:
    point = find_point(log, read_history(log))
    return LiveRun(point.config, runs_dir=log.parent, resume=point, checkpoint=point.manifest.keep, **given)


def train(*options: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "regtui", "train", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=check)


def waited_for(found: Callable[[], object], process: "subprocess.Popen[bytes]") -> bool:
    """Wait for something while a process lives."""
    end = time.monotonic() + PATIENCE
    while not found() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    return bool(found())


def untimed(value: object) -> object:
    """Leave out of a result what a clock and the machine say, and the run's name."""
    if isinstance(value, dict):
        return {key: untimed(each) for key, each in value.items() if key not in {*NOT_NUMBERS, "run_id", "system"}}
    return [untimed(each) for each in value] if isinstance(value, list) else value


def test_a_run_killed_in_the_middle_goes_on_and_leaves_the_log_of_one_that_was_never_killed(framework, tmp_path):
    config = config_of(framework, epochs=150, patience=40, batch_size=100)
    log = tmp_path / "killed.jsonl"
    command = [sys.executable, "-m", "regtui", "train", *options_of(config), f"--log={log}", "--checkpoint=both"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        made = files.folder_of(log) / "last" / files.MANIFEST
        assert waited_for(made.exists, process)
        # Further on than the checkpoint, so that something is void.
        size = log.stat().st_size
        assert waited_for(lambda: log.stat().st_size > size, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert read_history(log).status == "running"
    told = json.loads(train(f"--resume={log}", "--json").stdout)
    events = open_log(log).poll()
    assert sum(isinstance(event, Resumed) for event in events) == 1
    whole = whole_run(config, tmp_path)
    assert_same(read_history(log), whole)
    assert untimed(told) == untimed(json.loads(report.to_json(report.result(whole))))


def test_a_run_that_is_handed_over_goes_on_with_no_step_lost_or_repeated(framework, tmp_path):
    config = config_of(framework)
    live = LiveRun(config, runs_dir=tmp_path, log=tmp_path / "log.jsonl")
    asked = []

    def notice() -> None:
        if not asked and live.begun and live._recorded.place[0] >= 40:
            asked.append(live._recorded.place[0])
            live.hand_over()

    live.listen(notice)
    live.drive()
    assert live.handed_over
    assert live.stage == "handed over"
    assert not [event for event in live.poll() if isinstance(event, RunEnded)]
    before = read_history(live.log_path)
    assert before.step < 12 * 32
    other = resumed(live.log_path)
    other.drive()
    assert other.problem is None
    (went_on,) = [event for event in other.poll() if isinstance(event, Resumed)]
    assert went_on.step == before.step
    assert_same(read_history(live.log_path), whole_run(config, tmp_path))


def test_a_run_that_is_handed_over_while_it_pauses_is_paused_there_too(tmp_path):
    config = config_of("torch", epochs=6)
    live = LiveRun(config, runs_dir=tmp_path, log=tmp_path / "log.jsonl")
    live.send(SetKnob("dropout", 0.3))
    live.send(Pause())
    live.listen(lambda: live.hand_over() if live.stage == "paused" and not asked.is_set() and not asked.set() else None)
    asked = threading.Event()
    live.drive()
    assert live.handed_over
    other = resumed(live.log_path)
    stages: list[str] = []

    def notice() -> None:
        if other.stage != (stages or [""])[-1]:
            stages.append(other.stage)
            if other.stage == "paused":
                other.send(Resume())

    other.listen(notice)
    other.drive()
    assert stages.index("paused") > stages.index("training")
    history = read_history(live.log_path)
    assert history.status == "finished"
    assert len(history.steps) == 6 * 32
    assert len(history.changes) >= 1


def test_a_run_cannot_be_handed_over_before_it_trains(tmp_path):
    live = LiveRun(config_of("torch"), runs_dir=tmp_path)
    live.hand_over()
    assert "nothing is trained yet" in live.not_handed_over
    assert live.alive
    assert not live.handed_over


def test_a_run_that_cannot_write_its_checkpoint_goes_on_and_says_why_it_is_not_handed_over(tmp_path):
    live = LiveRun(config_of("torch"), runs_dir=tmp_path, log=tmp_path / "log.jsonl", checkpoint="both")
    files.folder_of(live.log_path).write_text("in the way")
    asked = threading.Event()
    live.listen(lambda: live.hand_over() if live.begun and not asked.is_set() and not asked.set() else None)
    live.drive()
    assert "no checkpoint can be written" in live.not_handed_over
    history = read_history(live.log_path)
    assert history.status == "finished"
    warnings = [note.text for note in history.notes if note.level == "warning"]
    assert sum("training goes on" in text for text in warnings) == 1


def test_a_device_without_room_for_a_copy_of_the_net_costs_its_checkpoints_and_no_training(tmp_path, monkeypatch):
    def full(_backend: object) -> object:
        raise MemoryError("out of memory")

    monkeypatch.setattr(backends.find("torch"), "snapshot", full)
    config = config_of("torch", epochs=3)
    live = LiveRun(config, runs_dir=tmp_path, log=tmp_path / "events.jsonl", checkpoint="both")
    live.drive()
    history = read_history(live.log_path)
    assert history.status == "finished"
    (said,) = [note.text for note in history.notes if note.level == "warning"]
    assert "no checkpoint can be written" in said
    assert "out of memory" in said


def test_a_stopped_run_goes_on_from_the_step_at_which_it_was_stopped(tmp_path):
    config = config_of("torch")
    live = LiveRun(config, runs_dir=tmp_path, log=tmp_path / "log.jsonl", checkpoint="last")
    live.listen(lambda: live.send(Stop()) if live.begun and live._recorded.place[0] >= 40 else None)
    live.drive()
    stopped = read_history(live.log_path)
    assert stopped.status == "stopped"
    other = resumed(live.log_path)
    other.drive()
    assert_same(read_history(live.log_path), whole_run(config, tmp_path))
    assert other.poll()[0].step == stopped.step


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The log of a run that was stopped in its third epoch, with both checkpoints."""
    folder = tmp_path_factory.mktemp("stopped")
    live = LiveRun(config_of("torch"), runs_dir=folder, log=folder / "run" / "events.jsonl", checkpoint="both")
    live.listen(lambda: live.send(Stop()) if live.begun and live._recorded.place[1] >= 2 else None)
    live.drive()
    return live.log_path


@pytest.fixture
def copy(stopped, tmp_path) -> Path:
    """A copy of it to be damaged."""
    import shutil

    shutil.copytree(stopped.parent, tmp_path / "run")
    return tmp_path / "run" / "events.jsonl"


def refused(log: Path, *options: str) -> str:
    done = train(f"--resume={log}", *options, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_checkpoints_are_their_owners_alone(stopped):
    folder = files.folder_of(stopped)
    assert {path.name for path in folder.iterdir()} == {"best", "last"}
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_damaged_checkpoint_is_said_and_the_other_taken(copy):
    weights = files.folder_of(copy) / "last" / "weights.pt"
    weights.write_bytes(weights.read_bytes()[:-1])
    point = find_point(copy, read_history(copy))
    assert point.place.name == "best"
    assert "weights.pt is not as it was written" in point.warning
    live = LiveRun(point.config, runs_dir=copy.parent, resume=point)
    live.drive()
    history = read_history(copy)
    assert history.status == "finished"
    assert [note.text for note in history.notes if note.level == "warning"] == [point.warning]


def test_what_cannot_be_resumed_is_said_in_one_sentence(copy, tmp_path):
    folder = files.folder_of(copy)
    for kind in ("last", "best"):
        (folder / kind / files.MANIFEST).write_bytes(b"{}")
    assert "its checkpoints are damaged" in refused(copy)
    for kind in ("last", "best"):
        (folder / kind).rename(tmp_path / kind)
    assert "has no checkpoint to go on from" in refused(copy)
    assert "--dropout cannot stand beside it" in refused(copy, "--dropout=0.4")


def test_a_run_that_still_trains_is_not_resumed(copy):
    import fcntl

    with copy.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "still trains" in refused(copy)


def test_a_finished_run_has_nothing_to_resume(tmp_path):
    config = config_of("torch", epochs=1)
    live = LiveRun(config, runs_dir=tmp_path, log=tmp_path / "log.jsonl", checkpoint="both")
    live.drive()
    with pytest.raises(files.CheckpointError, match="nothing to resume"):
        find_point(live.log_path, read_history(live.log_path))


def test_other_rows_than_the_run_was_trained_on_are_refused(tmp_path):
    data = tmp_path / "rows.csv"
    data.write_text("".join(f"{row},{row % 2}\n" for row in range(200)))
    config = RunConfig.create(framework="torch", dataset=str(data), hidden=(4,), epochs=50)
    live = LiveRun(config, runs_dir=tmp_path, log=tmp_path / "log.jsonl", checkpoint="last")
    live.listen(lambda: live.send(Stop()) if live.begun else None)
    live.drive()
    data.write_text("".join(f"{row},{row % 2}\n" for row in range(1, 201)))
    other = resumed(live.log_path)
    other.drive()
    assert other.problem is not None
    assert "other rows" in other.problem
    assert read_history(live.log_path).status == "stopped"


def test_another_version_of_the_framework_is_refused(stopped, monkeypatch):
    monkeypatch.setattr(backends.find("torch"), "version", "0.1")
    other = resumed(stopped)
    other.drive()
    assert "here is torch 0.1" in str(other.problem)
    assert read_history(stopped).status == "stopped"


def test_a_checkpoint_that_was_not_finished_is_none_and_the_one_before_it_counts(copy):
    folder = files.folder_of(copy)
    # Killed between two renamings, with a half-written one beside.
    (folder / "last").rename(folder / ".last.old")
    (folder / ".last.new").mkdir()
    (folder / ".last.new" / files.MANIFEST).write_bytes(b"{")
    assert find_point(copy, read_history(copy)).place.name == ".last.old"
    files.sweep(folder)
    assert {path.name for path in folder.iterdir()} == {"best", ".last.old"}


def test_a_disk_that_takes_no_checkpoint_leaves_the_one_before_whole(copy):
    folder = files.folder_of(copy)
    before = files.read(folder / "last")

    def full(place: Path) -> None:
        (place / "weights.pt").write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space left"):
        files.write(folder, "last", before, full)
    assert files.read(folder / "last") == before
    assert {path.name for path in folder.iterdir()} == {"best", "last"}
