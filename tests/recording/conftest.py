"""What the tests of the recorder share: a recorder of a log, reading it back, and loops in processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regtui import History, open_log, record
from regtui.recording import Recorder

PATIENCE_SECONDS = 60
"""A child that hangs must end; one on a busy machine takes its time."""

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS",
               "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "REGTUI_RUNS_DIR")  # fmt: skip

Child = subprocess.Popen[str]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test be one of many processes, whoever started it."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "train.jsonl"


@pytest.fixture
def recorder(log: Path) -> Iterator[Callable[..., Recorder]]:
    """Make recorders of one log, which are ended with the test."""
    made: list[Recorder] = []

    def make(**given: Any) -> Recorder:
        made.append(record(log=log, **given))
        return made[-1]

    yield make
    for each in made:
        each.finish()


@pytest.fixture
def records(log: Path) -> Callable[[], list[Any]]:
    """Give the records of the log; no line of it may be anything else."""

    def read() -> list[Any]:
        reader = open_log(log)
        events = reader.poll()
        assert reader.warnings() == []
        return events

    return read


@pytest.fixture
def history(records: Callable[[], list[Any]]) -> Callable[[], History]:
    """Give what the log says."""

    def fold() -> History:
        folded = History()
        folded.apply(records())
        return folded

    return fold


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for something to hold, and give it; for nothing that a child does which has ended."""

    def wait(condition: Callable[[], Any], child: Child | None = None) -> Any:
        end = time.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            assert time.monotonic() < end, "it never came"
            assert child is None or child.poll() is None, f"the child has ended: {child.communicate()}"
            time.sleep(0.01)
        return found

    return wait


@pytest.fixture
def child(log: Path) -> Iterator[Callable[..., Child]]:
    """Start programs in processes of their own, which have `regtui` and the log's name, `log`."""
    started: list[Child] = []

    def start(code: str, **environment: str) -> Child:
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-c", f"import sys, regtui\nlog = sys.argv[1]\n{code}", str(log)]
        environment = {**os.environ, "PYTHONPATH": root, **environment}
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe, env=environment))
        return started[-1]

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
        each.communicate()
