"""The app tells of the run on show and of those behind it, and its terminal between two frames."""

import gc
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from regtui.core.config import RunConfig
from regtui.core.events import Noted, RunEnded, RunStarted, StepEnded
from regtui.notify.asked import Asked
from regtui.notify.audience import Way
from regtui.readers import LogWriter
from regtui.sources import Nothing, Watched
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp
from tests.tui.conftest import Heard

Drive = Callable[..., AbstractAsyncContextManager[Any]]


def told(*ways: Way) -> Asked:
    return Asked("off", ways)


async def test_a_run_that_trains_in_the_app_is_told_from_its_start_to_its_end(
    drive: Drive, config: RunConfig, runs_dir: Path
) -> None:
    heard = Heard("nobody is there")
    async with drive(RegtuiApp(config, start=True, runs_dir=runs_dir, told=told(heard))) as lab:
        await lab.finished()
        await lab.until(lambda: "a://b was not told" in lab.shown("#events-text"))
    assert heard.kinds[-1] == "end"
    assert heard.notices[-1].title.endswith("finished")


async def test_a_run_that_is_ended_by_quitting_is_told(drive: Drive, config: RunConfig, runs_dir: Path) -> None:
    heard = Heard()
    app = RegtuiApp(config, start=True, runs_dir=runs_dir, told=told(heard))
    async with drive(app) as lab:
        await lab.until(lambda: lab.history.run is not None)
        lab.app.lab.end_own("stopped on quitting")
        await lab.app.workers.wait_for_complete()
    app.lab.last_look()
    assert app.audience.settle(60) == []
    assert heard.kinds.count("end") == 1


async def test_a_watched_log_that_stops_growing_has_stalled_also_behind_the_run_on_show(
    drive: Drive, config: RunConfig, runs_dir: Path, tmp_path: Path
) -> None:
    heard = Heard()
    writers = [LogWriter(tmp_path / f"{name}.jsonl") for name in "ab"]
    try:
        for name, writer in zip("ab", writers, strict=True):
            writer.write([RunStarted(run_id=name, time=0.0), StepEnded(step=1, loss=1.0, time=1.0)])
        first, second = (LogSource(writer.path) for writer in writers)
        app = RegtuiApp(config, source=first, others=[second], runs_dir=runs_dir, told=told(heard))
        async with drive(app) as lab:
            await lab.until(lambda: all(run.history.run is not None for run in app.lab.runs))
            start = max(lookout._looked_at or 0.0 for lookout in app.lab._lookouts.values())
            for second_later in range(80):
                for run in app.lab.runs:
                    app.lab.tell_others(run, start + second_later)
            await lab.until(lambda: "nothing new for 1:0" in lab.shown("#events-text"))
            writers[1].write([StepEnded(step=2, loss=1.0, time=90.0), RunEnded(status="finished", step=2)])
            await lab.until(lambda: "end" in heard.kinds)
    finally:
        for writer in writers:
            writer.close()
    assert heard.kinds.count("stall") == 2
    assert {notice.title for notice in heard.notices if notice.kind == "stall"} == {
        "regtui: a has stalled", "regtui: b has stalled",
    }  # fmt: skip


async def test_a_run_that_has_left_the_screen_is_not_kept(drive: Drive, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, runs_dir=runs_dir)
    async with drive(app):
        run = Watched(source=Nothing())
        assert app.lab.look_after(run) is app.lab.look_after(run)
        kept = weakref.ref(run)
        del run
        gc.collect()
        assert kept() is None


async def test_a_paused_log_does_not_stall(drive: Drive, config: RunConfig, runs_dir: Path, tmp_path: Path) -> None:
    heard = Heard()
    writer = LogWriter(tmp_path / "a.jsonl")
    try:
        writer.write([RunStarted(run_id="a", time=0.0), Noted(level="state", text="paused", time=1.0)])
        app = RegtuiApp(config, source=LogSource(writer.path), runs_dir=runs_dir, told=told(heard))
        async with drive(app) as lab:
            await lab.until(lambda: app.lab.shown.activity.stage == "paused")
            for second in range(10_000):
                app.lab.tell_others(app.lab.shown, 1e9 + second)
    finally:
        writer.close()
    assert heard.notices == []


async def test_the_palette_chooses_how_the_terminal_tells(drive: Drive, config: RunConfig, runs_dir: Path) -> None:
    async with drive(RegtuiApp(config, runs_dir=runs_dir)) as lab:
        named = [command.title for command in lab.app.get_system_commands(lab.app.screen)]
        assert [name for name in named if name.startswith("Notify")] == [
            "Notify: terminal", "Notify: bell", "Notify: off",
        ]  # fmt: skip
        assert lab.app.terminal_way.mode == "off"
        lab.app.choose_mode("bell")
        assert lab.app.terminal_way.mode == "bell"


def test_the_terminal_is_told_in_one_piece_between_two_frames(terminal: Callable[..., Any]) -> None:
    given, expected = {"TERM_PROGRAM": "WezTerm"}, b"\x1b]777;notify;regtui: "
    known = dict.fromkeys(("TMUX", "STY", "LC_TERMINAL", "VTE_VERSION"), "")
    lab = terminal("--framework", "torch", "--dataset", "digits", "--train-rows", "200", "--hidden", "8", "--epochs",
                   "3", "--start", "--notify", "terminal", **{**known, **given})  # fmt: skip
    lab.until(lambda: expected in lab.come and lab.come.rpartition(expected)[2].count(b"\a") >= 2)
    written = lab.come.rpartition(expected)[2]
    assert written.partition(b"\a")[0].isascii()
    assert b"finished" in written.partition(b"\a")[0]
    assert b"\x1b" not in written.partition(b"\a")[0]
    lab.press("q")
    assert lab.status() == 0
