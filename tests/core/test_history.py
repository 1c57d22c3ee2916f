"""The fold: the same history however the events came, and nothing that they hold can break it."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Metrics, Noted, RunEnded, RunStarted, StepEnded
from regtui.core.history import History
from regtui.core.table import Table

numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers(0, 2**53)
splits = st.none() | st.builds(Metrics, loss=numbers, accuracy=numbers)
norms = st.dictionaries(st.sampled_from(["hidden_1", "hidden_2", "output"]), numbers)
events = (
    st.builds(StepEnded, step=counts, loss=numbers, penalty=numbers, learning_rate=numbers, time=numbers)
    | st.builds(EpochEnded, epoch=counts, step=counts, train=splits, valid=splits, weight_norms=norms, time=numbers)
    | st.builds(Changed, step=counts, old=numbers, new=numbers)
    | st.builds(Noted, text=st.text(max_size=5))
    | st.builds(RunEnded, status=st.sampled_from(["finished", "failed"]))
    | st.builds(RunStarted, run_id=st.text(max_size=3), config=st.just(RunConfig()))
)


def folded(*batches: list[Event]) -> History:
    history = History()
    for batch in batches:
        history.apply(batch)
    return history


def contents(table: Table) -> dict[str, list[float]]:
    """Put a table's columns into lists that compare, NaN with NaN too."""
    columns = {"step": table.step, **{name: table[name] for name in table}}
    return {name: np.nan_to_num(column.values, nan=-1.5).tolist() for name, column in columns.items()}


def layers(history: History) -> list[str]:
    return [name for name in history.evaluations if name.startswith("norm/")]


def same(one: History, other: History) -> bool:
    return (
        contents(one.steps) == contents(other.steps)
        and contents(one.evaluations) == contents(other.evaluations)
        and layers(one) == layers(other)
        and (one.changes, one.notes) == (other.changes, other.notes)
        and (one.status, one.step) == (other.status, other.step)
        and (repr(one.run), repr(one.end)) == (repr(other.run), repr(other.end))
    )


@given(st.lists(events, max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_the_fold_does_not_depend_on_how_events_are_batched(some, cuts):
    edges = [0, *sorted(cuts), len(some)]
    batches = [some[start:end] for start, end in pairwise(edges)]
    assert same(folded(some), folded(*batches))
    assert same(folded(some), folded(*[[event] for event in some]))


@given(st.lists(events, max_size=30))
def test_all_columns_of_a_table_have_one_length_and_no_infinities(some):
    history = folded(some)
    for table in (history.steps, history.evaluations):
        columns = contents(table)
        assert {len(column) for column in columns.values()} <= {len(table)}
        assert all(math.isfinite(value) for column in columns.values() for value in column)


@given(st.lists(events, max_size=30))
def test_steps_never_fall(some):
    history = folded(some)
    for table in (history.steps, history.evaluations):
        assert (np.diff(table.step.values) >= 0).all()


def test_a_second_run_record_starts_afresh():
    first = [RunStarted(run_id="a", config=RunConfig()), StepEnded(step=9), EpochEnded(epoch=3, step=9), Noted()]
    second = [RunStarted(run_id="b", config=RunConfig()), StepEnded(step=1, loss=0.5)]
    assert same(folded([*first, RunEnded(status="finished"), *second]), folded(second))


def test_epochs_that_start_again_without_a_run_record_are_all_kept():
    history = folded([EpochEnded(epoch=n, step=n * 10, valid=Metrics(loss=n)) for n in (1, 2, 3, 1, 2, 2)])
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3, 1, 2, 2]
    assert history.evaluations.step.values.tolist() == [10, 20, 30, 30, 30, 30]
    assert history.evaluations["valid/loss"].values.tolist() == [1, 2, 3, 1, 2, 2]


def test_what_was_not_measured_is_nan_and_said_to_be_so():
    history = folded([EpochEnded(epoch=1, step=1), EpochEnded(epoch=2, step=2, valid=Metrics(loss=None))])
    assert np.isnan(history.evaluations["valid/loss"].values).all()
    assert history.evaluations["measured"].values.tolist() == [0, 1]


def test_a_layer_that_appears_late_has_no_norm_before():
    late = EpochEnded(epoch=2, step=2, weight_norms={"output": 2.0})
    norm = folded([EpochEnded(epoch=1, step=1), late, EpochEnded(epoch=3, step=3)]).evaluations["norm/output"]
    np.testing.assert_array_equal(norm.values, [np.nan, 2.0, np.nan])


def test_a_million_steps_fold_in_blocks():
    block = [StepEnded(step=step, loss=1 / step, learning_rate=0.2, time=step) for step in range(1, 10_001)]
    history = folded(*[block] * 100)
    assert len(history.steps) == 1_000_000
    assert history.step == 10_000


def test_the_status_tells_how_far_a_run_is():
    run = RunStarted(run_id="a", config=RunConfig())
    assert folded([]).status == "empty"
    assert folded([Noted(text="hello")]).status == "empty"
    assert folded([run]).status == "running"
    assert folded([StepEnded(step=1)]).status == "running"
    assert folded([run, RunEnded(status="early_stopped")]).status == "early_stopped"


@pytest.mark.parametrize("said", [None, "many", -1, 0, math.inf, math.nan, [], True])
def test_steps_per_epoch_come_from_the_epochs_where_the_run_does_not_say(said):
    run = RunStarted(run_id="a", config=RunConfig(epochs=5), environment={"steps_per_epoch": said})
    history = folded([run])
    assert math.isnan(history.steps_per_epoch)
    history.apply([EpochEnded(epoch=2, step=64)])
    assert history.steps_per_epoch == 32
    assert history.total_steps == 5 * 32


def test_the_version_grows_with_what_was_brought():
    history = History()
    history.apply([])
    assert history.version == 0
    history.apply([Noted(text="a"), Noted(text="b")])
    assert history.version == 1
