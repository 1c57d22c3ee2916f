"""What the tests of the integrations share: where a run is recorded, reading it back, and commands to it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regtui.commands import send
from regtui.core.events import Command, EpochEnded, Evaluated, Record, RunStarted, StepEnded
from regtui.readers import open_log

OTHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "SLURM_NTASKS", "REGTUI_RUNS_DIR")


class Recorded:
    """The records of one log, by kind."""

    def __init__(self, log: Path) -> None:
        reader = open_log(log)
        self.records: list[Any] = reader.poll()
        assert reader.warnings() == []

    def all(self, kind: type[Record]) -> list[Any]:
        return [each for each in self.records if type(each) is kind]

    @property
    def run(self) -> RunStarted:
        assert type(self.records[0]) is RunStarted
        return self.records[0]

    @property
    def end(self) -> Any:
        return self.records[-1]

    @property
    def steps(self) -> list[StepEnded]:
        return self.all(StepEnded)

    @property
    def epochs(self) -> list[EpochEnded]:
        return self.all(EpochEnded)

    @property
    def evaluations(self) -> list[Evaluated]:
        return self.all(Evaluated)

    def said(self) -> list[str]:
        """Give the notes."""
        return [each.text for each in self.records if type(each).__name__ == "Noted"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no test be one of many processes, nor leave anything where it was started."""
    for name in OTHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def nothing_is_wrong(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    """Let frameworks warn as they like, and a recorder never."""
    yield
    assert [str(each.message) for each in recwarn if str(each.message).startswith("regtui")] == []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


@pytest.fixture
def recorded(log: Path) -> Callable[[], Recorded]:
    """Read the log back."""
    return lambda: Recorded(log)


@pytest.fixture
def ask(log: Path) -> Callable[[Command], None]:
    """Give the run commands, through the file that `regtui send` and the lab write."""
    return lambda command: send(log, command)


def only_log(runs: Path) -> Path:
    """Give the log of the only run in a folder of runs."""
    (found,) = runs.glob("*/events.jsonl")
    return found


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]
