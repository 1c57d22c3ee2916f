"""The file of commands beside a log."""

import os

import msgspec
import pytest

from regtui.commands import Inbox, commands_of, send
from regtui.core.events import Pause, SetKnob, Stop


def test_commands_are_given_out_once_in_the_order_in_which_they_were_sent(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    assert inbox.poll() == []
    send(log, Pause())
    send(log, SetKnob(knob="learning_rate", value=0.5, scale=True))
    assert inbox.poll() == [Pause(), SetKnob(knob="learning_rate", value=0.5, scale=True)]
    assert inbox.poll() == []
    send(log, Stop(reason="enough"))
    assert inbox.poll() == [Stop(reason="enough")]


def test_what_was_sent_to_the_run_before_is_not_obeyed(tmp_path):
    log = tmp_path / "events.jsonl"
    send(log, Stop())
    assert Inbox(log).poll() == []


def test_half_a_line_is_not_yet(tmp_path):
    log = tmp_path / "train.jsonl"
    inbox = Inbox(log)
    line = msgspec.json.encode(Pause()) + b"\n"
    commands_of(log).touch(mode=0o600)
    for part, expected in ((line[:5], []), (line[5:], [Pause()])):
        with commands_of(log).open("ab") as file:
            file.write(part)
        assert inbox.poll() == expected


def test_only_its_owner_can_write_the_file(tmp_path):
    before = os.umask(0)
    try:
        send(tmp_path / "events.jsonl", Pause())
    finally:
        os.umask(before)
    assert (tmp_path / "commands.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["a link", "a file that others can write", "a pipe"])
def test_a_file_that_others_could_have_written_is_not_obeyed_and_that_is_said(tmp_path, what):
    log, theirs = tmp_path / "events.jsonl", tmp_path / "theirs"
    inbox = Inbox(log)
    if what == "a pipe":
        os.mkfifo(commands_of(log))
    else:
        file = theirs if what == "a link" else commands_of(log)
        file.write_bytes(msgspec.json.encode(Stop()) + b"\n")
        file.chmod(0o666)
        if what == "a link":
            commands_of(log).symlink_to(theirs)
    assert inbox.poll() == []
    assert inbox.refused == "commands.jsonl is not obeyed: it must be a file that only its owner can write"


def test_garbage_is_passed_over_and_said(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    send(log, Pause())
    with commands_of(log).open("ab") as file:
        file.write(b'\xff\x00{"command":"format"}\n' + b"x" * 100_000 + b"\n")
    send(log, Stop())
    assert inbox.poll() == [Pause(), Stop()]
    assert inbox.refused.startswith("a line of commands.jsonl is no command")
