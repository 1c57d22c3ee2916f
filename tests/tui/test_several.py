"""Several runs are watched at once: each is followed, and a key brings the next to the front."""

from pathlib import Path
from typing import Any

import pytest

from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Resumed, RunStarted, StepEnded
from regtui.sources import Activity
from regtui.tui.app import RegtuiApp
from tests.tui.conftest import said


class Told:
    """A log in the hand of a test."""

    listens: frozenset[type] = frozenset()
    behind = False

    def __init__(self, name: str, epochs: int) -> None:
        self.activity = Activity(alive=True)
        self.warnings = (f"a warning of {name}",)
        self._told: list[Event] = [
            RunStarted(run_id=name, trainer="own loop", open_end=True, settings={"width": epochs})
        ]
        for epoch in range(1, epochs + 1):
            self.grow(epoch)
        self._told.append(Changed(step=1, old=0.1, new=0.01, cause=f"rule of {name}"))
        self._told.append(Resumed(step=epochs))

    def grow(self, epoch: int) -> None:
        self._told += [StepEnded(step=epoch, loss=1.0), EpochEnded(epoch=epoch, step=epoch, valid={"loss": 2 / epoch})]

    def poll(self, limit: int | None = None) -> list[Event]:
        taken, self._told = self._told[:limit], self._told[limit:] if limit else []
        return taken

    def send(self, command: Any) -> None:
        """Lose it."""


def watching(count: int) -> tuple[RegtuiApp, list[Told]]:
    sources = [Told(f"run-{number}", 3 + number) for number in range(1, count + 1)]
    return RegtuiApp(RunConfig.create(), source=sources[0], others=sources[1:], runs_dir=Path("runs")), sources


async def test_a_key_goes_through_the_runs_with_the_one_before_behind(drive: Any) -> None:
    app, _ = watching(3)
    async with drive(app, (140, 40)) as lab:
        await lab.until(lambda: all(len(run.history.evaluations) for run in app.lab.runs))
        for number, before in ((2, 1), (3, 2), (1, 3)):
            await lab.press("n")
            assert lab.history.run.run_id == f"run-{number}"
            assert app.lab.view.ghost.run.run_id == f"run-{before}"
            assert f"watching {number} of 3" in lab.shown("#status")
            log = said(app)
            assert f"rule of run-{number}" in log
            assert f"a warning of run-{number}" in log
            assert f"width {3 + number}" in log
            assert f"resumed after step {3 + number}" in log
            assert f"run-{before}" not in log


async def test_the_runs_behind_are_followed_while_they_grow(drive: Any) -> None:
    app, sources = watching(3)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: all(len(run.history.evaluations) for run in app.lab.runs))
        sources[2].grow(7)
        await lab.until(lambda: len(app.lab.runs[2].history.evaluations) == 7)
        assert lab.history.run.run_id == "run-1"


async def test_twenty_runs_are_all_taken_in_and_one_alone_has_no_key_for_the_next(drive: Any) -> None:
    app, _ = watching(20)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: all(len(run.history.evaluations) for run in app.lab.runs))
        assert "watching 1 of 20" in lab.shown("#status")
        assert "Next run" in lab.shown("#keys")
    app, _ = watching(1)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        assert "Next run" not in lab.shown("#keys")
        assert "of 1" not in lab.shown("#status")


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (140, 40)])
async def test_what_a_run_of_others_does_not_say_is_not_on_its_lines(drive: Any, size: tuple[int, int]) -> None:
    app, _ = watching(1)
    async with drive(app, size) as lab:
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.settle()
        shown = lab.shown("#status") + lab.shown("#numbers")
        assert not [word for word in ("LR", "acc", "penalty", "/s", "taken", "Form") if word in shown]
