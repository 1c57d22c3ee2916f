"""The replay of a log: what goes where, at which pace, and with which exit status."""

import io
import json
import re

import pytest

from regtui.core.events import Noted, RunEnded, encode_lines
from regtui.core.history import History
from regtui.readers import LogError, LogWriter
from regtui.report import epoch_line, render, replay, result, to_json
from regtui.report.replay import Clock


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


class MovedByHand:
    """A clock on which waiting is what passes the time."""

    def __init__(self):
        self.time, self.waits = 0.0, []
        self.clock = Clock(now=lambda: self.time, sleep=self.wait)

    def wait(self, seconds):
        self.time += seconds
        self.waits.append(seconds)


def folded(events) -> History:
    history = History()
    history.apply(events)
    return history


def replayed(path, **options):
    """Replay into a pipe; give the status and what came out on both streams."""
    out, err = io.StringIO(), io.StringIO()
    status = replay(path, out=out, err=err, **options)
    return status, out.getvalue(), err.getvalue()


def played(path, speed, **options):
    """Replay on a terminal of 80 by 24 with a clock moved by hand."""
    out, hand = Terminal(), MovedByHand()
    replay(path, speed=speed, size=(80, 24), out=out, err=io.StringIO(), clock=hand.clock, **options)
    return out.getvalue(), hand


def test_a_log_becomes_the_page_of_its_run(run, log_of):
    status, out, err = replayed(log_of(run()), size=(90, 30))
    assert (status, err) == (0, "")
    assert out == render(folded(run()), 90, 30) + "\n"


