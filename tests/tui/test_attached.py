"""A run in another process is steered like one's own: what was sent shows, then what came of it; leaving leaves it."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regtui.core.config import RunConfig
from regtui.core.events import Changed, Noted, Pause, RunEnded, RunEpoch, RunStarted, SetKnob, Stop, encode_lines
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource
from regtui.sources.sent import Sent, name_of
from regtui.tui.app import RegtuiApp
from regtui.tui.awaited import GIVEN_UP_SECONDS, awaited, is_given_up
from tests.tui.conftest import said, told

SIZES = [(80, 24), (140, 40)]


@pytest.fixture
def living(endless: RunConfig, runs_dir: Path) -> Iterator[Callable[[], LiveRun]]:
    """Let runs train that are reached by their logs alone, as those of other processes are."""
    began: list[tuple[LiveRun, threading.Thread]] = []

    def begin() -> LiveRun:
        live = LiveRun(endless, runs_dir=runs_dir)
        thread = threading.Thread(target=live.drive)
        thread.start()
        began.append((live, thread))
        while not live.begun and live.alive:
            live.wait(0.01)
        return live

    yield begin
    for live, thread in began:
        live.send(Stop())
        thread.join()


def watching(*logs: Path) -> RegtuiApp:
    first, *others = map(LogSource, logs)
    return RegtuiApp(RunConfig.create(), source=first, others=others, runs_dir=logs[0].parent.parent)


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_shows_as_sent_and_then_as_obeyed(drive: Any, living: Any, size: tuple[int, int]) -> None:
    app = watching(living().log_path)
    async with drive(app, size) as lab:
        await lab.until(lambda: "Pause" in lab.shown("#keys"))
        status = lab.find("#status")
        seen: list[str] = []
        show = status.show
        status.show = lambda lines: (seen.append("".join(part.text for part in lines[0])), show(lines))
        for name, words in (("pause", "paused"), ("resume", "training")):
            seen.clear()
            await lab.press("space")
            await lab.until(lambda words=words: words in lab.shown("#status"))
            # Nothing else in between: it was sent, and obeyed.
            said_of_state = [text.split("  ")[0].strip() for text in seen]
            assert said_of_state[0] == f"◌ {name} sent …"
            assert {text[2:] for text in said_of_state} == {f"{name} sent …", words}
        await lab.press("x", "y")
        await lab.until(lambda: "stopped" in lab.shown("#status"))
        assert not app.lab.shown.sent


@pytest.mark.parametrize("size", SIZES)
async def test_the_form_of_a_run_elsewhere_turns_its_knobs_and_shows_those_that_others_turn(
    drive: Any, living: Any, size: tuple[int, int]
) -> None:
    log = living().log_path
    app, other = watching(log), LogSource(log)
    async with drive(app, size) as lab:
        await lab.until(lambda: lab.row("dropout").startswith("◆"))
        assert not lab.row("seed").startswith("◆")
        assert lab.find("#field-seed").locked
        await lab.press("f")
        await lab.put("dropout", "0.4")
        await lab.press("enter")
        await lab.until(lambda: [(each.what, each.new) for each in lab.history.changes] == [("dropout", 0.4)])
        await lab.until(lambda: lab.row("dropout").startswith("◆"))
        other.send(SetKnob(knob="l2", value=0.5))
        await lab.until(lambda: lab.find("#field-l2").value == "0.5")
        assert lab.row("l2").startswith("◆")
        other.send(Stop())
        await lab.until(lambda: not app.lab.shown.open)
        assert lab.find("#field-dropout").locked
        assert lab.find("#field-l2").value == "0"


async def test_somebody_who_comes_later_finds_in_the_form_what_is_in_force(drive: Any, living: Any) -> None:
    live = living()
    LogSource(live.log_path).send(SetKnob(knob="learning_rate", value=0.5, scale=True))
    source = LogSource(live.log_path)
    while not any(isinstance(event, Changed) for event in source.poll()):
        live.wait(0.01)
    app = watching(live.log_path)
    async with drive(app) as lab:
        await lab.until(lambda: lab.row("learning_rate").startswith("◆"))
        assert lab.find("#field-learning_rate").value == "0.005"


async def test_of_several_runs_the_one_on_show_is_told_and_each_has_its_own_answer(drive: Any, living: Any) -> None:
    first, second = living(), living()
    app = watching(first.log_path, second.log_path)
    async with drive(app) as lab:
        await lab.until(lambda: "Pause" in lab.shown("#keys"))
        await lab.press("n", "space")
        await lab.until(lambda: "paused" in lab.shown("#status"))
        assert (first.stage, second.stage) == ("training", "paused")
        await lab.press("n")
        assert "sent" not in lab.shown("#status")
        assert "training" in lab.shown("#status")


@pytest.fixture
def deserted(config: RunConfig, tmp_path: Path) -> Path:
    """The log of a run that listens, and whose process does not answer."""
    log = tmp_path / "runs" / "a-run" / "events.jsonl"
    log.parent.mkdir(parents=True)
    started = RunStarted(run_id="a-run", config=config, listens=("pause", "resume", "stop", "knob"))
    log.write_bytes(encode_lines([started]))
    return log


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (140, 40)])
async def test_nobody_who_answers_is_said_after_some_seconds(drive: Any, deserted: Path, size: tuple[int, int]) -> None:
    app = watching(deserted)
    async with drive(app, size) as lab:
        await lab.until(lambda: app.lab.obeys(Pause))
        await lab.press("space")
        assert "pause sent …" in lab.shown("#status")
        (sent,) = app.lab.shown.sent
        app.lab.shown.sent[:] = [replace(sent, at=sent.at - 6)]
        words = "not obeyed yet" + ": nobody has answered for 5 s" * (size[0] > 40)
        await lab.until(lambda: words in lab.shown("#status"))
        assert said(app).count("pause: not obeyed yet: nobody has answered for 5 s") == 1
        app.lab.shown.sent[:] = [replace(sent, at=sent.at - GIVEN_UP_SECONDS)]
        await lab.until(lambda: not app.lab.shown.sent)
        assert "not obeyed" not in lab.shown("#status")


async def test_a_command_that_cannot_be_written_is_said_and_not_waited_for(drive: Any, deserted: Path) -> None:
    (deserted.parent / "commands.jsonl").mkdir()
    app = watching(deserted)
    async with drive(app) as lab:
        await lab.until(lambda: lab.row("dropout").startswith("◆"))
        await lab.press("space")
        (text,) = told(app)
        assert text.startswith("pause was not sent: ")
        assert "commands.jsonl cannot be written (Is a directory)" in text
        assert not app.lab.shown.sent
        await lab.put("dropout", "0.4")
        await lab.press("enter")
        assert "Dropout 0.4 was not sent" in told(app)[-1]
        assert "enter turns it" in " ".join(lab.shown("#hint").split())


async def test_a_key_that_the_run_does_not_listen_to_says_to_what_it_does(drive: Any, deserted: Path) -> None:
    app = watching(deserted)
    async with drive(app) as lab:
        await lab.until(lambda: app.lab.obeys(Pause))
        await lab.press("s")
        assert told(app) == ["The run does not listen to that, but to pause, resume, stop, knob."]


def test_a_run_that_goes_on_is_named_on_the_terminal_that_is_given_back(
    terminal: Any, living: Any, tmp_path: Path
) -> None:
    live = living()
    screen = terminal(live.run_id, through=(sys.executable, "-m", "regtui", "watch"), size=(140, 24))
    screen.until(lambda: "space Pause" in screen.text)
    screen.press("q")
    assert screen.status() == 0
    _, _, after = screen.come.rpartition(b"\x1b[?1049l")
    where = tmp_path / "runs" / live.run_id
    assert f"regtui: run {live.run_id} goes on; regtui watch {where} shows it\r\n".encode() in after
    assert live.alive


@pytest.mark.parametrize(
    ("command", "answer", "answered"),
    [
        (Pause(), Noted(level="state", text="paused"), True),
        (Pause(), Noted(level="output", text="paused"), False),
        (RunEpoch(), Noted(level="state", text="training"), True),
        (Stop(), RunEnded(status="finished"), True),
        (SetKnob("l2", 0.1), Changed(step=1, what="l2", new=0.1, cause="user"), True),
        (SetKnob("l2", 0.1), Changed(step=1, what="l2", new=0.2, cause="user"), False),
        (SetKnob("l2", 0.1), Changed(step=1, what="l1", new=0.1, cause="user"), False),
        (SetKnob("learning_rate", 0.5, scale=True), Changed(step=1, new=0.01, cause="user"), True),
        (SetKnob("learning_rate", 0.5, scale=True), Changed(step=1, new=0.01, cause="plateau"), False),
        (SetKnob("weight_decay", 7.0), Noted(level="warning", text="weight_decay was not changed: no"), True),
        (SetKnob("weight_decay", 7.0), Noted(level="warning", text="--weight-decay must be less"), True),
    ],
)
def test_what_a_log_says_answers_the_command_that_it_is_about(command: Any, answer: Any, answered: bool) -> None:
    assert Sent(command=command, at=0.0).is_answered_by(answer) is answered


def test_silence_is_counted_from_the_first_command_and_named_by_the_last() -> None:
    sent = [Sent(command=Pause(), at=0.0), Sent(command=SetKnob("learning_rate", 0.5, scale=True), at=7.0)]
    assert awaited([], 0.0) is None
    assert awaited(sent, 4.9).words == ("LR ×0.5 sent …",)
    waiting = awaited(sent, 12.0)
    assert (waiting.name, waiting.words[0]) == ("LR ×0.5", "not obeyed yet: nobody has answered for 10 s")
    assert not is_given_up(sent, 1e6, growing=True)
    assert is_given_up(sent, 1e6, growing=False)
    assert [name_of(each) for each in (RunEpoch(), SetKnob("dropout", 0.4))] == ["one epoch", "Dropout 0.4"]
