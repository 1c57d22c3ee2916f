"""What the frameworks say of themselves before anybody imports them, and what importing them leaves behind."""

import os
import subprocess
import sys

import pytest

from regtui import backends
from regtui.backends._environment import environment
from regtui.core.config import RunConfig
from regtui.core.optimizers import OPTIMIZERS


def notes(**given) -> list[str]:
    return backends.notes(RunConfig.create("overfit", **given))


def test_each_framework_says_in_a_line_what_it_is_given_for_the_same_l2():
    assert notes(l2=1e-3) == ["PyTorch weight_decay=0.002 on kernels (2 × l2)", "Keras kernel_regularizer=l2(0.001)"]
    assert notes(l2=1e-3, framework="tensorflow") == notes(l2=1e-3)
    assert notes() == []


def test_where_torchs_weight_decay_means_something_else_the_penalty_is_in_the_loss():
    assert notes(l2=1e-3, optimizer="adamw")[0].startswith("PyTorch l2 · sum(w²) added to the loss")
    assert notes(l2=1e-3, optimizer="sgd", weight_decay=0.1)[0].startswith("PyTorch l2 · sum(w²) added to the loss")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_what_is_said_of_torch_is_what_its_optimizer_has(make, digits, optimizer, weight_decay):
    if not backends.is_installed("torch"):
        pytest.skip("torch is not installed")
    given = {"framework": "torch", "hidden": (3,), "l2": 1e-3, "optimizer": optimizer, "weight_decay": weight_decay}
    config = RunConfig.create("overfit", device="cpu", **given)
    kernels, *_ = make(config, digits)._optimizer.param_groups
    assert (f"weight_decay={kernels['weight_decay']:g} on kernels" in notes(**given)[0]) == (
        kernels["weight_decay"] == 2e-3
    )


def test_they_are_read_without_importing_any_framework():
    script = """
import sys
from regtui import backends
from regtui.backends._environment import environment
from regtui.core.config import RunConfig
assert len(backends.notes(RunConfig(l2=1.0))) == len(backends.names()) == 2
print(sorted({"torch", "tensorflow", "keras"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_variables_set_for_an_import_are_what_they_were_when_it_is_over(monkeypatch):
    monkeypatch.setenv("REGTUI_SET", "before")
    monkeypatch.delenv("REGTUI_UNSET", raising=False)
    with environment(REGTUI_SET="now", REGTUI_UNSET="now"):
        assert os.environ["REGTUI_SET"] == os.environ["REGTUI_UNSET"] == "now"
    assert os.environ["REGTUI_SET"] == "before"
    assert "REGTUI_UNSET" not in os.environ
