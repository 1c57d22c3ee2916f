"""What is TensorFlow's own: one trace for a whole run, Keras on the right backend, its tutorial's loop."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from regtui import backends
from regtui.core.config import RunConfig
from regtui.core.events import StepEnded
from regtui.preparation import shuffled

if not backends.is_installed("tensorflow"):
    pytest.skip("tensorflow is not installed", allow_module_level=True)

from regtui.backends.tensorflow import backend as backend_module
from regtui.core.weights import initial_weights

keras, tf = backend_module.keras, backend_module.tf


def config_of(**given) -> RunConfig:
    return RunConfig.create("overfit", **{"framework": "tensorflow", "hidden": (24, 12), "device": "cpu", **given})


def test_the_graph_is_traced_once_whatever_happens_in_a_run(make, digits):
    backend = make(config_of(), digits)
    batches = np.random.default_rng(0).integers(0, 1000, (40, 32)).astype(np.int32)
    for number in range(100):
        count, batch = 1 + number % 40, 32 if number % 3 else 8
        backend.train_steps(batches[:count, :batch], np.full(count, 0.001 * number))
        backend.set_knob(("l2", "l1", "weight_decay", "dropout")[number % 4], 0.0 if number % 8 < 4 else 0.01)
        if number % 25 == 0:
            backend.evaluate("train")
            backend.evaluate("valid")
            backend.penalty()
    assert backend._train.experimental_get_tracing_count() == 1
    assert backend._measure.experimental_get_tracing_count() == 1


def test_the_model_is_made_of_keras_own_layers_and_optimizer(make, digits):
    backend = make(config_of(optimizer="adam"), digits)
    kinds = [type(layer).__mro__ for layer in backend._model.layers]
    assert [keras.layers.Dense in mro for mro in kinds] == [True, False, True, False, True]
    assert [keras.layers.Dropout in mro for mro in kinds] == [False, True, False, True, False]
    assert isinstance(backend._optimizer, keras.optimizers.Adam)
    assert isinstance(backend._model.layers[0].kernel_regularizer, keras.regularizers.L1L2)


def test_the_fused_adam_is_keras_adam():
    random = np.random.default_rng(0)
    start = random.normal(size=(30, 20)).astype(np.float32)
    variables = [keras.Variable(start), keras.Variable(start)]
    optimizers = [keras.optimizers.Adam(0.01, weight_decay=0.1), backend_module.FusedAdam(0.01, weight_decay=0.1)]
    for number in range(50):
        gradient = tf.constant(random.normal(size=(30, 20)).astype(np.float32) * 0.9**number)
        for optimizer, variable in zip(optimizers, variables, strict=True):
            optimizer.learning_rate = 0.01 * 0.97**number
            optimizer.apply([gradient], [variable])
    np.testing.assert_allclose(variables[0].numpy(), variables[1].numpy(), atol=2e-6)


def test_the_tutorials_decay_loop_has_the_same_losses_and_rates(log, pictures):
    """An eager GradientTape, model.losses added by hand, and the rate read and assigned at each step."""
    config = RunConfig.create(
        "lr-decay", framework="tensorflow", l2=0.001, hidden=(64,), epochs=4, learning_rate=0.05, device="cpu"
    )
    regularizer = keras.regularizers.l2(0.001)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(64, activation="relu", kernel_regularizer=regularizer),
            keras.layers.Dense(10, kernel_regularizer=regularizer),
        ]
    )
    model.set_weights(initial_weights(config, 784, 10))
    optimizer = keras.optimizers.SGD(0.05)
    losses, penalties, rates = [], [], []
    for epoch in range(1, 5):
        order = shuffled(config, len(pictures.train), epoch)
        for start in range(0, len(order), 128):
            rows = order[start : start + 128]
            with tf.GradientTape() as tape:
                out = model(pictures.train.features[rows], training=True)
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(pictures.train.labels[rows], out)
                penalty = tf.add_n(model.losses)
                total = loss + penalty
            gradients = tape.gradient(total, model.trainable_variables)
            rates.append(float(optimizer.learning_rate))
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            if optimizer.learning_rate > 1e-6:
                optimizer.learning_rate = optimizer.learning_rate * 0.995
            losses.append(float(loss))
            penalties.append(float(penalty))
    steps = [event for event in log(config, pictures) if isinstance(event, StepEnded)]
    assert len(steps) == 68
    np.testing.assert_allclose([step.loss for step in steps], losses, atol=1e-5)
    np.testing.assert_allclose([step.penalty for step in steps], penalties, rtol=1e-5)
    # Keras keeps its rate in float32 and multiplies there.
    np.testing.assert_allclose([step.learning_rate for step in steps], rates, rtol=1e-5)


TRAINED_ELSEWHERE = """
import json, os
import numpy as np
before = dict(os.environ)
from regtui.backends.tensorflow import backend as module
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows
rows = Rows(features=np.ones((8, 4), np.float32), labels=np.arange(8) % 2)
data = Data(name="ones", train=rows, valid=rows, test=None, classes=2)
def trained(precision):
    config = RunConfig.create("overfit", framework="tensorflow", hidden=(3,), device="cpu", precision=precision)
    backend = module.Backend(config, data)
    backend.train_steps(np.zeros((2, 8), np.int32), np.full(2, 0.1))
    return [str(part.dtype) for part in backend.weights()], backend.evaluate("valid")["loss"]
runs = [trained(precision) for precision in ("float32", "float64")]
left = [os.environ == before, module.keras.config.floatx(), module.keras.config.dtype_policy().name]
print(json.dumps([module.keras.backend.backend(), runs, left]))
"""


def run_elsewhere(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, whose Keras has its own settings."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def trained_elsewhere(tmp_path_factory) -> tuple[str, list, list]:
    """What came of training where the user's Keras is set to another backend and to float16."""
    home = tmp_path_factory.mktemp("keras")
    settings = {"backend": "torch", "floatx": "float16", "epsilon": 1e-7, "image_data_format": "channels_last"}
    (home / "keras.json").write_text(json.dumps(settings))
    done = run_elsewhere(TRAINED_ELSEWHERE, KERAS_HOME=str(home), KERAS_BACKEND="torch")
    assert done.returncode == 0, done.stderr[-2000:]
    backend, runs, left = json.loads(done.stdout)
    return backend, runs, left


def test_keras_runs_on_tensorflow_in_the_runs_precision_whatever_the_users_settings_say(trained_elsewhere):
    backend, ((narrow, narrow_loss), (wide, wide_loss)), _ = trained_elsewhere
    assert (backend, set(narrow), set(wide)) == ("tensorflow", {"float32"}, {"float64"})
    assert 0 < wide_loss < 2
    # float16 anywhere between would show in the third digit.
    assert narrow_loss == pytest.approx(wide_loss, rel=1e-6)
    assert narrow_loss != wide_loss


def test_the_users_environment_and_settings_of_keras_are_what_they_were_after_a_run(trained_elsewhere):
    assert trained_elsewhere[2] == [True, "float16", "float16"]


def test_a_keras_that_already_runs_on_another_backend_is_named():
    pytest.importorskip("torch")
    done = run_elsewhere("import keras; import regtui.backends.tensorflow.backend", KERAS_BACKEND="torch")
    assert done.returncode != 0
    assert "this process already runs Keras on torch" in done.stderr
