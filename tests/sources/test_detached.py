"""Runs that train in processes of their own: how they begin, what they outlive, and what each end leaves."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from regtui import History, open_log
from regtui.cli.lab import cli
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Pause, RunEnded, RunStarted, StepEnded
from regtui.readers import is_being_written
from regtui.sources.detached import Detached
from tests.remote import PATIENCE_SECONDS, until

ROOT = Path(__file__).parents[2]

LONG = {"dataset": "digits", "hidden": (8,), "epochs": 100_000, "train_rows": 200}
"""A run that nobody waits for."""


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[Callable[..., Detached]]:
    """Start runs, which are gone with the test."""
    started: list[Detached] = []

    def start(**given: Any) -> Detached:
        config = RunConfig.create(**{**LONG, **given})
        started.append(Detached(config, runs_dir=tmp_path / "runs"))
        return started[-1]

    yield start
    for each in started:
        each.call_off()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Run `regtui train --detach` as a shell does; whatever it has started is gone with the test."""

    def start(*options: str, python: tuple[str, ...] = ("-m", "regtui")) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "REGTUI_RUNS_DIR": str(tmp_path / "runs")}
        if python[0] == "-c":
            del environment["PYTHONPATH"]
        line = [sys.executable, *python, "train", "--detach", *options]
        return subprocess.Popen(
            line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
        )

    yield start
    for pid in trainers(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def trainers(folder: Path) -> list[int]:
    """Give the processes that train into a folder."""
    shown = subprocess.run(["ps", "axww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in shown.splitlines() if " train " in line and f"--log {folder}" in line]


def has_ended(log: Path) -> bool:
    return log.exists() and b'"kind":"end"' in log.read_bytes()


def events_of(log: Path) -> list[Any]:
    return open_log(log).poll()


def end_of(run: Detached) -> RunEnded | None:
    """Fold what the run has to say, and give its end."""
    return next((event for event in run.poll() if isinstance(event, RunEnded)), None)


def trains(run: Detached) -> bool:
    assert run.alive, run.problem
    return any(isinstance(event, StepEnded) for event in run.poll())


def test_the_command_prints_what_the_run_is_called_and_the_run_ends_by_itself(command, tmp_path) -> None:
    told, _ = command("--epochs", "3", "--hidden", "8", "--json").communicate(timeout=PATIENCE_SECONDS)
    said = json.loads(told)
    folder = Path(said["folder"])
    assert said["run_id"] == folder.name
    assert said["pid"] in trainers(tmp_path)
    until(lambda: has_ended(folder / "events.jsonl"))
    until(lambda: said["pid"] not in trainers(tmp_path))
    started, *_, ended = events_of(folder)
    assert (started.run_id, ended.status, ended.epoch) == (said["run_id"], "finished", 3)
    output = (folder / "output.log").read_text()
    assert [line.split()[1] for line in output.splitlines() if line.startswith("epoch ")] == ["1/3", "2/3", "3/3"]
    assert "\x1b" not in output
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "nowhere.npz"], "--dataset nowhere.npz does not exist"),
        (["--train-rows", "90000"], "--train-rows must be below"),
    ],
)
def test_what_cannot_be_set_up_is_said_at_once_and_leaves_nothing(command, tmp_path, options, said) -> None:
    process = command(*options)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"regtui: {said}")
    assert list(tmp_path.iterdir()) == []


