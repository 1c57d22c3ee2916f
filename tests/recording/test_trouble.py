"""Whatever a loop gives the recorder, and whatever happens to the log, training goes on; a warning says so, once."""

import math
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import pytest

import regtui
from regtui.core.events import EpochEnded, Noted, RunEnded, RunStarted, StepEnded


@contextmanager
def collected() -> Iterator[list[str]]:
    """Give the warnings of a block."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield found
    assert {each.category for each in said} <= {RuntimeWarning}
    found += [str(each.message) for each in said]


class Evil:
    """A stranger's object that fails however it is looked at."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __float__(self) -> float:
        raise RuntimeError("no number")


def test_what_is_no_number_is_left_out_with_one_warning(recorder, records) -> None:
    run = recorder()
    with collected() as said:
        run.step(loss="much", learning_rate=[1, 2], grad_norm=np.zeros(3), image=b"png", number=1.0)
        run.step(loss=complex(1, 2), learning_rate=object())
        run.epoch(valid={"loss": "much", "accuracy": 0.5}, train={"loss": np.zeros((2, 2))})
        run.log({"loss": "much", "val_loss": None, "picture": object()})
    assert said == ["regtui: what is no number is left out, such as loss = 'much'"]
    run.finish()
    steps = [each for each in records() if isinstance(each, StepEnded)]
    assert {name: value for name, value in steps[0].metrics.items() if value is not None} == {"number": 1.0}
    assert all(each.loss is None and each.learning_rate is None for each in steps)
    (epoch,) = (each for each in records() if isinstance(each, EpochEnded))
    assert (epoch.train, epoch.valid) == ({}, {"accuracy": 0.5})


def test_every_call_with_wrong_arguments_is_a_warning(recorder, records) -> None:
    run: Any = recorder()
    with collected() as said:
        run.epoch(3, 4, 5, 6)
        run.log(None)
        run.log(7)
        run.evaluate(valid=3, train=Evil())
        run.note(Evil())
        run.resume_from("here")
        run.knob("momentum", set=float)
        run.knob("learning_rate")
        run.step(loss=Evil(), step=Evil())
        run.step(loss=1.0, step=math.nan)
        run.step(loss=1.0, step=10**400)
    assert len({text.partition("(")[0] for text in said}) == len(said) > 3
    run.finish()
    assert isinstance(records()[-1], RunEnded)


def test_a_loss_is_recorded_beside_a_number_that_fails(recorder, records) -> None:
    run = recorder()
    with collected() as said:
        run.step(loss=1.0, image=Evil())
        run.epoch(valid={"loss": 2.0, "evil": Evil()})
    run.finish()
    assert said == ["regtui: what is no number is left out, such as image of type Evil"]
    assert (records()[1].loss, records()[2].valid) == (1.0, {"loss": 2.0})


def test_an_error_without_words_ends_the_run(recorder, records) -> None:
    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def train() -> None:
        with recorder() as run:
            run.step(loss=1.0)
            raise Wordless

    with pytest.raises(Wordless):
        train()
    assert records()[-1].reason == "Wordless"


