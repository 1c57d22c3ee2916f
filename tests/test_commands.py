"""The file of commands beside a log."""

import os

import msgspec
import pytest

from regtui.commands import Inbox, commands_of, send
from regtui.core.events import Pause, Resume, SetKnob, Stop


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


NOT_OURS = "commands.jsonl is not obeyed: it must be a file that only its owner can write"


def stand(what, file, theirs):
    """Let something stand where commands come from."""
    theirs.write_bytes(STOP)
    match what:
        case "a link":
            file.symlink_to(theirs)
        case "a pipe":
            os.mkfifo(file)
        case "a folder":
            file.mkdir()
        case _:
            file.write_bytes(STOP)
            file.chmod(0o620 if what == "a file that its group can write" else 0o602)


STOP = msgspec.json.encode(Stop()) + b"\n"


@pytest.mark.parametrize(
    "what", ["a link", "a pipe", "a folder", "a file that its group can write", "a file that all can write"]
)
def test_what_others_could_have_written_is_not_obeyed_and_that_is_said_once(tmp_path, what):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    stand(what, commands_of(log), tmp_path / "theirs")
    assert inbox.poll() == []
    assert inbox.refused == NOT_OURS
    inbox.refused = ""
    if commands_of(log).is_file():
        with commands_of(log).open("ab") as file:
            file.write(STOP)
    assert inbox.poll() == inbox.poll() == []
    assert inbox.refused == ""


def test_a_file_that_was_there_before_the_run_and_is_not_ours_is_not_obeyed(tmp_path):
    log = tmp_path / "events.jsonl"
    stand("a file that all can write", commands_of(log), tmp_path / "theirs")
    inbox = Inbox(log, begin=0)
    assert (inbox.poll(), inbox.refused) == ([], NOT_OURS)


def test_the_file_of_another_user_is_not_obeyed(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log, owners=frozenset({os.geteuid() + 1}))
    send(log, Stop())
    assert (inbox.poll(), inbox.refused) == ([], NOT_OURS)


def test_whoever_goes_on_for_another_begins_where_that_one_left_off(tmp_path):
    log = tmp_path / "events.jsonl"
    send(log, Pause())
    first = Inbox(log)
    send(log, Resume())
    assert first.poll() == [Resume()]
    with (tmp_path / "commands.jsonl").open("ab") as file:
        file.write(b'{"command":')
        file.flush()
        assert first.poll() == []
        file.write(b'"pause"}\n')
    assert Inbox(log, begin=first.left_at).poll() == [Pause()]


def test_a_file_that_is_mended_is_obeyed_from_then_on(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    stand("a file that all can write", commands_of(log), tmp_path / "theirs")
    assert inbox.poll() == []
    commands_of(log).chmod(0o600)
    assert inbox.poll() == []
    send(log, Pause())
    assert inbox.poll() == [Pause()]


def test_a_file_that_was_deleted_and_made_anew_is_obeyed(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    send(log, Pause())
    assert inbox.poll() == [Pause()]
    commands_of(log).unlink()
    assert inbox.poll() == []
    send(log, Pause())
    assert (inbox.poll(), inbox.refused) == ([Pause()], "")


@pytest.mark.parametrize(("how", "said"), [("replaced", "was replaced by another file"), ("cut", "was shortened")])
def test_what_a_file_holds_that_was_replaced_or_cut_is_not_obeyed_but_what_comes_after_it(tmp_path, how, said):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    send(log, Pause(), Pause())
    assert inbox.poll() == [Pause(), Pause()]
    other = tmp_path / "other"
    other.write_bytes(STOP)
    other.chmod(0o600)
    if how == "replaced":
        other.replace(commands_of(log))
    else:
        os.truncate(commands_of(log), len(STOP))
    assert inbox.poll() == []
    assert inbox.refused.startswith(f"commands.jsonl {said}")
    send(log, Pause())
    assert inbox.poll() == [Pause()]


def test_garbage_is_passed_over_and_said(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    send(log, Pause())
    with commands_of(log).open("ab") as file:
        file.write(b'\xff\x00{"command":"format"}\n' + b"x" * 100_000 + b"\n" + b"[" * 1000 + b"\n")
    send(log, Stop())
    assert inbox.poll() == [Pause(), Stop()]
    assert inbox.refused.startswith("a line of commands.jsonl is no command")
    inbox.refused = ""
    with commands_of(log).open("ab") as file:
        file.write(b"more of it\n")
    assert (inbox.poll(), inbox.refused) == ([], "")


def test_a_line_without_end_is_no_command_whatever_it_ends_in(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    commands_of(log).touch(mode=0o600)
    for part in (b"x" * 2000, b"x" * 2000, STOP):
        with commands_of(log).open("ab") as file:
            file.write(part)
        assert inbox.poll() == []
    assert inbox.refused.startswith("a line of commands.jsonl is no command")
    send(log, Pause())
    assert inbox.poll() == [Pause()]


@pytest.mark.parametrize(
    ("lines", "said"), [(1_000, "got more than 100 lines at once"), (1_000_000, "got more than 1 MB at once")]
)
def test_a_flood_is_not_obeyed_lawful_as_it_is_but_what_comes_after_it(tmp_path, lines, said):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    commands_of(log).touch(mode=0o600)
    with commands_of(log).open("ab") as file:
        file.write(STOP * lines)
        file.flush()
        assert inbox.poll() == []
        file.write(STOP)
        file.flush()
        assert inbox.poll() == []  # the last of it
        file.write(b'{"command":')
    assert inbox.refused.startswith(f"commands.jsonl {said}")
    assert inbox.poll() == inbox.poll() == []
    send(log, Pause())
    assert inbox.poll() == [Pause()]


def test_the_line_of_a_sender_who_was_killed_does_not_spoil_the_next(tmp_path):
    log = tmp_path / "events.jsonl"
    inbox = Inbox(log)
    commands_of(log).touch(mode=0o600)
    with commands_of(log).open("ab") as file:
        file.write(STOP[:7])
    send(log, Pause())
    assert inbox.poll() == [Pause()]


@pytest.mark.parametrize("what", ["a link", "a pipe", "a folder"])
def test_a_sender_writes_into_nothing_but_a_file(tmp_path, what):
    log, theirs = tmp_path / "events.jsonl", tmp_path / "theirs"
    stand(what, commands_of(log), theirs)
    with pytest.raises(OSError, match=r"no file of your own|directory|symbolic"):
        send(log, Pause())
    assert theirs.read_bytes() == STOP
