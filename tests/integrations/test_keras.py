"""A fit of Keras as it is recorded, held against what Keras itself says of it."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="keras is not installed")
pytest.importorskip("tensorflow", reason="tensorflow is not installed: these tests run Keras on it")

from regtui.core.events import Changed, Pause, Resume, Resumed, SetKnob, Stop  # noqa: E402
from regtui.integrations import keras as integration  # noqa: E402
from regtui.integrations.keras import Recorder  # noqa: E402
from tests.integrations.conftest import Recorded, only_log  # noqa: E402

ROWS, BATCH, STEPS = 50, 16, 4  # the last batch is a short one


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 5)).astype("float32")
    return x, (x @ generator.normal(size=(5, 3))).argmax(1)


def make(optimizer=None, penalty=0.02, **compiled):
    """Make a small classifier whose kernels are penalised."""
    keras.utils.set_random_seed(1)
    regularizer = keras.regularizers.L2(penalty) if penalty else None
    net = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, "relu", kernel_regularizer=regularizer),
            keras.layers.Dense(3, "softmax", kernel_regularizer=regularizer),
        ]
    )
    # Compiling takes longer than training does here.
    given = {"metrics": ["accuracy"], "run_eagerly": True, **compiled}
    net.compile(optimizer or keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **given)
    return net


class Oracle(keras.callbacks.Callback):
    """Computes what each batch is about to cost, and at which rate, before Keras does."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y
        self.losses, self.penalties, self.rates = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        here = slice(batch * BATCH, (batch + 1) * BATCH)
        given = keras.ops.convert_to_numpy(self.model(self.x[here]))
        self.losses.append(-np.log(given[np.arange(len(given)), self.y[here]]).mean())
        self.penalties.append(float(sum(self.model.losses)))
        self.rates.append(float(self.model.optimizer.learning_rate))


class Ask(keras.callbacks.Callback):
    """Asks for something at one batch, and for something else once that has come true."""

    def __init__(self, ask, first, then=(), until=lambda model: True):
        super().__init__()
        self.ask, self.first, self.then, self.until = ask, list(first), list(then), until

    def on_train_batch_end(self, batch, logs=None):
        if self.first:
            self.ask(self.first.pop(0))
        elif self.then and self.until(self.model):
            self.ask(self.then.pop(0))


def fit(model, rows, *callbacks, epochs=2, **given):
    return model.fit(
        *rows, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks), **given
    )


def test_each_batch_has_its_own_loss_without_the_penalty_its_penalty_and_its_rate(rows, log, recorded):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    oracle = Oracle(*rows)
    fit(make(keras.optimizers.SGD(schedule), run_eagerly=False), rows, oracle, Recorder(log=log))
    steps = recorded().steps
    assert [each.step for each in steps] == list(range(1, 2 * STEPS + 1))
    assert [each.epoch for each in steps] == [1] * STEPS + [2] * STEPS
    assert [each.loss for each in steps] == pytest.approx(oracle.losses, rel=2e-5)
    assert [each.penalty for each in steps] == pytest.approx(oracle.penalties, rel=1e-5)
    assert [each.learning_rate for each in steps] == pytest.approx(oracle.rates, rel=1e-6)
    assert len(set(oracle.rates)) == 2 * STEPS


def test_an_epoch_has_what_keras_logs_without_the_penalty(rows, log, recorded):
    model = make()
    history = fit(model, rows, Recorder(log=log), validation_data=rows).history
    steps, epochs = recorded().steps, recorded().epochs
    for epoch, ended in enumerate(epochs):
        batches = steps[epoch * STEPS : (epoch + 1) * STEPS]
        penalty = np.average([each.penalty for each in batches], weights=[16, 16, 16, 2])
        assert ended.running_loss + penalty == pytest.approx(history["loss"][epoch], rel=1e-5)
        assert ended.valid["loss"] + ended.metrics["penalty"] == pytest.approx(history["val_loss"][epoch], rel=1e-5)
        assert ended.valid["accuracy"] == history["val_accuracy"][epoch]
        assert ended.metrics["train/accuracy"] == history["accuracy"][epoch]
        assert (ended.epoch, ended.step, ended.train) == (epoch + 1, (epoch + 1) * STEPS, None)
    assert epochs[-1].metrics["penalty"] == pytest.approx(float(sum(model.losses)), rel=1e-6)


