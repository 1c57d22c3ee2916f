"""The app in a real pseudo-terminal, as a process of its own, read through a terminal emulator."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regtui.core.events import RunEnded
from regtui.sources.log import LogSource

PATIENCE_SECONDS = 180

SMALL = ["--dataset", "digits", "--train-rows", "200", "--hidden", "16", "--batch-size", "50"]


Terminal = Any
"""The `PseudoTerminal` of conftest."""


def end_of_the_run(runs_dir: Path) -> Any:
    (path,) = runs_dir.glob("*/events.jsonl")
    return LogSource(path).poll()[-1]


def test_at_80x24_a_run_is_started_watched_and_left(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    lab = terminal("--framework", "torch", *SMALL, "--epochs", "1000000")
    lab.until(lambda: "ctrl+r starts a run" in lab.text and "Dropout" in lab.text)
    lab.press("\x12")
    lab.until(lambda: "validation" in lab.text and "train" in lab.text and "LR" in lab.text)
    lab.until(lambda: "training" in lab.screen.display[0] and "/1000000" in lab.screen.display[0])
    assert "epoch" in lab.screen.display[0]
    assert any(0x2800 < ord(sign) < 0x2900 for sign in lab.text)
    lab.press("q")
    lab.until(lambda: "Stop it and quit?" in lab.text)
    lab.press("y")
    lab.until(lambda: lab.process.poll() is not None)
    assert lab.process.returncode == 0
    end = end_of_the_run(tmp_path / "runs")
    assert isinstance(end, RunEnded)
    assert end.status == "stopped"


WARNS = """
import os, sys

class Warns:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow.python":
            sys.meta_path.remove(self)
            os.write(2, b"W0000 00:00:1795531055.462743     782 made.cc:1] something to know\\n")

