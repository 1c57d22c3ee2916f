"""Runs that the lab starts in processes of their own: shown at once, steered, refused at their field, left running."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from regtui.core.config import RunConfig
from regtui.core.events import Stop
from regtui.notify.asked import Asked
from regtui.sources.detached import Detached
from regtui.tui.app import RegtuiApp
from regtui.tui.form import ELSEWHERE, HERE
from tests.tui.conftest import Heard, told

pytestmark = pytest.mark.usefixtures("processes")


async def test_a_run_in_its_own_process_is_steered_from_the_lab_that_started_it_and_goes_on_when_that_is_left(
    drive: Any, endless: RunConfig, runs_dir: Path, processes: list[Detached]
) -> None:
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True, detach=True)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        (run,) = processes
        assert "watching" not in lab.shown("#status")
        await lab.press("ctrl+r")
        assert app.lab.shown.source is run
        await lab.press("space")
        await lab.until(lambda: "paused" in lab.shown("#status"))
        await lab.put("dropout", "0.4")
        await lab.press("enter")
        await lab.until(lambda: lab.row("dropout").startswith("◆"))
        (sentence,) = app.lab.left_behind(runs_dir)
        assert sentence == f"run {run.run_id} goes on; regtui watch {runs_dir / run.run_id} shows it"
        await lab.press("escape", "q")
        await lab.until(lambda: app._exit)
    assert run.alive


async def test_services_are_told_of_a_run_in_its_own_process_by_that_alone(
    drive: Any, config: RunConfig, runs_dir: Path, processes: list[Detached]
) -> None:
    pytest.importorskip("apprise", reason="the extra `notify` is not installed")
    heard, here = Heard(), Heard()
    asked = Asked("off", (heard,), ("json://127.0.0.1:1",))
    app = RegtuiApp(config, runs_dir=runs_dir, start=True, detach=True, told=asked)
    app.terminal_way.tell = here.tell
    async with drive(app) as lab:
        await lab.until(lambda: "end" in here.kinds)
        assert app.audience.settle(60) == []
        assert heard.kinds == []
        (run,) = processes
        await lab.until(lambda: not run.alive)
        assert "json://127.0.0.1 was not told" in (run.folder / "output.log").read_text()


async def test_after_a_run_in_its_own_process_the_next_starts_with_that_one_behind_it(
    drive: Any, config: RunConfig, runs_dir: Path, processes: list[Detached]
) -> None:
    app = RegtuiApp(config, runs_dir=runs_dir, detach=True)
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: lab.history.end is not None and not app.lab.shown.open)
        assert lab.find("#field-runs_in").value == ELSEWHERE
        await lab.press("d", "ctrl+r")
        await lab.finished()
        assert len(processes) == 1
        assert app.lab.view.ghost.run.run_id == processes[0].run_id
        assert "finished" in lab.shown("#status")


async def test_what_a_run_in_its_own_process_is_refused_for_is_said_at_its_field(
    drive: Any, config: RunConfig, runs_dir: Path, processes: list[Detached]
) -> None:
    app = RegtuiApp(msgspec.structs.replace(config, dataset="nowhere.npz"), runs_dir=runs_dir, start=True, detach=True)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: app.focused is lab.find("#field-dataset"))
        assert "nowhere.npz" in lab.row("dataset")
        assert "could not start" in lab.shown("#status")
        assert not list(runs_dir.glob("*/events.jsonl"))


async def test_why_a_run_could_not_get_a_process_of_its_own_stays_in_the_event_log(
    drive: Any, config: RunConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    app = RegtuiApp(config, runs_dir=tmp_path / "file" / "runs", start=True, detach=True)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: "--runs-dir" in lab.shown("#events-text"))


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (140, 40)])
async def test_where_the_next_run_trains_is_chosen_by_key_palette_and_field(
    drive: Any, app: RegtuiApp, size: tuple[int, int]
) -> None:
    async with drive(app, size) as lab:
        form, field, config = lab.find("#form"), lab.find("#field-runs_in"), lab.config
        assert (field.value, form.detached) == (HERE, False)
        await lab.press("d")
        assert (field.value, form.detached) == (ELSEWHERE, True)
        assert told(app) == ["The next run trains in a process of its own, which outlives this app."]
        names = [command.title for command in app.get_system_commands(app.lab)]
        assert "Attach" in names
        field.focus()
        await lab.settle()
        await lab.press("right")
        assert (field.value, form.detached) == (HERE, False)
        assert "outlives" in " ".join(lab.shown("#hint").split()) or size[1] < 20
        assert lab.config == config


async def test_a_run_that_ends_elsewhere_gives_the_form_back(
    drive: Any, endless: RunConfig, runs_dir: Path, processes: list[Detached]
) -> None:
    app = RegtuiApp(endless, runs_dir=runs_dir, start=True, detach=True)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        assert lab.find("#field-runs_in").locked
        processes[0].send(Stop())
        await lab.until(lambda: "stopped" in lab.shown("#status") and not app.lab.shown.open)
        assert not lab.find("#field-runs_in").locked
        assert not app.lab.left_behind(runs_dir)