def test_the_process_finds_the_same_regtui_and_no_file_of_the_folder_one_is_in(command, tmp_path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('not the one')")
    found = f"import sys; sys.path[0] = {str(ROOT)!r}; from regtui.cli import main; main()"
    _, err = command("--dataset", "nowhere.npz", python=("-c", found)).communicate(timeout=PATIENCE_SECONDS)
    assert err == "regtui: --dataset nowhere.npz does not exist\n"


def test_a_run_goes_on_whose_starter_was_killed_while_it_was_set_up(command, tmp_path) -> None:
    starter = command("--epochs", "2", "--hidden", "8")
    # It is made by the run's own process.
    log = until(lambda: next((tmp_path / "runs").glob("*/events.jsonl"), None))
    starter.kill()
    starter.communicate()
    until(lambda: has_ended(log))
    assert events_of(log)[-1].status == "finished"


def test_what_nobody_waited_for_is_in_the_log(detached) -> None:
    run = detached(dataset="nowhere.npz")
    run.let_go()
    assert run.wait(PATIENCE_SECONDS)
    started, ended = run.poll()
    assert (started.run_id, started.config) == (run.run_id, run.config)
    assert (ended.status, ended.reason) == ("failed", "--dataset nowhere.npz does not exist")
    assert "--dataset nowhere.npz does not exist" in (run.folder / "output.log").read_text()


def test_the_field_that_is_wrong_is_told_to_whoever_waits(detached, tmp_path) -> None:
    run = detached(dataset="nowhere.npz")
    until(lambda: not run.alive)
    refused = run.activity.refused
    assert refused is not None
    assert (refused.field, run.activity.problem) == ("dataset", "--dataset nowhere.npz does not exist")
    assert not (tmp_path / "runs").exists()


def test_what_is_sent_to_a_run_from_its_first_moment_on_is_obeyed_and_said(detached, capsys) -> None:
    run = detached()
    run.send(Pause())
    until(lambda: run.log_path.exists())

    def send(*what: str) -> list[str]:
        assert cli.main(["send", str(run.folder), *what], standalone_mode=False, prog_name="regtui") == 0
        return capsys.readouterr().out.splitlines()

    assert send("pause") == ["paused"]
    assert send("learning_rate=0.5", "learning_rate=x0.5", "dropout=0.25") == [
        "learning_rate 0.5 (was 0.001)", "learning_rate 0.25 (was 0.5)", "dropout 0.25 (was 0)",
    ]  # fmt: skip
    assert send("resume", "resume") == ["training", "training"]
    assert send("stop")[0].startswith("stopped at step ")
    assert run.wait(PATIENCE_SECONDS)
    ended = end_of(run)
    assert ended is not None
    assert (ended.status, ended.reason) == ("stopped", "stopped by regtui send")
    assert (run.activity.problem, run.listens) == ("", frozenset())


def test_neither_a_hang_up_nor_a_stop_of_its_process_ends_a_run_but_a_signal_to_go_does(detached) -> None:
    run = detached()
    assert os.getsid(run.pid) == run.pid != os.getsid(0)
    until(lambda: trains(run))
    os.kill(run.pid, signal.SIGHUP)
    os.kill(run.pid, signal.SIGSTOP)
    os.kill(run.pid, signal.SIGCONT)
    run.poll()
    until(lambda: trains(run))
    assert (run.activity.stage, run.activity.growing) == ("training", True)
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait(PATIENCE_SECONDS)
    ended = end_of(run)
    assert ended is not None
    assert (ended.status, ended.reason) == ("stopped", "stopped by SIGTERM")
    assert not is_being_written(run.log_path)


def test_a_run_that_is_told_to_go_while_it_is_set_up_says_so_in_its_log(detached) -> None:
    run = detached()
    until(lambda: (run.alive, run.checked)[1])
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait(PATIENCE_SECONDS)
    started, *_, ended = run.poll()
    assert isinstance(started, RunStarted)
    assert (ended.status, ended.reason) == ("stopped", "stopped by SIGTERM")


def test_a_process_that_was_killed_leaves_a_log_that_is_whole_and_free(detached) -> None:
    run = detached()
    until(lambda: trains(run))
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait(PATIENCE_SECONDS)
    assert run.activity.problem.startswith("the run's process was ended by SIGKILL; what it recorded until then is in")
    assert not is_being_written(run.log_path)
    history = History()
    history.apply(events_of(run.log_path))
    assert history.step > 0
    assert history.end is None
    with pytest.raises(ChildProcessError):  # it was reaped
        os.waitpid(run.pid, os.WNOHANG)


def test_a_run_that_was_called_off_leaves_nothing(detached, tmp_path) -> None:
    run = detached()
    run.call_off()
    assert (run.alive, list(tmp_path.iterdir())) == (False, [])


def test_an_old_log_is_appended_to_and_what_is_said_of_its_run_lies_beside_it(command, tmp_path) -> None:
    log = tmp_path / "mine.jsonl"
    process = command("--log", str(log), "--epochs", "1", "--hidden", "8")
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert out == f"{log}\n"
    until(lambda: has_ended(log) and not is_being_written(log))
    assert any(isinstance(event, EpochEnded) for event in events_of(log))
    before = log.read_bytes()
    _, err = command("--log", str(log), "--dataset", "nowhere.npz").communicate(timeout=PATIENCE_SECONDS)
    assert "nowhere.npz does not exist" in err
    assert log.read_bytes() == before
    assert (tmp_path / "mine.jsonl.output.log").is_file()
