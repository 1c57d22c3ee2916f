"""What a log may cost is bounded by what reads it: names, rows, notes, changes, junk, and what is written of them."""

import json

import numpy as np
import pytest

from regtui.analysis import drop_effects, verdict
from regtui.analysis.drops import MOST_DROPS
from regtui.analysis.forecast import steering
from regtui.analysis.guessing import lowest_loss
from regtui.charts import View, draw
from regtui.core import history as bounds
from regtui.core.events import Changed, EpochEnded, Evaluated, Noted, RunStarted, StepEnded, encode
from regtui.core.history import History
from regtui.core.plan import Plan, plan_from
from regtui.core.table import MOST_NAMES, NAMES_LEFT_OUT, ROWS_LEFT_OUT, Table
from regtui.core.text import MISSING, clock, time_of_day
from regtui.readers.folding import blocks, fold
from regtui.readers.jsonl import BLOCK_BYTES, BLOCKS_AT_ONCE, SNIFFED_LINES, JsonlReader
from regtui.report import result, to_json
from regtui.tui.eventlines import event_line

STEP = encode(StepEnded(step=1, loss=0.5))


def folded(events) -> History:
    history = History()
    history.apply(events)
    return history


def test_a_new_name_in_each_record_makes_no_more_columns_than_there_is_room_for():
    history = History()
    for first in range(0, 4000, 500):
        history.apply([Evaluated(step=at, metrics={f"name {at}": 1.0}) for at in range(first, first + 500)])
    history.apply([Evaluated(step=4000, valid={"loss": 0.5}, metrics={"name 7": 2.0, "late": 1.0})])
    assert len(history.evaluations.names) <= MOST_NAMES + 3
    assert history.evaluations["name 7"].last == 2.0
    assert history.evaluations["valid/loss"].last == 0.5
    assert history.left_out == (NAMES_LEFT_OUT,)


def test_columns_that_came_last_make_room_for_rows_and_those_that_are_judged_stay(monkeypatch):
    monkeypatch.setattr("regtui.core.table.MOST_NUMBERS", 1000)
    table = Table(always={"valid/loss"})
    for first in range(0, 200, 10):
        table.extend(range(first, first + 10), {"a": [1] * 10, "b": [2] * 10, "c": [3] * 10, "valid/loss": [4] * 10})
    table.extend(range(200, 400), {"a": [1] * 200, "valid/loss": [4] * 200})
    assert table.names == ("a", "valid/loss")
    assert table.left_out == (NAMES_LEFT_OUT,)


def test_of_too_many_rows_every_second_one_is_kept_with_all_that_it_says():
    table = Table(most_rows=8)
    table.extend(range(1, 10), {"loss": np.arange(1.0, 10)})
    assert table.step.values.tolist() == table["loss"].values.tolist() == [2, 4, 6, 8]
    assert table.left_out == (ROWS_LEFT_OUT,)


def test_a_verdict_goes_on_when_rows_were_let_go(monkeypatch):
    monkeypatch.setattr(bounds, "MOST_EVALUATIONS", 20)
    history = History()
    for epoch in range(1, 60):
        history.apply([EpochEnded(epoch=epoch, step=epoch, train={"loss": 1 / epoch}, valid={"loss": 1 / epoch})])
        assert verdict(history).since_epoch is not None
    assert len(history.evaluations) <= 20


def test_the_newest_notes_and_changes_are_kept(monkeypatch):
    monkeypatch.setattr(bounds, "MOST_NOTES", 10)
    monkeypatch.setattr(bounds, "MOST_CHANGES", 10)
    history = History()
    for at in range(100):
        history.apply([Noted(text=str(at)), Changed(step=at, what="l2", new=at)])
        draw(history, 60, 12)
    assert (history.notes[-1].text, history.changes[-1].step) == ("99", 99)
    assert max(len(history.notes) / 2, len(history.changes)) <= 10
    assert set(history.left_out) == {bounds.NOTES_LEFT_OUT, bounds.CHANGES_LEFT_OUT}


