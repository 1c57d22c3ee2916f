"""The strips: found by themselves, offered where they have data, built once, and covered by nothing."""

from pathlib import Path

import pytest

import regtui.charts.strips
from regtui import analysis
from regtui.charts import ROLES, STRIPS, View, draw, glyphs, stacks
from regtui.charts.kept import Kept
from regtui.charts.layout import layout
from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Evaluated, RunEnded, RunStarted, StepEnded, SystemSampled
from regtui.core.history import History
from regtui.core.plan import Plan

FILES = {path.stem for path in Path(regtui.charts.strips.__file__).parent.glob("[a-z]*.py")}


def folded(*events):
    history = History()
    history.apply(events)
    return history


def started(**given):
    return RunStarted(run_id="a-run", config=RunConfig.create("overfit", **given), environment={"steps_per_epoch": 10})


def curve(valid, train=None):
    """Fold a run whose epochs measured these losses, ten steps each."""
    history = folded(started(epochs=len(valid)))
    history.apply(
        EpochEnded(epoch=at, step=10 * at, valid={"loss": loss}, train={"loss": train[at - 1]} if train else None)
        for at, loss in enumerate(valid, 1)
    )
    return history


def text_of(lines):
    return ["".join(span.text for span in line) for line in lines]


def cells(lines, role):
    """Give (row, column) of every cell of a role."""
    roles = [[span.role for span in line for _ in span.text] for line in lines]
    return [(row, column) for row, line in enumerate(roles) for column, of in enumerate(line) if of == role]


def test_a_strip_is_a_file_and_nothing_else_has_to_know_it():
    assert set(STRIPS) == FILES
    assert all(strip.name == name and strip.title for name, strip in STRIPS.items())


def full():
    """Fold a run that has the data of every strip."""
    history = folded(started(epochs=10))
    history.apply(
        EpochEnded(
            epoch=number,
            step=10 * number,
            train={"loss": 1 / number, "accuracy": 1 - 0.5 / number},
            valid={"loss": 1.2 / number, "accuracy": 0.9 - 0.5 / number, "f1": 0.1 * number, "box_loss": 0.3},
            learning_rate=0.1,
            weight_norms={"hidden_1": 3.0 + number},
        )
        for number in range(1, 6)
    )
    history.apply(
        SystemSampled(step=10 * number, time=float(number), metrics={"gpu0/utilization": 0.5, "cpu": 1.0, "cores": 2.0})
        for number in range(1, 6)
    )
    return history


@pytest.mark.parametrize("tall", [False, True])
def test_each_strip_with_data_is_offered_once_and_none_without(tall):
    offered = stacks(full(), ("loss", "rate"), tall=tall)
    assert offered[0] == ("loss", "rate")
    assert sorted(names[-1] for names in offered[1:]) == sorted(set(STRIPS) - {"loss", "rate"})
    assert all(len(names) == (3 if tall else 2) for names in offered[1:])
    assert stacks(curve([1.0, 0.9]), ("loss", "rate"), tall=tall) == [("loss", "rate")]
    assert not any(strip.has_data(History()) for strip in STRIPS.values())


@pytest.mark.parametrize("name", STRIPS)
def test_a_strip_draws_the_data_that_it_says_it_has(name):
    lines = draw(full(), 100, 16, View(strips=(name,)))
    assert STRIPS[name].has_data(full())
    assert not cells(lines, "hint")


def test_in_the_accuracy_strip_both_splits_are_named_with_their_last_values():
    text = "\n".join(text_of(draw(full(), 100, 16, View(strips=("accuracy",)))))
    assert "validation 0.800" in text
    assert "train 0.900" in text


def test_a_strip_whose_dots_have_not_moved_is_not_built_again():
    history = full()
    view = View(strips=tuple(STRIPS))
    draw(history, 100, 60, view)
    before = {name: made for name, (_, made) in history.derived(Kept).made.items()}
    history.apply([StepEnded(step=51, loss=0.3, learning_rate=0.1)])
    draw(history, 100, 60, view)
    after = {name: made for name, (_, made) in history.derived(Kept).made.items()}
    still = {name for name in before if after[name] is before[name]}
    assert still >= {"gap lines", "norms lines", "accuracy lines", "loss lines", "foot"}
    assert "loss dots" not in still


