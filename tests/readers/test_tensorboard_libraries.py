"""Event files as the real libraries write them; what they hold, tensorboard's own reader says."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regtui.core.history import History
from regtui.readers import open_log
from regtui.readers.folding import blocks, fold
from regtui.readers.tensorboard.files import EventFile
from regtui.readers.tensorboard.reader import TensorBoardReader
from regtui.readers.tensorboard.rows import Scalars, Tags

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "real" / "tb"

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real logs of strangers are not beside this checkout")

WRITER = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
writer = EventFileWriter(sys.argv[1])
def scalar(tag, value, step):
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=summary))
for step in range(100):
    scalar("train/loss", 2 / (1 + step), step)
    if step % 20 == 19:
        scalar("val/loss", 3 / (1 + step), step)
        writer.flush()
        print(step, flush=True)
        sys.stdin.readline()
writer.close()
"""
"""The writer under torch's SummaryWriter; it says what it has written, and goes on at each line that it is sent."""


def tensorboard() -> Any:
    pytest.importorskip("tensorboard", reason="tensorboard, the oracle, is not installed")
    from tensorboard.backend.event_processing import event_accumulator

    return event_accumulator


def said_by_tensorboard(path: Path) -> dict[str, list[tuple[float, int, float]]]:
    """Give wall time, step and value of each scalar tag, values of tensors without dimensions, too."""
    from tensorboard.util import tensor_util

    events = tensorboard().EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    found = {tag: [(one.wall_time, one.step, one.value) for one in events.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["tensors"]:
        ones = [(one, tensor_util.make_ndarray(one.tensor_proto)) for one in events.Tensors(tag)]
        if all(array.ndim == 0 and array.dtype.kind in "fiub" for _, array in ones):
            found[tag] = [(one.wall_time, one.step, float(array)) for one, array in ones]
    return found


def read_here(path: Path) -> dict[str, list[tuple[float, int, float]]]:
    names: list[str] = []
    tags, file, parts = Tags("", names, 1000), EventFile(path), []
    file.look()
    while (found := file.read(tags)) is not None:
        parts.append(found.scalars())
    assert not file.broken
    every = Scalars.joined(parts)
    return {
        name: [(time, int(step), value) for _, step, time, value in zip(*every.where(every.tag == tag), strict=True)]
        for tag, name in enumerate(names)
    }


def same_numbers(path: Path) -> None:
    """Hold what is read here against tensorboard's reader: the same tags, times, steps and values, to the last bit."""
    here, there = read_here(path), said_by_tensorboard(path)
    assert sorted(here) == sorted(there)
    for tag, ones in there.items():
        np.testing.assert_array_equal(np.array(here[tag]), np.array(ones), err_msg=tag)


@needs_real
@pytest.mark.parametrize("path", sorted(REAL.rglob("*tfevents*")), ids=lambda path: path.parent.name)
def test_real_files_hold_the_numbers_that_tensorboard_reads(path) -> None:
    tensorboard()
    same_numbers(path)


@needs_real
def test_a_real_lightning_run_is_read() -> None:
    history = fold(blocks(open_log(REAL / "lightning_fish")))
    assert (len(history.steps), len(history.evaluations)) == (41, 82)
    assert history.evaluations["valid/loss"].last == 16.193750381469727
    assert history.plan.total_steps == 8080
    assert (history.trainer, history.settings["model/optimizer/lr"]) == ("lightning", 1e-4)


@needs_real
def test_a_real_keras_run_pairs_its_folders() -> None:
    history = fold(blocks(open_log(REAL / "keras_deepcnn")))
    assert history.evaluations["epoch"].values.tolist() == [1]
    assert history.evaluations["valid/accuracy"].last == pytest.approx(0.901, abs=1e-3)
    assert history.evaluations["step/loss"].last == pytest.approx(6.305, abs=1e-3)


@needs_real
def test_a_real_run_that_logs_its_validation_beside_each_epoch_is_read() -> None:
    history = fold(blocks(open_log(REAL / "cvp")))
    assert history.evaluations.step.values.tolist() == list(range(1, 18))
    assert history.evaluations["valid/loss"].last == 2.932505594799295e-05
    duplicates = fold(blocks(open_log(REAL / "duplicate_steps")))
    assert (len(duplicates.steps), len(duplicates.resumed)) == (200, 1)


def test_what_torch_writes_is_read_scalars_among_all_else(tmp_path) -> None:
    tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    draw = random.Random(1)
    writer = SummaryWriter(str(tmp_path))
    for step in range(150):
        writer.add_scalar("Loss/train", draw.random(), step)
        writer.add_scalar("new", draw.random(), step, new_style=True)
        writer.add_scalar("double", draw.random(), step, new_style=True, double_precision=True)
        if step % 10 == 0:
            writer.add_scalar("Loss/test", draw.random(), step)
            writer.add_histogram("weights", np.arange(10.0), step)
            writer.add_text("notes", "nothing", step)
            writer.add_scalars("Accuracy", {"train": draw.random(), "val": draw.random()}, step)
    writer.add_image("image", np.zeros((3, 8, 8), dtype=np.uint8), 0)
    writer.add_hparams({"lr": 0.1, "optimizer": "adam", "nesterov": True}, {"hparam/loss": 0.3})
    writer.close()
    for path in tmp_path.rglob("*tfevents*"):
        same_numbers(path)
    history = fold(blocks(open_log(tmp_path)))
    assert {"step/loss", "new", "double"} <= set(history.steps.names)
    assert len(history.evaluations["valid/loss"].values) == 15
    assert {"train/accuracy", "valid/accuracy"} <= {*history.steps.names, *history.evaluations.names}
    assert not any("hparam" in name for name in (*history.steps.names, *history.evaluations.names))
    assert history.settings == {"lr": 0.1, "optimizer": "adam", "nesterov": True}


def test_tensors_of_every_type_are_read_as_tensorflow_writes_them(tmp_path) -> None:
    tensorboard()
    tensorflow = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    with tensorflow.summary.create_file_writer(str(tmp_path)).as_default():
        for step in range(5):
            tensorflow.summary.scalar("scalar", 0.5 * step, step=step)
            for kind in ("float64", "float16", "int32", "int64", "uint8", "int16", "bool"):
                value = tensorflow.constant(step, dtype="int32" if kind == "bool" else kind)
                tensorflow.summary.write(kind, tensorflow.cast(value, kind), step=step)
            tensorflow.summary.write("vector", tensorflow.ones(3), step=step)
            tensorflow.summary.histogram("weights", tensorflow.ones(30), step=step)
    tensorflow.summary.flush()
    (path,) = tmp_path.glob("*tfevents*")
    same_numbers(path)


def test_keras_writes_what_is_read_epoch_by_epoch(tmp_path) -> None:
    tensorboard()
    keras = pytest.importorskip("keras", reason="keras is not installed")
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    draw = np.random.default_rng(1)
    rows, labels = draw.normal(size=(64, 4)), draw.integers(0, 2, 64)
    for folder, often in (("epochs", "epoch"), ("batches", "batch")):
        callback = keras.callbacks.TensorBoard(str(tmp_path / folder), update_freq=often)
        kept = model.fit(
            rows, labels, batch_size=16, epochs=3, validation_split=0.25, callbacks=[callback], verbose=0
        ).history
        for path in (tmp_path / folder).rglob("*tfevents*"):
            same_numbers(path)
        history = fold(blocks(open_log(tmp_path / folder)))
        assert history.trainer == "keras"
        assert history.evaluations["epoch"].values.tolist() == [1, 2, 3]
        for name, ours in {"loss": "step/loss", "val_loss": "valid/loss", "val_accuracy": "valid/accuracy"}.items():
            np.testing.assert_allclose(history.evaluations[ours].values, kept[name], rtol=1e-6)
        if often == "batch":
            assert history.evaluations.step.values.tolist() == [
                12,
                15,
                18,
            ]  # counted on from where the fit before ended


def test_a_run_is_followed_while_another_process_writes_it(tmp_path) -> None:
    tensorboard()
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        opened, history = TensorBoardReader(tmp_path), History()
        for seen in (20, 40, 60, 80, 100):
            assert process.stdout.readline() == f"{seen - 1}\n"
            history.apply(opened.poll())
            assert (len(history.steps), len(history.evaluations)) == (seen, seen // 20)
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == 0
    assert opened.poll() == []
    assert history.steps["step/loss"].values.tolist() == [np.float32(2 / (1 + step)) for step in range(100)]
    assert history.evaluations["valid/loss"].values.tolist() == [np.float32(3 / step) for step in range(20, 101, 20)]
