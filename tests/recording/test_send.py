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


def send(*arguments: object) -> None:
    cli.main(["send", *map(str, arguments)], standalone_mode=False, prog_name="regtui")


def test_a_loop_is_turned_and_stopped_from_the_command_line(child, log, until, records) -> None:
    started = child(LOOP)
    until(lambda: log.exists() and b'"kind":"step"' in log.read_bytes(), started)
    send(log, "l2=0.5")
    until(lambda: b'"kind":"change"' in log.read_bytes(), started)
    send(log, "stop")
    started.communicate()
    assert [(each.what, each.old, each.new) for each in records() if isinstance(each, Changed)] == [("l2", 0.1, 0.5)]
    assert (records()[-1].status, records()[-1].reason) == ("stopped", "stopped by regtui send")


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
def test_each_word_is_its_command(recorder, log, until, what, command) -> None:
    run = recorder()
    run.knob("learning_rate", set=lambda rate: None)
    inbox = Inbox(log)
    run.step(loss=1.0)
    until(lambda: log.read_bytes())
    send(log, what)
    assert inbox.poll() == [command]


@pytest.mark.parametrize("what", ["go", "=1", "l2", "l2=", "epochs=3", "l2=-1", "dropout=x0.5", "learning_rate=x"])
def test_what_is_no_command_is_refused_in_a_sentence(recorder, log, until, what) -> None:
    recorder().step(loss=1.0)
    until(lambda: log.read_bytes())
    with pytest.raises(click.UsageError):
        send(log, what)
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


def test_a_log_that_nobody_writes_is_said(log: Path, recorder, capsys) -> None:
    with recorder() as run:
        run.step(loss=1.0)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    send(log, "pause")
    assert "nobody on this machine writes" in capsys.readouterr().err
