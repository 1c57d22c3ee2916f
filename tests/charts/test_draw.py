"""The charts hold for any data and any size, and show what must not be missed."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from regtui.charts import ROLES, STRIPS, STYLES, View, draw, glyphs, row_at
from regtui.charts.kept import Kept
from regtui.charts.layout import TRAIN_ROWS, layout
from regtui.charts.view import narrow
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Metrics, Noted, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.core.text import plain
from regtui.datasets import split


def folded(*events):
    history = History()
    history.apply(events)
    return history


def text_of(lines):
    return ["".join(span.text for span in line) for line in lines]


def started(**given):
    return RunStarted(run_id="a-run", config=RunConfig.create("overfit", **given), environment={"steps_per_epoch": 10})


def epoch(number, valid=None, train=None, **given):
    given.setdefault("step", number * 10)
    return EpochEnded(epoch=number, valid=Metrics(loss=valid), train=Metrics(loss=train), **given)


def cells(lines, role):
    """Give (row, column) of every cell of a role."""
    found = []
    for row, line in enumerate(lines):
        column = 0
        for span in line:
            if span.role == role:
                found += [(row, column + index) for index in range(len(span.text))]
            column += len(span.text)
    return found


NUMBERS = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 10)
WHOLE = st.integers(-5, 200) | st.integers(-(2**62), 2**62)
METRICS = st.none() | st.builds(Metrics, loss=NUMBERS, accuracy=NUMBERS)
EVENTS = st.lists(
    st.builds(StepEnded, step=WHOLE, epoch=WHOLE, loss=NUMBERS, penalty=NUMBERS, learning_rate=NUMBERS, time=NUMBERS)
    | st.builds(
        EpochEnded,
        epoch=WHOLE,
        step=WHOLE,
        train=METRICS,
        valid=METRICS,
        running_loss=NUMBERS,
        penalty=NUMBERS,
        learning_rate=NUMBERS,
        weight_norms=st.dictionaries(st.text(max_size=8), NUMBERS, max_size=3),
    )
    | st.builds(
        Changed,
        step=WHOLE,
        epoch=WHOLE,
        what=st.sampled_from(["learning_rate", "dropout", "l2"]) | st.text(max_size=5),
        old=NUMBERS,
        new=NUMBERS,
        cause=st.sampled_from(["plateau", "step", "restart", "floor", "user", ""]) | st.text(max_size=5),
    )
    | st.builds(Noted, text=st.text(max_size=5)),
    max_size=60,
)
CONFIGS = st.builds(
    RunConfig.create,
    st.sampled_from(["overfit", "plain", "lr-decay", "plateau"]),
    epochs=st.integers(1, 100) | st.just(1_000_000),
)
STARTS = st.builds(
    RunStarted,
    run_id=st.just("a-run"),
    config=CONFIGS,
    environment=st.dictionaries(st.just("steps_per_epoch"), st.integers(1, 1000), max_size=1),
)
ENDS = st.builds(
    RunEnded, status=st.sampled_from(["finished", "stopped", "diverged"]), step=st.integers(0, 5000), epoch=WHOLE
)


@st.composite
def histories(draw):
    history = History()
    history.apply([*draw(st.lists(STARTS, max_size=1)), *draw(EVENTS), *draw(st.lists(ENDS, max_size=1))])
    return history


VIEWS = st.builds(
    View,
    zoom=st.sampled_from(["all", "half", "tenth"]),
    log_y=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.5, 0.9, 1.0, True, float("nan"), -1.0]),
    cursor=st.none() | WHOLE,
    ascii=st.booleans(),
    strips=st.lists(st.sampled_from([*STRIPS, "unknown"]), max_size=5).map(tuple),
    ghost=st.none() | histories(),
    show_penalty=st.booleans(),
    overfit_since=st.none() | st.floats() | WHOLE,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories(), st.integers(1, 130), st.integers(1, 50), VIEWS, st.none() | CONFIGS)
def test_any_data_at_any_size_gives_exactly_the_cells_asked_for(history, width, height, view, preview):
    lines = draw(history, width, height, view, preview=preview)
    assert len(lines) == height
    for text in text_of(lines):
        assert len(text) == width
        assert all(cell_len(sign) == 1 for sign in text)
        assert not view.ascii or text.isascii()
    assert {span.role for line in lines for span in line} <= set(ROLES)
    assert lines == draw(history, width, height, view, preview=preview)


@given(histories(), st.integers(0, 130), st.integers(0, 40), st.integers(-5, 140), VIEWS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_click_anywhere_names_a_row_of_the_table_or_none(history, width, height, column, view):
    found = row_at(history, width, height, column, view)
    assert found is None or 0 <= found < len(history.evaluations)


NO_DATA = {"axis", "label", "zero"}
"""Roles that plotext draws and that are no data."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(EVENTS, st.integers(30, 130), st.integers(8, 50), VIEWS)
def test_nothing_drawn_over_the_plots_hides_data(events, width, height, view):
    history = folded(started(), *events)
    lines = draw(history, width, height, view)
    shown = [[span.role for span in line for _ in span.text] for line in lines]
    plan = layout(width, height, view.strips)
    for place in plan.strips:
        made = history.derived(Kept).made
        lines_over, dots = (made.get(f"{place.name} {part}", (None, []))[1] for part in ("lines", "dots"))
        lined = {(row, column): role for row, column, _, role in lines_over if role not in NO_DATA}
        for row, column, _, role in [*dots, *lines_over]:
            if role not in NO_DATA:
                allowed = {lined.get((row, column), role), "best", "beyond"}
                assert shown[place.top + row][plan.left + column] in allowed


