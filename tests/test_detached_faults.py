"""A detached run in a bad world: a disk that is full for a while, odd commands, and who may read what it leaves."""

import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regtui.checkpoints.files import read as checkpoint_in
from regtui.commands import commands_of, send
from regtui.core.events import Noted, Pause, Resume, RunEnded
from tests.remote import Far, alive, until
from tests.terminals import PseudoTerminal

Watch = Callable[[], PseudoTerminal]


@pytest.fixture
def watch(far: Far) -> Iterator[Watch]:
    """Show the only run on a terminal."""
    opened: list[PseudoTerminal] = []

    def open_one() -> PseudoTerminal:
        command = [sys.executable, "-m", "regtui", "watch", str(far.log)]
        opened.append(PseudoTerminal(command, (140, 40), **far.environment))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def notes(far: Far, level: str) -> list[str]:
    return [event.text for event in far.events() if isinstance(event, Noted) and event.level == level]


def let_files_grow_to(size: int | None, pid: int) -> None:
    """Have the system refuse a process what would make a file longer than this, as a full disk does."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits another process, as Linux lets one")
def test_a_disk_that_is_full_for_a_while_costs_a_detached_run_nothing_and_is_said_where_it_is_watched(
    far: Far, watch: Watch
) -> None:
    run = far.detach()
    screen = watch()
    screen.until(lambda: "validation" in screen.text)
    output = far.log.with_name("output.log")
    let_files_grow_to(far.log.stat().st_size + 1000, run)
    until(lambda: "cannot be written (File too large)" in output.read_text(), "for the word of a full disk")
    told = len(output.read_text())
    until(lambda: len(output.read_text()) > told + 200, "for training to go on")
    full_at = far.count("epoch")
    let_files_grow_to(None, run)
    until(lambda: far.count("epoch") > full_at + 10, "for what waited")
    screen.until(lambda: "is whole again" in screen.text)
    os.kill(run, signal.SIGTERM)
    until(lambda: not alive(run))
    end = far.end()
    assert (end.status, end.reason) == ("stopped", "stopped by SIGTERM")
    assert sum("cannot be written" in text for text in notes(far, "error")) == 1
    assert sum("is whole again" in text for text in notes(far, "info")) == 1
    kept = far.log.with_name("checkpoints")
    assert sorted(path.name for path in kept.iterdir()) == ["best", "last"]
    for place in kept.iterdir():
        assert checkpoint_in(place).state.step <= end.step


@pytest.mark.parametrize(
    ("umask", "share", "folder", "file"),
    [("000", [], 0o700, 0o600), ("022", ["--share"], 0o755, 0o644), ("077", ["--share"], 0o700, 0o600)],
)
def test_what_a_detached_run_leaves_is_its_owners_alone_unless_he_shares_it(
    far: Far, umask: str, share: list[str], folder: int, file: int
) -> None:
    far.detach(*share, umask=umask)
    words = far.words("send", str(far.log), "stop")
    subprocess.run(("sh", "-c", f'umask {umask}; exec "$@"', "sh", *words), check=True, capture_output=True)
    until(lambda: not far.living())
    assert isinstance(far.events()[-1], RunEnded)
    modes = {path.relative_to(far.runs): stat.S_IMODE(path.stat().st_mode) for path in far.runs.rglob("*")}
    modes[Path()] = stat.S_IMODE(far.runs.stat().st_mode)
    names = {path.name for path in modes}
    assert {"events.jsonl", "output.log", "commands.jsonl", "checkpoints", "checkpoint.json"} <= names
    for path, mode in modes.items():
        expected = folder if (far.runs / path).is_dir() else 0o600 if path.name == "commands.jsonl" else file
        assert (path, oct(mode)) == (path, oct(expected))


def obeys(far: Far) -> None:
    """Pause the run and let it go on, by way of its file of commands."""
    for command, state in ((Pause(), "paused"), (Resume(), "training")):
        send(far.log, command)
        until(lambda state=state: notes(far, "state")[-1:] == [state], f"for it to be {state}")


def looks(far: Far) -> None:
    """Let the run look for commands: it does so ten times a second, and what it records says when it was."""
    looked = time.time() + 0.5
    until(lambda: (far.events()[-1].time or 0) > looked, "for it to look at its commands")


def test_odd_commands_are_refused_and_said_once_and_what_comes_after_them_is_obeyed(far: Far) -> None:
    run = far.detach()
    obeys(far)
    orders = commands_of(far.log)
    draw = random.Random(0)
    with orders.open("ab") as file:
        for _ in range(10):
            file.write(draw.randbytes(500) + b'\n{"command":"halt"}\n{"command":"knob","knob":"l2","value":NaN}\n[]\n')
    looks(far)
    obeys(far)
    (said,) = notes(far, "warning")
    assert "commands.jsonl" in said
    line = json.dumps({"command": "stop"}).encode() + b"\n"
    with orders.open("ab") as file:
        file.write(line * 1_000_000)
    looks(far)
    obeys(far)
    assert len(notes(far, "warning")) == 2
    assert alive(run)


def as_link(orders: Path, theirs: Path) -> None:
    theirs.rename(theirs.with_name("theirs"))
    orders.symlink_to(theirs.with_name("theirs"))


def as_file_of_another(orders: Path, theirs: Path) -> None:
    os.chown(theirs, 65534, -1)
    theirs.rename(orders)


PLACES: list[Any] = [as_link]
"""Ways in which others may give orders that were not theirs to give; the tests of `commands` have more of them."""

if os.geteuid() == 0:
    PLACES.append(as_file_of_another)  # which nobody else can make


def test_a_file_that_others_could_have_written_is_refused_said_once_and_never_obeyed(far: Far, tmp_path: Path) -> None:
    run = far.detach()
    orders = commands_of(far.log)
    for place in PLACES:
        theirs = tmp_path / "made"
        theirs.write_text('{"command":"stop"}\n')
        place(orders, theirs)
        looks(far)
        orders.unlink()
        looks(far)
        obeys(far)
        orders.unlink()
    assert sum("is not obeyed" in text for text in notes(far, "warning")) == 1
    assert alive(run)
