"""A replay that is shown as it went leaves the terminal as it was: stopped, continued, told to go, interrupted."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[1] / "logs" / "clean-torch.jsonl"

ENTER, CLEAR, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[2J", b"\x1b[?25h\x1b[?1049l"


class Shown:
    """A slow replay on a pseudo-terminal, whose parent can stop and continue it as a shell does."""

    def __init__(self) -> None:
        self._master, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "regtui", "--replay", str(RECORDED), "--speed", "0.001"],
            stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE, text=True, process_group=0,
            env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        os.close(terminal)
        self._come = b""

    def until(self, *codes: bytes) -> bytes:
        """Give what comes up to some codes, each after the one before."""
        at = 0
        for code in codes:
            while (found := self._come.find(code, at)) < 0:
                ready, _, _ = select.select([self._master], [], [], 60)
                assert ready, f"{code!r} did not come after {self._come[-200:]!r}"
                self._come += os.read(self._master, 65536)
            at = found + len(code)
        seen, self._come = self._come[:at], self._come[at:]
        return seen

    def close(self) -> None:
        os.close(self._master)
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def shown() -> Iterator[Shown]:
    made = Shown()
    made.until(ENTER, CLEAR, b"epoch")
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_go_it_gives_the_screen_back_and_says_by_its_status_what_it_was(
    number: signal.Signals, shown: Shown
) -> None:
    shown.process.send_signal(number)
    shown.until(LEAVE)
    assert shown.process.wait(60) == 128 + number
    assert shown.process.stderr is not None
    assert shown.process.stderr.read() == ""


def test_stopped_and_continued_it_gives_the_screen_back_and_takes_it_again(shown: Shown) -> None:
    shown.process.send_signal(signal.SIGTSTP)
    shown.until(LEAVE)
    _, status = os.waitpid(shown.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    shown.process.send_signal(signal.SIGCONT)
    shown.until(ENTER, CLEAR, b"epoch")
