"""A loop of somebody's own, recorded in its process, is steered by the keys of the lab."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regtui.core.config import RunConfig
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp

LOOP = """
import sys, time, regtui
rate = [0.1]
run = regtui.record(log=sys.argv[1], epochs=100_000)
run.knob("learning_rate", set=lambda value: rate.__setitem__(0, value), value=rate[0])
with run:
    while not run.should_stop:
        if sys.argv[2] == "steps":
            for _ in range(20):
                run.step(loss=1.0, learning_rate=rate[0])
        time.sleep(0.01)
        run.epoch(valid={"loss": 1.0}, train={"loss": 0.9}, learning_rate=rate[0])
"""


@pytest.mark.parametrize(("counted", "size"), [("steps", (140, 40)), ("epochs", (80, 24))])
async def test_a_recorded_loop_is_paused_turned_and_stopped_by_keys(
    drive: Any, tmp_path: Path, counted: str, size: tuple[int, int]
) -> None:
    log = tmp_path / "train.jsonl"
    log.touch()
    child = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(log), counted],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        app = RegtuiApp(RunConfig.create(), source=LogSource(log), runs_dir=tmp_path / "runs")
        async with drive(app, size) as lab:
            await lab.until(lambda: len(lab.history.evaluations) > 2)
            await lab.until(lambda: "Pause" in lab.shown("#keys"))
            await lab.press("space")
            await lab.until(lambda: "paused" in lab.shown("#status"))
            held = len(lab.history.evaluations)
            await lab.press("left_square_bracket")
            await lab.until(lambda: len(lab.history.changes) == 1)
            assert (lab.history.changes[0].old, lab.history.changes[0].new) == (0.1, 0.05)
            assert len(lab.history.evaluations) == held
            await lab.press("space")
            await lab.until(lambda: len(lab.history.evaluations) > held and lab.history.newest("learning_rate") == 0.05)
            assert ("step" in lab.shown("#status")) == (counted == "steps")
            await lab.press("x")
            await lab.press("y")
            await lab.until(lambda: "stopped" in lab.shown("#status"))
            await lab.until(lambda: "Stop" not in lab.shown("#keys"))
            assert lab.history.end is not None
            assert lab.history.end.reason == "stopped by hand"
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
