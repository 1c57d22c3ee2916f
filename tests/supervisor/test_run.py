"""Any command runs as a run of its own process: its output, its end, and the log that it writes."""

import json
import os
import re
import signal
import stat
import sys
import time
from pathlib import Path

import click
import pytest

from regtui import supervisor
from regtui.cli.lab import cli
from regtui.commandfile import CommandRun, write_command
from regtui.commands import FILE_NAME as COMMANDS_NAME
from regtui.core.events import EpochEnded, Noted, Rows, RunEnded, RunStarted, StepEnded
from regtui.readers import LOG_NAME, is_being_written, read_history
from regtui.runs import find_run
from regtui.runs.listing import list_runs

RECORDED = """
import regtui
with regtui.record(epochs=2) as run:
    for epoch in range(2):
        for step in range(3):
            run.step(loss=1.0)
        run.epoch(train={"loss": 1.0}, valid={"loss": 1.5})
"""

LOOP = """
import time, regtui
run = regtui.record()
while not run.should_stop:
    run.step(loss=1.0)
    time.sleep(0.005)
print("left the loop")
"""


def notes(events: list) -> list[str]:
    return [each.text for each in events if isinstance(each, Noted) and each.level == "output"]


def end_of(events: list) -> RunEnded:
    assert [type(each) for each in events].count(RunEnded) == 1
    assert isinstance(events[-1], RunEnded)
    return events[-1]


def send(*arguments: object) -> None:
    cli.main(["send", *map(str, arguments)], standalone_mode=False, prog_name="regtui")


def test_the_names_that_the_supervisor_knows_without_loading_them_are_the_right_ones() -> None:
    assert (supervisor.LOG_NAME, supervisor.COMMANDS_NAME) == (LOG_NAME, COMMANDS_NAME)


def test_a_recorder_inside_records_in_the_folder_of_the_run_and_a_second_one_in_its_own(start) -> None:
    started = start(RECORDED + "second = regtui.record()\nsecond.step(loss=7.0)\nsecond.finish()\n")
    assert started.ended().end.status == "finished"
    events = started.events()
    assert isinstance(events[0], RunStarted)
    assert (events[0].run_id, events[0].trainer) == (started.folder.name, "own loop")
    assert [each.step for each in events if isinstance(each, StepEnded)] == [1, 2, 3, 4, 5, 6]
    assert [each.epoch for each in events if isinstance(each, EpochEnded)] == [1, 2]
    assert end_of(events).status == "finished"
    others = [each for each in Path("runs").iterdir() if each.is_dir() and each.name != started.folder.name]
    assert len(others) == 1
    assert read_history(others[0]).steps["step/loss"].last == 7.0


def test_where_the_log_says_that_all_went_well_and_the_command_does_not_the_note_says_so(start) -> None:
    started = start(RECORDED + "raise SystemExit(3)")
    end = started.ended().end
    assert (end.status, end.reason, end.exit_status) == ("failed", "exit status 3", 3)
    events = started.events()
    assert end_of(events).status == "finished"
    assert events[-2].text == "the log says finished, the command ended otherwise: exit status 3"


def test_a_table_that_the_command_writes_where_it_runs_is_the_log_of_the_run(start) -> None:
    Path("old.csv").write_text("epoch,train_loss,val_loss\n1,9,9\n2,9,9\n")
    os.utime("old.csv", (time.time() - 3600,) * 2)
    started = start(
        "with open('metrics.csv', 'w') as file:\n    print('epoch,train_loss,val_loss', file=file)\n"
        "    for epoch in range(5): print(f'{epoch},{1 / (epoch + 1)},0.5', file=file)"
    )
    assert started.ended().log == str(Path("metrics.csv").absolute())
    events = started.events()
    assert isinstance(events[0], RunStarted)
    assert (events[0].run_id, events[0].listens) == (started.folder.name, ("stop",))
    assert any(isinstance(each, Rows) for each in events)
    assert end_of(events).status == "finished"


def test_the_losses_that_a_command_prints_are_its_log_where_there_is_no_better_one(start) -> None:
    started = start("for epoch in range(8): print(f'epoch {epoch} train loss {1 / (epoch + 1):.4f} val loss 0.5')")
    assert started.ended().log == str(started.folder / "output.log")
    assert len(read_history(started.folder).evaluations) == 8


