"""Tables of named columns, plans and the words for places."""

import math

import numpy as np
import pytest

from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Evaluated, Event, RunStarted, StepEnded, SystemSampled
from regtui.core.history import History
from regtui.core.metrics import metric
from regtui.core.plan import Plan
from regtui.core.table import Table


def folded(*events: Event) -> History:
    history = History()
    history.apply(events)
    return history


def test_a_name_that_was_never_logged_is_a_column_of_gaps_and_no_name() -> None:
    table = Table()
    table.extend([1, 2], {"valid/loss": [0.5, None]})
    assert np.isnan(table["valid/f1"].values).tolist() == [True, True]
    assert (table.names, "valid/f1" in table) == (("valid/loss",), False)
    table.extend([3], {"valid/f1": [0.9]})
    np.testing.assert_array_equal(table["valid/f1"].values, [math.nan, math.nan, 0.9])
    np.testing.assert_array_equal(table["valid/loss"].values, [0.5, math.nan, math.nan])
    assert len(table["anything"]) == 3


def test_any_metric_of_any_split_is_kept_under_its_own_name() -> None:
    history = folded(
        StepEnded(step=1, loss=2.0, metrics={"grad_norm": 1.3}),
        StepEnded(step=2, loss=1.9),
        EpochEnded(epoch=1, step=2, train={"loss": 1.8, "f1": 0.5}, metrics={"tokens": 8.0}),
        Evaluated(step=4, epoch=1.5, valid={"bleu": 0.2}),
    )
    np.testing.assert_array_equal(history.steps["grad_norm"].values, [1.3, math.nan])
    assert {"train/loss", "train/f1", "tokens", "valid/bleu"} <= set(history.evaluations.names)
    np.testing.assert_array_equal(history.evaluations["valid/bleu"].values, [math.nan, 0.2])


def test_an_evaluation_is_where_its_epoch_or_else_its_step_is() -> None:
    epochs = folded(EpochEnded(epoch=1, step=10), Evaluated(step=24, epoch=2.4), EpochEnded(epoch=3, step=30))
    assert [epochs.where(row) for row in (-1, 0, 1, 2, 3)] == ["", "epoch 1", "epoch 2.4", "epoch 3", ""]
    assert [epochs.epoch_of(row) for row in (0, 1, 2)] == [1, None, 3]
    steps = folded(Evaluated(step=4000), Evaluated(step=8000))
    assert (steps.where(1), steps.epoch_of(1), steps.step_of(1)) == ("step 8,000", None, 8000)


def test_progress_counts_epochs_where_they_are_known_and_evaluations_elsewhere() -> None:
    assert folded(Evaluated(step=4000), Evaluated(step=8000)).progress.tolist() == [1, 2]
    assert folded(Evaluated(step=24, epoch=2.4)).progress.tolist() == [2.4]


def test_samples_of_the_machine_are_a_table_of_their_own() -> None:
    history = folded(SystemSampled(time=1.0, step=5, metrics={"gpu0/utilization": 0.93}))
    assert history.system["gpu0/utilization"].last == 0.93
    assert history.status == "empty"


def test_a_plan_is_what_was_said_and_nothing_stands_in_for_the_rest() -> None:
    assert folded(StepEnded(step=1)).plan == Plan()
    assert folded(RunStarted(run_id="a")).plan == Plan()
    said = folded(RunStarted(run_id="a", plan=Plan(total_steps=90)))
    assert (said.total_steps, said.plan.epochs) == (90, None)


def test_a_log_of_version_1_has_its_plan_in_configuration_and_environment() -> None:
    run = RunStarted(run_id="a", config=RunConfig(epochs=5), environment={"steps_per_epoch": 8, "classes": 10})
    history = folded(run)
    assert history.plan == Plan(epochs=5, steps_per_epoch=8.0, classes=10)
    assert (history.total_steps, history.trainer) == (40, "regtui")


def test_settings_are_those_of_whoever_trained() -> None:
    assert folded(RunStarted(run_id="a", trainer="keras", settings={"lr": 0.1})).settings == {"lr": 0.1}
    ours = folded(RunStarted(run_id="a", config=RunConfig(l2=0.3))).settings
    assert ours["l2"] == 0.3
    assert "lr_decay" not in ours