def test_a_page_in_a_pipe_is_80_wide_unless_the_environment_says_otherwise(run, log_of, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    log = log_of(run())
    unsized = replayed(log)[1]
    at_80, at_70 = (replayed(log, size=(width, 24))[1] for width in (80, 70))
    assert at_80 != at_70
    assert curves_of(unsized) == curves_of(at_80)
    monkeypatch.setenv("COLUMNS", "70")
    assert curves_of(replayed(log)[1]) == curves_of(at_70)


def curves_of(page: str) -> str:
    """Give the row of the x axis, which spans the width but for the labels whatever the height is."""
    return next(line for line in page.splitlines() if "└" in line)


def test_json_is_the_object_that_the_run_printed(run, log_of):
    status, out, err = replayed(log_of(run()), as_json=True)
    assert (status, err) == (0, "")
    assert out == to_json(result(folded(run()))) + "\n"


def test_skipped_lines_are_counted_in_json_and_named_on_the_other_stream(run, log_of):
    path = log_of(run())
    path.write_bytes(b"\n".join([*path.read_bytes().splitlines(), b"broken", b""]))
    _, out, err = replayed(path, as_json=True)
    assert json.loads(out)["skipped_lines"] == 1
    assert re.fullmatch(r"regtui: 1 line of events\.jsonl could not be read and left out: line \d+\n", err)
    _, out, err = replayed(path, size=(100, 40))
    assert "Warning: 1 line of events.jsonl could not be read" in out


def test_a_replay_until_an_epoch_is_what_was_known_then(run, log_of):
    _, out, _ = replayed(log_of(run()), until_epoch=12, as_json=True)
    events = run()
    ends = [index for index, event in enumerate(events, 1) if getattr(event, "train", None)]
    assert out == to_json(result(folded(events[: ends[11]]))) + "\n"
    assert json.loads(out)["status"] == "running"


def test_a_replay_until_an_epoch_that_never_came_is_the_whole_run(run, log_of):
    path = log_of(run())
    assert replayed(path, until_epoch=99)[1] == replayed(path)[1]


def test_until_an_epoch_means_the_newest_run_of_a_log(run, log_of):
    path = log_of([*run(), *run(epochs=5, run_id="second")])
    found = json.loads(replayed(path, until_epoch=3, as_json=True)[1])
    assert (found["run_id"], found["epochs"]) == ("second", 3)


def test_a_pace_in_a_pipe_gives_a_line_an_epoch_and_waits_for_nothing(run, log_of):
    hand = MovedByHand()
    _, out, _ = replayed(log_of(run()), speed=0.001, clock=hand.clock, size=(80, 24))
    lines = out.splitlines()
    assert hand.waits == []
    assert lines[:40] == [epoch_line(folded(run(epochs=n, status=""))) for n in range(1, 41)]
    assert "\n".join(lines[40:]) == render(folded(run()), 80, 24)


@pytest.mark.parametrize("speed", [0.5, 1, 10])
def test_on_a_terminal_a_run_takes_its_recorded_time_over_the_speed(run, log_of, speed):
    _, hand = played(log_of(run()), speed)
    # Recorded from 1000.0 to 1040.0.
    assert hand.time == pytest.approx(40 / speed, abs=0.2)


def test_at_most_ten_pictures_a_second_are_drawn(run, log_of):
    _, hand = played(log_of(run()), 8)
    assert len([wait for wait in hand.waits if wait > 0]) <= 10 * hand.time + 1


def test_the_pictures_show_the_run_as_it_was_at_their_time(run, log_of):
    out, _ = played(log_of(run()), 1)
    seen = [int(found) for found in re.findall(r"epoch (\d+) of 40, running", out)]
    assert seen == sorted(seen)
    assert {1, 10, 20, 39} <= set(seen)
    assert out.startswith("\x1b[?1049h\x1b[?25l")
    animation, _, last = out.partition("\x1b[?1049l")
    assert "\x1b[?25h" in animation
    assert last == render(folded(run()), 80, 24, colour=True) + "\n"


def test_a_pause_over_night_is_not_waited_for(run, log_of):
    events = [*run(status=""), Noted(text="later", time=1e9), RunEnded(status="stopped", time=float("nan"))]
    events += [Noted(text="a clock that was set back", time=5.0), Noted(text="and on", time=6.0)]
    _, hand = played(log_of(events), 1)
    assert hand.time < 40 + 60 + 5


def test_only_lines_that_changed_are_drawn_again(run, log_of):
    out, _ = played(log_of(run()), 1)
    # The settings on line 2 never change, the header on line 1 does at each epoch.
    assert out.count("\x1b[2;1H") == 1
    assert out.count("\x1b[1;1H") >= 40


def test_the_screen_comes_back_when_a_replay_is_interrupted(run, log_of):
    out = Terminal()

    def interrupt(_seconds):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(log_of(run()), speed=1, size=(80, 24), out=out, clock=Clock(now=lambda: 0.0, sleep=interrupt))
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l")


def test_colour_is_for_terminals_that_want_it(run, log_of, monkeypatch):
    path = log_of(run())
    for name, value, coloured in (("X", "", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)):
        with monkeypatch.context() as environment:
            environment.delenv("NO_COLOR", raising=False)
            environment.setenv("TERM", "xterm")
            environment.setenv(name, value)
            out = Terminal()
            replay(path, size=(80, 24), out=out)
            assert ("\x1b[" in out.getvalue()) is coloured


def test_a_stream_without_unicode_gets_ascii(run, log_of):
    out = io.TextIOWrapper(io.BytesIO(), encoding="iso-8859-1")
    replay(log_of(run()), out=out)
    out.flush()
    assert out.buffer.getvalue().isascii()
    assert replayed(log_of(run()), ascii_only=True)[1].isascii()


def test_a_picture_is_written_beside_the_text(run, log_of, tmp_path):
    _, out, _ = replayed(log_of(run()), svg=tmp_path / "run.svg", size=(80, 24))
    assert (tmp_path / "run.svg").read_text().startswith("<svg")
    assert "Overfitting" in out


def test_a_picture_that_cannot_be_written_is_said(run, log_of, tmp_path):
    with pytest.raises(LogError, match=r"none/run\.svg cannot be written: .*; --svg names a file"):
        replayed(log_of(run()), svg=tmp_path / "none" / "run.svg")


@pytest.mark.parametrize(
    ("epochs", "status", "check", "exit_status"),
    [
        (40, "finished", False, 0), (40, "finished", True, 1), (10, "finished", True, 0), (2, "finished", True, 2),
        (10, "failed", False, 1), (10, "diverged", False, 1), (10, "diverged", True, 1), (10, "stopped", True, 0),
        (40, "", True, 1), (40, "", False, 0),
    ],
)  # fmt: skip
def test_the_exit_status_tells_what_came_of_the_run(run, log_of, epochs, status, check, exit_status):
    assert replayed(log_of(run(epochs=epochs, status=status)), check=check)[0] == exit_status


def test_an_earlier_run_stands_behind_this_one(run, log_of):
    path, other = log_of(run()), log_of(run(epochs=20, run_id="before"), "before")
    assert replayed(path, ghost=other)[1] != replayed(path)[1]
    with pytest.raises(LogError, match="does not exist"):
        replayed(path, ghost=other.with_name("none"))


def test_a_log_that_has_only_begun_can_be_shown(run, log_of):
    for kept in range(1, 8):
        status, out, _ = replayed(log_of(run()[:kept], f"run{kept}"), size=(80, 24))
        assert status == 0
        assert len(out.splitlines()) == 24


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(run, log_of):
    path = log_of(run(status=""))
    for target in (path, path.parent):
        _, out, err = replayed(target, size=(100, 40))
        assert "Warning: the log has no end: its run was killed, or is written on another machine" in out
        assert err == "regtui: the log has no end: its run was killed, or is written on another machine\n"
    assert "no end" not in replayed(path, until_epoch=12)[1]
    with LogWriter(path):
        assert "no end" not in replayed(path)[1]


def test_a_log_cut_at_any_byte_can_be_shown(run, log_of):
    path = log_of(run(epochs=2))
    data = encode_lines(run(epochs=2))
    for kept in range(len(data) - 300, len(data), 7):
        path.write_bytes(data[:kept])
        assert replayed(path, as_json=True)[0] == 0