def test_of_a_command_without_a_log_there_is_its_output_as_a_terminal_shows_it(start) -> None:
    started = start("print('\\033[31mred\\033[0m'); print('10 %\\r 50 %\\r100 %'); print('no end', end='')")
    started.ended()
    assert started.output == b"\x1b[31mred\x1b[0m\n10 %\r 50 %\r100 %\nno end"
    events = started.events()
    assert (events[0].trainer, events[0].settings["folder"]) == ("command", os.getcwd())  # noqa: PTH109
    assert events[0].settings["command"].startswith(sys.executable)
    assert notes(events) == ["red", "100 %", "no end"]
    assert end_of(events).status == "finished"


def test_folders_and_files_are_the_owners_alone_unless_they_are_shared(start) -> None:
    before = os.umask(0o022)
    try:
        for options, folder, file in (((), 0o700, 0o600), (("--share",), 0o755, 0o644)):
            started = start(RECORDED, options=options)
            started.ended()
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in started.folder.iterdir()}
            assert modes == dict.fromkeys(("command.json", "output.log", LOG_NAME), file)
            assert stat.S_IMODE(started.folder.stat().st_mode) == folder
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0, "does not exist"),
        ("#!/bin/sh\n", 0o600, "is not executable"),
        ("no program", 0o700, "cannot be started: Exec format error"),
        ("#!/no/such/interpreter\n", 0o700, "cannot be started: No such file or directory"),
    ],
)
def test_what_cannot_be_started_is_said_at_once_and_leaves_nothing(start, content, mode, said) -> None:
    if content is not None:
        Path("program").write_text(content)
        Path("program").chmod(mode)
    with pytest.raises(click.UsageError, match=said) as error:
        start("./program", "now")
    assert error.value.exit_code == 2
    assert not Path("runs").exists()
    with pytest.raises(click.UsageError, match="not found: name a program on PATH"):
        start("no-such-program", "now")


