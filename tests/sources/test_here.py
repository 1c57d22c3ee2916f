"""A live run records itself, obeys, and ends in its log whatever happens."""

import os
import threading
from pathlib import Path

from regtui.commands import send
from regtui.core.config import RunConfig
from regtui.core.events import Noted, Pause, Resume, RunEnded, RunEpoch, RunStarted, SetKnob, StepEnded, Stop
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
    # A kernel of 16,384 x 16,384 is drawn in 2 GiB: a machine may have them, and this process may not.
    live = LiveRun(small(hidden=(16_384, 16_384)), runs_dir=tmp_path)
    limit_memory(2 << 30)
    try:
        live.drive()
    finally:
        limit_memory(None)
    *_, end = LogSource(live.log_path).poll()
    assert isinstance(end, RunEnded)
    assert end.status == "failed"
    assert "building the model" in end.reason


def test_a_model_that_no_machine_holds_is_refused_by_its_widths_and_leaves_no_log(tmp_path: Path) -> None:
    live = LiveRun(small(hidden=(65_536,) * 40), runs_dir=tmp_path)
    live.drive()
    assert live.refused is not None
    assert live.refused.field == "hidden"
    assert not live.log_path.exists()


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
    said: list[str] = []
    live.listen(lambda: said.append(live.log_problem))
    live.drive()
    history = folded(live)
    assert (history.status, live.problem) == ("finished", None)
    full = "No space left on device"
    assert f"the log /dev/full cannot be written ({full}): up to 8 MB wait in memory until it can" in said
    assert sum("cannot be written" in note.text for note in history.notes) == 1
    # All that was polled, and nothing of it is in the log.
    records = 2 + len(history.steps) + len(history.evaluations) + len(history.notes)
    assert live.activity.log_problem == said[-1] == f"the log /dev/full lacks {records} records ({full})"


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


def test_two_runs_of_one_id_have_a_folder_each_and_one_that_is_refused_leaves_the_others(tmp_path: Path) -> None:
    first = LiveRun(small(), runs_dir=tmp_path)
    second, refused = LiveRun(small(), runs_dir=tmp_path), LiveRun(small(dataset="nowhere.csv"), runs_dir=tmp_path)
    second.run_id = refused.run_id = first.run_id
    for live in (first, refused, second):
        live.drive()
    assert refused.problem is not None
    assert sorted(tmp_path.iterdir()) == sorted([first.log_path.parent, second.log_path.parent])
    for live in (first, second):
        started = LogSource(live.log_path).poll()[0]
        assert isinstance(started, RunStarted)
        assert started.run_id == live.run_id == live.log_path.parent.name


def test_what_is_said_of_the_log_stands_in_it_before_the_end(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=1_000_000), runs_dir=tmp_path)
    history = History()

    def spoil() -> None:
        history.apply(live.poll())
        if history.notes:
            live.send(Stop(reason="seen"))
        elif len(history.evaluations) and live.log_path.stat().st_size > 1000:
            os.truncate(live.log_path, 1000)

    live.listen(spoil)
    live.drive()
    events = LogSource(live.log_path).poll()
    (note,) = (event for event in events if isinstance(event, Noted) and event.level == "error")
    assert note.text == live.log_problem
    assert "was shortened by" in note.text
    assert isinstance(events[-1], RunEnded)
    assert events[-1].reason == "seen"


def test_a_run_is_its_owners_alone_unless_it_is_shared(tmp_path: Path) -> None:
    for share, folder, file in ((False, 0o700, 0o600), (True, 0o755, 0o644)):
        before = os.umask(0o022)
        try:
            live = LiveRun(small(epochs=1), runs_dir=tmp_path / str(share), share=share)
            live.drive()
        finally:
            os.umask(before)
        modes = [path.stat().st_mode & 0o777 for path in (live.log_path, *live.log_path.parents[:2])]
        assert modes == [file, folder, folder]


def test_a_run_obeys_another_process_and_says_in_its_log_what_it_does(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=100_000), runs_dir=tmp_path)
    history = History()
    orders = [Pause(), SetKnob(knob="dropout", value=0.25), Resume(), Stop(reason="sent")]
    said: list[list[str]] = [[], ["paused"], ["paused", "dropout"], ["paused", "dropout", "training"]]

    def answer() -> None:
        history.apply(live.poll())
        done = [note.text for note in history.notes if note.level == "state"]
        done[1:1] = [change.what for change in history.changes]
        if orders and history.run is not None and done == said[-len(orders)]:
            send(live.log_path, orders.pop(0))

    live.listen(answer)
    live.drive()
    assert history.end is not None
    assert (orders, history.end.reason) == ([], "sent")


def test_a_run_that_is_paused_goes_on_looking_after_its_log(tmp_path: Path) -> None:
    live = LiveRun(small(epochs=100_000), runs_dir=tmp_path)
    history = History()

    def notice() -> None:
        history.apply(live.poll())
        if live.stage != "paused":
            return
        if any("deleted" in note.text for note in history.notes):
            live.send(Stop(reason="seen"))
        elif live.log_path.exists():
            live.log_path.unlink()

    live.listen(notice)
    live.send(Pause())
    live.drive()
    assert [note.text for note in history.notes if "deleted" in note.text] == [
        f"the log {live.log_path} was deleted, and has been written anew"
    ]
    assert LogSource(live.log_path).poll()[-1] == history.end
