"""Nothing is cut off, at 80x24 and 140x40, before, during and after a run."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.containers import ScrollableContainer
from textual.widget import Widget

from regtui.core.config import RunConfig
from regtui.tui.app import RegtuiApp
from regtui.tui.canvas import Canvas, width_of
from regtui.tui.dialogs import Question
from regtui.tui.entry import Entry

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


@pytest.mark.parametrize("question", ["Stop this run? Its log is kept.", "A run is training. Stop it and quit?"])
async def test_a_question_fits_forty_columns(drive: Any, app: RegtuiApp, question: str) -> None:
    async with drive(app, (40, 12)) as lab:
        app.push_screen(Question(question, "Stop and quit", "Stay"))
        await lab.settle()
        rows = [screen_row(app, y).strip(" │") for y in range(12)]
        assert question in " ".join(row for row in rows if row)
        (answers,) = [row for row in rows if "Stop and quit" in row]
        assert "Stop and quit  y" in answers
        assert "Stay  n" in answers
        await whole(lab, alone=False)


@pytest.mark.parametrize("size", [(40, 12), (60, 20), *SIZES])
async def test_every_field_can_be_reached_and_seen_with_its_value(
    drive: Any, app: RegtuiApp, size: tuple[int, int]
) -> None:
    async with drive(app, size) as lab:
        await lab.choose("lr_policy", "plateau")
        for editor in [row.editor for row in app.lab.query("FieldRow") if row.display]:
            editor.focus()
            await lab.until(lambda editor=editor: lab.find("#fields").region.contains_region(editor.region))
            # Where it is now: the form may still be scrolling to it.
            await lab.until(lambda editor=editor: editor.value in seen_of(app, editor))


def seen_of(app: RegtuiApp, widget: Widget) -> str:
    """The first row of a widget as a person sees it."""
    at = widget.region
    return screen_row(app, at.y)[at.x : at.right] if app.screen.region.contains_region(at) else ""


def screen_row(app: RegtuiApp, y: int) -> str:
    """A row of the screen as a person sees it."""
    return "".join(segment.text for segment in app.screen._compositor.render_strips()[y])


async def test_on_a_screen_of_twelve_rows_the_hint_has_one_and_seven_are_fields(drive: Any, app: RegtuiApp) -> None:
    async with drive(app, (40, 12)) as lab:
        lab.find("#field-label_noise").focus()
        await lab.until(lambda: lab.shown("#hint") != "")
        assert lab.find("#fields").region.height >= 7
        assert lab.find("#hint").region.height == 1
        assert lab.shown("#hint").endswith("…")


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
async def test_the_choices_of_a_form_that_was_hidden_show_their_values(
    drive: Any, config: RunConfig, runs_dir: Path, size: tuple[int, int]
) -> None:
    app = RegtuiApp(config, start=True, runs_dir=runs_dir)
    async with drive(app, size) as lab:
        await lab.finished()
        # What a long line in the event log does: it scrolls, and somebody asks for a region before the layout.
        app.screen._compositor.reflow_visible(app.screen, app.screen.size)
        await lab.press("f")
        await lab.until(lambda: lab.find("#form").region.area > 0)
        for field in ("preset", "framework", "optimizer", "lr_policy"):
            choice = lab.find(f"#field-{field}")
            await lab.until(lambda choice=choice: choice.value in screen_row(app, choice.region.y))


async def opened_untold(lab: Any) -> None:
    """Open a hidden form, and none of its widgets is told that it is shown again."""
    # What a long line in the event log does: it scrolls, and somebody asks for a region before the layout.
    lab.app.screen._compositor.reflow_visible(lab.app.screen, lab.app.screen.size)
    await lab.press("f")
    await lab.until(lambda: lab.find("#form").region.area > 0)
    await lab.settle()


async def choices_and_hint(lab: Any) -> None:
    """Hold that a form just opened shows its choices' values, and its hint not in the few cells of a hidden one."""
    await lab.settle()
    for field in ("preset", "framework", "optimizer", "lr_policy"):
        choice = lab.find(f"#field-{field}")
        assert f" {choice.value} " in screen_row(lab.app, choice.region.y)[choice.region.x :]
    assert len(lab.shown("#hint").splitlines()[0]) > 20


async def test_a_form_that_was_hidden_while_its_fields_were_locked_and_let_go_shows_its_choices(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(config, runs_dir=runs_dir)
    async with drive(app, (80, 24)) as lab:
        await lab.press("ctrl+r")
        await lab.finished()
        await opened_untold(lab)
        await choices_and_hint(lab)


async def test_a_form_whose_fields_changed_while_it_was_hidden_shows_its_choices(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(msgspec.structs.replace(config, epochs=1_000_000), runs_dir=runs_dir)
    async with drive(app, (100, 30)) as lab:
        await lab.press("ctrl+r")
        await lab.until(lambda: len(lab.history.evaluations) > 0)
        await lab.press("f")
        await lab.put("learning_rate", "0.02")
        await lab.press("tab")
        await lab.put("l1", "0.001")
        await lab.press("tab", "escape", "left_square_bracket")
        await lab.until(lambda: len(lab.history.changes) > 0)
        await opened_untold(lab)
        await choices_and_hint(lab)
        app.lab.end_own("enough")
        await lab.finished()


async def test_a_note_made_while_the_form_is_hidden_is_as_wide_as_its_row(
    drive: Any, config: RunConfig, runs_dir: Path
) -> None:
    app = RegtuiApp(msgspec.structs.replace(config, l2=0.001, dataset="digits"), runs_dir=runs_dir)
    async with drive(app, (80, 24)) as lab:
        await lab.settle()
        before = lab.shown("#row-l2")
        assert len(before.splitlines()) > 1
        await lab.press("ctrl+r")
        await lab.finished()
        await opened_untold(lab)
        assert lab.shown("#row-l2") == before


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
