"""A run in its own process over ssh: whatever becomes of the line, it goes on, is seen whole again, and obeys."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from regtui.core.events import Noted
from regtui.sources.log import LogSource
from tests.remote import DROPS, LONG, Far, Server, Wire, drop, shown_epoch, state, until

Dial = Callable[..., Any]


@pytest.fixture
def run(far: Far) -> int:
    """Start a detached run, and give its process once it trains."""
    return far.detach()


def stop_from(client: Any, far: Far) -> None:
    """Stop the run by keys; its log is then whole, and the screen shows its end."""
    client.press("x")
    client.until(lambda: "y" in client.text and "log is kept" in client.text)
    client.press("y")
    client.until(lambda: "stopped" in client.screen.display[0])
    assert far.end().status == "stopped"
    client.until(lambda: shown_epoch(client) == far.count("epoch"))
    until(lambda: len(far.living()) == 1, "for the end of the run's process, beside the one that shows it")
    client.press("q")
    assert client.status() == 0


@pytest.mark.parametrize("how", DROPS)
def test_a_line_that_is_lost_leaves_the_run_and_by_a_new_one_every_step_is_seen_and_it_is_stopped(
    server: Server, wire: Callable[..., Wire], dial: Dial, far: Far, run: int, how: str
) -> None:
    source = LogSource(far.log)
    seen = source.poll()
    line = wire()
    client = dial("watch", str(far.log), wire=line)
    client.until(lambda: "validation" in client.text)
    drop(how, client, server, line)
    until(lambda: far.living() == [run], "for the end of who watched")
    until(lambda: not server.sessions())
    far.grows()
    again = dial("watch", str(far.log))
    again.until(lambda: "validation" in again.text and shown_epoch(again) > 0)
    stop_from(again, far)
    assert seen + source.poll() == far.events()


def test_a_run_that_is_started_over_a_line_outlives_the_session(server: Server, dial: Dial, far: Far) -> None:
    client = dial("train", *LONG, "--detach", "--runs-dir", str(far.runs))
    assert client.status() == 0
    until(lambda: not server.sessions())
    until(lambda: far.count("epoch") > 2)
    far.grows()


def test_two_watch_one_run_and_what_one_does_the_other_sees(dial: Dial, far: Far, run: int) -> None:
    one, other = (dial("watch", str(far.log), size=size) for size in ((80, 24), (140, 40)))
    for each in (one, other):
        each.until(lambda each=each: "training" in each.screen.display[0] and "validation" in each.text)
    one.press(" ")
    for each in (one, other):
        each.until(lambda each=each: "paused" in each.screen.display[0])
    other.press(" ")
    for each in (other, one):
        each.until(lambda each=each: "training" in each.screen.display[0])
    one.press("q")
    one.status()
    assert run in far.living()
    stop_from(other, far)


def test_keys_of_a_watched_run_come_true_over_a_slow_line(
    wire: Callable[..., Wire], dial: Dial, far: Far, run: int
) -> None:
    client = dial("watch", str(far.log), wire=wire(bytes_a_second=5000, seconds=0.1))
    client.until(lambda: "validation" in client.text)
    client.press(" ")
    until(lambda: "paused" in states(far))
    client.until(lambda: "paused" in client.screen.display[0])
    stop_from(client, far)


def states(far: Far) -> list[str]:
    return [event.text for event in far.events() if isinstance(event, Noted) and event.level == "state"]


def test_who_watches_is_stopped_by_ctrl_z_the_run_is_not_and_fg_brings_the_newest(
    dial: Dial, far: Far, run: int
) -> None:
    shell = f"set -m; {far.command('watch', str(far.log))}; echo left; read line; fg"
    client = dial(command=f"sh -c '{shell}'")
    client.until(lambda: "validation" in client.text)
    client.press("\x1a")
    client.until(lambda: b"left\r\n" in client.come)
    (watcher,) = set(far.living()) - {run}
    until(lambda: state(watcher) == "T")
    far.grows(5)
    stood_still = far.count("epoch")
    client.screen.reset()
    client.press("go\n")
    client.until(lambda: shown_epoch(client) >= stood_still)
    stop_from(client, far)


def test_a_run_that_is_stopped_from_outside_goes_on_where_it_was(dial: Dial, far: Far, run: int) -> None:
    client = dial("watch", str(far.log))
    client.until(lambda: "validation" in client.text)
    os.kill(run, signal.SIGSTOP)
    until(lambda: state(run) == "T")
    stopped_at = far.count("epoch")
    client.until(lambda: shown_epoch(client) == stopped_at)
    client.press(" ")
    client.until(lambda: "pause sent" in client.text)
    os.kill(run, signal.SIGCONT)
    client.until(lambda: "paused" in client.screen.display[0])
    client.press(" ")
    client.until(lambda: "training" in client.screen.display[0])
    stop_from(client, far)


def test_a_watcher_that_is_killed_leaves_the_run_as_it_is(dial: Dial, far: Far, run: int) -> None:
    client = dial("watch", str(far.log))
    client.until(lambda: "validation" in client.text)
    (watcher,) = set(far.living()) - {run}
    os.kill(watcher, signal.SIGKILL)
    client.status()
    far.grows()
    again = dial("watch", str(far.log))
    again.until(lambda: "validation" in again.text)
    stop_from(again, far)