def test_a_sample_of_the_training_rows_is_measured_after_each_epoch_like_validation(rows, log, recorded):
    model = make()
    fit(model, rows, Recorder(log=log, train_sample=rows), validation_data=rows)
    said = model.evaluate(*rows, verbose=0, return_dict=True)
    last = recorded().epochs[-1]
    assert last.train == pytest.approx(last.valid)
    assert last.train["loss"] == pytest.approx(said["loss"] - float(sum(model.losses)), rel=1e-5)
    assert last.train["accuracy"] == said["accuracy"]
    assert "step/accuracy" in last.metrics


def test_the_rate_that_callbacks_set_is_that_of_the_epoch_that_used_it(rows, log, recorded):
    decay = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    history = fit(make(), rows, decay, Recorder(log=log)).history
    assert [each.learning_rate for each in recorded().epochs] == pytest.approx(history["learning_rate"])


def test_the_run_says_what_was_set_and_what_is_planned(rows, log, recorded):
    fit(make(keras.optimizers.Adam(0.01)), rows, Recorder(log=log, settings={"data": "toy"}), epochs=2)
    run = recorded().run
    assert run.trainer == "keras"
    expected = {"optimizer": "adam", "l2": pytest.approx(0.02), "data": "toy", "parameters": 75}
    assert run.settings.items() >= expected.items()
    assert run.settings["learning_rate"] == pytest.approx(0.01)
    plan = run.plan
    assert (plan.epochs, plan.total_steps, plan.steps_per_epoch, plan.classes) == (2, 2 * STEPS, STEPS, 3)
    assert recorded().end.status == "finished"


def test_the_rate_is_turned_the_run_is_paused_and_then_stopped_by_command(rows, log, recorded, ask):
    turned = SetKnob(knob="learning_rate", value=0.03125)
    asking = Ask(
        ask, [turned], [Pause(), Resume(), Stop(reason="enough")], lambda model: model.optimizer.learning_rate < 0.05
    )
    fit(make(), rows, asking, Recorder(log=log), epochs=10**6)
    found = recorded()
    (change,) = found.all(Changed)
    assert (change.old, change.new, change.cause) == (pytest.approx(0.1), 0.03125, "user")
    assert found.steps[-1].learning_rate == 0.03125
    assert [text for text in found.said() if text in ("paused", "training", "stopping")] == [
        "paused", "training", "stopping",
    ]  # fmt: skip
    assert (found.end.status, found.end.reason) == ("stopped", "enough")


def test_a_schedule_cannot_be_turned_and_that_is_known_beforehand(rows, log, recorded):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    fit(make(keras.optimizers.SGD(schedule)), rows, Recorder(log=log), epochs=1)
    assert "knob" not in recorded().run.listens


class StopAt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch == 1


def test_an_epoch_that_is_broken_off_ends_none(rows, log, recorded):
    fit(make(), rows, StopAt(), Recorder(log=log), validation_data=rows)
    (evaluation,) = recorded().evaluations
    # Keras knows how many batches an epoch has.
    assert (evaluation.epoch, evaluation.step, recorded().epochs) == (2 / STEPS, 2, [])


@pytest.mark.parametrize(
    ("stopper", "rate", "status"), [("EarlyStopping", 0.0, "early_stopped"), ("TerminateOnNaN", math.inf, "diverged")]
)
def test_a_fit_that_a_callback_of_keras_stops_says_so(rows, log, recorded, stopper, rate, status):
    given = {"monitor": "loss", "min_delta": 1.0} if stopper == "EarlyStopping" else {}
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.learning_rate = rate
    fit(make(optimizer), rows, getattr(keras.callbacks, stopper)(**given), Recorder(log=log), epochs=9)
    assert recorded().end.status == status
    assert recorded().end.epoch < 9


