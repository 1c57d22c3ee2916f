"""The analysis on anything: whatever a log holds, it answers and does not raise."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regtui import analysis
from regtui.analysis.judge import judgement
from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Event, Metrics, RunEnded, RunStarted, StepEnded
from regtui.core.history import History


def states(history: History) -> list[str]:
    found = [judgement(history, row) for row in range(len(history.evaluations))]
    return [each.state for each in found if each is not None]


LOSS = st.none() | st.floats() | st.sampled_from([0.0, -1.0, 1e308, -1e308, 5e-324, 0.5, 0.5, 0.6, 2.3])
COUNT = st.integers(0, 40)
STEP = st.integers(0, 10**12)
METRICS = st.none() | st.builds(Metrics, loss=LOSS, accuracy=LOSS)
CONFIGS = st.sampled_from(
    [
        RunConfig.create("overfit"),
        RunConfig.create("overfit", epochs=1, early_stopping=3, label_noise=0.999),
        RunConfig.create("lr-decay"),
        RunConfig.create("plateau"),
        RunConfig.create("plateau", plateau_per="epoch", patience=0, plateau_rule="keras"),
        RunConfig.create("plain", lr_policy="cosine", restart_every=1, warmup=7, epochs=9),
        RunConfig.create("plain", lr_policy="step", every=1, l2=1.0, l1=1.0, weight_decay=1.0, dropout=0.9),
        RunConfig(lr_policy="unheard-of", optimizer="unheard-of", dropout=-1.0),
    ]
)
ENVIRONMENTS = st.dictionaries(
    st.sampled_from(["classes", "steps_per_epoch", "valid_rows", "train_rows"]),
    st.sampled_from([0, 1, 2, 10, -3, 1e300, math.inf, math.nan, "ten", None, [1]]),
)
EVENTS = st.lists(
    st.builds(RunStarted, run_id=st.just("any"), config=CONFIGS, environment=ENVIRONMENTS)
    | st.builds(StepEnded, step=STEP, epoch=COUNT, loss=LOSS, penalty=LOSS, learning_rate=LOSS, time=LOSS)
    | st.builds(
        EpochEnded,
        epoch=COUNT,
        step=STEP,
        train=METRICS,
        valid=METRICS,
        running_loss=LOSS,
        learning_rate=LOSS,
        weight_norms=st.dictionaries(st.sampled_from(["hidden_1", "hidden_2", "output"]), LOSS),
        seconds=LOSS,
        evaluate_seconds=LOSS,
        time=LOSS,
    )
    | st.builds(
        Changed,
        step=STEP,
        epoch=COUNT,
        what=st.sampled_from(["learning_rate", "dropout", "l2", "anything"]),
        old=LOSS,
        new=LOSS,
        cause=st.sampled_from(["plateau", "step", "user", "floor", "restart", ""]),
    )
    | st.builds(RunEnded, status=st.sampled_from(["finished", "diverged", "failed", "?"]), step=STEP, epoch=COUNT),
    max_size=60,
)


def ask_everything(history: History) -> list[Any]:
    """Call all of the public face."""
    found = analysis.verdict(history)
    return [
        found,
        found.words,
        analysis.verdict_at(history, 3),
        states(history),
        analysis.gap(history).tolist(),
        analysis.best_epoch(history),
        analysis.best_row(history),
        analysis.drop_effects(history),
        [effect.line for effect in analysis.drop_effects(history)],
        analysis.meters(history).lines(),
        (ahead := analysis.forecast(history)) and ahead.line(history.step),
        analysis.steps_per_second(history),
        analysis.eta_seconds(history, 1e9),
    ]


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_no_log_makes_the_analysis_raise(events: list[Event]) -> None:
    history = History()
    for first in range(0, len(events), 9):
        history.apply(events[first : first + 9])
        ask_everything(history)


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_what_is_said_of_any_log_is_one_line_each(events: list[Event]) -> None:
    history = History()
    history.apply(events)
    found = analysis.verdict(history)
    for text in (found.evidence, found.advice, *found.cannot_judge, *analysis.meters(history).lines()):
        assert text
        assert "\n" not in text
        assert "nan" not in text.split()
        assert "inf" not in text.split()


@settings(max_examples=60, deadline=None)
@given(st.lists(LOSS, max_size=40), st.lists(LOSS, min_size=40, max_size=40))
def test_states_of_any_curve_do_not_depend_on_later_epochs(
    valid: list[float | None], train: list[float | None]
) -> None:
    events: list[Event] = [
        EpochEnded(epoch=number, step=number, train=Metrics(loss=lost), valid=Metrics(loss=seen), running_loss=lost)
        for number, (seen, lost) in enumerate(zip(valid, train, strict=False), 1)
    ]
    events.insert(0, RunStarted(run_id="any", config=RunConfig.create("overfit"), environment={"classes": 10}))
    whole, growing = History(), History()
    whole.apply(events)
    for event in events:
        growing.apply([event])
        analysis.verdict(growing)
    assert states(growing) == states(whole)


@pytest.mark.parametrize("length", [1, 2, 3, 50])
@pytest.mark.parametrize("value", [0.0, 1e-300, 0.7, 1e308, math.nan, math.inf, -5.0])
def test_a_flat_curve_of_any_value_never_overfits(value: float, length: int) -> None:
    history = History()
    history.apply(
        [EpochEnded(epoch=n, step=n, train=Metrics(loss=1 / n), valid=Metrics(loss=value)) for n in range(length)[1:]]
    )
    assert "overfitting" not in states(history)
    ask_everything(history)


def test_epochs_that_restart_at_one_are_judged_in_the_order_in_which_they_came() -> None:
    history = History()
    losses = [0.9, 0.5, 0.4, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    history.apply(
        [
            EpochEnded(epoch=n % 7 + 1, step=n + 1, train=Metrics(loss=1 / (n + 1)), valid=Metrics(loss=loss))
            for n, loss in enumerate(losses)
        ]
    )
    assert analysis.verdict(history).state == "overfitting"
    assert analysis.best_epoch(history) == 4
    ask_everything(history)


def test_everything_that_is_said_can_be_written_as_strict_json() -> None:
    history = History()
    history.apply([RunStarted(run_id="any", config=RunConfig.create("plateau"))])
    history.apply([EpochEnded(epoch=n, step=n, valid=Metrics(loss=1 / n)) for n in range(1, 9)])
    said = msgspec.to_builtins(analysis.verdict(history))
    assert json.loads(json.dumps(said, allow_nan=False)) == {**said, "cannot_judge": list(said["cannot_judge"])}
