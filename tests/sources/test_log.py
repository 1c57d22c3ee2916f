"""A log is followed while it grows, and says what it is."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from regtui.core.config import RunConfig
from regtui.core.events import RunEnded, RunStarted, StepEnded, encode, encode_lines
from regtui.core.history import History
from regtui.readers import LogWriter
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource

KERNEL = Path("/proc/kmsg")
"""A file that says it is regular and empty, and makes its reader wait."""


def small() -> RunConfig:
    return RunConfig.create(framework="torch", hidden=(8,), epochs=3)


def folded(source: LiveRun | LogSource) -> History:
    history = History()
    history.apply(source.poll())
    return history


def test_a_log_that_grows_is_followed_to_its_end(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    live.drive()
    whole = live.log_path.read_bytes()
    growing = tmp_path / "growing.jsonl"
    growing.write_bytes(whole[:1500])
    source = LogSource(growing)
    history = History()
    history.apply(source.poll())
    assert source.activity.alive
    with growing.open("ab") as file:
        file.write(whole[1500:])
    history.apply(source.poll())
    assert not source.activity.alive
    assert np.array_equal(history.steps["step/loss"].values, folded(live).steps["step/loss"].values)


def test_a_log_is_growing_while_its_run_trains_and_not_afterwards(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    seen: list[bool] = []

    def look() -> None:
        if live.stage == "training" and len(live.poll()):
            source = LogSource(live.log_path)
            source.poll()
            seen.append(source.activity.growing)

    live.listen(look)
    live.drive()
    source = LogSource(live.log_path)
    source.poll()
    assert True in seen
    assert not source.activity.growing


def test_a_log_takes_no_commands(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(RunStarted(run_id="a", config=small())))
    assert not LogSource(path).listens


def test_a_log_whose_writer_has_gone_is_alive_and_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(RunStarted(run_id="a", config=small())))
    source = LogSource(path)
    source.poll()
    assert (source.activity.alive, source.activity.growing) == (True, False)


def test_a_log_that_brings_nothing_while_its_disk_is_full_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, room = tmp_path / "log.jsonl", [0]
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=room[0], f_bfree=room[0]))
    with LogWriter(log) as writer:
        writer.write([RunStarted(run_id="a")])
        source = LogSource(log)
        source.poll()
        said = f"the disk of the log {log} is full: what is recorded waits for room"
        assert (source.activity.log_problem, source.activity.log_words) == (said, "disk full")
        room[0] = 1
        assert source.activity.log_problem == ""
    room[0] = 0
    assert source.activity.log_problem == ""


def test_an_ended_log_is_alive_again_while_the_next_run_is_written_to_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(RunStarted(run_id="a", config=small())) + encode(RunEnded(status="finished")))
    source = LogSource(path)
    source.poll()
    assert not source.activity.alive
    with LogWriter(path) as writer:
        assert source.activity.alive
        writer.write([RunStarted(run_id="b", config=small())])
        assert [event.run_id for event in source.poll() if isinstance(event, RunStarted)] == ["b"]


def a_log(path: Path, run_id: str = "a", steps: int = 2) -> Path:
    events = [RunStarted(run_id=run_id, config=small()), *(StepEnded(step=step) for step in range(1, steps + 1))]
    path.write_bytes(encode_lines([*events, RunEnded(status="finished")]))
    return path


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def messages_of_the_kernel(path: Path) -> None:
    path.unlink()
    path.symlink_to(KERNEL)


def the_folder_gone(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (Path.unlink, "log gone", "was deleted or moved away"),
        (the_folder_gone, "log gone", "was deleted or moved away"),
        (emptied, "log emptied", "was emptied"),
        (a_pipe, "log replaced", "was replaced by a pipe"),
        (a_folder, "log replaced", "was replaced by a folder"),
        pytest.param(
            messages_of_the_kernel,
            "log replaced",
            "was replaced by a file that the system makes up as it is read",
            marks=pytest.mark.skipif(not KERNEL.exists(), reason="no /proc/kmsg on this system"),
        ),
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_a_log_that_is_taken_away_is_said_and_one_that_comes_back_is_read_anew(
    tmp_path: Path, spoil: Callable[[Path], None], words: str, said: str, ended: bool
) -> None:
    path = tmp_path / "run" / "events.jsonl"
    path.parent.mkdir()
    a_log(path)
    if not ended:
        os.truncate(path, path.stat().st_size - 5)
    source = LogSource(path)
    source.poll()
    assert source.activity.log_problem == ""
    spoil(path)
    activity = source.activity
    problem = f"the log {path} {said}: what is shown is what it held until then"
    assert (activity.log_words, activity.log_problem) == (words, problem)
    assert source.poll() == []

    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    a_log(path, "b", steps=9)
    assert (source.activity.log_problem, source.activity.alive) == ("", True)
    first, *_ = source.poll()
    assert isinstance(first, RunStarted)
    assert first.run_id == "b"
    assert not source.activity.alive


def test_an_ended_log_that_was_replaced_by_another_between_two_looks_is_read_anew(tmp_path: Path) -> None:
    path = a_log(tmp_path / "events.jsonl")
    source = LogSource(path)
    source.poll()
    assert not source.activity.alive
    a_log(tmp_path / "other", "b").replace(path)
    assert source.activity.alive
    assert isinstance(first := source.poll()[0], RunStarted)
    assert first.run_id == "b"


def test_an_ended_log_that_was_away_for_a_while_and_is_the_same_is_not_read_again(tmp_path: Path) -> None:
    path = a_log(tmp_path / "events.jsonl")
    source = LogSource(path)
    source.poll()
    assert not source.activity.alive
    path.rename(tmp_path / "away")
    assert source.activity.log_problem
    (tmp_path / "away").rename(path)
    assert (source.activity.log_problem, source.activity.alive) == ("", False)
    assert source.poll() == []


def test_a_log_that_has_not_begun_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    assert LogSource(path).activity.log_problem == ""
