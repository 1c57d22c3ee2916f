"""What holds for every test."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.remote import Far

# Whoever starts the tests in the background of a script has interrupts ignored, and so have the programs that tests
# start, which respect it: what they do when they are told to go could not be seen.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# Nobody is told of what tests train but by the tests themselves.
os.environ.pop("REGTUI_NOTIFY", None)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    if not Path("/proc/self/environ").exists():
        pytest.skip("looks for processes in /proc")
    (tmp_path / "far").mkdir()
    with closing(Far(tmp_path / "far")) as far:
        yield far