def test_a_log_that_no_disk_can_have_is_a_warning(tmp_path, monkeypatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for given in ({"log": "a\x00b"}, {"log": 3.5}, {"runs_dir": "runs"}, {"log": "x" * 5000}):
        run = regtui.record(**given)
        with pytest.warns(RuntimeWarning):
            run.step(loss=1.0)
        run.finish()


def test_settings_that_json_cannot_hold_are_kept_by_their_text(recorder, records) -> None:
    loop: list[Any] = []
    loop.append(loop)
    settings = {"evil": Evil(), 3: {1, 2}, "loop": loop, "nan": math.nan, "big": 10**30, "half": "\udcff", "f": len}
    with recorder(settings=settings, epochs="many", classes=-1, name="\udcff\x00/.."):
        pass
    run = records()[0]
    assert isinstance(run, RunStarted)
    assert (run.settings["evil"], run.settings["3"], run.settings["nan"]) == ("<Evil>", [1, 2], "nan")
    assert (run.settings["big"], run.settings["half"]) == (str(10**30), "?")
    assert run.plan == regtui.core.plan.Plan()


def test_settings_of_any_size_leave_a_first_line_that_can_be_read(recorder, records) -> None:
    with recorder(settings={str(i): {str(k): "x" * 3000 for k in range(100)} for i in range(100)}):
        pass
    assert isinstance(records()[0], RunStarted)


def test_names_that_json_cannot_hold_lose_half_a_character_and_nothing_else(recorder, records) -> None:
    with recorder() as run:
        run.step(loss=1.0)
        run.step(loss=2.0, **{"a\udcffb": 3.0, "\x1b[31m": 4.0})
        run.note("\udcff\x1b[0m", level="\udcff")
        run.finish("failed", "\udcff")
    assert [type(each) for each in records()] == [RunStarted, StepEnded, StepEnded, Noted, RunEnded]
    assert records()[2].metrics == {"a?b": 3.0, r"\x1b[31m": 4.0}  # as a reader gives it


def test_a_log_that_cannot_be_opened_is_a_warning_and_no_recording(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    run = regtui.record(log=tmp_path / "file" / "train.jsonl")
    with collected() as said:
        for _ in range(3):
            run.step(loss=1.0)
            run.epoch(valid={"loss": 1.0})
        run.finish()
    assert len(said) == 1
    assert said[0].startswith("regtui: this run is not recorded: ")
    assert run.should_stop is False


def test_a_log_that_another_run_writes_is_left_to_it(recorder, records) -> None:
    first = recorder()
    first.step(loss=1.0)
    with pytest.warns(RuntimeWarning, match="is being written by another run"), recorder() as second:
        second.step(loss=2.0)
    first.finish()
    assert [each.loss for each in records() if isinstance(each, StepEnded)] == [1.0]


def test_a_folder_that_goes_away_is_a_warning_at_the_latest_with_the_end(tmp_path) -> None:
    run = regtui.record(runs_dir=tmp_path / "runs")
    run.step(loss=1.0)
    shutil.rmtree(run.log_path.parent)
    run.step(loss=2.0)
    with pytest.warns(RuntimeWarning, match="was deleted and cannot be written anew"):
        run.finish()


def test_a_full_disk_is_a_warning(log) -> None:
    run = regtui.record(log="/dev/full")
    with collected() as said:
        run.step(loss=1.0)
        run.epoch(valid={"loss": 1.0})
        run.finish()
    assert len(said) == 1
    assert "No space left on device" in said[0]


def test_a_disk_that_hangs_fills_no_memory_and_what_is_lost_is_said(recorder, records, monkeypatch) -> None:
    monkeypatch.setattr("regtui.recording.recorder.MANY_HELD", 5)
    monkeypatch.setattr("regtui.recording.holding.MOST_HELD", 10)
    hangs, goes_on = threading.Event(), threading.Event()
    write = regtui.readers.LogWriter.write

    def hang(writer: Any, events: Any) -> None:
        hangs.set()
        goes_on.wait(60)
        write(writer, events)

    monkeypatch.setattr(regtui.readers.LogWriter, "write", hang)
    run = recorder()
    run.step(loss=1.0)
    hangs.wait(60)
    with collected() as said:
        for _ in range(100):
            run.step(loss=2.0)
    goes_on.set()
    run.finish()
    assert [each.split("takes")[1] for each in said] == [" nothing: 10 records wait, the rest is lost"]
    assert [each.loss for each in records() if isinstance(each, StepEnded)] == [1.0, *[2.0] * 10]


def test_a_loop_that_never_rests_is_written_as_it_goes(recorder, records, monkeypatch) -> None:
    monkeypatch.setattr("regtui.recording.recorder.MANY_HELD", 1000)
    with collected() as said, recorder() as run:
        for _ in range(60_000):
            run.step(loss=1.0)
    assert said == []
    assert sum(isinstance(each, StepEnded) for each in records()) == 60_000


def test_warnings_that_are_errors_end_no_training(recorder, capsys) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder().step(loss="much")
    assert "what is no number is left out" in capsys.readouterr().err


def test_a_thread_that_cannot_be_started_is_a_warning(recorder, monkeypatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    run = recorder()
    with pytest.warns(RuntimeWarning, match="can't start new thread"):
        run.step(loss=1.0)
    run.finish()
    assert not run.recording


def test_a_handler_of_signals_may_record_whatever_the_loop_was_doing(recorder, records) -> None:
    run = recorder().start()
    with run._lock:  # where the loop was interrupted
        run.step(loss=1.0)
        run.finish("stopped", "SIGTERM")
    assert [type(each) for each in records()] == [RunStarted, StepEnded, RunEnded]


def test_the_warning_names_the_line_of_the_loop(recorder) -> None:
    with pytest.warns(RuntimeWarning) as said:
        recorder().step(loss="much")
    assert said[0].filename == __file__


def test_what_is_recorded_is_strict_json(recorder, log) -> None:
    with recorder() as run:
        run.step(loss=math.nan, learning_rate=-math.inf, a=math.inf, step=2**60, b=10**30, c=True)
    for line in log.read_bytes().splitlines():
        assert b"NaN" not in line
        assert msgspec.json.decode(line)