def test_a_command_that_is_killed_has_failed_and_says_by_what(start) -> None:
    started = start("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    end = started.ended().end
    assert (end.status, end.reason, end.exit_status, end.signal) == ("failed", "killed by SIGKILL", None, "SIGKILL")
    assert end_of(started.events()).reason == "killed by SIGKILL"


def test_a_loop_that_listens_leaves_by_itself_when_it_is_told_to_stop(start, until) -> None:
    started = start(LOOP)
    until(lambda: (started.folder / LOG_NAME).is_file() and b'"step"' in (started.folder / LOG_NAME).read_bytes())
    send(started.folder.name, "pause")
    until(lambda: b'"paused"' in (started.folder / LOG_NAME).read_bytes())
    send(started.folder.name, "stop")
    end = started.ended().end
    assert (end.status, end.reason, end.exit_status) == ("stopped", "stopped by regtui send", 0)
    assert b"left the loop" in started.output
    ended = end_of(started.events())
    assert (ended.status, ended.reason) == ("stopped", "stopped by regtui send")


def test_a_loop_that_never_asks_whether_it_should_stop_is_told_as_by_ctrl_c(start, until) -> None:
    started = start(LOOP.replace("not run.should_stop", "True"), options=("--grace", "3"))
    until(lambda: (started.folder / LOG_NAME).is_file() and b'"step"' in (started.folder / LOG_NAME).read_bytes())
    send(started.folder.name, "stop")
    assert started.ended().end.signal == "SIGINT"
    assert end_of(started.events()).status == "stopped"


def test_a_command_without_a_recorder_is_told_to_stop_as_by_ctrl_c(start) -> None:
    started = start(
        "import time\nprint('here')\ntry:\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    print('saved')"
    )
    started.prints(b"here")
    send(started.folder.name, "stop")
    end = started.ended().end
    assert (end.status, end.reason, end.exit_status) == ("stopped", "stopped by regtui send", 0)
    assert b"saved" in started.output


def test_a_command_that_hears_nothing_is_killed_when_its_time_is_up(start) -> None:
    deaf = "for each in (signal.SIGINT, signal.SIGTERM): signal.signal(each, signal.SIG_IGN)"
    started = start(f"import signal, time\n{deaf}\nprint('deaf')\ntime.sleep(100)", options=("--grace", "0.3"))
    started.prints(b"deaf")
    send(started.folder.name, "stop")
    end = started.ended().end
    assert (end.status, end.signal) == ("stopped", "SIGKILL")
    assert end.reason == "stopped by regtui send, and killed since it had not ended"
    states = [each for each in started.events() if isinstance(each, Noted) and each.level == "state"]
    assert [(each.text, each.time) for each in states] == [("stopping", started.run.stopping_since)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_goes_on_to_the_command_and_all_its_processes(start, number) -> None:
    started = start(
        "import os, signal, time\n"
        # Each line in one write: those of two processes do not mix.
        "def save(number, frame):\n    os.write(1, b'saved by %r\\n' % (os.getpid() == parent))\n    os._exit(0)\n"
        "parent = os.getpid()\n"
        "for each in (signal.SIGTERM, signal.SIGINT): signal.signal(each, save)\n"
        "os.fork()\nos.write(1, b'ready\\n')\nwhile True: time.sleep(1)"
    )
    started.prints(b"ready\nready")
    os.kill(started.run.pid, number)
    end = started.ended().end
    assert (end.status, end.reason) == ("stopped", f"stopped by {number.name}")
    assert sorted(started.output.split(b"\n")[2:4]) == [b"saved by False", b"saved by True"]


def test_what_batch_systems_send_first_goes_on_and_ends_nothing(start) -> None:
    started = start(
        "import signal, time\nheard = []\nsignal.signal(signal.SIGUSR1, lambda *_: heard.append(1))\n"
        "print('ready')\nwhile not heard: time.sleep(0.01)\nprint('heard')"
    )
    started.prints(b"ready")
    os.kill(started.run.pid, signal.SIGUSR1)
    assert started.ended().end.status == "finished"
    assert b"heard" in started.output


def test_a_daemon_that_the_command_leaves_is_left_alone_and_the_run_has_ended(start, until) -> None:
    started = start(
        "import os, time\nnumber = os.fork()\nif not number:\n    os.setsid()\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n    print('later', flush=True)\n    os._exit(0)\n"
        "print('daemon', number)"
    )
    try:
        assert started.ended().end.status == "finished"
        until(lambda: not is_being_written(started.folder))
        assert b"later" not in started.output
        assert end_of(started.events()).status == "finished"
    finally:
        Path("go").touch()
    started.prints(b"later")


def test_a_supervisor_that_is_killed_takes_nothing_along_and_the_run_has_no_end(start, until) -> None:
    started = start("import os, time\nprint('one')\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')")
    started.prints(b"one")
    assert is_being_written(started.folder)
    os.kill(started.run.pid, signal.SIGKILL)
    until(lambda: not is_being_written(started.folder))
    Path("go").touch()
    started.prints(b"two")
    events = started.events()
    assert notes(events) == ["one", "two"]
    assert RunEnded not in map(type, events)
    (run,) = list_runs(Path("runs")).runs
    assert (run.summary.status, run.being_written) == ("running", False)


UNTIL_FOUND = """
import json, os, time
with open('{0}.csv', 'w') as file:
    print('epoch,val_loss', file=file)
    for epoch in range(5):
        print(f'{{epoch}},{0}', file=file, flush=True)
    while not json.load(open(os.environ['REGTUI_RUN'] + '/command.json'))['log']:
        time.sleep(0.02)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not tell who holds a file open")
def test_two_at_once_keep_to_their_own_logs(start) -> None:
    both = [start(UNTIL_FOUND.format(number)) for number in (1, 2)]
    assert both[0].folder != both[1].folder
    for number, started in enumerate(both, 1):
        assert started.ended().log == str(Path(f"{number}.csv").absolute())
        assert read_history(started.folder).evaluations["valid/loss"].last == number


def test_a_run_is_listed_and_found_by_its_odd_name(start) -> None:
    started = start(RECORDED, options=("--name", "../ein Läufer\n\x1b[31m"))
    assert re.fullmatch(r"\d{8}-\d{6}-ein-Läufer---31m-\w{5}", started.folder.name)
    started.ended()
    assert find_run(None, Path("runs")) == Path("runs", started.folder.name)
    assert find_run(started.folder.name, Path("runs")) == Path("runs", started.folder.name)
    (run,) = list_runs(Path("runs")).runs
    assert (run.name, run.summary.status, run.summary.epochs) == (started.folder.name, "finished", 2)


def test_what_a_command_does_not_say_in_unicode_is_written_as_strict_json(tmp_path: Path) -> None:
    run = CommandRun(run_id="run", argv=(os.fsdecode(b"\xff"), "ü"), cwd="/")
    write_command(tmp_path, run)
    said = json.loads((tmp_path / "command.json").read_bytes())
    assert said["argv"] == ["\\xff", "ü"]
    assert (tmp_path / "command.json").stat().st_mode & 0o777 == 0o600


def test_the_environment_and_the_descriptors_of_a_command_are_the_users_own(start) -> None:
    started = start(
        "import os, sys\nprint(os.environ['REGTUI_RUN'], os.getcwd(), sys.stdin.read() == '')\n"
        "print(sorted(map(int, os.listdir('/dev/fd')))[:3])\nprint(os.getsid(0) == os.getppid())"
    )
    started.ended()
    assert started.output.decode().splitlines() == [f"{started.folder} {os.getcwd()} True", "[0, 1, 2]", "True"]  # noqa: PTH109
