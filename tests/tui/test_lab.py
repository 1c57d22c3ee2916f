"""The lab, driven with real frameworks: start, watch, turn knobs, stop, start again."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from textual.message import Message

from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, RunEnded, RunStarted
from regtui.core.text import number
from regtui.tui.app import RegtuiApp
from regtui.tui.dialogs import Question
from regtui.tui.lab import EventsArrived, LabScreen

Logs = Callable[[], list[list[Event]]]


def long_app(config: RunConfig, runs_dir: Path, **given: Any) -> RegtuiApp:
    """The app with a run that ends only when it is told to."""
    import msgspec

    return RegtuiApp(msgspec.structs.replace(config, epochs=1_000_000, **given), runs_dir=runs_dir)


async def test_a_tensorflow_run_with_l2_dropout_and_plateau_from_choice_to_second_start(
    drive: Any, runs_dir: Path, logged: Logs
) -> None:
    small = RunConfig.create(
        framework="torch", dataset="digits", train_rows=200, hidden=(16,), batch_size=50, learning_rate=0.01
    )
    app = long_app(small, runs_dir)
    async with drive(app, (140, 44)) as lab:
        await lab.choose("framework", "tensorflow")
        await lab.put("l2", "0.001")
        await lab.put("dropout", "0.25")
        await lab.choose("lr_policy", "plateau")
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) >= 3)
        for name in ("validation", "train", "learning rate", "LR 0.01"):
            await lab.until(lambda name=name: name in lab.shown("#plot"))
        for part in ("training", "tensorflow", "digits", "cpu", "/1000000", "steps/s", "left"):
            await lab.until(lambda part=part: part in lab.shown("#status"))
        await lab.until(lambda: "plateau" in lab.shown("#meters"))
        await lab.until(lambda: float(lab.shown("#numbers").split("penalty")[1].split()[0]) > 0)

        await lab.press("space")
        await lab.until(lambda: "paused" in lab.shown("#status"))
        held = lab.history.step
        await lab.until(lambda: "Resume" in lab.shown("#keys"))
        await lab.press("s")
        await lab.until(lambda: lab.history.step > held and lab.history.step == lab.history.evaluations.step.last)
        await lab.until(lambda: "paused" in lab.shown("#status"))
        assert lab.history.step == lab.history.evaluations.step.last
        await lab.press("space")
        await lab.until(lambda: "training" in lab.shown("#status"))

        await lab.press("x")
        await lab.until(lambda: isinstance(app.screen, Question))
        await lab.press("y")
        await lab.finished()
        assert "stopped" in lab.shown("#status")
        assert "stopped" in lab.shown("#events-text")
        stopped_at = lab.history.evaluations["epoch"].last

        await lab.put("epochs", "3")
        await lab.press("ctrl+r")
        await lab.finished()
        assert "finished" in lab.shown("#status")
        assert "epoch 3/3" in lab.shown("#status")
        assert "previous" in lab.shown("#comparison")

    first, second = logged()
    started = first[0]
    assert isinstance(started, RunStarted)
    assert (started.config.framework, started.config.l2, started.config.dropout) == ("tensorflow", 0.001, 0.25)
    assert (started.config.lr_policy, started.config.patience) == ("plateau", 200)
    assert isinstance(first[-1], RunEnded)
    assert (first[-1].status, first[-1].epoch) == ("stopped", stopped_at)
    assert isinstance(second[-1], RunEnded)
    assert second[-1].status == "finished"


async def test_start_trains_at_once_and_the_log_holds_what_the_screen_shows(
    drive: Any, config: RunConfig, runs_dir: Path, logged: Logs
) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        (events,) = logged()
        epochs = [event for event in events if isinstance(event, EpochEnded)]
        assert len(epochs) == len(lab.history.evaluations) == 6
        assert f"valid {epochs[-1].valid['loss']:.4f}" in lab.shown("#numbers")  # type: ignore[union-attr]
        assert "finished" in lab.shown("#status")


async def test_the_form_asked_for_before_a_run_that_starts_at_once_has_begun_stays(
    drive: Any, config: RunConfig, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, held = LabScreen.begin, []
    monkeypatch.setattr(LabScreen, "begin", lambda _lab, config: held.append(config))
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: bool(held))
        await lab.press("f")
        begin(app.lab, *held)
        await lab.finished()
        assert lab.find("#form").has_focus_within
        assert lab.find("#form").display


async def test_one_message_of_news_is_under_way_at_a_time(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = long_app(config, runs_dir)
    trail: list[int] = []
    post = app.lab.post_message

    def noted_post(message: Message) -> bool:
        if isinstance(message, EventsArrived):
            trail.append(app.lab.budget.frames)
        return post(message)

    app.lab.post_message = noted_post  # type: ignore[method-assign]
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: len(trail) >= 8)
        app.lab.end_own("enough")
        await lab.finished()
    # Before the thread that trains posts again, a frame has taken in what was posted before.
    assert all(before < after for before, after in pairwise(trail)), trail


async def test_quitting_asks_while_a_run_lives_and_then_writes_its_end(
    drive: Any, config: RunConfig, runs_dir: Path, logged: Logs
) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.press("q")
        await lab.until(lambda: isinstance(app.screen, Question))
        await lab.press("n")
        await lab.until(lambda: not isinstance(app.screen, Question))
        assert app.lab.alive
        await lab.press("q", "y")
        await lab.until(lambda: app._exit)
    (events,) = logged()
    assert isinstance(events[-1], RunEnded)
    assert events[-1].status == "stopped"


async def test_quitting_without_a_run_does_not_ask(drive: Any, app: RegtuiApp) -> None:
    async with drive(app) as lab:
        await lab.press("escape", "q")
        await lab.until(lambda: app._exit)


@pytest.mark.parametrize("way", [(), ("escape",), ("escape", "question_mark"), ("enter",), ("ctrl+p",)])
async def test_ctrl_c_quits_from_everywhere(drive: Any, app: RegtuiApp, way: tuple[str, ...]) -> None:
    async with drive(app) as lab:
        await lab.press(*way)
        await lab.press("ctrl+c")
        await lab.until(lambda: app._exit)
        assert not app._notifications


async def test_ctrl_c_in_a_field_asks_once_while_a_run_lives(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        lab.find("#field-learning_rate").focus()
        await lab.press("ctrl+c", "ctrl+c", "ctrl+c")
        assert [type(screen) for screen in app.screen_stack] == [LabScreen, Question]
        assert not app._notifications
        assert "^c" not in lab.shown("#keys")
        await lab.press("y")
        await lab.until(lambda: app._exit)


async def test_the_palette_lists_each_command_once(drive: Any, app: RegtuiApp) -> None:
    async with drive(app) as lab:
        await lab.press("escape")
        names = [command.title for command in app.get_system_commands(app.lab)]
        assert "Help" in names
        assert len(names) == len(set(names))


async def test_an_app_that_is_closed_from_outside_leaves_a_whole_log(
    drive: Any, config: RunConfig, runs_dir: Path, logged: Logs
) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        live = app.lab.live
        app.exit()
    assert live is not None
    assert live.wait(10)
    (events,) = logged()
    assert isinstance(events[-1], RunEnded)


async def test_data_that_is_not_there_is_said_in_words_and_the_app_lives_on(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(config, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.put("dataset", "nowhere.npz")
        await lab.press("ctrl+r")
        await lab.finished()
        assert "nowhere.npz" in lab.shown("#verdict")
        assert "could not start" in lab.shown("#status")
        await lab.put("dataset", "digits")
        await lab.press("ctrl+r")
        await lab.finished()
        assert "finished" in lab.shown("#status")
        assert "nowhere" not in lab.shown("#verdict")


async def test_a_runs_folder_that_cannot_be_written_is_said_before_anything_is_imported(
    drive: Any, config: RunConfig, tmp_path: Path
) -> None:
    (tmp_path / "runs").write_text("a file, not a folder")
    app = RegtuiApp(config, runs_dir=tmp_path / "runs")
    async with drive(app) as lab:
        await lab.press("escape", "ctrl+r")
        await lab.finished()
        assert "could not start" in lab.shown("#status")
        assert "runs" in lab.shown("#verdict")


async def test_knobs_turn_from_keys_and_from_the_form_while_the_rest_is_locked(
    drive: Any, config: RunConfig, runs_dir: Path, logged: Logs
) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.press("left_square_bracket")
        await lab.until(lambda: len(lab.history.changes) == 1)
        await lab.press("space")
        await lab.until(lambda: "paused" in lab.shown("#status"))
        await lab.put("l2", "0.01")
        await lab.press("enter")
        await lab.until(lambda: len(lab.history.changes) == 2)
        await lab.until(lambda: "L2 0 → 0.01  by hand" in lab.shown("#events-text"))

        lab.find("#field-batch_size").focus()
        await lab.press("9", "backspace")
        assert lab.find("#field-batch_size").value == "50"
        assert "locked while the run lives" in lab.shown("#hint")
        await lab.press("escape")
        app.lab.end_own("enough")
        await lab.finished()
        await lab.put("batch_size", "20")
        assert lab.config.batch_size == 20
    (events,) = logged()
    changes = [(event.what, event.old, event.new, event.cause) for event in events if isinstance(event, Changed)]
    assert changes == [("learning_rate", 0.01, 0.005, "user"), ("l2", 0.0, 0.01, "user")]


async def test_a_wrong_knob_is_explained_and_not_sent(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.press("ctrl+r")
        await lab.press("space")
        await lab.until(lambda: "paused" in lab.shown("#status"))
        await lab.put("dropout", "1.5")
        await lab.press("enter")
        assert "must be" in lab.row("dropout")
        app.lab.end_own("enough")
        await lab.finished()
        assert not lab.history.changes


async def test_the_cursor_reads_any_epoch_and_leaves_with_escape(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        valid = lab.history.evaluations["valid/loss"].values
        await lab.press("home")
        assert lab.shown("#numbers").split()[:4] == ["epoch", "1", "valid", f"{valid[0]:.4f}"]
        assert "at epoch 1:" in lab.shown("#verdict")
        await lab.press("right")
        assert lab.shown("#numbers").split()[1] == "2"
        await lab.press("end", "left")
        assert lab.shown("#numbers").split()[1] == "5"
        await lab.press("escape")
        assert lab.shown("#numbers").split()[1] == "6"
        assert "at epoch" not in lab.shown("#verdict").split(":")[0]


async def test_a_click_on_the_curves_sets_the_cursor(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        plot = lab.find("#plot")
        await lab.pilot.click("#plot", offset=(plot.size.width // 2, 5))
        assert app.lab.view.cursor is not None
        assert 1 < app.lab.view.cursor < 6


async def test_the_view_changes_by_key(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        await lab.press("l")
        assert "log" in lab.shown("#plot").splitlines()[0]
        await lab.press("l")
        for title in ("accuracy", "gap, nats", "weight norms", "learning rate"):
            await lab.press("g")
            assert title in lab.shown("#plot")
        await lab.press("z")
        assert app.lab.view.zoom == "half"
        await lab.press("m")
        assert "smoothed" in lab.shown("#plot")
        await lab.press("p")
        assert app.lab.view.show_penalty


@pytest.mark.parametrize(("keys", "row", "zoom"), [
    (["home"], 0, "all"), (["end"], 5, "tenth"), (["left"] * 3, 3, "all"), (["end", "escape"], None, "tenth"),
])  # fmt: skip
async def test_a_cursor_that_leaves_what_is_zoomed_to_takes_the_zoom_back(
    drive: Any, config: RunConfig, runs_dir: Path, keys: list[str], row: int | None, zoom: str
) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        await lab.press("z", "z", *keys)
        assert (app.lab.view.cursor, app.lab.view.zoom) == (row, zoom)


async def test_keys_that_cannot_work_are_hidden(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.press("escape")
        await lab.until(lambda: "Form" in lab.shown("#keys"))
        assert "Start" in lab.shown("#keys")
        for name in ("Pause", "Stop", "Zoom", "LR"):
            assert name not in lab.shown("#keys")
        await lab.press("ctrl+r")
        await lab.until(lambda: "Pause" in lab.shown("#keys"))
        assert "Start" not in lab.shown("#keys")
        await lab.until(lambda: "Zoom" in lab.shown("#keys"))
        app.lab.end_own("enough")
        await lab.finished()
        await lab.until(lambda: "Start" in lab.shown("#keys"))


async def test_a_click_on_the_start_button_and_on_a_key_do_what_they_say(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = long_app(config, runs_dir)
    async with drive(app) as lab:
        await lab.pilot.click("#go")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.pilot.click("#keys", offset=(3, 0))
        await lab.until(lambda: "paused" in lab.shown("#status"))
        await lab.pilot.click("#go")
        await lab.until(lambda: isinstance(app.screen, Question))
        await lab.pilot.click("#yes")
        await lab.finished()


async def test_the_run_before_stays_as_a_ghost_and_is_compared(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app, (140, 44)) as lab:
        await lab.finished()
        best = lab.history.evaluations["valid/loss"].values.min()
        await lab.put("dropout", "0.5")
        await lab.press("ctrl+r")
        await lab.finished()
        assert "previous" in lab.shown("#plot")
        assert number(best) in lab.shown("#comparison")
        assert "Dropout 0.5 (was 0)" in lab.shown("#comparison")


async def test_a_recorded_run_is_watched_read_only(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    from regtui.sources.log import LogSource

    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        curves = lab.shown("#plot")
        assert app.lab.live is not None
        path = app.lab.live.log_path
    watching = RegtuiApp(RunConfig.create(), source=LogSource(path), runs_dir=runs_dir)
    async with drive(watching) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 6)
        await lab.until(lambda: lab.shown("#plot") == curves)
        assert "finished" in lab.shown("#status")
        await lab.press("ctrl+r")
        assert watching.lab.live is None
        assert "Start" not in lab.shown("#keys")
        assert not lab.find("#go").display
        assert lab.config == config
        await lab.put("dropout", "0.5")
        assert lab.config == config
        assert "read only" in lab.shown("#hint")


async def test_a_log_that_grows_is_followed(drive: Any, config: RunConfig, runs_dir: Path, tmp_path: Path) -> None:
    from regtui.core.events import encode
    from regtui.sources.log import LogSource

    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        assert app.lab.live is not None
        events = LogSource(app.lab.live.log_path).poll()
    half = next(at for at, event in enumerate(events) if isinstance(event, EpochEnded) and event.epoch == 3) + 1
    growing = tmp_path / "events.jsonl"
    growing.write_bytes(b"".join(encode(event) for event in events[:half]))
    watching = RegtuiApp(RunConfig.create(), source=LogSource(growing), runs_dir=runs_dir)
    async with drive(watching) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 3)
        with growing.open("ab") as log:
            log.write(b"".join(encode(event) for event in events[half:]))
        await lab.until(lambda: len(lab.history.evaluations) == 6)
        await lab.until(lambda: "finished" in lab.shown("#status"))


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_form_and_curves_take_turns_when_narrow_and_stand_side_by_side_when_wide(
    drive: Any, app: RegtuiApp, size: tuple[int, int]
) -> None:
    async with drive(app, size) as lab:
        wide = size[0] >= 110

        def shown() -> tuple[bool, bool]:
            return lab.find("#form").display, lab.find("#run").display

        await lab.until(lambda: shown() == (True, wide))
        await lab.press("escape")
        await lab.until(lambda: shown() == (wide, True))
        await lab.press("f")
        await lab.until(lambda: shown() == (True, wide))


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_help_explains_keys_curves_words_and_fields(
    drive: Any, app: RegtuiApp, size: tuple[int, int]
) -> None:
    async with drive(app, size) as lab:
        await lab.press("escape", "question_mark")
        page = app.screen.query_one("#help-text")
        await lab.until(lambda: "Keys" in page.text)
        for part in ("Halve the learning rate.", "validation loss", "The gap", "2 × l2", "Dropout", "Momentum"):
            assert part in page.text
        assert max(map(len, page.text.splitlines())) <= page.content_size.width
        await lab.press("escape")
        await lab.until(lambda: app.screen is app.lab)


async def test_lines_of_a_log_that_cannot_be_read_are_named_in_the_event_log(
    drive: Any, config: RunConfig, runs_dir: Path, tmp_path: Path
) -> None:
    from regtui.sources.log import LogSource

    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        assert app.lab.live is not None
        whole = app.lab.live.log_path.read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join([*whole[:5], b'{"kind":"step", oh no}\n', *whole[5:]]))
    watching = RegtuiApp(RunConfig.create(), source=LogSource(torn), runs_dir=runs_dir)
    async with drive(watching) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 6)
        await lab.until(lambda: "could not be read and left out: line 6" in lab.shown("#events-text"))
        assert lab.shown("#events-text").count("could not be read") == 1


async def test_a_ghost_from_a_file_stands_behind_the_first_run(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    from regtui.readers import read_history

    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.finished()
        assert app.lab.live is not None
        ghost = read_history(app.lab.live.log_path)
    assert len(ghost.evaluations) == 6
    haunted = RegtuiApp(config, start=True, runs_dir=runs_dir, ghost=ghost)
    async with drive(haunted) as lab:
        await lab.finished()
        assert "previous" in lab.shown("#plot")
        assert "the same configuration" in lab.shown("#comparison")


async def test_what_goes_wrong_in_the_thread_that_trains_is_said_and_the_app_lives_on(
    drive: Any, config: RunConfig, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: object, **_more: object) -> None:
        raise MemoryError("no memory left")

    app = RegtuiApp(config, runs_dir=runs_dir)
    async with drive(app) as lab:
        monkeypatch.setattr("regtui.sources.setting_up.datasets.load", broken)
        await lab.press("escape", "ctrl+r")
        await lab.finished()
        assert "failed" in lab.shown("#status")
        assert "out of memory" in lab.shown("#verdict")
        monkeypatch.undo()
        await lab.press("ctrl+r")
        await lab.finished()
        assert "finished" in lab.shown("#status")
