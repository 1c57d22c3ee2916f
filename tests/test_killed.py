"""kill -9 at any instant of a run, an app or a sender: what is left is whole, and says what it is.

The instants are drawn from a seed, and counted in calls of functions: the same ones each time, and as likely within the
writing of a line as between two.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from regtui.commands import Inbox, commands_of, send
from regtui.core.events import Pause, RunEnded, RunStarted, SetKnob, StepEnded, decode
from regtui.readers import LogWriter, is_being_written, read_history
from regtui.report import result, runs_table
from regtui.sources.log import LogSource
from tests.remote import LONG, Far, no_hole, shown_epoch, until
from tests.terminals import PseudoTerminal

TINY = ("--framework", "torch", "--dataset", "digits", "--train-rows", "100", "--hidden", "8", "--epochs", "12",
        "--checkpoint", "both")  # fmt: skip

INSTANTS = 6


class Ended(NamedTuple):
    """How a child of the nursery ended."""

    status: int
    calls: int


class Nursery:
    """See `nursery.py`."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "nursery.py")], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )  # fmt: skip

    def run(self, *words: object, dies_at: int = 0, recorded: bool = False) -> Ended:
        """Run regtui in a child to its end, or to its death at some call, perhaps counted from its first record on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(
            json.dumps({"words": list(map(str, words)), "dies_at": dies_at, "recorded": recorded}) + "\n"
        )
        self._process.stdout.readline()
        status, calls = self._process.stdout.readline().split()
        return Ended(int(status), int(calls))

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def calls_of_a_run(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> int:
    whole = nursery.run("train", *TINY, "--log", tmp_path_factory.mktemp("whole") / "log.jsonl", recorded=True)
    assert whole.status == 0
    return whole.calls


@pytest.mark.parametrize("seed", range(INSTANTS))
def test_a_run_that_is_killed_leaves_all_it_had_recorded_and_a_log_that_the_next_can_have(
    nursery: Nursery, calls_of_a_run: int, tmp_path: Path, seed: int
) -> None:
    # Before its first record there are millions of calls, and little to lose.
    dies_at = random.Random(seed).randrange(1, calls_of_a_run)
    runs = tmp_path / "runs"
    dead = nursery.run("train", *TINY, "--runs-dir", runs, dies_at=dies_at, recorded=seed >= 2)
    # How many calls there are depends on how the updates fall into chunks: it may have come to its end before.
    assert dead.status in {-signal.SIGKILL, 0}
    for log in runs.glob("*/events.jsonl"):
        *whole, _torn = log.read_bytes().split(b"\n")
        events = [decode(line) for line in whole]
        assert [event.step for event in events if isinstance(event, StepEnded)] == list(range(1, steps_in(log) + 1))
        assert not is_being_written(log)
        said = runs_table(runs).splitlines()[-1]
        if not events:
            assert "is empty" in said
        elif not isinstance(events[-1], RunEnded):
            assert said.endswith("no end: killed, or written elsewhere")
            assert result(read_history(log))["status"] == "running"
        with LogWriter(log) as writer:
            writer.write([RunStarted(run_id="next"), RunEnded(status="finished")])
        assert LogSource(log).poll()[-2:] == [RunStarted(run_id="next"), RunEnded(status="finished")]


@pytest.mark.parametrize("seed", range(INSTANTS // 3))
def test_a_run_that_is_killed_again_and_again_goes_on_from_its_checkpoints_and_comes_to_the_same_numbers(
    nursery: Nursery, calls_of_a_run: int, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    runs = tmp_path / "runs"
    nursery.run("train", *TINY, "--runs-dir", runs, dies_at=draw.randrange(1, calls_of_a_run), recorded=True)
    (log,) = runs.glob("*/events.jsonl")
    again = nursery.run("train", "--resume", log, dies_at=draw.randrange(1, calls_of_a_run // 2), recorded=True)
    if again.status == -signal.SIGKILL:
        again = nursery.run("train", "--resume", log)
    kept = log.parent / "checkpoints"
    if not any((kept / name).exists() for name in ("last", ".last.old")):
        # It died before there was one, twice.
        assert again.status == 2
        return
    assert again.status == 0
    nursery.run("train", *TINY, "--log", tmp_path / "whole.jsonl")
    assert numbers(log) == numbers(tmp_path / "whole.jsonl")
    assert sorted(path.name for path in kept.iterdir()) == ["best", "last"]


def numbers(log: Path) -> dict[str, object]:
    """All that a run has measured, and how it ended; of its times nothing."""
    history = read_history(log)
    assert history.end is not None
    tables = {"steps": history.steps, "evaluations": history.evaluations}
    found: dict[str, object] = {"status": history.end.status, "test": history.end.test}
    for title, table in tables.items():
        for name in table.names:
            if "seconds" not in name and name != "time":
                found[f"{title} {name}"] = table[name].values.tobytes()
    return found


def steps_in(log: Path) -> int:
    return sum(isinstance(event, StepEnded) for event in LogSource(log).poll()) if log.stat().st_size else 0


@pytest.fixture(scope="module")
def calls_of_a_sender(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> int:
    log = tmp_path_factory.mktemp("told") / "log.jsonl"
    with LogWriter(log) as writer:
        writer.write([RunStarted(run_id="a", listens=("pause", "knob"))])
        return nursery.run("send", log, "learning_rate=0.25").calls


def test_a_sender_that_is_killed_has_sent_all_of_its_command_or_nothing_and_the_next_is_obeyed(
    nursery: Nursery, calls_of_a_sender: int, tmp_path: Path
) -> None:
    draw = random.Random(0)
    log = tmp_path / "log.jsonl"
    with LogWriter(log) as writer:
        writer.write([RunStarted(run_id="a", listens=("pause", "knob"))])
        inbox = Inbox(log)
        for _ in range(2 * INSTANTS):
            dead = nursery.run("send", log, "learning_rate=0.25", dies_at=draw.randrange(1, calls_of_a_sender))
            assert dead.status in {-signal.SIGKILL, 0, 1}
            assert inbox.poll() in ([], [SetKnob(knob="learning_rate", value=0.25)])
            send(log, Pause())
            assert inbox.poll() == [Pause()]
            assert inbox.refused == ""
    assert commands_of(log).exists()


@pytest.mark.parametrize("seed", [0, 1])
def test_an_app_that_is_killed_leaves_all_that_its_run_had_recorded_and_the_next_app_reads_it(
    far: Far, seed: int
) -> None:
    command = [sys.executable, "-m", "regtui", "--start", *LONG, "--runs-dir", str(far.runs)]
    with closing(PseudoTerminal(command, (80, 24), **far.environment)) as app:
        dies_at = random.Random(seed).randrange(1, 40)
        app.until(lambda: far.count("epoch") >= dies_at)
        app.process.kill()
        app.process.wait()
    until(lambda: not far.living())
    assert no_hole(far.events())
    assert runs_table(far.runs).endswith("no end: killed, or written elsewhere")
    with closing(PseudoTerminal([*command[:3], "watch", str(far.log)], (80, 24), **far.environment)) as app:
        app.until(lambda: shown_epoch(app) == far.count("epoch"))
        app.press("q")
        assert app.status() == 0