def curve(valid, train=None, **given):
    """Fold a run whose epochs measured these losses, ten steps each."""
    train = [None] * len(valid) if train is None else train
    history = folded(started(epochs=len(valid)))
    history.apply(
        epoch(number, loss, train[number - 1], running_loss=loss, **given) for number, loss in enumerate(valid, 1)
    )
    return history


def test_an_empty_history_says_calmly_that_there_is_no_run_yet():
    assert "No run yet" in "".join(text_of(draw(History(), 60, 10)))


def test_a_run_without_a_step_waits_and_shows_the_rate_it_plans():
    lines = draw(folded(started()), 80, 24)
    assert "Waiting for the first step." in "\n".join(text_of(lines))
    assert cells(lines, "future")
    assert not cells(lines, "rate")


def test_a_preview_draws_the_planned_rate_down_to_its_floor():
    lines = draw(History(), 80, 24, preview=RunConfig.create("lr-decay"))
    future = cells(lines, "future")
    rows = [row for row, _ in future]
    assert max(rows) - min(rows) >= 3
    assert "floor 1e-6 at epoch 6.2" in "\n".join(text_of(lines))


def test_the_planned_rows_are_those_the_data_sets_have():
    for name, rows in (("digits", 1797), ("mnist", 60_000), ("fashion_mnist", 60_000)):
        assert len(split(rows, None, 0)[0]) == TRAIN_ROWS[name]


