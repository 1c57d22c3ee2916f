"""A log is followed while it grows, and says what it is."""

from pathlib import Path

import numpy as np

from regtui.core.config import RunConfig
from regtui.core.events import RunEnded, RunStarted, encode
from regtui.core.history import History
from regtui.readers import LogWriter
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource


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
