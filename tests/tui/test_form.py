"""The form, driven as a person would; nothing is trained here."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.geometry import Region

from regtui import backends
from regtui.core.config import RunConfig, fields, policy_fields, policy_only_fields
from regtui.core.presets import PRESETS
from regtui.tui.app import RegtuiApp
from regtui.tui.entry import Item, Menu
from regtui.tui.form import CUSTOM, Form
from regtui.tui.help import HelpScreen
from regtui.tui.rows import FieldRow


def shown_fields(app: RegtuiApp) -> set[str]:
    return {row.editor.field for row in app.lab.query(FieldRow) if row.display} - {"preset", "runs_in"}


async def test_every_field_of_the_configuration_is_in_the_form(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)):
        assert shown_fields(app) == set(fields()) - set(policy_only_fields())


@pytest.mark.parametrize("policy", ["exponential", "plateau", "cosine", "one_cycle"])
async def test_a_policy_brings_its_own_fields_with_their_defaults_and_no_others(
    drive: Any, policy: str, app: RegtuiApp
) -> None:
    async with drive(app, (140, 60)) as lab:
        await lab.choose("lr_policy", "step")
        await lab.choose("lr_policy", policy)
        assert shown_fields(app) & set(policy_only_fields()) == set(policy_fields(policy))
        assert lab.config == RunConfig.create(**{**_given(lab.config), "lr_policy": policy})


def _given(config: RunConfig) -> dict[str, object]:
    """The fields of a configuration that belong to no policy."""
    return {name: getattr(config, name) for name in fields() if name not in policy_only_fields()}


async def test_plateau_per_epoch_has_a_patience_of_its_own(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 60)) as lab:
        await lab.choose("lr_policy", "plateau")
        assert lab.find("#field-patience").value == "200"
        await lab.choose("plateau_per", "epoch")
        assert lab.find("#field-patience").value == "5"


async def test_a_wrong_value_is_explained_under_its_field_while_one_types_and_goes_when_right(
    drive: Any, app: RegtuiApp
) -> None:
    async with drive(app, (80, 24)) as lab:
        await lab.put("dropout", "1.0")
        assert "must be a number of at least 0 and below 1, not" in lab.row("dropout")
        assert app.lab.query_one(Form).config is None
        await lab.put("dropout", "0.4")
        assert "must" not in lab.row("dropout")
        assert lab.config.dropout == 0.4


@pytest.mark.parametrize(
    ("field", "text"),
    [("batch_size", "0"), ("hidden", "200,,x"), ("learning_rate", "nan"), ("epochs", ""), ("l2", "-1"), ("seed", "x")],
)
async def test_start_with_a_wrong_field_starts_nothing_and_goes_there(
    drive: Any, app: RegtuiApp, field: str, text: str
) -> None:
    async with drive(app, (80, 24)) as lab:
        await lab.put(field, text)
        await lab.press("escape", "ctrl+r")
        await lab.settle()
        assert app.lab.live is None
        assert app.focused is app.lab.query_one(f"#field-{field}")


async def test_a_floor_above_the_rate_is_explained_under_the_floor(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 60)) as lab:
        await lab.choose("lr_policy", "exponential")
        await lab.put("lr_floor", "1")
        assert "must be at most the learning rate" in lab.row("lr_floor")


@pytest.mark.parametrize("preset", sorted(PRESETS))
async def test_a_preset_fills_the_form_and_keeps_framework_device_seed_and_precision(
    drive: Any, preset: str, runs_dir: Path
) -> None:
    start = RunConfig.create("plain", framework="tensorflow", device="cpu", seed=7, precision="float64")
    app = RegtuiApp(start, runs_dir=runs_dir)
    async with drive(app, (140, 60)) as lab:
        await lab.choose("preset", "overfit" if preset == "plain" else "plain")
        await lab.choose("preset", preset)
        expected = RunConfig.create(preset, framework="tensorflow", device="cpu", seed=7, precision="float64")
        assert lab.config == expected
        assert lab.find("#field-preset").value == preset


async def test_an_edited_preset_is_called_custom_and_the_preset_again_when_undone(drive: Any, runs_dir: Path) -> None:
    app = RegtuiApp(RunConfig.create(), runs_dir=runs_dir)
    async with drive(app, (140, 40)) as lab:
        preset = lab.find("#field-preset")
        assert preset.value == "overfit"
        await lab.put("dropout", "0.4")
        assert preset.value == CUSTOM
        await lab.put("dropout", "0")
        assert preset.value == "overfit"


async def test_under_l2_stands_what_each_framework_is_given(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        await lab.put("l2", "0.001")
        notes = lab.row("l2")
        assert "Keras kernel_regularizer=l2(0.001)" in notes
        assert "PyTorch weight_decay=0.002 on kernels (2 × l2)" in notes
        await lab.choose("optimizer", "adamw")
        assert "added to the loss" in lab.row("l2")


async def test_a_framework_that_is_not_installed_is_grey_and_names_the_command(
    drive: Any, config: RunConfig, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("regtui.backends.find_spec", lambda name: None if name == "tensorflow" else real(name))
    app = RegtuiApp(config, runs_dir=runs_dir)
    async with drive(app, (140, 40)) as lab:
        lab.find("#field-framework").focus()
        await lab.press("enter")
        menu = app.screen.query_one("OptionList")
        option = menu.get_option("tensorflow")
        assert option.disabled
        assert "pip install 'regtui[tensorflow]'" in str(option.prompt)
        await lab.press("escape", "right")
        assert lab.find("#field-framework").value == "torch"


async def test_a_configuration_whose_framework_is_missing_says_so_under_the_field(
    drive: Any, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regtui.backends.find_spec", lambda name: None)
    app = RegtuiApp(RunConfig.create(framework="torch"), runs_dir=runs_dir)
    async with drive(app, (140, 40)) as lab:
        assert "pip install 'regtui[torch]'" in lab.row("framework")


async def test_the_focused_field_has_a_one_line_hint_and_its_range(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        lab.find("#field-dropout").focus()
        await lab.settle()
        hint = " ".join(lab.shown("#hint").split())
        assert fields()["dropout"].hint in hint
        assert "of at least 0 and below 1" in hint


async def test_tab_goes_through_the_fields_in_order_and_enter_to_the_next(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        assert app.focused is lab.find("#field-preset")
        await lab.press("tab", "tab", "tab")
        assert app.focused is lab.find("#field-train_rows")
        await lab.press("enter")
        assert app.focused is lab.find("#field-label_noise")


async def test_a_click_on_a_field_edits_it_and_a_click_on_a_choice_lists_it(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        await lab.pilot.click("#field-epochs")
        assert app.focused is lab.find("#field-epochs")
        await lab.pilot.click("#field-optimizer")
        assert app.screen.query_one("OptionList").option_count == 4


async def test_the_data_field_suggests_the_known_sets_and_takes_a_path(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        lab.find("#field-dataset").focus()
        await lab.press("down")
        assert app.screen.query_one("OptionList").get_option("mnist")
        await lab.press("escape")
        await lab.put("dataset", "my.csv")
        assert lab.config.dataset == "my.csv"


async def test_before_a_run_the_curves_show_the_rates_that_the_form_plans(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        await lab.settle()
        flat = lab.shown("#plot")
        assert "No run yet" in flat
        await lab.choose("lr_policy", "exponential")
        await lab.settle()
        falling = lab.shown("#plot")
        assert falling != flat
        assert "learning rate" in falling


async def test_the_fields_of_a_policy_stand_in_its_own_order_whichever_was_chosen_before(
    drive: Any, app: RegtuiApp
) -> None:
    async with drive(app, (140, 60)) as lab:
        for policy in ("plateau", "exponential", "cosine", "plateau"):
            await lab.choose("lr_policy", policy)
            shown = [row.editor.field for row in app.lab.query(FieldRow) if row.display]
            assert tuple(name for name in shown if name in policy_only_fields()) == policy_fields(policy)


async def test_plateaus_of_the_keras_rule_have_its_defaults(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 60)) as lab:
        await lab.choose("lr_policy", "plateau")
        await lab.choose("plateau_rule", "keras")
        expected = RunConfig.create(**{**_given(lab.config), "lr_policy": "plateau", "plateau_rule": "keras"})
        assert lab.config == expected


async def test_a_question_mark_asks_for_help_in_a_field_whose_value_cannot_hold_one(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        entry = lab.find("#field-epochs")
        entry.focus()
        await lab.until(lambda: "? Help" in lab.shown("#keys"))
        before = entry.value
        await lab.press("question_mark")
        await lab.until(lambda: isinstance(app.screen, HelpScreen))
        await lab.press("escape")
        assert entry.value == before
        assert app.focused is entry


async def test_where_a_question_mark_is_text_the_key_bar_names_another_key_for_help(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (140, 40)) as lab:
        entry = lab.find("#field-dataset")
        entry.focus()
        await lab.until(lambda: "f1 Help" in lab.shown("#keys"))
        assert "? Help" not in lab.shown("#keys")
        await lab.press("end", "question_mark")
        await lab.until(lambda: entry.value.endswith("?"))
        await lab.press("f1")
        await lab.until(lambda: isinstance(app.screen, HelpScreen))
        await lab.press("f1")
        await lab.until(lambda: app.screen is app.lab)


async def test_data_that_must_be_fetched_first_says_so_beside_its_field(
    drive: Any, app: RegtuiApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "REGTUI_CACHE_DIR", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    async with drive(app, (140, 40)) as lab:
        assert "not here yet" not in lab.row("dataset")
        await lab.choose("preset", "l2")
        assert "mnist: 11 MB, not here yet" in lab.row("dataset")
        (tmp_path / "mnist.npz").touch()
        await lab.choose("preset", "dropout")
        assert "not here yet" not in lab.row("dataset")


async def test_what_is_pasted_goes_into_a_field_as_printable_text(drive: Any, app: RegtuiApp) -> None:
    async with drive(app) as lab:
        entry = lab.find("#field-dataset")
        entry.focus()
        await lab.settle()
        entry.value = ""
        app.post_message(events.Paste("\x1b]52;c;x\x07[bold]\u202e.npz\nthe next line"))
        await lab.until(lambda: entry.value != "")
        assert entry.value == r"\x1b]52;c;x\x07[bold]\u202e.npz"


async def test_the_sentence_that_refuses_a_start_is_shown_to_the_letter(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, notifications=True) as lab:
        lab.find("#field-dataset").value = "[bold]no such[link=x].npz"
        await lab.settle()
        await lab.press("ctrl+r")
        await lab.until(lambda: bool(app.screen.query("Toast")))
        assert "[bold]no such[link=x].npz does not exist" in app.screen.query_one("Toast").render().plain


async def test_a_menu_shows_how_to_install_what_is_missing_to_the_letter(drive: Any, app: RegtuiApp) -> None:
    command = backends.install_command("torch")
    async with drive(app) as lab:
        await app.push_screen(Menu([Item("torch", command, usable=False)], "torch", Region(0, 0, 20, 1)))
        await lab.settle()
        assert app.screen.query_one("OptionList").get_option("torch").prompt.plain.endswith("'regtui[torch]'")
