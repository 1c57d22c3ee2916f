"""The page: as wide as was asked, plain where it must be, with all that a person needs to know."""

import math
import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regtui.charts import View
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Metrics, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.readers import read_history
from regtui.report import render, summary
from regtui.report.page import fitted
from regtui.report.paint import STYLES, codes
from regtui.report.table import epoch_table, epochs_of_note

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def folded(events) -> History:
    history = History()
    history.apply(events)
    return history


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40), (120, 36), (200, 60)])
def test_the_page_has_the_size_that_was_asked(run, width, height):
    lines = render(folded(run()), width, height).split("\n")
    assert len(lines) == height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [1, 2, 5, 10, 20, 40, 60])
@pytest.mark.parametrize("height", [1, 5, 12])
def test_a_small_page_is_narrow_and_grows_in_height_only(run, width, height):
    assert max(map(len, render(folded(run()), width, height).split("\n"))) <= width


def test_the_page_tells_what_ran_and_what_came_of_it(run):
    text = render(folded(run()), 100, 40)
    first, second = text.split("\n")[:2]
    assert first == "20261123-141502-torch-k3 · torch 2.13.0 · digits (1k rows) · cpu · epoch 40 of 40, finished"
    assert second == "adam LR 0.1 · constant · batch 32 · Label noise 0.2 · no regularisation"
    assert "loss" in text
    assert "learning rate" in text
    assert "Overfitting since epoch 10: validation 1.860" in text
    assert "Next: " in text


def test_the_header_gives_up_its_middle_before_its_ends(run):
    first = render(folded(run()), 60, 24).split("\n")[0]
    assert first.startswith("20261123-141502-torch-k3")
    assert first.endswith("epoch 40 of 40, finished")