def test_each_fit_is_a_run_and_one_that_goes_on_says_from_where(rows, tmp_path):
    model = make()
    for folder, given in (("first", {"epochs": 2}), ("second", {"epochs": 3, "initial_epoch": 2})):
        fit(model, rows, Recorder(runs_dir=tmp_path / folder), **given)
    first, second = (Recorded(only_log(tmp_path / folder)) for folder in ("first", "second"))
    assert [each.step for each in first.steps] == list(range(1, 2 * STEPS + 1))
    (resumed,) = second.all(Resumed)
    assert (resumed.step, resumed.epoch) == (2 * STEPS, 2)
    assert [each.step for each in second.steps] == list(range(2 * STEPS + 1, 3 * STEPS + 1))
    assert [each.epoch for each in second.epochs] == [3]


class Fail(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise OSError("no space")


def test_one_recorder_takes_several_fits_also_after_one_that_failed(rows, tmp_path):
    recorder, model = Recorder(runs_dir=tmp_path / "runs"), make()
    with pytest.raises(OSError, match="no space"):
        fit(model, rows, recorder, Fail())
    fit(model, rows, recorder, epochs=1)
    fit(model, rows, recorder, epochs=1)
    ends = sorted(Recorded(log).end.status for log in (tmp_path / "runs").glob("*/events.jsonl"))
    assert ends == ["failed", "finished", "finished"]


def test_batches_whose_loss_drowns_in_the_sum_of_the_epoch_are_recorded_together(rows, log, recorded, monkeypatch):
    monkeypatch.setattr(integration, "LEAST_SHARE", 0.35)
    oracle = Oracle(*rows)
    fit(make(), rows, oracle, Recorder(log=log), epochs=1)
    assert [each.step for each in recorded().steps] == [1, 2, 4]
    assert recorded().steps[-1].loss == pytest.approx(np.average(oracle.losses[2:], weights=[16, 2]), rel=1e-4)


def test_several_batches_in_one_execution_are_recorded_as_their_mean(rows, log, recorded):
    history = fit(make(penalty=0, steps_per_execution=2, run_eagerly=False), rows, Recorder(log=log), epochs=1).history
    first, second = recorded().steps
    assert (first.step, second.step) == (2, 4)
    assert np.average([first.loss, second.loss], weights=[32, 18]) == pytest.approx(history["loss"][0], rel=1e-5)


class OwnStep(keras.Sequential):
    """A model whose own step leaves the penalty out of its loss."""

    def train_step(self, data):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(data[1], self(data[0])))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


def test_nothing_is_taken_out_of_the_loss_of_a_training_step_of_ones_own(rows, log, recorded):
    model = OwnStep(make().layers)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True)
    history = fit(model, rows, Recorder(log=log), epochs=2).history
    assert [each.running_loss for each in recorded().epochs] == history["loss"]
    assert recorded().steps[0].penalty > 0


TORCH = """
import json, sys
import keras, numpy as np
from regtui.integrations.keras import Recorder

keras.utils.set_random_seed(1)
x = np.random.default_rng(0).normal(size=(50, 5)).astype("float32")
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, "softmax", kernel_regularizer="l2")])
model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
given = dict(batch_size=16, epochs=2, verbose=0, validation_data=(x, np.zeros(50)))
history = model.fit(x, np.zeros(50), callbacks=[Recorder(log=sys.argv[1])], **given).history
print(json.dumps(history))
"""


def test_keras_on_torch_is_recorded_alike(log, recorded):
    pytest.importorskip("torch", reason="torch is not installed")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-c", TORCH, str(log)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    history = json.loads(said.stdout.splitlines()[-1])
    steps = recorded().steps
    for epoch, ended in enumerate(recorded().epochs):
        batches = steps[epoch * STEPS : (epoch + 1) * STEPS]
        whole = np.average([each.loss + each.penalty for each in batches], weights=[16, 16, 16, 2])
        assert whole == pytest.approx(history["loss"][epoch], rel=1e-5)
        assert ended.valid["loss"] + ended.metrics["penalty"] == pytest.approx(history["val_loss"][epoch], rel=1e-5)
    assert steps[0].learning_rate == pytest.approx(0.1)
