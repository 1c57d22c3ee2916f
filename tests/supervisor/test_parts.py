"""The parts of the process beside a command, each by itself."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regtui.commandfile import CommandEnd, CommandRun, write_command
from regtui.readers.printed import BLOCK_BYTES, Printed
from regtui.supervisor import output as bounds
from regtui.supervisor.finding import find, holders, taken
from regtui.supervisor.fresh import DEEPEST, fresh_files
from regtui.supervisor.output import Output


def test_an_output_without_end_is_kept_to_its_start_and_its_newest(tmp_path: Path, monkeypatch) -> None:
    for name, value in (("MOST_BYTES", 10_000), ("KEPT_START", 1000), ("KEPT_END", 3000)):
        monkeypatch.setattr(bounds, name, value)
    path = tmp_path / "output.log"
    with path.open("ab", buffering=0) as command:
        watched = Output(path)
        for number in range(5000):
            command.write(b"line %d\n" % number)
            watched.bound()
            assert path.stat().st_size < 11_000
    lines = path.read_bytes().splitlines()
    assert lines[0] == b"line 0"
    assert lines[-1] == b"line 4999"
    said = [line for line in lines if not line.startswith(b"line ") and line]
    assert len(said) == 1
    assert said[0].endswith(b"bytes of output are left out here]")
    after = lines[lines.index(said[0]) + 1 :]
    assert after == [b"line %d" % number for number in range(5000 - len(after), 5000)]


def test_a_progress_bar_is_told_by_its_last_state_and_no_line_twice(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_bytes(b"first\n 1 %\r 2 %")
    printed = Printed(path)
    assert printed.lines(over=False)[0] == "first"
    with path.open("ab") as file:
        file.write(b"\r 3 %")
    assert printed.lines(over=True) == ["3 %"]
    with path.open("ab") as file:
        file.write(b"\nlast\n")
    assert printed.lines(over=True) == ["last"]


def test_output_that_comes_faster_than_anybody_reads_is_passed_over_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_bytes(b"first\n")
    printed = Printed(path)
    assert printed.lines(over=False) == ["first"]
    with path.open("ab") as file:
        file.write(b"x" * 79 + b"\n" + b"y\n" * BLOCK_BYTES)
    lines = printed.lines(over=False)
    assert lines[0].endswith("more lines of output left out)")
    assert set(lines[1:]) == {"y"}
    path.write_bytes(b"cut\n")
    assert printed.lines(over=True) == []
    with path.open("ab") as file:
        file.write(b"goes on\n")
    assert printed.lines(over=True) == ["goes on"]


def test_only_fresh_files_are_found_and_none_of_other_runs_or_of_hidden_folders(tmp_path: Path) -> None:
    now = time.time()
    deep = tmp_path.joinpath(*"abcdefgh")
    for folder in ("logs", "run", ".git", "venv", "node_modules", "old"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "log.csv").touch()
    (deep / "i").mkdir(parents=True)
    assert len(deep.relative_to(tmp_path).parts) == DEEPEST
    (deep / "log.csv").touch()
    (deep / "i" / "log.csv").touch()
    (tmp_path / "run" / "command.json").touch()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "link").symlink_to(tmp_path / ".git")
    os.utime(tmp_path / "old" / "log.csv", (now - 100, now - 100))
    found = fresh_files(str(tmp_path), now - 10, 10.0, [str(tmp_path / "logs")])
    assert list(found) == [str(deep / "log.csv")]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not tell who holds a file open")
def test_what_others_hold_open_is_not_the_commands_and_what_it_holds_open_is_before_others(tmp_path: Path) -> None:
    table = "epoch,val_loss\n1,0.5\n2,0.4\n"
    ours, newer = tmp_path / "ours.csv", tmp_path / "newer.csv"
    ours.write_text(table)
    newer.write_text(table)
    both = [newer, ours]
    with ours.open():
        assert holders(os.getsid(0), set(both)) == ({ours}, set())
        assert holders(-1, set(both)) == (set(), {ours})
    where = {"root": tmp_path, "output": tmp_path / "output.log"}
    assert find(both, {ours}, set(), **where) == (ours, 30)
    assert find(both, set(), {ours}, **where) == (newer, 30)
    assert find(both, set(), {tmp_path}, **where) is None
    assert find(both, set(), set(), **where) == (newer, 30)
    assert find(both, set(), set(), **where, before=frozenset({newer})) == (ours, 30)
    assert find(both, set(), set(), **where, better_than=30) is None


def test_a_log_that_another_command_writes_meanwhile_is_taken_and_one_of_before_is_not(tmp_path: Path) -> None:
    for name, log, ended in (
        ("one", "/1.csv", 20.0),
        ("two", None, 20.0),
        ("own", "/3.csv", None),
        ("old", "/4.csv", 9.0),
    ):
        (tmp_path / name).mkdir()
        end = CommandEnd(status="finished", time=ended) if ended is not None else None
        write_command(tmp_path / name, CommandRun(run_id=name, argv=(), cwd="/", log=log, end=end))
    (tmp_path / "none").mkdir()
    assert taken(tmp_path / "own", 10.0) == {Path("/1.csv")}


def test_the_process_beside_a_command_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'msgspec', 'click', 'yaml', 'regtui.readers'}"
    code = f"import sys, regtui.supervisor.main; print(sorted({heavy} & set(sys.modules)))"
    root = str(Path(__file__).parents[2])
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"
