"""Whole screens of the lab, at two sizes, compared with the text in tests/screens; the runs are real ones.

After a change that is meant to be seen, look at what

    REGTUI_WRITE_SCREENS=1 python -m pytest tests/tui/test_screens.py && git diff tests/screens

shows, and commit the new screens with the change.
"""

import os
import time
from pathlib import Path

import pytest

from regtui.core.config import RunConfig
from regtui.core.events import Command, EpochEnded, Event, Metrics, SystemSampled
from regtui.core.history import History
from regtui.sources import Activity
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp

HERE = Path(__file__).parent.parent
LOGS, SCREENS = HERE / "logs", HERE / "screens"
SIZES = [(80, 24), (120, 36)]


class Recorded:
    """A log as it stood after one of its epochs."""

    activity = Activity()
    behind = False
    warnings = ()
    listens: frozenset[type] = frozenset()

    def __init__(self, log: str, until: int | None, machine: Metrics | None = None) -> None:
        events = LogSource(LOGS / f"{log}.jsonl").poll()
        ends = [at for at, event in enumerate(events) if isinstance(event, EpochEnded) and event.epoch == until]
        self._events = events[: ends[0] + 1] if ends else events
        if machine is not None:
            # One that the log's run did not have, but the same at all of its epochs.
            steps = [event.step for event in self._events if isinstance(event, EpochEnded)]
            self._events += [SystemSampled(step=step, time=float(step), metrics=machine) for step in steps]

    def poll(self, limit: int | None = None) -> list[Event]:
        taken, self._events = self._events[:limit], self._events[limit:] if limit else []
        return taken

    def send(self, command: Command) -> None:
        raise AssertionError(f"{command} was sent to a log")


def folded(log: str) -> History:
    history = History()
    history.apply(LogSource(LOGS / f"{log}.jsonl").poll())
    return history


MACHINE = {
    "gpu0/utilization": 0.93, "gpu0/memory": 12e9, "gpu0/memory_total": 85.9e9, "gpu0/power": 305.0,
    "gpu0/temperature": 71.0, "cpu": 1.9, "cores": 16.0, "rss": 1.9e9, "host/utilization": 0.21, "host/memory": 22e9,
    "host/memory_total": 135e9,
}  # fmt: skip

SCENES = {
    "overfit-half": {"log": "noisy-torch", "until": 30},
    "overfit-end": {"log": "noisy-torch"},
    "dropout-ghost": {"log": "noisy-dropout-tensorflow", "ghost": "noisy-tensorflow"},
    "plateau": {"log": "plateau-epoch-torch"},
    "lr-decay": {"log": "lr-decay-torch", "until": 10},
    "diverged": {"log": "lr-large-sgd-torch"},
    "machine": {"log": "noisy-torch", "until": 30, "machine": MACHINE},
    "empty": {},
    "ascii": {"log": "noisy-torch", "ascii": True},
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCENES)
async def test_the_screen_is_as_it_was_looked_at(name, size, drive, monkeypatch):
    # Times of day are shown in the zone of whoever looks.
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    scene = SCENES[name]
    app = RegtuiApp(
        RunConfig.create(framework="torch"),
        source=Recorded(scene["log"], scene.get("until"), scene.get("machine")) if "log" in scene else None,
        ghost=folded(scene["ghost"]) if "ghost" in scene else None,
        ascii_only=scene.get("ascii", False),
    )
    async with drive(app, size) as lab:
        if "log" in scene:
            await lab.until(lambda: lab.history.run is not None and not app.lab.shown.open)
            # The log scrolls once its lines have been laid out.
            await lab.until(lambda: lab.find("#events-text").size.height == len(lab.find("#events-text")._lines))
            await lab.until(lambda: lab.find("#events").is_vertical_scroll_end)
        await lab.settle()
        # Until nothing moves any more.
        seen = [screen_text(app)]
        while len(seen) < 3 or len(set(seen[-3:])) > 1:
            await lab.pilot.pause()
            seen.append(screen_text(app))
        text = seen[-1]
    if name == "ascii":
        assert text.isascii()
    golden = SCREENS / f"lab-{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("REGTUI_WRITE_SCREENS"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def screen_text(app: RegtuiApp) -> str:
    """Read the whole screen as a person does, row by row."""
    rows = app.screen._compositor.render_strips()
    return "".join("".join(segment.text for segment in row).rstrip() + "\n" for row in rows)
