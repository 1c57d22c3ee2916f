"""The charts hold for any data and any size, and show what must not be missed."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from regtui.charts import ROLES, Mark, View, draw, epoch_at
from regtui.charts.view import STRIPS
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Metrics, Noted, RunEnded, RunStarted, StepEnded
from regtui.core.history import History


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
    overfit_since=st.none() | WHOLE,
    marks=st.lists(st.builds(Mark, epoch=st.floats(), label=st.text(max_size=6)), max_size=2).map(tuple),
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
def test_a_click_anywhere_names_an_epoch_of_the_run_or_none(history, width, height, column, view):
    found = epoch_at(history, width, height, column, view)
    assert found is None or found in history.epochs.epoch.values
