"""A terminal that is slow, stopped, gone or odd, signals and faults: the run ends with its `end`, and nothing stays."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regtui.core.events import Changed, EpochEnded, Event, RunEnded
from regtui.sources.log import LogSource
from regtui.tui.line import PATIENCE_SECONDS

LONG = ["--framework", "torch", "--start", "--epochs", "1000000"]

LEFT = b"\x1b[?1049l"
"""Back from the alternate screen."""

WAIT_SECONDS = 60
"""For a process that has two to end: the machine may be busy."""

Terminals = Callable[..., Any]


def events_of(folder: Path) -> list[Event]:
    """The events of the only log, read to where it is now; none while there is no log."""
    logs = list(folder.glob("runs/*/events.jsonl"))
    return LogSource(logs[0]).poll() if logs and logs[0].stat().st_size else []


def count(folder: Path, kind: type) -> int:
    return sum(isinstance(event, kind) for event in events_of(folder))


def end_of(folder: Path) -> RunEnded:
    end = events_of(folder)[-1]
    assert isinstance(end, RunEnded)
    return end


def trains(lab: Any, folder: Path) -> None:
    """Read on until the run has come some epochs further."""
    before = count(folder, EpochEnded)
    lab.until(lambda: count(folder, EpochEnded) > before + 2)


def stop_reading(lab: Any, folder: Path) -> None:
    """Read no more, until what lies unread is all that the terminal's buffer holds."""
    unread, columns = -1, 80
    while lab.unread != unread:
        unread = lab.unread
        for _ in range(3):
            columns = 159 - columns
            lab.resize(columns, 24)
            lab.process.send_signal(signal.SIGWINCH)
            before = count(folder, EpochEnded)
            while count(folder, EpochEnded) <= before and lab.process.poll() is None:
                pass


def test_on_a_slow_line_one_frame_is_under_way_and_the_newest_is_drawn_next(
    terminal: Terminals, tmp_path: Path
) -> None:
    lab = terminal(*LONG)
    lab.until(lambda: "validation" in lab.text)
    lab.answers, since = False, time.monotonic()
    lab.press("gz" * 10 + "[")
    lab.until(lambda: count(tmp_path, Changed) > 0)
    trains(lab, tmp_path)
    # One, and one more whenever an answer is taken for lost.
    assert 1 <= lab.unanswered <= 1 + (time.monotonic() - since) / PATIENCE_SECONDS
    assert "LR 0.0015" not in lab.text or lab.unanswered > 1
    lab.answer()
    lab.until(lambda: lab.unanswered > 0)
    assert "LR" in lab.text, "what was left out is in the next frame"
    lab.answers = True
    lab.answer()
    lab.until(lambda: "LR 0.0015" in lab.text)
    lab.answers = False
    # A line that holds up answers also holds up nobody who has to go.
    lab.process.send_signal(signal.SIGTERM)
    assert lab.status() == 128 + signal.SIGTERM


@pytest.mark.parametrize("how", ["SIGTERM", "hang-up"])
def test_a_terminal_that_stopped_reading_holds_neither_training_nor_its_end_up(
    terminal: Terminals, tmp_path: Path, how: str
) -> None:
    lab = terminal(*LONG, answers=False)
    lab.until(lambda: count(tmp_path, EpochEnded) > 2)
    stop_reading(lab, tmp_path)
    if how == "SIGTERM":
        lab.process.send_signal(signal.SIGTERM)
    else:
        lab.hang_up()
    lab.process.wait(WAIT_SECONDS)
    end = end_of(tmp_path)
    if how == "SIGTERM":
        assert (lab.process.returncode, end.reason) == (143, "stopped by SIGTERM")
    else:
        assert (lab.process.returncode, end.reason) == (129, "the terminal went away")


def test_a_terminal_that_goes_away_from_a_lab_without_a_run_ends_it(terminal: Terminals) -> None:
    lab = terminal("--framework", "torch")
    lab.until(lambda: "starts a run" in lab.text)
    lab.hang_up()
    assert lab.process.wait(WAIT_SECONDS) == 129