def test_a_look_at_a_log_ends_after_some_junk_says_so_and_the_fold_goes_on(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(STEP + b"\n" * (BLOCKS_AT_ONCE + 2) * BLOCK_BYTES + STEP)
    reader = JsonlReader(path)
    assert (len(reader.poll(1)), reader.poll(5), reader.behind) == (1, [], True)
    assert len(fold(blocks(JsonlReader(path))).steps) == 2


def test_a_file_of_junk_is_no_log_long_before_its_end(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"[\n" * (BLOCK_BYTES + SNIFFED_LINES) + STEP)
    assert not JsonlReader.accepts(path)


@pytest.mark.parametrize(
    "said", ['{"a":' * 400 + "1" + "}" * 400, "[" * 400 + "]" * 400, "9" * 400, json.dumps(list(range(50_000)))]
)
def test_settings_are_kept_as_far_as_anybody_reads_them(tmp_path, said):
    path = tmp_path / "log"
    path.write_text(f'{{"kind":"run","run_id":"a","settings":{{"odd":{said},"l2":{"9" * 400}}},"plan":{{}}}}\n')
    history = fold(blocks(JsonlReader(path)))
    assert len(to_json(result(history))) < 200_000
    assert verdict(history).state == "warming_up"


def test_a_plan_that_nobody_can_count_is_none():
    said = Plan(epochs=10**400, total_steps=2**60, steps_per_epoch=1e308, classes=10)
    assert plan_from(said, None, {"train_rows": 10**400, "steps_per_epoch": 5e-324}) == Plan(classes=10)


@pytest.mark.parametrize("time", [1e308, -1e308, 1e18, -62135596801.0, float("nan"), float("inf")])
def test_a_time_that_no_clock_shows_is_left_out(time):
    assert time_of_day(time) == "" or len(time_of_day(time)) == 8
    assert event_line(Noted(text="a", time=time))[0].text.strip() == time_of_day(time)
    assert clock(abs(time)) == MISSING or abs(time) < 1e11


def test_a_label_noise_too_small_for_a_float_is_none():
    run = RunStarted(run_id="a", settings={"label_noise": 5e-324}, plan=Plan(classes=10))
    assert lowest_loss(folded([run])) == 0.0


def test_no_more_layers_are_drawn_than_can_be_told_apart():
    norms = {f"layer {at}": float(at) for at in range(300)}
    history = folded([EpochEnded(epoch=at, step=at, weight_norms=norms) for at in (1, 2, 3)])
    lines = "\n".join("".join(span.text for span in line) for line in draw(history, 100, 30, View(strips=("norms",))))
    assert "12 of 300 layers" in lines
    assert "layer 0" in lines
    assert "layer 299" in lines


def test_of_very_many_drops_the_last_are_weighed_and_all_are_told():
    drops = [Changed(step=at, old=2.0 / at, new=1.0 / at, cause="step") for at in range(1, 2 * MOST_DROPS)]
    effects = drop_effects(folded(drops))
    assert [effect.step for effect in effects] == [drop.step for drop in drops]
    assert "are looked at" in effects[0].reason
    assert effects[-1].reason == "only 0 epochs evaluated before it"


def test_turns_of_an_old_log_are_told_apart_by_the_rates_between_them():
    """A hundred turns, that do not say how: held where the rates stay although the policy falls."""
    from regtui.core.config import RunConfig

    config = RunConfig.create("lr-decay")
    events = [RunStarted(run_id="a", config=config, environment={"steps_per_epoch": 100})]
    for turn in range(100):
        events.append(Changed(step=10 * turn + 5, old=0.1, new=0.05, cause="user"))
        events += [StepEnded(step=10 * turn + at, learning_rate=0.05) for at in range(6, 15)]
    assert steering(folded(events)).held == 0.05
