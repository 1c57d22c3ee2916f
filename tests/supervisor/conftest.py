"""What the tests of commands that run as runs share: starting them in a folder of their own, and ending all of them."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from regtui.cli.lab import cli
from regtui.commandfile import CommandRun, read_command
from regtui.readers import open_log

PATIENCE_SECONDS = 60
"""A command that hangs must end; one on a busy machine takes its time."""


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait for something to hold, and give it."""

    def wait(condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            assert time.monotonic() < end, "it never came"
            time.sleep(0.02)
        return found

    return wait


class Started:
    """A command that was started as a run."""

    def __init__(self, folder: Path, until: Callable[[Callable[[], Any]], Any]) -> None:
        self.folder = folder
        self._until = until

    @property
    def run(self) -> CommandRun:
        found = read_command(self.folder)
        assert found is not None
        return found

    @property
    def output(self) -> bytes:
        return (self.folder / "output.log").read_bytes()

    def prints(self, text: bytes) -> None:
        """Wait until it has printed something."""
        self._until(lambda: text in self.output)

    def ended(self) -> CommandRun:
        """Wait for its end."""
        self._until(lambda: self.run.end)
        return self.run

    def events(self) -> list[Any]:
        """Read the whole run."""
        reader = open_log(self.folder)
        found: list[Any] = []
        while (news := reader.poll(1000)) or reader.behind:
            found += news
        return found


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, until) -> Iterator[Callable[..., Started]]:
    """Start commands in an empty folder; a text alone is a program in Python."""
    for name in ("REGTUI_RUNS_DIR", "REGTUI_RUN", "RANK", "WORLD_SIZE", "PYTHONUNBUFFERED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    made: list[Started] = []

    def begin(*command: str, options: tuple[str, ...] = ()) -> Started:
        if len(command) == 1:
            command = (sys.executable, "-c", command[0])
        cli.main(["run", "--json", *options, "--", *command], standalone_mode=False, prog_name="regtui")
        said = json.loads(capsys.readouterr().out)
        assert list(said) == ["run_id", "folder", "pid"]
        made.append(Started(Path(said["folder"]), until))
        assert made[-1].run.pid == said["pid"]
        return made[-1]

    yield begin
    for each in made:
        run = each.run
        if run.end is None and run.pid is not None and run.command_pid is not None:
            for end, number in ((os.killpg, run.command_pid), (os.kill, run.pid)):
                with suppress(ProcessLookupError):
                    end(number, signal.SIGKILL)
