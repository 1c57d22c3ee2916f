"""A run of the lab itself over ssh: whatever becomes of the line, it ends with its `end`, and nothing stays."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.remote import DROPS, LONG, Far, Server, Wire, drop, shown_epoch, state, until

REASONS = {"stopped by SIGHUP", "the terminal went away"}
"""Which of the two it hears first is for the system to say."""


@pytest.mark.parametrize("how", [*DROPS, "client killed, and nobody sends SIGHUP"])
def test_a_line_that_is_lost_ends_a_run_of_the_lab_and_leaves_no_process(
    server: Server, wire: Callable[..., Wire], dial: Callable[..., Any], far: Far, how: str
) -> None:
    line = wire()
    session = "setsid -w" if "SIGHUP" in how else ""
    client = dial("--start", *LONG, "--runs-dir", str(far.runs), before=session, wire=line)
    client.until(lambda: "validation" in client.text and far.count("epoch") > 2)
    assert far.living()
    drop(how.partition(",")[0], client, server, line)
    until(lambda: not far.living(), "for its end")
    end = far.end()
    assert (end.status, end.reason in REASONS) == ("stopped", True)
    until(lambda: not server.sessions(), "for sshd to notice")


def test_a_slow_line_takes_nothing_from_training_and_what_is_typed_comes_true(
    server: Server, wire: Callable[..., Wire], dial: Callable[..., Any], far: Far
) -> None:
    slow = wire(bytes_a_second=5000, seconds=0.1)
    client = dial("--start", *LONG, "--runs-dir", str(far.runs), wire=slow)
    client.until(lambda: "validation" in client.text and far.count("epoch") > 2)
    client.press(" ")
    client.until(lambda: "paused" in client.screen.display[0])
    client.press(" ")
    client.until(lambda: "training" in client.screen.display[0])
    client.press("xy")
    client.until(lambda: "stopped" in client.screen.display[0])
    assert far.end().status == "stopped"
    client.press("q")
    assert client.status() == 0


def test_a_client_that_stops_reading_stalls_no_training_and_sees_it_as_it_is_when_it_reads_on(
    server: Server, dial: Callable[..., Any], far: Far
) -> None:
    client = dial("--start", *LONG, "--runs-dir", str(far.runs))
    client.until(lambda: "validation" in client.text)
    client.process.send_signal(signal.SIGSTOP)
    for _ in range(20):
        far.grows(1)
    client.process.send_signal(signal.SIGCONT)
    stood_still = far.count("epoch")
    client.until(lambda: shown_epoch(client) >= stood_still)
    client.press("xy")
    client.until(lambda: "stopped" in client.screen.display[0])
    assert far.end().status == "stopped"


def test_ctrl_z_stops_a_run_of_the_lab_and_fg_lets_it_go_on_without_losing_a_step(
    dial: Callable[..., Any], far: Far
) -> None:
    shell = f"set -m; {far.command('--start', *LONG, '--runs-dir', str(far.runs))}; echo left; read line; fg"
    client = dial(command=f"sh -c '{shell}'")
    client.until(lambda: "validation" in client.text)
    client.press("\x1a")
    client.until(lambda: b"left\r\n" in client.come)
    (lab,) = far.living()
    until(lambda: state(lab) == "T")
    stopped_at = far.log.stat().st_size
    client.screen.reset()
    client.press("go\n")
    client.until(lambda: "validation" in client.text and far.log.stat().st_size > stopped_at)
    client.press("xy")
    client.until(lambda: "stopped" in client.screen.display[0])
    assert far.end().status == "stopped"
    client.press("q")
    assert client.status() == 0