def ignore_hang_ups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_a_run_that_was_started_to_ignore_hang_ups_comes_to_its_own_end_without_a_terminal(
    terminal: Terminals, tmp_path: Path
) -> None:
    lab = terminal(*LONG[:-1], "40", before=ignore_hang_ups)
    lab.until(lambda: count(tmp_path, EpochEnded) > 0)
    lab.process.send_signal(signal.SIGHUP)
    lab.hang_up()
    lab.process.wait(WAIT_SECONDS)
    assert end_of(tmp_path).status == "finished"
    assert count(tmp_path, EpochEnded) == 40


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT", "SIGUSR1"])
def test_a_signal_to_the_lab_is_said_on_the_restored_terminal(terminal: Terminals, name: str) -> None:
    number = signal.Signals[name]
    lab = terminal("--framework", "torch")
    lab.until(lambda: "starts a run" in lab.text)
    lab.process.send_signal(number)
    assert lab.status() == 128 + number
    _, _, after = lab.come.rpartition(LEFT)
    assert f"regtui: stopped by {name}\r\n".encode() in after
    for mode in (b"\x1b[?1000l", b"\x1b[?2004l", b"\x1b[?25h"):
        assert mode in lab.come


def test_a_run_whose_framework_is_still_being_imported_ends_in_time_and_leaves_nothing_behind(
    terminal: Terminals, tmp_path: Path
) -> None:
    package = tmp_path / "slow" / "tensorflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import time\ntime.sleep(600)\n")
    path = os.pathsep.join([str(package.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    lab = terminal("--framework", "tensorflow", "--dataset", "digits", "--start", PYTHONPATH=path)
    lab.until(lambda: "importing tensorflow" in lab.text)
    lab.process.send_signal(signal.SIGTERM)
    assert lab.status() == 143
    assert not list(tmp_path.rglob("events.jsonl"))
    assert LEFT in lab.come


BROKEN = """
import sys
from regtui.tui.lab import LabScreen

def draw(self):
    if len(self.history.evaluations) > 2:
        raise ZeroDivisionError("what nobody thought of")

LabScreen.draw = draw
from regtui.cli import main
main()
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_an_app_that_breaks_off_says_so_on_the_restored_terminal_and_ends_its_run(
    terminal: Terminals, tmp_path: Path, debug: str
) -> None:
    lab = terminal(*LONG, through=(sys.executable, "-c", BROKEN), REGTUI_DEBUG=debug, size=(160, 40))
    assert lab.status() == 1
    _, _, after = lab.come.rpartition(LEFT)
    if debug:
        assert b"Traceback" in after
        assert b"ZeroDivisionError: what nobody thought of" in after
    else:
        said = b"regtui: ZeroDivisionError: what nobody thought of (a fault of regtui's; REGTUI_DEBUG=1 shows where)"
        assert said in after
        assert b"Traceback" not in after
    assert (end_of(tmp_path).status, end_of(tmp_path).reason) == ("stopped", "the app broke off: ZeroDivisionError")


def take_terminal() -> None:
    """Make the terminal that of the session, as a login does."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_lab_back(terminal: Terminals) -> None:
    shell = f'set -m; {sys.executable} -m regtui --framework torch "$@"; echo "left with $?"; read line; fg'
    lab = terminal(through=("sh", "-c", shell, "sh"), before=take_terminal)
    lab.until(lambda: "starts a run" in lab.text)
    lab.press("\x1a")
    lab.until(lambda: b"left with 1" in lab.come)
    assert LEFT in lab.come
    lab.screen.reset()
    lab.press("go\n")
    lab.until(lambda: "starts a run" in lab.text and "Dropout" in lab.text)
    lab.press("\x03")
    assert lab.status() == 0


def test_a_lab_that_no_shell_could_bring_back_does_not_stop(terminal: Terminals) -> None:
    lab = terminal("--framework", "torch")
    lab.until(lambda: "starts a run" in lab.text)
    lab.press("\x1a")
    lab.until(lambda: "no shell here" in lab.text)
    lab.press("\x03")
    assert lab.status() == 0


def test_a_terminal_that_says_it_has_no_size_is_80x24_and_its_size_is_taken_when_it_has_one(
    terminal: Terminals,
) -> None:
    lab = terminal("--framework", "torch", size=(0, 0), COLUMNS="99999", LINES="99999")
    lab.until(lambda: "starts a run" in lab.text and "Quit" in lab.screen.display[23])
    lab.screen.resize(30, 100)
    lab.resize(100, 30)
    lab.process.send_signal(signal.SIGWINCH)
    lab.until(lambda: "Quit" in lab.screen.display[29])
    lab.press("\x03")
    assert lab.status() == 0
