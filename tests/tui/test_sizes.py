"""Nothing is cut off, at 80x24 and 140x40, before, during and after a run."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.containers import ScrollableContainer
from textual.theme import Theme
from textual.widget import Widget

from regtui.core.config import RunConfig
from regtui.tui.app import RegtuiApp
from regtui.tui.canvas import Canvas, width_of
from regtui.tui.entry import Entry
from regtui.tui.theme import THEMES

SIZES = [(80, 24), (110, 30), (140, 40)]


def cut_off(app: RegtuiApp) -> list[str]:
    """Widgets that do not lie whole on the screen, other than those that can be scrolled to, and text that is cut."""
    screen = app.screen.region
    bad = []
    for widget in app.screen.query(Widget):
        if not widget.region.area or any(isinstance(parent, ScrollableContainer) for parent in widget.ancestors):
            continue
        if not screen.contains_region(widget.region):
            bad.append(f"{widget} at {widget.region} is not on the screen")
        if isinstance(widget, Canvas) and widget.display:
            lines = widget._lines
            if len(lines) > widget.content_size.height:
                bad.append(f"{widget} has {len(lines)} lines in {widget.content_size.height} rows")
            bad += [
                f"{widget} has a line of {width_of(line)} cells in {widget.content_size.width}: {line}"
                for line in lines
                if width_of(line) > widget.content_size.width
            ]
    return bad


def overlapping(app: RegtuiApp) -> list[str]:
    """Pairs of widgets without children that share cells."""
    leaves = [
        widget
        for widget in app.screen.query(Widget)
        if widget.region.area
        and not widget.children
        and not any(isinstance(parent, ScrollableContainer) for parent in widget.ancestors)
    ]
    return [
        f"{one} and {other}"
        for at, one in enumerate(leaves)
        for other in leaves[at + 1 :]
        if one.region.overlaps(other.region)
    ]


async def whole(lab: Any, *, alone: bool = True) -> None:
    """Wait for the layout that follows what was done, and hold that nothing is cut off then, nor overlaps."""
    with suppress(TimeoutError):
        await lab.until(lambda: not cut_off(lab.app) and not (alone and overlapping(lab.app)))
    assert cut_off(lab.app) == []
    assert not alone or overlapping(lab.app) == []


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_is_cut_off_from_the_empty_form_to_the_second_run(
    drive: Any, config: RunConfig, runs_dir: Path, size: tuple[int, int]
) -> None:
    app = RegtuiApp(config, runs_dir=runs_dir)
    async with drive(app, size) as lab:
        await whole(lab)
        await lab.choose("lr_policy", "plateau")
        await lab.put("early_stopping", "50")
        await lab.put("l2", "0.001")
        await whole(lab)
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await whole(lab)
        await lab.finished()
        await whole(lab)
        await lab.press("ctrl+r")
        await lab.finished()
        await lab.press("left", "left")
        await whole(lab)


@pytest.mark.parametrize("size", SIZES)
async def test_menus_questions_and_help_lie_on_the_screen(drive: Any, app: RegtuiApp, size: tuple[int, int]) -> None:
    async with drive(app, size) as lab:
        for field in ("preset", "framework", "optimizer", "lr_policy", "device"):
            lab.find(f"#field-{field}").focus()
            await lab.press("enter")
            await whole(lab, alone=False)
            menu = app.screen.query_one("OptionList")
            await lab.until(lambda menu=menu: menu.region.height == menu.option_count)
            await lab.press("escape")
        await lab.press("escape", "question_mark")
        await whole(lab, alone=False)


@pytest.mark.parametrize("size", SIZES)
async def test_every_field_can_be_reached_and_seen(drive: Any, app: RegtuiApp, size: tuple[int, int]) -> None:
    async with drive(app, size) as lab:
        await lab.choose("lr_policy", "plateau")
        for editor in [row.editor for row in app.lab.query("FieldRow") if row.display]:
            editor.focus()
            await lab.until(lambda editor=editor: lab.find("#fields").region.contains_region(editor.region))


async def test_a_screen_far_too_small_does_not_break_the_app(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app, (20, 6)) as lab:
        await lab.finished()
        await lab.pilot.resize_terminal(1, 1)
        await lab.settle()
        await lab.pilot.resize_terminal(140, 40)
        await lab.until(lambda: "validation" in lab.shown("#plot"))
        assert lab.find("#form").display


async def test_the_screen_follows_the_size_of_the_terminal(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app, (140, 40)) as lab:
        await lab.finished()
        await lab.pilot.resize_terminal(80, 24)
        await lab.until(lambda: not lab.find("#form").display)
        await lab.until(lambda: max(map(len, lab.shown("#plot").splitlines())) <= 80)
        await whole(lab, alone=False)


async def test_ascii_mode_shows_nothing_but_ascii(drive: Any, config: RunConfig, runs_dir: Path) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir, ascii_only=True)
    async with drive(app) as lab:
        await lab.finished()
        await lab.settle()
        for canvas in app.screen.query(Canvas):
            assert canvas.text.isascii(), canvas.text
        assert app.screen.query_one("#go").label.plain.isascii()
        assert all(entry.value.isascii() for entry in app.screen.query(Entry))


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_curves_differ_in_lightness_and_stand_out_from_the_ground(theme: Theme) -> None:
    colours = {**theme.variables, **{name: getattr(theme, name) for name in ("background", "foreground", "error")}}
    light = sorted(lightness(colours[name]) for name in ("valid", "train", "rate"))
    assert min(b - a for a, b in pairwise(light)) >= 10
    for name in ("valid", "train", "rate", "gap", "foreground", "error", "muted", "label"):
        assert contrast(colours[name], colours["background"]) >= 3.0, name


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2: 3 is the least for signs."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lightness(colour: str) -> float:
    """L* of CIELAB, 0 to 100; a difference of 10 is plain to see."""
    return 116 * luminance(colour) ** (1 / 3) - 16


def luminance(colour: str) -> float:
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in Color.parse(colour).normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