sys.meta_path.insert(0, Warns())
"""
"""What a machine with half a driver has TensorFlow say when it is imported, on any machine."""


def test_what_a_framework_prints_is_in_the_event_log_and_not_on_the_screen(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WARNS)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    lab = terminal("--framework", "tensorflow", "--start", *SMALL, "--epochs", "2", size=(140, 40), PYTHONPATH=path)
    lab.until(lambda: "importing tensorflow …" in lab.screen.display[0])
    lab.until(lambda: "importing tensorflow took" in lab.text)
    lab.until(lambda: "finished" in lab.screen.display[0])
    events = LogSource(next((tmp_path / "runs").glob("*/events.jsonl"))).poll()
    printed = [event.text for event in events if getattr(event, "level", "") == "output"]
    lab.press("q")
    lab.until(lambda: lab.process.poll() is not None)
    assert lab.process.returncode == 0
    assert any("something to know" in line for line in printed)
    # What TensorFlow has found of CPUs and GPUs is for its makers.
    assert not any(line.startswith("I0000") for line in printed)
    above = "\n".join(lab.screen.display[:30])
    assert not any(line[:30] in above for line in printed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_its_name_in_the_log(
    terminal: Callable[..., Terminal], tmp_path: Path, number: signal.Signals
) -> None:
    lab = terminal("--framework", "torch", "--start", *SMALL, "--epochs", "1000000")
    lab.until(lambda: "validation" in lab.text)
    lab.process.send_signal(number)
    lab.until(lambda: lab.process.poll() is not None)
    end = end_of_the_run(tmp_path / "runs")
    assert isinstance(end, RunEnded)
    assert (end.status, number.name in end.reason) == ("stopped", True)


def test_a_terminal_that_is_closed_leaves_a_whole_log(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    lab = terminal("--framework", "torch", "--start", *SMALL, "--epochs", "1000000")
    lab.until(lambda: "validation" in lab.text)
    lab.hang_up()
    lab.process.send_signal(signal.SIGHUP)
    lab.process.wait(PATIENCE_SECONDS)
    end = end_of_the_run(tmp_path / "runs")
    assert isinstance(end, RunEnded)
    assert end.status == "stopped"


def test_without_utf8_the_screen_is_ascii(terminal: Callable[..., Terminal]) -> None:
    c_locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lab = terminal("--framework", "torch", "--start", *SMALL, "--epochs", "5", size=(140, 40), **c_locale)
    lab.until(lambda: "finished" in lab.screen.display[0])
    assert lab.text.isascii()
    lab.press("q")
    lab.until(lambda: lab.process.poll() is not None)


def test_a_terminal_is_asked_nothing_before_it_is_the_labs_alone(terminal: Callable[..., Terminal]) -> None:
    lab = terminal("--framework", "torch")
    lab.until(lambda: "starts a run" in lab.text)
    assert lab.come.index(b"\x1b[?1049h") < lab.come.index(b"\x1b[5n"), "an answer would be echoed to the shell"


def test_the_scroll_bar_of_a_tiny_terminal_is_ascii_too(terminal: Callable[..., Terminal]) -> None:
    lab = terminal("--framework", "torch", "--ascii", "--start", *SMALL, "--epochs", "1000000", size=(30, 5))
    lab.until(lambda: "@ train" in lab.text)
    assert lab.come.isascii(), sorted(set(lab.come.decode(errors="replace")) - set(map(chr, range(128))))


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_no_screen_and_no_dialog_sends_a_byte_beyond_ascii_where_ascii_is_asked_for(
    terminal: Callable[..., Terminal], size: tuple[int, int]
) -> None:
    lab = terminal("--framework", "torch", "--ascii", *SMALL, "--epochs", "1000000", size=size)

    def look(keys: str, for_text: str, away: str = "") -> None:
        lab.press(keys)
        lab.until(lambda: for_text in lab.text)
        if away:
            lab.press(away)
            lab.until(lambda: for_text not in lab.text)

    lab.until(lambda: "starts a run" in lab.text and "Dropout" in lab.text)
    look("\r", "lr-decay", "\x1b[D")
    look("\t\t\t5x", "must be")
    look("\x15500\t0.1\t\t\r", "sgd", "\x1b[D")
    look("\x1b", "f Form")
    look("?", "escape closes", "\x1b")
    look("\x10", "Search for commands", "\x1b")
    look("\x10light", "Theme: light", "\x1b")
    look("\x10qqqq", "No matches", "\x1b")
    look("\x12", "validation")
    look("?", "escape closes", "\x1b")
    for key in "gzlmp":
        lab.press(key)
    look("\x1b[D", "at epoch")
    look("f", "a named starting point", "\x1b")
    look("x", "Its log is kept", "n")
    look("q", "Stop it and quit?", "n")
    look("\x03", "Stop it and quit?", "n")
    look("\x12", "A run is training: x")
    look("xy", "stopped")
    look("\x12", "previous")
    assert lab.come.isascii(), sorted(set(lab.come.decode(errors="replace")) - set(map(chr, range(128))))


def grounds(lab: Terminal) -> set[str]:
    """The colours behind the signs of the screen."""
    return {sign.bg for row in lab.screen.buffer.values() for sign in row.values()}


def test_the_light_theme_is_grey_and_white_with_256_colours_and_is_remembered(
    terminal: Callable[..., Terminal],
) -> None:
    for options in (["--theme", "light"], []):
        lab = terminal("--framework", "torch", *options, COLORTERM="", size=(120, 30))
        lab.until(lambda lab=lab: "starts a run" in lab.text and "Dropout" in lab.text)
        # Every ground is white or a grey but the button's, which is the blue of what is started.
        tinted = {colour for colour in grounds(lab) if len({colour[:2], colour[2:4], colour[4:]}) > 1}
        assert len(tinted) <= 1, tinted
        assert "ffffff" in grounds(lab)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "xterm-16color", "COLORTERM": ""}])
def test_without_colours_or_with_sixteen_the_lab_still_reads(
    terminal: Callable[..., Terminal], environment: dict[str, str]
) -> None:
    lab = terminal("--framework", "torch", "--start", *SMALL, "--epochs", "5", **environment)
    lab.until(lambda: "finished" in lab.screen.display[0] and "validation" in lab.text)


def test_keys_that_come_in_one_burst_land_in_the_fields_they_were_meant_for(terminal: Callable[..., Terminal]) -> None:
    lab = terminal("--framework", "torch", *SMALL)
    lab.until(lambda: "ctrl+r starts a run" in lab.text and "Dropout" in lab.text)
    # To the label noise; to hidden, and on by enter; down opens a menu; to the batch size, and back to the rate.
    lab.press("\t\t\t\t0.3\t50\r\x1b[B\x1b[B\r\t0.5\t7\x1b[Z9")
    lab.until(lambda: "Learning rate   9 " in lab.text)
    for row in ("Label noise     0.3 ", "Hidden          50 ", "Optimizer       adamw ", "Batch size      7 "):
        assert row in lab.text


@pytest.mark.parametrize("name", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_move_its_cursor_is_told_what_to_use_instead(
    terminal: Callable[..., Terminal], name: str
) -> None:
    lab = terminal(TERM=name, size=(200, 24))
    lab.until(lambda: lab.process.poll() is not None and "--replay" in lab.text)
    assert lab.process.returncode == 2
    assert "regtui train" in lab.text
    assert len(lab.text.strip().splitlines()) == 1


def test_the_first_paint_loads_no_framework(tmp_path: Path) -> None:
    """In a fresh interpreter: the form is on the screen, and no module of a framework has been imported."""
    script = """
import asyncio, json, sys
from pathlib import Path
from regtui.core.config import RunConfig
from regtui.tui.app import RegtuiApp

async def paint():
    app = RegtuiApp(RunConfig.create(), runs_dir=Path("runs"))
    async with app.run_test(size=(140, 40)) as pilot:
        await pilot.pause()
        assert "overfit" in app.lab.query_one("#field-preset").text

asyncio.run(paint())
heavy = {"torch", "tensorflow", "keras", "sklearn", "pooch", "jax", "scipy", "pandas"}
print(json.dumps(sorted(heavy & {name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout) == []
