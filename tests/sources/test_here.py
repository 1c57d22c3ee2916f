"""A live run records itself, obeys, and ends in its log whatever happens."""

import threading
from pathlib import Path

from regtui.core.config import RunConfig
from regtui.core.events import Noted, Pause, Resume, RunEnded, RunEpoch, RunStarted, StepEnded, Stop
from regtui.core.history import History
from regtui.readers import LogWriter
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource


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


def test_what_is_odd_to_look_at_is_polled_as_it_is_read_from_the_log(tmp_path: Path) -> None:
    data = tmp_path / "odd\x1b]0;x\x07\u202e.csv"
    data.write_text("".join(f"{row},{row % 2}\n" for row in range(20)))
    live = LiveRun(small(dataset=str(data), epochs=1), runs_dir=tmp_path / "runs\x9b2J")
    live.say("\x1b[31mred\x1b[0m")
    live.drive()
    events = live.poll()
    assert live.problem is None
    assert events == LogSource(live.log_path).poll()
    assert events[0].config.dataset == f"{tmp_path}/" + r"odd\x1b]0;x\x07\u202e.csv"
    assert r"\x1b[31mred\x1b[0m" in [event.text for event in events if isinstance(event, Noted)]


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
        if live.stage == "paused" and (not pauses or pauses[-1] != len(history.evaluations)):
            pauses.append(len(history.evaluations))
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


def test_steps_are_counted_from_one(tmp_path: Path) -> None:
    live = LiveRun(small(), runs_dir=tmp_path)
    live.drive()
    steps = [event.step for event in live.poll() if isinstance(event, StepEnded)]
    assert steps == list(range(1, len(steps) + 1))


def test_a_run_that_is_refused_leaves_the_log_of_the_one_that_writes_it(tmp_path: Path) -> None:
    log = tmp_path / "mine.jsonl"
    with LogWriter(log) as first:
        second = LiveRun(small(), runs_dir=tmp_path, log=log)
        second.drive()
        assert second.problem is not None
        assert "being written by another run" in second.problem
        first.write([RunStarted(run_id="first")])
    assert log.read_text().count("\n") == 1


def test_an_empty_file_that_was_there_before_a_refused_run_stays(tmp_path: Path) -> None:
    log = tmp_path / "mine.jsonl"
    log.touch()
    refused = LiveRun(small(dataset="nowhere.csv"), runs_dir=tmp_path, log=log)
    refused.drive()
    assert refused.problem is not None
    assert log.exists()
