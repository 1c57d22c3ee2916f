"""What every backend promises, checked in each framework against arithmetic in numpy."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import msgspec
import numpy as np
import pytest

from regtui import backends
from regtui.backends import _device
from regtui.core.config import ConfigError, RunConfig
from regtui.core.data import Rows
from regtui.core.optimizers import OPTIMIZERS
from regtui.core.weights import evaluation_rows, initial_weights

BATCHES = np.random.default_rng(7).integers(0, 1000, (12, 32)).astype(np.int32)


def config_of(framework: str, **given) -> RunConfig:
    given = {"hidden": (24, 12), "optimizer": "sgd", "learning_rate": 0.1, "device": "cpu", **given}
    return RunConfig.create("overfit", framework=framework, **given)


def assert_same_weights(ours, theirs, atol=1e-5):
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=atol)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_it_starts_from_the_weights_drawn_in_numpy(framework, make, digits, precision):
    config = config_of(framework, precision=precision)
    backend = make(config, digits)
    start = initial_weights(config, 64, 10)
    assert {str(part.dtype) for part in backend.weights()} == {precision}
    assert all(np.array_equal(left, right) for left, right in zip(backend.weights(), start, strict=True))
    assert backend.parameters == sum(part.size for part in start) == 64 * 24 + 24 + 24 * 12 + 12 + 12 * 10 + 10
    assert (backend.name, backend.device) == (framework, "cpu")
    assert backend.version[0].isdigit()


@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_optimizer_follows_its_formula_while_the_rate_falls(
    framework, make, digits, numpy_net, optimizer, precision, close
):
    config = config_of(framework, optimizer=optimizer, l2=0.01, l1=0.002, weight_decay=0.3, precision=precision)
    backend, net = make(config, digits), numpy_net(config, digits)
    rates = 0.02 * 0.8 ** np.arange(12)
    losses = backend.train_steps(BATCHES, rates)
    expected = np.array([net.update(batch, rate) for batch, rate in zip(BATCHES, rates, strict=True)])
    np.testing.assert_allclose(losses.data_loss, expected[:, 0], rtol=close)
    np.testing.assert_allclose(losses.penalty, expected[:, 1], rtol=close)
    assert_same_weights(backend.weights(), net.weights, close)
    assert backend.penalty() == pytest.approx(net.penalty(), rel=close)
    norms = [float(np.linalg.norm(kernel)) for kernel in net.weights[::2]]
    assert backend.weight_norms() == pytest.approx(
        dict(zip(["hidden_1", "hidden_2", "output"], norms, strict=True)), rel=close
    )


def test_an_optimizer_it_has_no_case_for_is_refused_by_name(framework, digits):
    config = msgspec.structs.replace(config_of(framework), optimizer="rprop")
    with pytest.raises(ConfigError, match=f"--optimizer rprop is not one that regtui can drive in {framework}"):
        backends.find(framework)(config, digits)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_knob_turned_shows_in_the_very_next_update_and_keeps_the_optimizers_state(
    framework, make, digits, numpy_net, optimizer
):
    config = config_of(framework, optimizer=optimizer, l1=0.003)
    backend, net = make(config, digits), numpy_net(config, digits)
    backend.train_steps(BATCHES[:4], np.full(4, 0.01))
    for batch in BATCHES[:4]:
        net.update(batch, 0.01)
    turns = [("l2", 0.05), ("l1", 0.01), ("weight_decay", 2.0), ("l2", 0.0), ("l1", 0.0), ("weight_decay", 0.0)]
    for (knob, value), batch in zip(turns, BATCHES[4:], strict=False):
        backend.set_knob(knob, value)
        setattr(net, knob, value)
        losses = backend.train_steps(batch[None], np.full(1, 0.01))
        expected = net.update(batch, 0.01)
        assert (losses.data_loss[0], losses.penalty[0]) == pytest.approx(expected, rel=1e-5), knob
        assert_same_weights(backend.weights(), net.weights)
        # Rounding in float32 is not carried from one knob to the next.
        net.weights = [part.astype(np.float64) for part in backend.weights()]


def test_the_dropout_knob_shows_in_the_very_next_update(framework, make, digits, numpy_net):
    config = config_of(framework)
    backend, net = make(config, digits), numpy_net(config, digits)
    still = np.zeros(1)
    expected = net.update(BATCHES[0], 0.0)[0]
    assert backend.train_steps(BATCHES[:1], still).data_loss[0] == pytest.approx(expected, rel=1e-6)
    backend.set_knob("dropout", 0.5)
    first, second = (backend.train_steps(BATCHES[:1], still).data_loss[0] for _ in range(2))
    assert abs(first - expected) > 1e-3
    assert abs(first - second) > 1e-3
    backend.set_knob("dropout", 0.0)
    assert backend.train_steps(BATCHES[:1], still).data_loss[0] == pytest.approx(expected, rel=1e-6)


def test_a_knob_it_does_not_have_is_an_error(framework, make, digits):
    backend = make(config_of(framework), digits)
    with pytest.raises(ValueError, match="learning_rate"):
        backend.set_knob("learning_rate", 0.1)


def test_evaluation_is_without_dropout_and_penalty_and_weighs_rows_alike(framework, make, pictures, numpy_net):
    config = config_of(framework, dropout=0.6, l2=0.1)
    backend, net = make(config, pictures), numpy_net(config, pictures)
    backend.train_steps(BATCHES, np.full(12, 0.05))
    net.weights = [part.astype(np.float64) for part in backend.weights()]
    for split, rows in (("train", pictures.train), ("valid", pictures.valid), ("test", pictures.test)):
        metrics = backend.evaluate(split)
        loss, accuracy = net.measure(rows)
        assert metrics["loss"] == pytest.approx(loss, rel=1e-5)
        assert metrics["accuracy"] == pytest.approx(accuracy, abs=1.5 / len(rows))
        assert backend.evaluate(split) == metrics


def test_evaluation_in_slices_is_that_of_the_whole(framework, make, digits, monkeypatch):
    config = config_of(framework)
    whole = make(config, digits).evaluate("valid")
    # 24 + 12 + 10 numbers a row: slices of 300 rows, the last one shorter.
    monkeypatch.setattr(_device, "EVALUATION_FLOATS", 46 * 300)
    sliced = make(config, digits).evaluate("valid")
    assert sliced["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert sliced["accuracy"] == pytest.approx(whole["accuracy"])


def test_a_large_training_split_is_measured_on_a_fixed_subset(framework, make, digits, numpy_net):
    copies = np.resize(np.arange(1000), 10_500)
    noise = np.random.default_rng(1).random((10_500, 64), np.float32)
    large = Rows(features=digits.train.features[copies] * noise, labels=digits.train.labels[copies])
    data = replace(digits, train=large)
    config = config_of(framework)
    chosen = evaluation_rows(config, 10_500)
    assert len(set(chosen.tolist())) == 10_000
    assert np.array_equal(chosen, evaluation_rows(config, 10_500))
    subset = Rows(features=large.features[chosen], labels=large.labels[chosen])
    metrics = make(config, data).evaluate("train")
    assert metrics["loss"] == pytest.approx(numpy_net(config, data).measure(subset)[0], rel=1e-5)


def test_the_size_of_a_call_changes_nothing(framework, make, digits):
    config = config_of(framework, dropout=0.3, optimizer="adam")
    rates = np.linspace(0.01, 0.02, 12)
    at_once = make(config, digits)
    # Dropout may draw from the process's generator: one backend after the other, each seeded when it is built.
    whole = at_once.train_steps(BATCHES, rates).data_loss
    in_parts = make(config, digits)
    parts = [in_parts.train_steps(BATCHES[i:j], rates[i:j]).data_loss for i, j in ((0, 1), (1, 6), (6, 12))]
    assert np.array_equal(whole, np.concatenate(parts))
    assert all(map(np.array_equal, at_once.weights(), in_parts.weights()))


def test_a_device_that_is_not_there_is_named_with_those_that_are(framework, digits):
    present = import_module(f"regtui.backends.{framework}.backend").present_devices()
    absent = "cuda" if "cuda" not in present else "mps"
    with pytest.raises(ConfigError, match=f"--device {absent} is not here: {framework} sees cpu"):
        backends.find(framework)(config_of(framework, device=absent), digits)


def test_with_auto_float64_passes_by_a_device_that_has_none_and_asked_for_there_it_says_so():
    def choose(**given) -> str:
        return _device.choose_device(config_of("torch", **given), ["mps", "cpu"], "torch")

    assert choose(device="auto") == "mps"
    assert choose(device="auto", precision="float64") == "cpu"
    assert choose(device="cpu", precision="float64") == "cpu"
    with pytest.raises(ConfigError, match="--precision float64 is not to be had on mps"):
        choose(device="mps", precision="float64")


def test_ten_runs_in_a_row_do_not_grow_memory(framework, digits):
    if not Path("/proc/self/statm").exists():
        pytest.skip("reads the process's memory from /proc")
    rows = np.random.default_rng(0).random((20_000, 784), np.float32)
    labels = np.resize(digits.train.labels, 20_000)
    data = replace(digits, train=Rows(features=rows, labels=labels))  # 63 MB, of which two runs may not both remain
    data = replace(data, valid=Rows(features=rows[:100], labels=labels[:100]))

    def run() -> None:
        backend = backends.find(framework)(config_of(framework, optimizer="adam", hidden=(8,)), data)
        backend.train_steps(BATCHES, np.full(12, 1e-3))
        backend.evaluate("train")
        backend.close()

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    for _ in range(2):  # the frameworks' own pools fill
        run()
    before = resident_mb()
    for _ in range(8):
        run()
    assert resident_mb() - before < 63


def test_rows_that_may_not_be_written_to_are_read_all_the_same(framework, make, digits):
    frozen = Rows(features=digits.valid.features.copy(), labels=digits.valid.labels.copy())
    frozen.features.flags.writeable = frozen.labels.flags.writeable = False
    backend = make(config_of(framework), replace(digits, train=frozen, valid=frozen))
    backend.train_steps(BATCHES[:2] % 700, np.full(2, 0.1))
    assert backend.evaluate("valid") == backend.evaluate("train")