def test_text_for_a_pipe_has_no_escape_and_colour_adds_nothing_else(run):
    plain, coloured = (render(folded(run()), 100, 30, colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert ESCAPE.search(coloured)
    assert [line.rstrip() for line in ESCAPE.sub("", coloured).split("\n")] == plain.split("\n")


def test_every_role_has_one_of_16_colours():
    for style in STYLES.values():
        assert all(
            int(code) in {1, 2, 3, 4, *range(30, 38), *range(90, 98)} for code in codes(style).split(";") if code
        )


def test_ascii_is_ascii(run):
    history = folded([*run(), RunEnded(status="stopped", reason="stopped by ‘you’")])
    assert render(history, 100, 40, view=View(ascii=True), warnings=["a ÷ b"]).isascii()
    assert summary(history, ascii_only=True).isascii()


def test_lines_that_were_skipped_are_on_the_page(run):
    text = render(folded(run()), 80, 40, warnings=["2 lines of events.jsonl could not be read: lines 4, 7"])
    assert "Warning: 2 lines of events.jsonl could not be read: lines 4, 7" in text


def test_what_ended_a_run_and_the_test_split_are_on_the_page(run):
    ended = RunEnded(status="early_stopped", reason="no better for 9 epochs", test=Metrics(loss=0.5, accuracy=0.75))
    text = render(folded([*run(status=""), ended]), 80, 40)
    assert "The run stopped: no better for 9 epochs" in text
    assert "Test split, measured once at the end: loss 0.500, accuracy 75.0%" in text


def test_the_page_says_what_a_drop_did_and_how_much_patience_is_left(run):
    config = RunConfig.create(lr_policy="plateau", plateau_per="epoch", early_stopping=50, epochs=40, dataset="digits")
    first, *rest = run(status="")
    text = render(folded([msgspec.structs.replace(first, config=config), *rest]), 120, 50)
    assert "LR 0.1 → 0.01 at epoch 20 (plateau): " in text
    assert "Early stop 30/50" in text
    assert "Plateau " in text
    # A run that is over has no patience left to tell.
    over = folded([msgspec.structs.replace(first, config=config), *rest, run()[-1]])
    assert "Early stop 30" not in render(over, 120, 50)


def test_a_run_is_put_beside_an_earlier_one(run):
    first, *rest = run(epochs=8)
    config = RunConfig.create(epochs=40, learning_rate=0.1, dropout=0.4)
    history = folded([msgspec.structs.replace(first, config=config), *rest])
    lines = render(history, 120, 40, view=View(ghost=folded(run(run_id="plain")))).splitlines()
    assert "Compared with plain: Dropout 0.4 (was 0)" in lines
    losses = "best validation loss 1.146 (was 0.959), at epoch 8 (was epoch 10), final gap +0.300 (was +1.845)"
    assert f"{losses}, time 0:08 (was 0:40)" in " ".join(lines)


def test_the_table_shows_the_epochs_that_matter_and_no_others(run):
    notes = epochs_of_note(folded(run()), 10)
    assert [(note.row + 1, note.why) for note in notes] == [
        (1, "first"),
        (10, "best"),
        (21, "÷10 plateau"),
        (40, "last"),
    ]


def test_several_reasons_share_a_row(run):
    assert [note.why for note in epochs_of_note(folded(run(epochs=1)), 10)] == ["first, best, last"]


def test_of_many_changes_the_newest_are_shown(run):
    changes = [Changed(step=step, old=0.2, new=0.1, cause="user") for step in range(1, 150, 3)]
    notes = epochs_of_note(folded([*run(), *changes]), 6)
    assert [note.row + 1 for note in notes] == [1, 10, 36, 37, 38, 40]
    assert notes[-1].why == "last"


def test_a_table_too_wide_gives_up_accuracies_first(run):
    heading = epoch_table(folded(run()), 60, 5)[0].split()
    assert heading == ["epoch", "validation", "train", "gap", "LR"]
    assert epoch_table(folded(run()), 24, 5)[0].split() == ["epoch", "validation"]
    assert epoch_table(History(), 80, 5) == []


@pytest.mark.parametrize("losses", [(2.224, 2.23165), (1e-5, 0.00856), (12345.0, 0.7)])
def test_two_blanks_at_least_stand_between_the_columns_of_epochs(losses: tuple[float, float]) -> None:
    valid, train = losses
    epochs = [
        EpochEnded(epoch=at, step=at, train={"loss": train}, valid={"loss": valid}, learning_rate=1.234e-5)
        for at in (1, 2, 1_000_000)
    ]
    heading, *rows = epoch_table(folded([RunStarted(run_id="a"), *epochs]), 100, 5)
    columns = re.split(" {2,}", heading.strip())
    assert all(len(re.split(" {2,}", row.strip())) == len(columns) + 1 for row in rows), rows


def test_the_summary_is_the_page_without_charts(run):
    lines = summary(folded(run())).split("\n")
    assert "epoch 40 of 40, finished" in lines[0]
    assert lines[1].split()[:2] == ["epoch", "validation"]
    assert any(line.startswith("Overfitting since epoch 10") for line in lines)


numbers = st.none() | st.floats() | st.sampled_from([0.0, -1.0, 1e300, math.nan])
counts = st.integers(0, 50) | st.integers(0, 2**53)
splits = st.none() | st.builds(Metrics, loss=numbers, accuracy=numbers)
causes = st.sampled_from(["plateau", "user", "floor", ""])
statuses = st.sampled_from(["finished", "diverged", "?"])
known = st.sampled_from(["framework", "device", "train_rows", "steps_per_epoch", "classes"])
environments = st.dictionaries(known, st.integers() | st.text() | numbers)
events = st.lists(
    st.builds(StepEnded, step=counts, loss=numbers, penalty=numbers, learning_rate=numbers, time=numbers)
    | st.builds(EpochEnded, epoch=counts, step=counts, train=splits, valid=splits, learning_rate=numbers)
    | st.builds(Changed, step=counts, old=numbers, new=numbers, cause=causes)
    | st.builds(RunEnded, status=statuses, reason=st.text(), test=splits)
    | st.builds(RunStarted, run_id=st.text(), config=st.builds(RunConfig), environment=environments),
    max_size=30,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events, st.integers(1, 130), st.integers(1, 50), st.booleans())
def test_any_history_makes_a_page_of_its_width(some, width, height, ascii_only):
    lines = render(folded(some), width, height, view=View(ascii=ascii_only)).split("\n")
    assert max(map(len, lines)) <= width


def test_a_log_cannot_reach_into_the_terminal(run, log_of):
    evil = "\x1b[2Jrun\nid\x07"
    log = log_of([*run(run_id=evil, status=""), RunEnded(status="failed", reason=evil)])
    text = render(read_history(log), 100, 40)
    assert not {"\x1b", "\x07"} & set(text)
    assert len(text.split("\n")) == 40


def test_a_name_in_wide_signs_is_cut_to_the_cells_there_are():
    assert fitted("数据集", 5) == "数据"
    assert fitted("data", 5) == "data"
