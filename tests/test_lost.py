"""A training outlives whoever watches it: streams that are lost, and signals that are to be ignored."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parent / "logs" / "two-epochs-torch.jsonl"

TRAIN = (
    *(sys.executable, "-m", "regtui", "train", "--framework", "torch", "--json", "--dataset", "digits"),
    *("--train-rows", "100", "--hidden", "8", "--log", "log.jsonl"),
)

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")


def trained(folder: Path, more: str = "", epochs: int = 2, **streams: Any) -> subprocess.CompletedProcess[str]:
    """Train in a folder, its streams as a shell is told by `more`, or as `streams` has them."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {more}', "sh", *TRAIN, "--epochs", str(epochs)],
        cwd=folder, env=environment(), text=True, timeout=120, check=False,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def end_of(folder: Path) -> tuple[str, str]:
    """Read the log, all of which must be records, and give its end."""
    *_, last = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert last["kind"] == "end"
    return last["status"], last.get("reason", "")


@pytest.fixture
def gone() -> Iterator[int]:
    """The end of a pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def hung_up() -> Iterator[int]:
    """A terminal that is no longer there, so that writing to it is an input/output error."""
    master, terminal = os.openpty()
    os.close(master)
    yield terminal
    os.close(terminal)


@pytest.mark.parametrize("lost", ["gone", "hung_up"])
def test_a_training_whose_progress_nobody_reads_any_more_is_a_success(
    lost: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    done = trained(tmp_path, stderr=request.getfixturevalue(lost))
    assert (done.returncode, end_of(tmp_path)) == (0, ("finished", ""))
    assert json.loads(done.stdout)["epochs"] == 2


@needs_full
def test_a_result_that_could_not_be_printed_is_a_failure_and_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(RECORDED.read_text())
    done = trained(tmp_path, ">/dev/full")
    assert (done.returncode, end_of(tmp_path)) == (1, ("finished", ""))
    first, *_, last = done.stderr.splitlines()
    # A log that holds a run already is said, too.
    assert first == "regtui: appends to log.jsonl, which holds a finished run"
    assert last == (
        "regtui: the result cannot be printed on standard output (No space left on device): "
        "`regtui --replay log.jsonl` shows it"
    )


def test_a_result_whose_reader_has_left_ends_as_pipes_do_without_a_word(gone: int, tmp_path: Path) -> None:
    done = trained(tmp_path, stdout=gone)
    assert (done.returncode, end_of(tmp_path)) == (128 + signal.SIGPIPE, ("finished", ""))
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["epoch", "epoch", "log:"]


def test_with_all_three_streams_closed_a_run_trains_and_its_log_is_a_log(tmp_path: Path) -> None:
    done = trained(tmp_path, "<&- >&- 2>&-")
    assert (done.returncode, end_of(tmp_path)) == (0, ("finished", ""))


def started(folder: Path, before: str = "", **streams: Any) -> subprocess.Popen[str]:
    """Start a run without end, and wait for its first epoch in the log."""
    process = subprocess.Popen(
        ["sh", "-c", f'{before} exec "$@"', "sh", *TRAIN, "--epochs", "1000000"],
        cwd=folder, env=environment(), text=True, stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, **streams},
    )  # fmt: skip
    until(process, lambda: epochs_in(folder) > 0)
    return process


def epochs_in(folder: Path) -> int:
    log = folder / "log.jsonl"
    return log.read_text().count('"kind":"epoch"') if log.exists() else 0


def until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait while the process lives; what has to come comes soon, also on a busy machine."""
    for _ in range(1200):
        if condition():
            return
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
    process.kill()
    pytest.fail("waited in vain")


def test_signals_that_were_to_be_ignored_are_and_the_next_one_ends_the_run(tmp_path: Path) -> None:
    process = started(tmp_path, "trap '' HUP INT;", stderr=subprocess.DEVNULL)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["status"]) == (128 + signal.SIGTERM, "stopped")
    assert end_of(tmp_path) == ("stopped", "stopped by SIGTERM")


def test_a_terminal_that_stops_reading_holds_up_neither_training_nor_the_end(tmp_path: Path) -> None:
    master, terminal = os.openpty()
    try:
        process = started(tmp_path, stdout=terminal, stderr=terminal)
        # A terminal's buffer takes some kilobytes; a thousand lines of progress are more.
        until(process, lambda: epochs_in(tmp_path) > 1000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    finally:
        os.close(terminal)
        os.close(master)
    assert end_of(tmp_path) == ("stopped", "stopped by SIGTERM")


NEVER_IMPORTED = """
import pathlib, time
pathlib.Path("importing").touch()
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_before_there_is_a_run_ends_at_once_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "modules" / "torch").mkdir(parents=True)
    (tmp_path / "modules" / "torch" / "__init__.py").write_text(NEVER_IMPORTED)
    path = os.pathsep.join([str(tmp_path / "modules"), environment()["PYTHONPATH"]])
    process = subprocess.Popen(
        TRAIN, cwd=tmp_path, env={**environment(), "PYTHONPATH": path}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(process, (tmp_path / "importing").exists)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert err == f"regtui: stopped by {number.name} while importing torch: nothing was trained\n"
    assert not (tmp_path / "log.jsonl").exists()