@pytest.mark.parametrize("view", [View(), View(overfit_since=100_000, cursor=2)], ids=["plain", "overfitting"])
@pytest.mark.parametrize("place", [1, 300_321, 333_333, 543_211, 999_999])
def test_one_spike_in_a_million_steps_is_on_the_screen_in_its_column(place, view):
    steps = 1_000_000
    losses = np.full(steps, 0.5)
    losses[place - 1] = 1e6
    history = History()
    history.steps.extend(np.arange(1.0, steps + 1), {"step/loss": losses, "learning_rate": np.full(steps, 0.1)})
    history.apply(epoch(number, 0.5, 0.4, step=number * 181_070) for number in range(1, 5))
    plan = layout(100, 30, ("loss", "rate"))
    lines = draw(history, 100, 30, view)
    marks = [column - plan.left for _, column in cells(lines, "beyond")]
    assert set(signs_of(lines, "beyond")) == {glyphs().over}
    assert marks == [min(place * plan.columns // steps, plan.columns - 1)]


def signs_of(lines, role):
    return [sign for line in lines for span in line if span.role == role for sign in span.text]


def test_the_best_epoch_is_marked_in_its_column_with_its_value():
    history = curve([1.0, 0.6, 0.3, 0.5, 0.8, 1.1, 1.2, 1.4, 1.5, 1.6])
    lines = draw(history, 80, 24)
    plan = layout(80, 24, ("loss", "rate"))
    dots = [place for place, sign in zip(cells(lines, "best"), signs_of(lines, "best"), strict=True) if sign == "●"]
    assert [column - plan.left for _, column in dots] == [3 * plan.columns // 10]
    assert "best 0.300 at epoch 3" in "\n".join(text_of(lines))


def test_of_equal_best_losses_the_first_is_marked():
    lines = draw(curve([1.0, 0.3, 0.9, 0.3, 1.0]), 80, 24)
    assert "best 0.300 at epoch 2" in "\n".join(text_of(lines))


def test_while_the_newest_epoch_is_the_best_its_curve_end_alone_says_so():
    text = "\n".join(text_of(draw(curve([1.0, 0.6, 0.3]), 80, 24)))
    assert "●" in text
    assert "best" not in text
    assert "validation 0.300" in text


def drop(step, new, cause="plateau", **given):
    return Changed(step=step, epoch=step // 10, old=given.pop("old", 0.1), new=new, cause=cause, **given)


def test_a_rate_drop_is_a_rule_at_its_step_through_every_strip():
    history = curve([1.0 - 0.05 * number for number in range(10)], weight_norms={"hidden_1": 3.0})
    history.apply([drop(40, 0.01)])
    wanted = ("loss", "rate", "gap", "norms")
    plan = layout(100, 40, wanted)
    lines = draw(history, 100, 40, View(strips=wanted))
    ruled = cells(lines, "rule")
    assert {column - plan.left for _, column in ruled} == {40 * plan.columns // 100}
    for place in plan.strips:
        assert len([row for row, _ in ruled if place.first <= row < place.top + place.rows]) >= place.rows - 1


@pytest.mark.parametrize(
    ("change", "fancy", "simple"),
    [
        (drop(50, 0.01), "÷10 plateau", "/10 plateau"),
        (drop(50, 0.05, "user"), "×0.5 by hand", "x0.5 by hand"),
        (drop(50, 0.2, "user"), "×2 by hand", "x2 by hand"),
        (drop(50, 0.03, "step"), "×0.3 step", "x0.3 step"),
        (drop(50, 1e-6, "floor"), "floor", "floor"),
        (drop(50, 0.1, "restart"), "restart", "restart"),
        (drop(50, 0.4, "user", old=0.0, what="dropout"), "dropout 0.4 by hand", "dropout 0.4 by hand"),
        (
            drop(50, 1e-3, "user", old=0.0, what="weight_decay"),
            "weight decay 0.001 by hand",
            "weight decay 0.001 by hand",
        ),
    ],
)
def test_a_change_says_what_happened_and_who_did_it(change, fancy, simple):
    history = curve([1.0] * 10)
    history.apply([change])
    assert fancy in text_of(draw(history, 80, 24))[0]
    assert simple in text_of(draw(history, 80, 24, View(ascii=True)))[0]


def test_a_hundred_drops_leave_the_curves_to_be_seen():
    history = curve([1.0 / number for number in range(1, 101)])
    history.apply([drop(step, 0.09, "step") for step in range(10, 1000, 10)])
    lines = draw(history, 80, 24)
    assert len(cells(lines, "rule")) < 150
    assert sum(text.count("step") for text in text_of(lines)) == 1


def test_the_region_after_the_best_epoch_is_tinted_and_named_when_the_run_overfits():
    history = curve([1.0, 0.6, 0.3, 0.5, 0.8, 1.1, 1.2, 1.4, 1.5, 1.6], [0.5] * 10)
    plan = layout(80, 24, ("loss", "rate"))
    lines = draw(history, 80, 24, View(overfit_since=30))
    loss = plan.strips[0]
    for row in range(loss.top, loss.top + loss.rows):
        column, tinted = 0, []
        for span in lines[row]:
            tinted += [column + index for index in range(len(span.text))] if span.tinted else []
            column += len(span.text)
        assert tinted == list(range(plan.left + 3 * plan.columns // 10 + 1, plan.left + plan.columns))
    assert "overfitting" in text_of(lines)[1]
    assert not any(span.tinted for line in draw(history, 80, 24) for span in line)


def test_the_cursor_is_one_line_through_all_strips_with_its_epoch_under_it():
    history = curve([1.0 / number for number in range(1, 21)])
    plan = layout(80, 24, ("loss", "rate"))
    lines = draw(history, 80, 24, View(cursor=6))
    marked = cells(lines, "cursor")
    column = plan.left + 7 * plan.columns // 20
    assert {place for row, place in marked if row < 23} == {column}
    assert (23, column) in marked
    assert text_of(lines)[23][column] == "7"


def test_a_click_on_the_cursor_column_finds_its_row():
    history = curve([1.0 / number for number in range(1, 21)])
    for number in range(1, 21):
        lines = draw(history, 80, 24, View(cursor=number - 1))
        column = min(place for row, place in cells(lines, "cursor") if row < 22)
        assert row_at(history, 80, 24, column) == number - 1


def test_a_ghost_stands_at_the_same_epochs_though_its_epochs_are_of_another_length():
    ours, theirs = curve([0.5] * 10), History()
    theirs.apply([RunStarted(run_id="b", config=RunConfig.create("overfit"), environment={"steps_per_epoch": 400})])
    theirs.apply(epoch(number, 1.0 if number < 6 else 0.2, step=400 * number) for number in range(1, 11))
    plan = layout(100, 30, ("loss", "rate"))
    ghost = cells(draw(ours, 100, 30, View(ghost=theirs)), "ghost")
    high = min(row for row, _ in ghost)
    last_high = max(column for row, column in ghost if row == high)
    assert abs(last_high - plan.left - 5 * plan.columns // 10) <= 4


def test_epochs_without_an_evaluation_are_spanned_but_losses_that_are_not_finite_are_gaps():
    spanned, broken = folded(started(epochs=40)), folded(started(epochs=40))
    for number in range(1, 41):
        skipped = number % 2 == 0
        spanned.apply([EpochEnded(epoch=number, step=number * 10, valid=None if skipped else Metrics(loss=1.0))])
        broken.apply([epoch(number, math.nan if 15 <= number <= 25 else 1.0)])
    plan = layout(100, 30, ("loss", "rate"))

    def gaps(history):
        columns = sorted({column - plan.left for _, column in cells(draw(history, 100, 30), "valid") if column < 80})
        return max(np.diff(columns))

    assert gaps(spanned) == 1
    assert gaps(broken) > 10


def test_log_y_puts_losses_of_zero_at_the_foot_and_says_when_there_is_nothing_above_zero():
    some = draw(curve([1.0, 0.1, 0.0, -1.0, 0.01]), 80, 24, View(log_y=True))
    assert cells(some, "valid")
    none = draw(curve([0.0, -1.0]), 80, 24, View(log_y=True))
    assert "log y needs a loss above zero" in "\n".join(text_of(none))


def test_smoothing_leaves_the_raw_values_visible_behind():
    rng = np.random.default_rng(0)
    history = curve(list(1 + 0.3 * rng.standard_normal(50)))
    assert not cells(draw(history, 80, 24), "raw")
    assert cells(draw(history, 80, 24, View(smoothing=0.9)), "raw")


def test_zooming_shows_the_last_part_of_what_has_been_seen():
    history = curve([1.0] * 100)
    assert "90" in text_of(draw(history, 80, 24, View(zoom="tenth")))[-1].split()
    assert text_of(draw(history, 80, 24, View(zoom="half")))[-1].split()[:2] == ["epochs", "50"]


def test_the_x_axis_spans_the_planned_run_while_it_lives_and_what_there_is_once_it_has_ended():
    history = folded(started(epochs=100), epoch(1, 1.0), epoch(2, 0.9))
    assert text_of(draw(history, 80, 24))[-1].split()[-1] == "100"
    history.apply([RunEnded(status="stopped", step=20, epoch=2)])
    assert text_of(draw(history, 80, 24))[-1].split()[-1] == "2"


def test_steps_are_the_unit_while_epochs_cannot_be_told_from_them():
    lone = folded(*(StepEnded(step=number, loss=1.0) for number in range(1, 20)))
    restarted = folded(*(epoch(number % 5 + 1, 1.0, step=10 * number + 10) for number in range(20)))
    assert text_of(draw(lone, 80, 24))[-1].split()[0] == "steps"
    assert text_of(draw(restarted, 80, 24))[-1].split()[0] == "steps"


def test_the_rate_ahead_follows_a_knob_that_scaled_the_policy():
    config = RunConfig.create("overfit", lr_policy="cosine", epochs=10)
    history = folded(RunStarted(run_id="a", config=config, environment={"steps_per_epoch": 10}))
    history.apply([StepEnded(step=step, loss=1.0, learning_rate=1e-3) for step in range(1, 50)])
    ahead = {row for row, _ in cells(draw(history, 100, 30, View(strips=("rate",))), "future")}
    assert len(ahead) > 5


def test_the_rate_ahead_stays_where_a_hand_holds_it():
    config = RunConfig.create("overfit", lr_policy="cosine", epochs=10)
    history = folded(RunStarted(run_id="a", config=config, environment={"steps_per_epoch": 10}))
    history.apply([drop(10, 2e-3, "user", old=3e-3)])
    history.apply([StepEnded(step=step, loss=1.0, learning_rate=2e-3) for step in range(11, 60)])
    assert len({row for row, _ in cells(draw(history, 100, 30, View(strips=("rate",))), "future")}) == 1


@pytest.mark.parametrize("strip", STRIPS)
def test_a_strip_says_what_it_lacks(strip):
    lines = draw(folded(epoch(1), epoch(2)), 80, 12, View(strips=(strip,)))
    assert cells(lines, "hint")


def test_the_axis_keeps_its_place_while_numbers_change():
    starts = set()
    for scale in (1e-6, 0.01, 1.0, 123.0, 1e9):
        lines = draw(curve([scale, scale / 2, scale / 3]), 80, 24)
        starts |= {column for row, column in cells(lines, "axis") if row < 22}
    assert starts == {6}


def test_strips_that_do_not_fit_are_left_out_from_the_last():
    wanted = ("loss", "rate", "gap", "norms", "accuracy")
    for height, shown in ((24, 5), (10, 2), (5, 1)):
        assert [place.name for place in layout(80, height, wanted).strips] == list(wanted[:shown])


def test_only_rows_whose_signs_changed_differ_after_one_more_step():
    history = curve([1.0 / number for number in range(1, 11)])
    before = draw(history, 100, 30)
    history.apply([StepEnded(step=100, loss=0.1, learning_rate=1e-3)])
    after = draw(history, 100, 30)
    assert sum(old != new for old, new in zip(before, after, strict=True)) <= 6


def test_every_role_has_a_sentence_and_a_style_of_the_sixteen_colours():
    colours = {"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}
    known = colours | {f"bright_{colour}" for colour in colours} | {"bold", "dim", "italic"}
    assert set(STYLES) == set(ROLES)
    assert all(set(style.split()) <= known for style in STYLES.values())
    assert all(sentence.strip() for sentence in ROLES.values())


@given(st.text())
def test_narrow_texts_take_one_cell_a_sign_and_plain_ones_are_ascii_of_the_same_length(text):
    assert all(cell_len(sign) == 1 for sign in narrow(text))
    assert len(plain(narrow(text))) == len(text)
    assert plain(text).isascii()
