"""A run in its own process over ssh: whatever becomes of the line, it goes on, is seen whole again, and obeys."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from regtui.core.events import Noted
from regtui.sources.log import LogSource
from tests.remote import DROPS, LONG, Far, Server, Wire, drop, no_hole, shown_epoch, state, until

Dial = Callable[..., Any]


class Run(Far):
    """A detached run, and where it lives."""

    pid: int


@pytest.fixture(scope="module")
def run(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run for all: nothing that happens to a line is to end it."""
    with closing(Run(tmp_path_factory.mktemp("far"))) as run:
        run.pid = run.detach()
        yield run


@pytest.fixture
def far(run: Run) -> Run:
    return run


def watch(dial: Dial, run: Run, **given: Any) -> Any:
    """Watch the run by a new session, until it is seen to train."""
    client = dial("watch", str(run.log), **given)
    client.until(lambda: "training" in client.screen.display[0] and shown_epoch(client) > 0)
    return client


def sees_and_steers(client: Any, run: Run) -> None:
    """Pause the run by a key: the screen then shows all that is in the log, which has no hole; let it go on."""
    client.press(" ")
    client.until(lambda: "paused" in client.screen.display[0])
    assert states(run)[-1] == "paused"
    assert no_hole(run.events())
    client.until(lambda: shown_epoch(client) == run.count("epoch"))
    client.press(" ")
    client.until(lambda: "training" in client.screen.display[0])
    run.grows()


def leaves(client: Any, run: Run) -> None:
    client.press("q")
    assert client.status() == 0
    until(lambda: run.living() == [run.pid], "for who watched to be gone")


def states(run: Run) -> list[str]:
    return [event.text for event in run.events() if isinstance(event, Noted) and event.level == "state"]


@pytest.mark.parametrize("how", DROPS)
def test_a_line_that_is_lost_leaves_the_run_and_a_new_one_shows_every_step_and_steers_it(
    server: Server, wire: Callable[..., Wire], dial: Dial, run: Run, how: str
) -> None:
    source = LogSource(run.log)
    seen = source.poll()
    line = wire()
    drop(how, watch(dial, run, wire=line), server, line)
    until(lambda: run.living() == [run.pid], "for the end of who watched")
    until(lambda: not server.sessions(), "for sshd to notice")
    run.grows()
    again = watch(dial, run)
    sees_and_steers(again, run)
    leaves(again, run)
    seen += source.poll()
    assert seen == run.events()[: len(seen)]


def test_a_watcher_that_is_killed_leaves_the_run_as_it_is(dial: Dial, run: Run) -> None:
    client = watch(dial, run)
    (watcher,) = set(run.living()) - {run.pid}
    os.kill(watcher, signal.SIGKILL)
    client.status()
    run.grows()
    again = watch(dial, run)
    sees_and_steers(again, run)
    leaves(again, run)


def test_two_watch_one_run_and_what_one_does_the_other_sees(dial: Dial, run: Run) -> None:
    one, other = (watch(dial, run, size=size) for size in ((80, 24), (140, 40)))
    one.press(" ")
    for each in (one, other):
        each.until(lambda each=each: "paused" in each.screen.display[0])
        each.until(lambda each=each: shown_epoch(each) == run.count("epoch"))
    other.press(" ")
    for each in (other, one):
        each.until(lambda each=each: "training" in each.screen.display[0])
    one.press("q")
    assert one.status() == 0
    sees_and_steers(other, run)
    leaves(other, run)


def test_keys_of_a_watched_run_come_true_over_a_slow_line(wire: Callable[..., Wire], dial: Dial, run: Run) -> None:
    client = watch(dial, run, wire=wire(bytes_a_second=5000, seconds=0.1))
    sees_and_steers(client, run)
    leaves(client, run)


def test_who_watches_is_stopped_by_ctrl_z_the_run_is_not_and_fg_brings_the_newest(dial: Dial, run: Run) -> None:
    shell = f"set -m; {run.command('watch', str(run.log))}; echo left; read line; fg"
    client = dial(command=f"sh -c '{shell}'")
    client.until(lambda: shown_epoch(client) > 0)
    client.press("\x1a")
    client.until(lambda: b"left\r\n" in client.come)
    (watcher,) = set(run.living()) - {run.pid}
    until(lambda: state(watcher) == "T")
    run.grows(5)
    stood_still = run.count("epoch")
    client.screen.reset()
    client.press("go\n")
    client.until(lambda: shown_epoch(client) >= stood_still)
    sees_and_steers(client, run)
    leaves(client, run)


def test_a_run_that_is_stopped_from_outside_goes_on_where_it_was_and_obeys_what_was_sent_meanwhile(
    dial: Dial, run: Run
) -> None:
    client = watch(dial, run)
    os.kill(run.pid, signal.SIGSTOP)
    until(lambda: state(run.pid) == "T")
    client.until(lambda: shown_epoch(client) == run.count("epoch"))
    client.press(" ")
    client.until(lambda: "pause sent" in client.text)
    os.kill(run.pid, signal.SIGCONT)
    client.until(lambda: "paused" in client.screen.display[0])
    client.press(" ")
    client.until(lambda: "training" in client.screen.display[0])
    sees_and_steers(client, run)
    leaves(client, run)


def test_a_run_that_was_started_over_a_line_outlives_its_session_and_is_stopped_by_another(
    server: Server, dial: Dial, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with closing(Run(tmp_path_factory.mktemp("started"))) as run:
        client = dial(command=run.command("train", *LONG, "--detach", "--runs-dir", str(run.runs)))
        assert client.status() == 0
        until(lambda: not server.sessions())
        until(lambda: run.count("epoch") > 2)
        (run.pid,) = run.living()
        client = watch(dial, run)
        client.press("x")
        client.until(lambda: "log is kept" in client.text)
        client.press("y")
        client.until(lambda: "stopped" in client.screen.display[0])
        assert run.end().status == "stopped"
        client.until(lambda: shown_epoch(client) == run.count("epoch"))
        until(lambda: run.pid not in run.living())
        client.press("q")
        assert client.status() == 0
