"""Runs written as event files and as CSV: read back they are the same, and nothing is written over."""

import csv
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from regtui.cli.lab import cli
from regtui.core.events import EpochEnded, Event, RunEnded, RunStarted, StepEnded, SystemSampled
from regtui.core.history import History
from regtui.readers import LogError, LogWriter, read_history
from regtui.report.export import export


def a_run() -> list[Event]:
    events: list[Event] = [RunStarted(run_id="a/run", time=1.7e9)]
    for epoch in (1, 2, 3):
        events += [
            StepEnded(step=step, epoch=epoch, loss=1 / step, learning_rate=0.1, time=1.7e9 + step)
            for step in range(epoch * 4 - 3, epoch * 4 + 1)
        ]
        events.append(
            EpochEnded(
                epoch=epoch, step=epoch * 4, train={"loss": 0.5 / epoch, "accuracy": 0.5}, valid={"loss": 0.7 / epoch},
                running_loss=0.6, time=1.7e9 + epoch * 4,
            )
        )  # fmt: skip
    return [*events, RunEnded(status="finished", step=12, epoch=3, test={"loss": 0.25})]


def history() -> History:
    found = History()
    found.apply(a_run())
    return found


def test_event_files_hold_what_tensorboard_draws_as_pairs(tmp_path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard, which reads them here, is not installed")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    out = tmp_path / "out"
    assert export(history(), "tensorboard", out) == [out]
    files = out.rglob("*tfevents*")
    assert sorted(path.parent.relative_to(out).as_posix() for path in files) == [".", "test", "train", "validation"]
    read = EventMultiplexer().AddRunsFromDirectory(str(out))
    read.Reload()

    def numbers(run: str, tag: str) -> list[Any]:
        return [(one.step, pytest.approx(one.value)) for one in read.Scalars(run, tag)]

    assert numbers("train", "loss") == [(4, 0.5), (8, 0.25), (12, 0.5 / 3)]
    assert numbers("validation", "loss") == [(4, 0.7), (8, 0.35), (12, 0.7 / 3)]
    assert numbers(".", "running_loss") == [(step, 1 / step) for step in range(1, 13)]
    assert numbers(".", "learning_rate") == [(step, 0.1) for step in range(1, 13)]
    assert numbers(".", "running_loss_mean") == [(4, 0.6), (8, 0.6), (12, 0.6)]
    assert numbers("test", "loss") == [(12, 0.25)]
    assert read.Scalars("train", "loss")[0].wall_time == 1.7e9 + 4


def test_event_files_are_read_back_with_their_pairs(tmp_path) -> None:
    export(history(), "tensorboard", tmp_path / "out")
    back = read_history(tmp_path / "out")
    np.testing.assert_allclose(back.evaluations["valid/loss"].values, history().evaluations["valid/loss"].values)
    assert back.evaluations["epoch"].values.tolist() == [1, 2, 3]
    assert back.evaluations.step.values.tolist() == [4, 8, 12]


def test_csv_has_a_row_an_evaluation_and_another_file_a_row_an_update(tmp_path) -> None:
    written = export(history(), "csv", tmp_path / "run.csv")
    assert [path.name for path in written] == ["run.csv", "run-steps.csv"]
    rows = list(csv.DictReader(written[0].read_text().splitlines()))
    assert [(row["step"], row["epoch"], row["valid/loss"]) for row in rows] == [
        ("4", "1", "0.7"), ("8", "2", "0.35"), ("12", "3", repr(0.7 / 3)),
    ]  # fmt: skip
    steps = list(csv.DictReader(written[1].read_text().splitlines()))
    assert [float(row["step/loss"]) for row in steps] == [1 / step for step in range(1, 13)]


@pytest.mark.parametrize("form", ["tensorboard", "csv"])
def test_what_is_there_is_not_written_over(tmp_path, form) -> None:
    out = tmp_path / "out.csv"
    export(history(), form, out)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(LogError, match="is there already and is left as it is: --out names another place"):
        export(history(), form, out)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_second_file_that_is_there_takes_back_the_first(tmp_path) -> None:
    (tmp_path / "run-steps.csv").write_text("mine")
    with pytest.raises(LogError, match=r"run-steps\.csv is there already"):
        export(history(), "csv", tmp_path / "run.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["run-steps.csv"]


def test_replay_writes_where_it_is_told_or_here_by_the_run_s_name(tmp_path, monkeypatch) -> None:
    log = tmp_path / "runs" / "one" / "events.jsonl"
    with LogWriter(log) as writer:
        writer.write(a_run())
    monkeypatch.chdir(tmp_path)
    for arguments in (["--to", "csv"], ["--to", "tensorboard"], ["--to", "csv", "--out", "there.csv"]):
        ended = CliRunner().invoke(cli, ["--replay", str(log), *arguments])
        assert ended.exit_code == 0
        assert "regtui: written: " in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "runs", "a_run.csv", "a_run-steps.csv", "a_run-tensorboard", "there.csv", "there-steps.csv",
    }  # fmt: skip


def test_a_run_without_steps_or_epochs_is_written_too(tmp_path) -> None:
    empty = History()
    export(empty, "csv", tmp_path / "empty.csv")
    export(empty, "tensorboard", tmp_path / "empty")
    assert (tmp_path / "empty.csv").read_text().strip() == "step"
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_csv_has_the_samples_of_the_machine_in_a_file_of_their_own(tmp_path) -> None:
    found = history()
    found.apply([SystemSampled(step=4, time=1.7e9, metrics={"gpu0/utilization": 0.93, "rss": 2.0**30})])
    files = export(found, "csv", tmp_path / "run.csv")
    assert [path.name for path in files] == ["run.csv", "run-steps.csv", "run-system.csv"]
    assert files[-1].read_text() == "step,time,gpu0/utilization,rss\n4,1700000000,0.93,1073741824\n"
