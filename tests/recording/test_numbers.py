"""Numbers are taken out of a loop's hands at once: none is waited for, none is kept alive, none is changed later."""

import gc
import math
import weakref
from typing import Any

import numpy as np
import pytest

from regtui.numbers import fetch, is_read, keep, number_of, numbers_of


class FakeDeviceTensor:
    """Stands for a scalar on a GPU, of which there is none here: it counts copies, and reads that wait for it."""

    is_cpu = False
    device = type("device", (), {"type": "fake"})()
    dtype = "float32"

    def __init__(self, value: float, size: int = 1) -> None:
        self.value, self.size, self.reads, self.copies = value, size, 0, 0

    def numel(self) -> int:
        return self.size

    def detach(self) -> "FakeDeviceTensor":
        return self

    def clone(self) -> "FakeDeviceTensor":
        self.copies += 1
        self.copy = FakeDeviceTensor(self.value)
        return self.copy

    def item(self) -> float:
        self.reads += 1
        return self.value

    def __float__(self) -> float:
        return self.item()

    def reshape(self, _shape: object) -> "FakeDeviceTensor":
        return self


SCALARS: list[tuple[Any, float]] = [
    (0.1, 0.1),
    (3, 3.0),
    (True, 1.0),
    (np.float32(0.5), 0.5),
    (np.int64(7), 7.0),
    (np.array(0.25), 0.25),
    (np.array([0.25]), 0.25),
]


@pytest.mark.parametrize(("value", "number"), SCALARS)
def test_scalars_of_every_kind_are_read_at_once(value: Any, number: float) -> None:
    kept = keep(value)
    assert is_read(kept)
    assert kept == number_of(value) == number


@pytest.mark.parametrize("value", ["0.5", b"1", [], [1, 2], {}, object(), 1j, np.zeros(2), np.str_("1"), 10**400, None])
def test_what_is_no_number_is_none(value: Any) -> None:
    assert keep(value) is None
    assert number_of(value) is None


def test_tensors_of_torch_are_read_at_once_with_and_without_a_graph() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weight = torch.tensor(2.0, requires_grad=True)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool):
        assert keep(torch.ones((), dtype=dtype)) == 1.0
        assert type(keep(torch.ones((1, 1), dtype=dtype))) is float
    assert keep(weight * 3) == 6.0
    assert keep(torch.zeros(3)) is None
    assert keep(torch.zeros(0)) is None
    assert keep(torch.zeros((), dtype=torch.complex64)) is None


def test_a_loss_with_a_graph_is_not_kept_alive(recorder) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Saved:
        def __init__(self, tensor: Any) -> None:
            self.tensor = tensor

    saved: list[weakref.ref[Saved]] = []

    def save(tensor: Any) -> Saved:
        kept = Saved(tensor)
        saved.append(weakref.ref(kept))
        return kept

    run = recorder()
    with torch.autograd.graph.saved_tensors_hooks(save, lambda kept: kept.tensor):
        loss = torch.ones(10, requires_grad=True).sin().sum()
    run.step(loss=loss, other=loss * 2)
    run.epoch(valid={"loss": loss})
    alive = weakref.ref(loss)
    assert [each() is None for each in saved] == [False]
    del loss
    gc.collect()
    assert alive() is None
    assert [each() is None for each in saved] == [True]


def test_a_tensor_that_the_loop_changes_afterwards_is_recorded_as_it_was(recorder, history) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    total = torch.zeros(())
    with recorder() as run:
        for _ in range(3):
            total += 1
            run.step(loss=total)
    assert history().steps["step/loss"].values.tolist() == [1, 2, 3]


def test_a_tensor_on_a_device_is_copied_there_and_not_waited_for(recorder, history) -> None:
    tensors = [FakeDeviceTensor(float(i)) for i in range(5)]
    run = recorder().start()
    with run._lock:
        for tensor in tensors:
            run.step(loss=tensor, learning_rate=0.1, grad_norm=tensor)
            tensor.value = -1.0  # the loop goes on with it
    assert [(tensor.reads, tensor.copies) for tensor in tensors] == [(0, 2)] * 5
    run.step(loss=FakeDeviceTensor(1.0, size=3))
    run.finish()
    assert history().steps["step/loss"].values.tolist() == [0, 1, 2, 3, 4]
    assert history().steps["grad_norm"].values.tolist() == [0, 1, 2, 3, 4]
    assert [tensor.reads for tensor in tensors] == [0] * 5


def test_a_tensor_that_can_never_be_read_is_none() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    kept = keep(torch.ones((), device="meta"))  # a device that holds no numbers
    assert not is_read(kept)
    assert list(fetch([0.5, kept, None])) == [0.5, None, None]


def test_numbers_of_one_device_come_by_one_transfer_in_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    stacked: list[int] = []
    stack = torch.stack
    monkeypatch.setattr(torch, "stack", lambda tensors: (stacked.append(len(tensors)), stack(tensors))[1])
    kept = [torch.tensor(1.0), 0.5, torch.tensor([2.0]), None, torch.tensor(3), torch.tensor(math.nan)]
    found = list(fetch(kept))
    assert found[:5] == [1.0, 0.5, 2.0, None, 3.0]
    assert math.isnan(found[5] or 0)
    assert sorted(stacked) == [1, 3]


def test_a_tensor_of_tensorflow_is_read(recorder, history) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    with recorder() as run:
        run.step(loss=tensorflow.constant(0.5), learning_rate=tensorflow.Variable(0.25))
    assert history().steps["step/loss"].last == 0.5
    assert history().steps["learning_rate"].last == 0.25


def test_numbers_by_name_leave_out_what_is_none() -> None:
    assert numbers_of({"loss": np.float32(0.5), 3: 1, "text": "x", "\udcff": 2.0}) == {"loss": 0.5, "3": 1.0, "?": 2.0}
    assert numbers_of(None) is None