def test_the_best_label_and_the_word_overfitting_stand_apart_on_a_log_axis():
    losses = [2.0, 1.0, 0.9, *(0.9 + 0.01 * at for at in range(1, 40))]
    for width in range(72, 100):
        for rows in range(12, 30):
            view = View(log_y=True, overfit_since=30.0)
            text = "\n".join(text_of(draw(curve(losses, [loss / 2 for loss in losses]), width, rows, view)))
            assert ("overfitting" in text) or ("overfit" not in text)
            assert "best 0.900 at epoch 3" in text or "best" not in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 40)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_constant_rate_is_drawn_in_the_row_of_its_own_tick(width, height, ascii_only):
    history = folded(started(), *(StepEnded(step=at, loss=1.0, learning_rate=0.003) for at in range(1, 50)))
    history.apply([RunEnded(status="finished", step=49, epoch=5)])
    lines = draw(history, width, height, View(ascii=ascii_only))
    ticks = [row for row, text in enumerate(text_of(lines)) if text.startswith("0.003")]
    assert {row for row, _ in cells(lines, "rate")} == set(ticks)


def test_the_rates_ahead_are_those_of_the_forecast():
    config = RunConfig.create("overfit", lr_policy="cosine", epochs=10)
    history = folded(RunStarted(run_id="a", config=config, environment={"steps_per_epoch": 10}))
    history.apply([StepEnded(step=step, loss=1.0, learning_rate=1e-3) for step in range(1, 50)])
    foreseen = analysis.forecast(history, 80)
    rows = [
        row for row, _ in sorted(cells(draw(history, 100, 30, View(strips=("rate",))), "future"), key=lambda at: at[1])
    ]
    assert foreseen.rates[0] > foreseen.rates[-1]
    assert rows[0] < rows[-1]


def test_an_earlier_run_is_a_line_of_long_dashes():
    lines = draw(curve([0.5] * 10), 100, 30, View(ghost=curve([1.0] * 10)))
    columns = sorted({column for _, column in cells(lines, "ghost") if column < 80})
    runs = "".join("#" if at in columns else " " for at in range(min(columns), max(columns) + 1)).split()
    assert len(runs) > 5
    assert all(3 <= len(run) <= 5 for run in runs[1:-1])


def test_a_run_without_epochs_is_drawn_over_its_steps_with_its_cursor_and_tint():
    history = folded(RunStarted(run_id="a", config=None, plan=Plan(total_steps=1000)))
    history.apply(Evaluated(step=100 * at, valid={"loss": 1 / at}, train={"loss": 0.9 / at}) for at in range(1, 9))
    lines = draw(history, 100, 30, View(cursor=3, overfit_since=500.0))
    assert text_of(lines)[-1].split()[0] == "steps"
    assert "400" in text_of(lines)[-1].split()
    assert any(span.tinted for line in lines for span in line)
    assert {span.role for line in lines for span in line} <= set(ROLES)


def test_evaluations_within_epochs_keep_the_axis_in_epochs():
    history = folded(RunStarted(run_id="a", config=None, plan=Plan(epochs=4, steps_per_epoch=100.0)))
    history.apply(Evaluated(step=50 * at, epoch=at / 2, valid={"loss": 1 / at}) for at in range(1, 6))
    lines = draw(history, 100, 30, View(cursor=4))
    assert text_of(lines)[-1].split()[0] == "epochs"
    assert "2.5" in text_of(lines)[-1].split()


def test_a_start_that_left_is_marked_at_the_top_where_its_line_comes_in():
    history = curve([9.0, 5.0, 1.0, *([0.5] * 57)])
    lines = draw(history, 100, 30)
    marked = cells(lines, "beyond")
    assert marked
    assert max(column for _, column in marked) <= 7 + 5 * layout(100, 30, ("loss", "rate")).columns // 60
    assert {lines and sign for line in lines for span in line if span.role == "beyond" for sign in span.text} == {
        glyphs().over
    }
