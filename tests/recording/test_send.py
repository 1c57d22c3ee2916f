"""`regtui send` tells a run in another process what to do, and says why where it cannot."""

from pathlib import Path

import click
import pytest

from regtui.cli.lab import cli
from regtui.commands import Inbox, commands_of
from regtui.core.events import Changed, Pause, Resume, RunEpoch, SetKnob, Stop
from regtui.readers import LogError

LOOP = """
import time
run = regtui.record(log=log)
run.knob("l2", set=lambda value: None, value=0.1)
while not run.should_stop:
    run.step(loss=1.0)
    time.sleep(0.001)
run.finish()
"""


def send(*arguments: object) -> int:
    status: int = cli.main(["send", *map(str, arguments)], standalone_mode=False, prog_name="regtui")
    return status


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no longer than needed for an answer that does not come."""
    monkeypatch.setattr("regtui.cli.send.ANSWER_SECONDS", 0.05)


def test_a_loop_is_turned_and_stopped_from_the_command_line_which_says_so(child, log, until, records, capsys) -> None:
    started = child(LOOP)
    until(lambda: log.exists() and b'"kind":"step"' in log.read_bytes(), started)
    for what, said in ((["l2=0.5"], "l2 0.5 (was 0.1)"), (["resume", "resume"], "training\ntraining")):
        assert send(log, *what) == 0
        assert capsys.readouterr().out == f"{said}\n"
    assert send(log, "pause") == send(log, "pause") == send(log, "stop") == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["paused", "paused"]
    started.communicate()
    assert [(each.what, each.old, each.new) for each in records() if isinstance(each, Changed)] == [("l2", 0.1, 0.5)]
    assert (records()[-1].status, records()[-1].reason) == ("stopped", "stopped by regtui send")


def test_a_knob_that_the_loop_does_not_have_is_said_not_to_be_obeyed(child, log, until, capsys) -> None:
    started = child(LOOP)
    until(lambda: log.exists() and b'"kind":"step"' in log.read_bytes(), started)
    assert send(log, "dropout=0.5", "l2=0.5") == 1
    said = capsys.readouterr()
    assert said.out == "l2 0.5 (was 0.1)\n"
    assert said.err == "regtui: not obeyed: dropout was not changed: it is no knob of this run\n"


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("pause", Pause()),
        ("resume", Resume()),
        ("epoch", RunEpoch()),
        ("stop", Stop(reason="stopped by regtui send")),
        ("learning-rate=0.01", SetKnob(knob="learning_rate", value=0.01)),
        ("learning_rate=x0.5", SetKnob(knob="learning_rate", value=0.5, scale=True)),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_each_word_is_its_command(recorder, log, until, what, command) -> None:
    run = recorder()
    run.knob("learning_rate", set=lambda rate: None)
    inbox = Inbox(log)
    run.step(loss=1.0)
    until(lambda: log.read_bytes())
    assert send(log, what) == 1  # the loop makes no more steps
    assert inbox.poll() == [command]


@pytest.mark.parametrize(
    "what", ["go", "=1", "l2", "l2=", "epochs=3", "l2=-1", "dropout=x0.5", "learning_rate=x", "learning_rate=x0"]
)
def test_what_is_no_command_is_refused_in_a_sentence(recorder, log, until, what) -> None:
    recorder().step(loss=1.0)
    until(lambda: log.read_bytes())
    with pytest.raises(click.UsageError):
        send(log, "pause", what)
    assert not commands_of(log).exists()


def test_a_run_that_is_over_and_one_that_does_not_listen_are_not_told(recorder, log, until) -> None:
    run = recorder()
    run.step(loss=1.0)
    until(lambda: log.read_bytes())
    with pytest.raises(LogError, match="does not listen to that, but to pause, resume, epoch, stop"):
        send(log, "l2=0.5")
    run.finish()
    with pytest.raises(LogError, match="is the log of a run that is over"):
        send(log, "pause")
    assert not commands_of(log).exists()


@pytest.mark.usefixtures("impatient")
def test_a_log_that_nobody_writes_is_said(log: Path, recorder, capsys) -> None:
    with recorder() as run:
        run.step(loss=1.0)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert send(log, "pause") == 1
    assert "nobody on this machine writes" in capsys.readouterr().err


def test_a_file_of_commands_that_cannot_be_written_is_said_by_its_name(recorder, log, until) -> None:
    recorder().step(loss=1.0)
    until(lambda: log.read_bytes())
    commands_of(log).mkdir()
    with pytest.raises(LogError, match=f"cannot be told: {commands_of(log)}: "):
        send(log, "pause")