def test_what_follows_a_run_goes_with_it() -> None:
    history = folded(RunStarted(run_id="a"))
    followed = history.derived(lambda_of_the_run)
    history.apply([StepEnded(step=1)])
    assert history.derived(lambda_of_the_run) is followed
    history.apply([RunStarted(run_id="b")])
    assert history.derived(lambda_of_the_run) is not followed


def lambda_of_the_run(history: History) -> list[str]:
    return [history.run.run_id if history.run else ""]


def test_what_a_run_comes_to_is_worked_out_once_until_more_comes() -> None:
    history, asked = folded(StepEnded(step=1)), []

    def count(of: History) -> int:
        asked.append(of.step)
        return of.step

    assert [history.now(count), history.now(count)] == [1, 1]
    history.apply([StepEnded(step=2)])
    assert history.now(count) == 2
    assert asked == [1, 2]


@pytest.mark.parametrize(
    ("name", "label", "better"),
    [
        ("valid/loss", "loss", "low"),
        ("valid/accuracy", "accuracy", "high"),
        ("train/f1", "F1", "high"),
        ("valid/wer", "WER", "low"),
        ("learning_rate", "learning rate", None),
        ("valid/my_own_thing", "my own thing", None),
        ("norm/hidden_1", "hidden_1", None),
    ],
)
def test_known_metrics_say_which_way_is_better_and_others_are_not_judged(name, label, better) -> None:
    found = metric(name)
    assert (found.name, found.label, found.better) == (name, label, better)


def test_the_newest_number_is_that_of_the_newer_table() -> None:
    thinned = folded(StepEnded(step=8, learning_rate=0.4), EpochEnded(epoch=1, step=10, learning_rate=0.3))
    assert thinned.newest("learning_rate") == 0.3
    thinned.apply([StepEnded(step=16, learning_rate=0.2)])
    assert thinned.newest("learning_rate") == 0.2
    assert thinned.newest("penalty") is None


def test_rows_laid_in_anywhere_are_those_of_a_dictionary_of_steps() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        table, steps = Table(), dict[float, dict[str, float]]()
        for _ in range(random.integers(1, 6)):
            some = np.sort(random.integers(0, 60, size=random.integers(1, 25))).astype(float)
            if random.random() < 0.3:
                random.shuffle(some)
            names = random.choice(["a", "b", "c"], size=random.integers(1, 3), replace=False)
            columns = {str(name): random.choice([1.0, 2.0, 3.0, math.nan], size=len(some)) for name in names}
            before = {name: table[name].values.tolist() for name in table}, table.step.values.tolist()
            rows = len(table)
            stayed = table.put(some, columns)
            assert not stayed or before[1] == table.step.values[:rows].tolist()
            for name in before[0] if stayed else ():
                np.testing.assert_array_equal(before[0][name], table[name].values[:rows])
            for name, values in columns.items():
                for step, value in zip(some, values, strict=True):
                    row = steps.setdefault(step, {})
                    if math.isfinite(value):
                        row[name] = value
            assert table.step.values.tolist() == sorted(steps)
            for name in table:
                values = np.array([steps[step].get(name, math.nan) for step in sorted(steps)])
                np.testing.assert_array_equal(table[name].values, values)
                lowest, highest = table[name].bounds
                np.testing.assert_equal((lowest, highest), (np.fmin.reduce(values), np.fmax.reduce(values)))


def test_numbers_put_into_rows_that_there_are_show_in_the_extremes() -> None:
    table = Table()
    steps = np.arange(5000.0)
    table.put(steps, {"a": np.ones(5000)})
    assert table["a"].bounds == (1, 1)
    assert not table.put(np.array([4000.0]), {"a": np.array([7.0])})
    assert table["a"].bounds == (1, 7)
    assert not table.put(np.array([3.5]), {"a": np.array([-7.0])})
    assert table["a"].bounds == (-7, 7)
    assert table["a"].extremes(np.array([4001, 4002]))[1] == [7]
