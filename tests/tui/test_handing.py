"""A run that trains in the app is handed over to a process of its own: nothing of it is lost, whatever goes wrong."""

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from regtui import commands, datasets
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, RunEnded, SetKnob, StepEnded
from regtui.sources.detached import Detached
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource
from regtui.sources.orders import Left
from regtui.tui.app import RegtuiApp
from regtui.tui.dialogs import Question


def steps_of(log: Path) -> list[int]:
    return [event.step for event in LogSource(log).poll() if isinstance(event, StepEnded)]


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_quitting_hands_a_run_over_that_goes_on_without_a_step_lost(
    drive: Any, endless: RunConfig, runs_dir: Path, processes: list[Detached], size: tuple[int, int]
) -> None:
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True)
    async with drive(app, size) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 2)
        live = app.lab.live
        await lab.press("q")
        await lab.until(lambda: isinstance(app.screen, Question))
        words = [str(button.label) for button in app.screen.query("Button")]
        assert words == ["Stop and quit  y", "Hand over and quit  h", "Stay  n"]
        assert all(app.screen.region.contains_region(button.region) for button in app.screen.query("Button"))
        await lab.press("up", "enter")
        await lab.until(lambda: "handing over …" in lab.shown("#status"))
        await lab.until(lambda: app._exit)
        (heir,) = processes
        assert heir.run_id == live.run_id
        assert live.handed_over
        (sentence,) = app.lab.left_behind(runs_dir)
        assert sentence.startswith(f"run {live.run_id} goes on; regtui watch ")
    assert heir.alive
    assert len(lab.history.resumed) == 1
    at = lab.history.resumed[0].step
    while not (steps := steps_of(live.log_path)) or steps[-1] <= at + 10:
        assert heir.alive
    assert not any(isinstance(event, RunEnded) for event in LogSource(live.log_path).poll())
    assert steps == sorted(set(steps))


async def test_a_run_that_is_handed_over_by_key_stays_on_show_and_is_steered_as_before(
    drive: Any, endless: RunConfig, runs_dir: Path, processes: list[Detached]
) -> None:
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 2)
        await lab.put("dropout", "0.4")
        await lab.press("enter")
        await lab.until(lambda: len(lab.history.changes) == 1)
        await lab.press("escape", "h")
        await lab.until(lambda: len(lab.history.resumed) == 1 and not app.lab.handing_over)
        assert not app.lab.alive
        assert app.lab.shown.source is processes[0]
        assert lab.find("#field-dropout").value == "0.4"
        assert lab.row("dropout").startswith("◆")
        epochs = [event.epoch for event in LogSource(processes[0].log_path).poll() if isinstance(event, EpochEnded)]
        assert epochs == list(range(1, len(epochs) + 1))
        await lab.press("h")
        assert [note.message for note in app._notifications] == ["The run has a process of its own already."]
        await lab.press("x", "y")
        await lab.until(lambda: "stopped" in lab.shown("#status") and not app.lab.shown.open)
        assert not lab.find("#field-seed").locked


async def test_what_is_sent_to_a_run_on_its_way_to_another_process_is_obeyed_there(
    drive: Any, endless: RunConfig, runs_dir: Path, processes: list[Detached], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = LiveRun.leave

    def leave_late(live: LiveRun) -> Left:
        # The run is over here, and nobody else has begun to look.
        commands.send(live.log_path, SetKnob(knob="dropout", value=0.4))
        live.send(SetKnob(knob="l2", value=0.01))
        return leave(live)

    monkeypatch.setattr(LiveRun, "leave", leave_late)
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 2)
        commands.send(app.lab.live.log_path, SetKnob(knob="dropout", value=0.1))
        await lab.until(lambda: len(lab.history.changes) == 1)
        await lab.press("h")
        await lab.until(lambda: len(lab.history.resumed) == 1 and len(lab.history.changes) == 3)
        assert [(change.what, change.new) for change in lab.history.changes] == [
            ("dropout", 0.1), ("dropout", 0.4), ("l2", 0.01),
        ]  # fmt: skip
        await lab.until(lambda: not app.lab.shown.sent)


async def test_a_run_that_is_still_being_set_up_is_not_offered_to_be_handed_over(
    drive: Any, endless: RunConfig, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    load = datasets.load

    def load_late(*given: Any, **named: Any) -> Any:
        assert asked.wait(60)
        return load(*given, **named)

    monkeypatch.setattr("regtui.sources.setting_up.datasets.load", load_late)
    app = RegtuiApp(endless, runs_dir=runs_dir)
    async with drive(app) as lab:
        try:
            await lab.press("escape", "ctrl+r", "q")
            await lab.until(lambda: isinstance(app.screen, Question))
            assert len(app.screen.query("Button")) == 2
            note = str(app.screen.query_one("#question-note").render())
            assert note == "It cannot be handed over: it is still being set up."
        finally:
            asked.set()
        await lab.press("y")
        await lab.until(lambda: app._exit)


async def test_a_run_whose_checkpoint_cannot_be_written_trains_on_in_the_app(
    drive: Any, endless: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 2)
        (app.lab.live.log_path.parent / "checkpoints").write_text("in the way")
        await lab.press("h")
        await lab.until(lambda: bool(app._notifications) and not app.lab.handing_over)
        (note,) = app._notifications
        assert note.title == "The run was not handed over"
        assert "no checkpoint can be written" in note.message
        assert app.lab.alive
        before = len(lab.history.evaluations)
        await lab.until(lambda: len(lab.history.evaluations) > before)
        app.lab.end_own("enough")
        await lab.finished()


async def test_where_no_process_takes_a_run_up_it_is_said_how_it_goes_on(
    drive: Any, endless: RunConfig, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 2)
        live = app.lab.live
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        await lab.press("q", "h")
        await lab.until(lambda: bool(app._notifications) and not app.lab.handing_over)
        (note,) = app._notifications
        assert note.title == "No process took the run up"
        assert "/nowhere/python" in note.message
        assert note.message.endswith(f"nothing is lost: regtui train --resume {runs_dir / live.run_id} goes on")
        assert not app._exit
        await lab.until(lambda: not lab.find("#field-seed").locked)
