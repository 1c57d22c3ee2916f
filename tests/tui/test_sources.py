"""Form, run and screen say the same, and a screen that only watches says so."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regtui import tui
from regtui.core.config import RunConfig, difference
from regtui.core.events import (
    Changed,
    Command,
    EpochEnded,
    Event,
    RunEnded,
    RunStarted,
    SetKnob,
    StepEnded,
    encode_lines,
)
from regtui.core.history import History
from regtui.sources import Activity
from regtui.sources.here import LiveRun
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp
from regtui.tui.runview import LEAST_PLOT
from tests.tui.conftest import told

LOGS = Path(__file__).parent.parent / "logs"


def long(config: RunConfig, **given: Any) -> RunConfig:
    return msgspec.structs.replace(config, epochs=1_000_000, **given)


class Trainer:
    """A run in the hand of a test: it tells what it is given, and keeps what it is sent."""

    behind = False
    warnings = ()

    def __init__(self, config: RunConfig, *listens: type) -> None:
        self.listens = frozenset(listens)
        self.activity = Activity(stage="training", alive=True, growing=True)
        self.sent: list[Command] = []
        self._told: list[Event] = [
            RunStarted(run_id="elsewhere", config=config, environment={"steps_per_epoch": 1}),
            StepEnded(step=1, epoch=1, loss=1.0, learning_rate=config.learning_rate),
            EpochEnded(epoch=1, step=1, train={"loss": 1.0}, valid={"loss": 1.0}),
        ]

    def tell(self, *events: Event) -> None:
        self._told += events

    def poll(self, limit: int | None = None) -> list[Event]:
        taken, self._told = self._told[:limit], self._told[limit:] if limit else []
        return taken

    def send(self, command: Command) -> None:
        self.sent.append(command)


async def test_a_typed_knob_is_pending_until_the_log_says_that_it_was_obeyed(
    drive: Any, config: RunConfig, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Command] = []
    give = LiveRun.send
    monkeypatch.setattr(
        LiveRun,
        "send",
        lambda run, command: held.append(command) if isinstance(command, SetKnob) else give(run, command),
    )
    app = RegtuiApp(long(config), runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.press("escape", "ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        assert lab.row("dropout").startswith("◆")
        await lab.put("dropout", "0.4")
        assert lab.row("dropout").startswith("◇")
        assert "enter turns it, escape gives 0 back" in " ".join(lab.shown("#hint").split())
        await lab.press("enter")
        assert lab.row("dropout").startswith("◇")
        await lab.until(lambda: "not obeyed yet" in " ".join(lab.shown("#hint").split()))
        (command,) = held
        give(app.lab.live, command)
        await lab.until(lambda: len(lab.history.changes) == 1)
        await lab.until(lambda: lab.row("dropout").startswith("◆"))
        app.lab.end_own("enough")
        await lab.finished()
        assert not lab.row("dropout").startswith(("◆", "◇"))
        assert lab.config.dropout == 0.4


async def test_escape_gives_a_pending_field_what_is_in_force_and_then_leaves(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(long(config), runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.press("escape", "ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.put("l2", "0.5")
        await lab.press("escape")
        assert (lab.find("#field-l2").value, app.focused) == ("0", lab.find("#field-l2"))
        assert lab.row("l2").startswith("◆")
        await lab.press("escape")
        assert app.focused is lab.find("#plot")
        app.lab.end_own("enough")
        await lab.finished()


async def test_a_scaled_rate_is_shown_in_its_field_and_kept_for_the_next_run(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(long(config), runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.press("escape", "ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.press("left_square_bracket")
        await lab.until(lambda: lab.find("#field-learning_rate").value == "0.005")
        app.lab.end_own("enough")
        await lab.finished()
        assert lab.config.learning_rate == 0.005


async def test_a_policys_drop_is_shown_in_the_field_and_the_next_run_starts_where_this_one_did(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    stepped = RunConfig.create(**{
        **{name: getattr(config, name) for name in ("dataset", "train_rows", "hidden", "batch_size", "framework")},
        "lr_policy": "step", "every": 2, "gamma": 0.1, "learning_rate": 0.01, "epochs": 6,
    })  # fmt: skip
    app = RegtuiApp(stepped, runs_dir=runs_dir)
    async with drive(app, (140, 60)) as lab:
        seen: list[str] = []
        field = lab.find("#field-learning_rate")
        put = field.set_text
        field.set_text = lambda text: (seen.append(text), put(text))
        await lab.press("escape", "ctrl+r")
        await lab.finished()
        assert "0.001" in seen
        assert lab.config == stepped


async def test_a_drop_below_the_floor_is_no_problem_of_a_run_that_lives(drive: Any, runs_dir: Path) -> None:
    policy = {"lr_policy": "exponential", "learning_rate": 0.1, "lr_floor": 0.01}
    config = RunConfig.create(framework="torch", dataset="digits", **policy)
    source = Trainer(config, SetKnob)
    app = RegtuiApp(RunConfig.create(), source=source, runs_dir=runs_dir)
    async with drive(app, (140, 60)) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 1)
        source.tell(Changed(step=1, epoch=1, old=0.1, new=0.001, cause="floor"))
        await lab.until(lambda: lab.find("#field-learning_rate").value == "0.001")
        assert "must" not in lab.row("lr_floor")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
@pytest.mark.parametrize(
    ("field", "text", "words"), [("dataset", "nowhere.npz", "nowhere.npz"), ("train_rows", "999999", "1,797")]
)
async def test_a_start_that_is_refused_goes_to_its_field_and_leaves_the_run_before_on_show(
    drive: Any, config: RunConfig, runs_dir: Path, size: tuple[int, int], field: str, text: str, words: str
) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir, ghost=folded("two-epochs-torch"))
    async with drive(app, size) as lab:
        await lab.finished()
        before, ghost, verdict = lab.history, app.lab.view.ghost, lab.shown("#verdict")
        await lab.press("f")
        await lab.put(field, text)
        await lab.press("ctrl+r")
        await lab.finished()
        await lab.until(lambda: app.focused is lab.find(f"#field-{field}"))
        assert lab.find("#form").display
        row = lab.row(field)
        assert words in row
        assert "--" not in row
        assert (lab.history, app.lab.view.ghost) == (before, ghost)
        assert "finished" in lab.shown("#status")
        assert lab.shown("#verdict").split()[:6] == verdict.split()[:6]

        await lab.put(field, "200" if field == "train_rows" else "digits")
        assert words not in lab.row(field)
        await lab.press("ctrl+r")
        await lab.until(lambda: lab.history is not before)
        await lab.finished()
        assert app.lab.view.ghost is before


async def test_started_at_once_with_bad_data_the_form_opens_at_the_field(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(msgspec.structs.replace(config, dataset="nowhere.csv"), start=True, runs_dir=runs_dir)
    async with drive(app, (80, 24)) as lab:
        await lab.finished()
        await lab.until(lambda: app.focused is lab.find("#field-dataset"))
        assert lab.find("#form").display
        assert "nowhere.csv" in lab.row("dataset")
        assert "--dataset" not in lab.shown("#verdict")


def plain() -> History:
    """The run that the lab offers first, after an epoch."""
    history = History()
    history.apply(Trainer(RunConfig.create(framework="torch")).poll())
    return history


def folded(log: str) -> History:
    history = History()
    history.apply(LogSource(LOGS / f"{log}.jsonl").poll())
    return history


@pytest.mark.parametrize("key", ["left_square_bracket", "right_square_bracket", "space", "s", "x"])
async def test_a_key_that_needs_a_run_says_so_without_one(drive: Any, app: RegtuiApp, key: str) -> None:
    async with drive(app) as lab:
        await lab.press("escape", key, key)
        assert told(app) == ["No run is training: ctrl+r starts one."]


@pytest.mark.parametrize("key", ["l", "m", "p", "g", "z", "left", "right", "home", "end"])
async def test_a_key_that_needs_curves_says_so_without_any(drive: Any, app: RegtuiApp, key: str) -> None:
    async with drive(app) as lab:
        await lab.press("escape", key, key)
        assert told(app) == ["There are no curves yet: ctrl+r starts a run."]


async def test_a_cursor_before_the_first_evaluation_says_what_it_waits_for(drive: Any, config: RunConfig) -> None:
    source = Trainer(config)
    del source._told[-1]
    app = RegtuiApp(config, source=source)
    async with drive(app) as lab:
        await lab.until(lambda: lab.history.run is not None)
        await lab.press("l", "left")
        assert app.lab.view.log_y
        assert told(app) == ["No epoch has been measured yet."]


async def test_a_start_while_a_run_trains_says_what_to_do_first(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(long(config), runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.press("escape", "ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.press("ctrl+r")
        assert told(app) == ["A run is training: x ends it, then ctrl+r starts the next."]
        app.lab.end_own("enough")
        await lab.finished()


async def test_a_letter_typed_into_a_field_is_no_key_of_the_lab(drive: Any, app: RegtuiApp) -> None:
    async with drive(app) as lab:
        await lab.put("dataset", "xs")
        assert not told(app)


async def test_a_screen_that_only_watches_says_so_and_its_help_lists_no_key_that_it_has_not(
    drive: Any, runs_dir: Path
) -> None:
    app = RegtuiApp(RunConfig.create(), source=LogSource(LOGS / "noisy-torch.jsonl"), runs_dir=runs_dir)
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: "finished" in lab.shown("#status"))
        assert "watching" in lab.shown("#status")
        await lab.press("x")
        assert told(app) == ["This only watches, the run takes no commands here."]
        await lab.press("ctrl+r")
        assert told(app) == ["This only watches: `regtui` opens the lab, which trains."]
        await lab.press("question_mark")
        page = app.screen.query_one("#help-text")
        await lab.until(lambda: "Keys" in page.text)
        assert "Make the loss axis logarithmic" in page.text
        for absent in ("Start a run", "Pause the run", "End the run", "Halve the learning rate"):
            assert absent not in page.text


async def test_a_run_elsewhere_that_listens_is_steered_by_the_keys_that_it_obeys_and_no_others(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    source = Trainer(config, SetKnob)
    app = RegtuiApp(RunConfig.create(), source=source, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 1)
        await lab.until(lambda: "LR ÷2" in lab.shown("#keys"))
        assert "Pause" not in lab.shown("#keys")
        await lab.press("left_square_bracket", "space")
        assert source.sent == [SetKnob(knob="learning_rate", value=0.5, scale=True)]


async def test_leaving_the_app_does_not_end_a_run_that_is_only_watched(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    from regtui.core.events import Stop

    source = Trainer(config, Stop)
    app = RegtuiApp(RunConfig.create(), source=source, runs_dir=runs_dir)
    async with drive(app) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 1)
        await lab.press("q")
        await lab.until(lambda: app._exit)
    assert not source.sent


async def test_a_locked_choice_shows_no_arrow(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(long(config), runs_dir=runs_dir)
    async with drive(app) as lab:
        assert "▾" in lab.shown("#field-framework")
        await lab.press("escape", "ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        assert "▾" not in lab.shown("#field-framework")
        app.lab.end_own("enough")
        await lab.finished()
        assert "▾" in lab.shown("#field-framework")


def test_no_part_of_the_screen_asks_a_source_for_its_type() -> None:
    sources = {"LiveRun", "LogSource", "Nothing"}
    for path in sorted(Path(str(tui.__file__)).parent.glob("*.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not ("isinstance" in line and any(name in line for name in sources)), f"{path}: {line}"


async def test_a_watched_run_that_has_ended_shows_what_it_was_started_with(drive: Any) -> None:
    app = RegtuiApp(RunConfig.create(), source=LogSource(LOGS / "plateau-epoch-torch.jsonl"))
    async with drive(app) as lab:
        await lab.until(lambda: lab.history.end is not None and not app.lab.shown.open)
        start, newest = lab.history.config.learning_rate, lab.history.newest("learning_rate")
        assert newest < start / 100
        assert lab.find("#field-learning_rate").value == f"{start:g}"


@pytest.mark.parametrize("size", [(80, 24), (110, 30), (140, 40)])
async def test_all_that_a_preset_and_a_framework_change_has_its_rows_and_the_curves_keep_theirs(
    drive: Any, size: tuple[int, int]
) -> None:
    ours = RunConfig.create("plateau", framework="tensorflow", seed=10)
    ghost = plain()
    source = Trainer(ours)
    source.tell(Changed(step=1, epoch=1, old=0.001, new=0.0001, cause="plateau"), RunEnded(status="finished"))
    app = RegtuiApp(RunConfig.create(), source=source, ghost=ghost)
    async with drive(app, size) as lab:
        place = "#comparison" if size[0] > 110 else "#meters"
        await lab.until(lambda: "Framework" in lab.shown(place))
        await lab.settle()
        rows = lab.find(place).content_size.height
        told = " ".join(" ".join(lab.shown(place).splitlines()[:rows]).split())
        assert difference(ours, ghost.config) in told, told
        assert lab.find("#plot").content_size.height >= max(LEAST_PLOT, lab.find("#run").content_size.height // 2)


async def test_what_does_not_fit_of_a_comparison_ends_in_an_ellipsis(drive: Any) -> None:
    source = Trainer(RunConfig.create("plateau", framework="tensorflow", seed=10, warmup=5, dropout=0.3, l2=0.1))
    app = RegtuiApp(RunConfig.create(), source=source, ghost=plain())
    async with drive(app, (140, 24)) as lab:
        await lab.until(lambda: "Framework" in lab.shown("#comparison"))
        await lab.settle()
        lines = lab.shown("#comparison").splitlines()
        assert len(lines) <= lab.find("#comparison").content_size.height
        assert lines[-1].endswith("…")


def keras_log(folder: Path, *first: Event) -> Path:
    """A log of somebody else's run, which says two settings and no configuration."""
    epochs = [
        EpochEnded(epoch=at, step=10 * at, train={"loss": 1 / at}, valid={"loss": 1 / at}, learning_rate=0.01)
        for at in (1, 2, 3)
    ]
    path = folder / "events.jsonl"
    path.write_bytes(encode_lines([*first, *epochs]))
    return path


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
@pytest.mark.parametrize("says_run", [True, False])
async def test_of_a_log_without_a_configuration_no_form_is_shown_or_offered(
    drive: Any, tmp_path: Path, size: tuple[int, int], says_run: bool
) -> None:
    run = RunStarted(run_id="a", trainer="keras", settings={"lr": 0.01, "dropout": 0.3})
    app = RegtuiApp(RunConfig.create(), source=LogSource(keras_log(tmp_path, *([run] if says_run else []))))
    async with drive(app, size) as lab:
        await lab.until(lambda: len(lab.history.evaluations) == 3)
        await lab.press("f")
        assert not lab.find("#form").display
        assert lab.find("#run").region.width == size[0]
        assert "Form" not in lab.shown("#keys")
        assert app.focused is lab.find("#plot")
        assert "digits" not in lab.shown("#status")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_of_a_log_with_a_configuration_the_form_is_offered(drive: Any, size: tuple[int, int]) -> None:
    app = RegtuiApp(RunConfig.create(), source=LogSource(LOGS / "plateau-epoch-torch.jsonl"))
    async with drive(app, size) as lab:
        await lab.until(lambda: lab.history.end is not None and not app.lab.shown.open)
        await lab.until(lambda: "Form" in lab.shown("#keys"))
        await lab.press("f")
        await lab.until(lambda: lab.find("#form").region.area > 0)


