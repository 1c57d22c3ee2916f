"""A program on a pseudo-terminal, as a person has it before them; what the tests of the app and of ssh share."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from contextlib import suppress

import pyte

TERMINAL_PATIENCE_SECONDS = 180
"""Importing TensorFlow anew on a busy machine takes its time; a test that hangs must end."""


class PseudoTerminal:
    """A process on a pseudo-terminal, and the screen that it draws."""

    def __init__(
        self,
        command: list[str],
        size: tuple[int, int],
        *,
        before: Callable[[], object] | None = None,
        answers: bool = True,
        **environment: str,
    ) -> None:
        """Start a command; `before` is called in its process first."""
        self.screen = pyte.Screen(*size) if all(size) else pyte.Screen(80, 24)
        self.answers = answers
        """Answer the questions that a terminal is asked."""
        self.unanswered = 0
        self.screen.write_process_input = self._answer
        self._stream = pyte.ByteStream(self.screen)
        self.come = b""
        self._fd, other = pty.openpty()
        self.resize(*size)
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLORFGBG": ""}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env={**env, **environment}, start_new_session=True,
            close_fds=True, preexec_fn=before,
        )  # fmt: skip
        os.close(other)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def resize(self, columns: int, rows: int) -> None:
        """Set the size that the terminal says it has."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _answer(self, data: str) -> None:
        self.unanswered += 1
        if self.answers:
            self.answer()

    def answer(self) -> None:
        """Answer all that was asked so far."""
        asked, self.unanswered = self.unanswered, 0
        with suppress(OSError):
            os.write(self._fd, b"\x1b[0n" * asked)

    @property
    def unread(self) -> int:
        """Bytes that wait to be read."""
        return int(struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, b"\0" * 4))[0])

    def read(self, seconds: float) -> None:
        """Draw what comes within some time."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if ready:
            try:
                come = os.read(self._fd, 65536)
                self.come += come
                self._stream.feed(come)
            except OSError:
                # The other side has closed: the process is going.
                time.sleep(0.01)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TERMINAL_PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; the screen is:\n{self.text}"
            self.read(0.05)

    def status(self) -> int:
        """Read on until the process has ended, and give its exit status."""
        self.until(lambda: self.process.poll() is not None)
        while select.select([self._fd], [], [], 0)[0] and self.unread:
            self.read(0)
        return self.process.returncode

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def hang_up(self) -> None:
        """Go away, as a terminal does whose window is closed."""
        os.close(self._fd)
        self._fd = os.open(os.devnull, os.O_RDWR)

    def close(self) -> None:
        os.close(self._fd)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
