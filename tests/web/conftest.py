"""A server of the page as a process of its own, and a browser."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SMALL = ("--dataset", "digits", "--train-rows", "200", "--hidden", "16", "--batch-size", "50", "--framework", "torch")


class Serving:
    """`regtui serve` on a free port."""

    def __init__(self, folder: Path, *options: str, env: dict[str, str]) -> None:
        self.runs = folder / "runs"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "regtui", "serve", "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(folder), "REGTUI_RUNS_DIR": str(self.runs), **env},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def logs(self) -> list[Path]:
        return list(self.runs.glob("*/events.jsonl"))

    def children(self) -> list[int]:
        """Processes that the server has started and that still are there."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal and give exit status and standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    opened: list[Serving] = []

    def open_one(*options: str, **env: str) -> Serving:
        opened.append(Serving(tmp_path, *options, env=env))
        return opened[-1]

    yield open_one
    for each in opened:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium")
    pytest.importorskip("aiohttp", reason="textual-serve brings it: regtui[web]")
    from tests.web.browser import Browser

    opened = Browser(program, tmp_path / "browser")
    yield opened
    opened.kill()