async def test_a_watched_log_that_is_taken_away_is_said_once_and_so_is_its_return(drive: Any, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes((LOGS / "two-epochs-torch.jsonl").read_bytes())
    app = RegtuiApp(RunConfig.create(), source=LogSource(log))
    async with drive(app, (80, 24)) as lab:
        await lab.until(lambda: lab.history.end is not None and not app.lab.shown.open)
        assert "log" not in lab.shown("#status").replace("watching", "")
        log.rename(tmp_path / "away")
        await lab.until(lambda: "log gone" in lab.shown("#status"))
        gone = f"the log {log} was deleted or moved away: what is shown is what it held until then"
        await lab.until(lambda: told(app) == [gone])
        log.write_bytes((LOGS / "clean-torch.jsonl").read_bytes())
        await lab.until(lambda: "log gone" not in lab.shown("#status"))
        await lab.until(lambda: told(app) == ["The log is in order again."])
        await lab.until(lambda: len(lab.history.evaluations) > 2 and lab.history.end is not None)


async def test_a_run_here_whose_log_is_taken_away_says_so_once_and_takes_it_back(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(long(config), runs_dir=runs_dir)
    async with drive(app, (140, 40)) as lab:
        await lab.press("escape", "ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        log = app.lab.live.log_path
        log.unlink()
        log.parent.rmdir()
        await lab.until(lambda: "log incomplete" in lab.shown("#status"))
        (problem,) = told(app)
        assert f"the log {log} was deleted and cannot be written anew" in problem
        log.parent.mkdir()
        await lab.until(lambda: "log incomplete" not in lab.shown("#status"))
        assert told(app) == ["The log is in order again."]
        app.lab.end_own("enough")
        await lab.finished()
    assert len(LogSource(log).poll()) > 0
    assert [note.level for note in lab.history.notes if "the log" in note.text] == ["error", "info"]


async def test_the_runs_of_a_lab_that_shares_can_be_read_by_others(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir, share=True)
    before = os.umask(0o022)
    try:
        async with drive(app) as lab:
            await lab.finished()
    finally:
        os.umask(before)
    assert app.lab.live.log_path.stat().st_mode & 0o777 == 0o644
