"""The app as textual-serve runs it: a web driver on pipes, spoken to in packets: `D` (screen, keys), `M` (meta)."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

PATIENCE_SECONDS = 60

SMALL = ("--dataset", "digits", "--train-rows", "200", "--hidden", "16", "--batch-size", "50", "--epochs", "3")


class Served:
    """A lab whose driver is the web's, and the screen that its packets draw."""

    def __init__(self, runs_dir: Path, *options: str, term: str) -> None:
        self.screen = pyte.Screen(100, 30)
        self.metas: list[dict[str, object]] = []
        self._stream = pyte.ByteStream(self.screen)
        self._come = b""
        environment = {
            **os.environ, "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver", "TERM_PROGRAM": "textual",
            "TEXTUAL_COLOR_SYSTEM": "truecolor", "COLUMNS": "100", "ROWS": "30", "TERM": term,
            "XDG_CONFIG_HOME": str(runs_dir),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "regtui", "--framework", "torch", "--runs-dir", str(runs_dir), *SMALL, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        self.banner = self._take(lambda: b"\n" in self._come, lambda: self._come.index(b"\n") + 1)

    def _take(self, there: Callable[[], bool], length: Callable[[], int]) -> bytes:
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not there():
            assert time.monotonic() < deadline, "waited in vain"
            ready, _, _ = select.select([self.process.stdout], [], [], 0.1)
            if ready:
                come = os.read(self.process.stdout.fileno(), 65536)
                assert come, self.process.stderr.read().decode() if self.process.stderr else "the app has gone"
                self._come += come
        taken, self._come = self._come[: length()], self._come[length() :]
        return taken

    def packet(self) -> None:
        """Take one packet in."""
        head = self._take(lambda: len(self._come) >= 5, lambda: 5)
        size = int.from_bytes(head[1:], "big")
        body = self._take(lambda: len(self._come) >= size, lambda: size)
        if head[:1] == b"D":
            self._stream.feed(body)
        else:
            assert head[:1] == b"M", head
            self.metas.append(json.loads(body))

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.packet()

    def press(self, keys: str) -> None:
        assert self.process.stdin is not None
        body = keys.encode()
        self.process.stdin.write(b"D" + len(body).to_bytes(4, "big") + body)
        self.process.stdin.flush()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    opened: list[Served] = []

    def open_one(*options: str, term: str) -> Served:
        opened.append(Served(tmp_path / "runs", *options, term=term))
        return opened[-1]

    yield open_one
    for each in opened:
        each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("term", ["xterm-256color", "dumb", ""])
def test_the_lab_runs_on_the_pipes_of_a_web_server_whatever_its_terminal_is(
    served: Callable[..., Served], term: str
) -> None:
    lab = served(term=term)
    assert lab.banner == b"__GANGLION__\n"
    lab.until(lambda: "Dropout" in "\n".join(lab.screen.display))
    lab.press("\x12")
    lab.until(lambda: "finished" in lab.screen.display[0])
    lab.press("q")
    lab.until(lambda: {"type": "exit"} in lab.metas)
    assert lab.process.wait(PATIENCE_SECONDS) == 0
