"""Make the pictures of this folder from real runs in both frameworks: `python screenshots/make.py [NAME ...]`.

Takes about two minutes and needs both frameworks, no download and no terminal. The runs are recorded in a temporary
folder; a picture of a run that is under way is made from the first part of its recording.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from regtui.core.config import RunConfig
from regtui.readers import read_history
from regtui.report import replay
from regtui.sources.detached import Detached
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp

# Textual asks once, when an app is made, how many colours the terminal has.
os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")

HERE = Path(__file__).parent
WIDE, SMALL = (140, 40), (80, 24)

RUNS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "overfit": ("overfit", {"framework": "torch"}),
    "plain": ("overfit", {"framework": "tensorflow"}),
    "dropout": ("overfit", {"framework": "tensorflow", "dropout": 0.4}),
    "plateau": ("plateau", {"framework": "torch", "dataset": "digits", "epochs": 120}),
    "lr-decay": ("lr-decay", {"framework": "tensorflow", "dataset": "digits", "batch_size": 32, "epochs": 80}),
    "diverged": ("overfit", {"framework": "torch", "optimizer": "sgd", "learning_rate": 4.0}),
}
"""The runs that the pictures show: preset and what is changed of it."""


def record(folder: Path, name: str) -> Path:
    """Train one of the runs, once; gives its log."""
    log = folder / f"{name}.jsonl"
    if not log.exists():
        preset, changes = RUNS[name]
        live = LiveRun(RunConfig.create(preset, **changes), runs_dir=folder, log=log)
        live.drive()
        if live.problem is not None:
            raise SystemExit(live.problem)
    return log


def first_part(log: Path, epochs: int) -> Path:
    """Cut a recording off after an epoch, as it stood at that moment."""
    part = log.with_name(f"{log.stem}-{epochs}.jsonl")
    lines = log.read_text().splitlines(keepends=True)
    last = next(
        number
        for number, line in enumerate(lines)
        if (record := json.loads(line))["kind"] == "epoch" and record["epoch"] == epochs
    )
    part.write_text("".join(lines[: last + 1]))
    return part


async def picture(
    name: str,
    size: tuple[int, int],
    *,
    log: Path | None = None,
    ghost: Path | None = None,
    keys: tuple[str, ...] = (),
    theme: str | None = None,
    ascii_only: bool = False,
    config: RunConfig | None = None,
    then: Callable[[Pilot[None]], Awaitable[None]] | None = None,
) -> None:
    """Open the app on a recording, press some keys and draw what is on the screen."""
    app = RegtuiApp(
        config or RunConfig.create(),
        source=LogSource(log) if log else None,
        ghost=read_history(ghost) if ghost else None,
        ascii_only=ascii_only,
    )
    async with app.run_test(size=size) as pilot:
        if theme:
            app.theme = theme
        # A frame a second is what a followed log is promised at the least.
        await pilot.pause(1.2)
        for key in keys:
            await pilot.press(key)
        if then is not None:
            await then(pilot)
        await pilot.pause(1.2)
        drawn = app.export_screenshot(title="regtui")
    path = HERE / f"{name}-{size[0]}x{size[1]}.svg"
    path.write_text(drawn)
    print(path.name)


async def show_strip(name: str, pilot: Pilot[None]) -> None:
    """Press `g` until a strip is on the screen."""
    app = pilot.app
    assert isinstance(app, RegtuiApp)
    while name not in app.lab.view.strips:
        await pilot.press("g")


async def attached(folder: Path) -> None:
    """Draw a run of another process whose rate a watcher has halved, and who has paused it."""
    config = RunConfig.create("overfit", framework="torch", dropout=0.2, epochs=120)
    run = Detached(config, runs_dir=folder, more=("--checkpoint", "both"))
    try:

        async def steer(pilot: Pilot[None]) -> None:
            app = pilot.app
            assert isinstance(app, RegtuiApp)
            keys = ["space", "left_square_bracket"]
            while keys or app.lab.shown.activity.stage != "paused":
                if keys and len(app.lab.history.evaluations) >= (40 if len(keys) == 1 else 25):
                    await pilot.press(keys.pop())
                await pilot.pause(0.02)

        while not run.log_path.exists() or not run.log_path.stat().st_size:
            await asyncio.sleep(0.1)
        await picture("attached", WIDE, log=run.log_path, then=steer)
    finally:
        run.call_off()


async def make(folder: Path, wanted: set[str]) -> None:
    """Make the pictures that are wanted, or all."""

    def asked(name: str) -> bool:
        return not wanted or name in wanted

    for size in (WIDE, SMALL):
        if asked("empty"):
            await picture("empty", size)
        if asked("overfit-half"):
            await picture("overfit-half", size, log=first_part(record(folder, "overfit"), 30))
        if asked("overfit-end"):
            await picture("overfit-end", size, log=record(folder, "overfit"))
        if asked("dropout-ghost"):
            await picture("dropout-ghost", size, log=record(folder, "dropout"), ghost=record(folder, "plain"))
        if asked("plateau"):
            await picture("plateau", size, log=record(folder, "plateau"))
        if asked("lr-decay"):
            await picture("lr-decay", size, log=first_part(record(folder, "lr-decay"), 25))
        if asked("diverged"):
            await picture("diverged", size, log=record(folder, "diverged"))
    for strip in ("gap", "norms", "accuracy"):
        if asked(strip):
            await picture(strip, WIDE, log=record(folder, "overfit"), then=partial(show_strip, strip))
    if asked("cursor"):
        await picture("cursor", WIDE, log=record(folder, "overfit"), keys=("left",) * 20)
    for size in (WIDE, SMALL):
        if asked("light"):
            await picture(
                "light", size, log=record(folder, "dropout"), ghost=record(folder, "plain"), theme="regtui-light"
            )
    if asked("help"):
        await picture("help", WIDE, keys=("question_mark",))
    if asked("ascii"):
        await picture("ascii", SMALL, log=record(folder, "overfit"), ascii_only=True)
    if asked("attached"):
        await attached(folder)
    if asked("replay"):
        replay(record(folder, "overfit"), size=(100, 40), svg=HERE / "replay-100x40.svg", out=sys.stderr)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(make(Path(temporary), set(sys.argv[1:])))
