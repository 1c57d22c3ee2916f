"""The two themes, on terminals of millions, 256 and 16 colours, and which of them is used."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.theme import Theme

from regtui.core.config import RunConfig
from regtui.tui.app import RegtuiApp
from regtui.tui.colours import PALETTES, FewerColours, Rgb, lab
from regtui.tui.remembered import remember_theme, remembered_theme, settings_file
from regtui.tui.theme import ground_of, themes

SYSTEMS = ["truecolor", "256", "standard"]

GROUNDS = ("background", "surface", "panel", "field", "field-focus", "tint", "line")
"""Names of what fills areas, where a tint is seen at once."""


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def colours_of(theme: Theme) -> dict[str, Rgb]:
    own = {name: getattr(theme, name) for name in ("background", "surface", "panel", "foreground", "error", "success")}
    plain = {name: colour for name, colour in {**theme.variables, **own}.items() if "%" not in colour}
    return {name: tuple(Color.parse(colour).rgb) for name, colour in plain.items()}


def shown(choice: str, system: str) -> dict[str, Rgb]:
    """The colours of a theme as a terminal of some system shows them."""
    colours = colours_of(themes(system)[choice])
    if system == "truecolor":
        return colours
    palette = PALETTES[system]
    fewer = FewerColours(palette)
    return {name: palette[fewer.nearest(colour)] for name, colour in colours.items()}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("choice", ["dark", "light"])
def test_curves_differ_in_lightness_and_stand_out_from_the_ground(choice: str, system: str) -> None:
    colours = shown(choice, system)
    light = sorted(lab(colours[name])[0] for name in ("valid", "train", "rate"))
    assert min(b - a for a, b in pairwise(light)) >= 10
    for name in ("valid", "train", "rate", "gap", "foreground", "error", "muted", "label"):
        assert contrast(colours[name], colours["background"]) >= 3.0, name


@pytest.mark.parametrize("choice", ["dark", "light"])
def test_with_256_colours_no_ground_takes_a_tint_and_text_keeps_its_lightness(choice: str) -> None:
    designed, seen = shown(choice, "truecolor"), shown(choice, "256")
    for name in GROUNDS:
        assert max(seen[name]) == min(seen[name]), f"{name} is {seen[name]}"
    for name, colour in designed.items():
        assert abs(lab(colour)[0] - lab(seen[name])[0]) <= 10, name


@pytest.mark.parametrize("choice", ["dark", "light"])
def test_with_sixteen_colours_every_name_has_one_of_them(choice: str) -> None:
    assert set(colours_of(themes("standard")[choice]).values()) <= set(PALETTES["standard"].values())
    seen = shown(choice, "standard")
    assert len({seen[name] for name in ("valid", "train", "rate", "background", "field-focus")}) == 5
    assert contrast(seen["strong"], seen["field-focus"]) >= 4.5


@pytest.mark.parametrize(
    ("terminal", "ground"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;15", "light"), ("12;8", "dark"), ("0;7", "light"), ("", "dark")],
)
def test_auto_goes_by_what_the_terminal_says_of_its_ground(terminal: str, ground: str) -> None:
    assert ground_of(terminal) == ground


@pytest.mark.parametrize("choice", ["light", "dark"])
async def test_the_palette_finds_a_theme_by_its_name_and_the_choice_is_remembered(
    drive: Any, config: RunConfig, runs_dir: Path, choice: str
) -> None:
    app = RegtuiApp(config, runs_dir=runs_dir, theme="dark" if choice == "light" else "light")
    async with drive(app) as lab:
        assert remembered_theme() is None
        await lab.press("escape", "ctrl+p", *choice)
        await lab.until(
            lambda: any(choice in str(option.prompt) for option in app.screen.query_one("CommandList").options)
        )
        await lab.press("enter", "enter")
        await lab.until(lambda: app.theme == f"regtui-{choice}")
        assert remembered_theme() == choice


def test_what_is_kept_is_one_line_of_json_and_another_choice_takes_its_place() -> None:
    assert remembered_theme() is None
    for choice in ("light", "auto"):
        remember_theme(choice)
        assert remembered_theme() == choice
    assert json.loads(settings_file().read_text()) == {"theme": "auto"}
    assert [path.name for path in settings_file().parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"theme": 3}', b'{"theme": "pink"}', b"{" * 100_000])
def test_settings_that_make_no_sense_are_none(content: bytes) -> None:
    settings_file().parent.mkdir(parents=True)
    settings_file().write_bytes(content)
    assert remembered_theme() is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    remember_theme("light")
    assert remembered_theme() is None


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast ratio of WCAG 2: 3 is the least for signs."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: Rgb) -> float:
    return float(((lab(colour)[0] + 16) / 116) ** 3)
