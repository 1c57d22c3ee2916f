"""A run whose log others meddle with, as a process: what it says, how it ends, and what is left on the disk."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from regtui.core.events import RunStarted
from regtui.readers import LogWriter

TINY = ("--hidden", "8", "--epochs", "2", "--train-rows", "200")
ENDLESS = ("--hidden", "8", "--epochs", "1000000", "--train-rows", "200")


def starting(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "regtui", "train", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def trained(*arguments: str | Path) -> tuple[int, str, list[str]]:
    """Train to the end; gives the exit status, what was printed, and the lines that were said beside."""
    with starting(*arguments) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err.splitlines()


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"it ended without saying {word}")


def test_a_second_run_on_a_log_that_is_still_empty_exits_with_2_and_takes_nothing(tmp_path: Path) -> None:
    log = tmp_path / "mine.jsonl"
    with LogWriter(log) as first:
        status, out, said = trained(*TINY, "--log", log)
        assert (status, out) == (2, "")
        assert said == [f"regtui: {log} is being written by another run: name another log with --log"]
        first.write([RunStarted(run_id="first")])
    assert log.read_text().count("\n") == 1


def test_of_two_runs_on_one_log_the_second_exits_with_2_and_the_first_records_itself_whole(tmp_path: Path) -> None:
    log = tmp_path / "mine.jsonl"
    with starting(*ENDLESS, "--log", log) as first:
        wait_for(first, "epoch")
        assert trained(*TINY, "--log", log)[0] == 2
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["kind"] for record in records if record["kind"] in {"run", "end"}] == ["run", "end"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_log_on_a_full_disk_is_said_when_it_happens_at_the_end_and_in_json_and_exits_with_1(tmp_path: Path) -> None:
    status, out, said = trained(*TINY, "--log", "/dev/full", "--json")
    found = json.loads(out)
    assert (status, found["status"]) == (1, "finished")
    problems = [line.removeprefix("regtui: ") for line in said if line.startswith("regtui: ")]
    assert len(problems) == 2
    assert problems[0].startswith("the log /dev/full cannot be written (No space left on device)")
    assert problems[1] == found["log_problem"]
    assert problems[1].startswith("the log /dev/full lacks ")


def test_a_run_whose_log_is_taken_away_says_so_once_and_at_its_end(tmp_path: Path) -> None:
    log = tmp_path / "mine.jsonl"
    with starting(*ENDLESS, "--log", log, "--json") as process:
        wait_for(process, "epoch")
        log.unlink()
        log.write_text("somebody else's\n")
        told = wait_for(process, "regtui: ")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert f"the log {log} was replaced by another file" in told
    assert [line + "\n" for line in err.splitlines() if line.startswith("regtui: ")] == [told]
    assert json.loads(out)["log_problem"] == told.removeprefix("regtui: ").rstrip()
    assert process.returncode != 0
    assert log.read_text() == "somebody else's\n"


def test_a_shared_run_can_be_read_by_others_and_says_null_of_a_log_that_is_whole(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        status, out, _ = trained(*TINY, "--runs-dir", tmp_path / "runs", "--share", "--json")
    finally:
        os.umask(before)
    (log,) = (tmp_path / "runs").glob("*/events.jsonl")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (log, log.parent, log.parent.parent)]
    assert modes == [0o644, 0o755, 0o755]
    assert (status, json.loads(out)["log_problem"]) == (0, None)
