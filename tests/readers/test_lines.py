"""What trainings print."""

import subprocess
import sys

import numpy as np
import pytest

from regtui import analysis
from regtui.core.history import History
from regtui.readers import open_log, read_history

PRINTING = """
import sys, time
for step in range(0, 1000, 100):
    sys.stdout.write(f"step {step}: train loss {4 - step / 500:.4f}, val loss {4.1 - step / 600:.4f}\\n")
    for inner in range(step, step + 100, 10):
        sys.stdout.write(f"iter {inner}: loss {3 - inner / 900:.4f}, time 12.34ms, mfu 5.21%\\n"); sys.stdout.flush()
"""


def read(tmp_path, text: str, name: str = "out.log") -> History:
    (tmp_path / name).write_bytes(text.encode())
    return read_history(tmp_path / name)


def test_nanogpt_is_followed_while_it_prints_and_its_training_loss_is_one_that_was_measured(tmp_path):
    path, history, reader = tmp_path / "out.log", History(), None
    with path.open("wb") as out, subprocess.Popen([sys.executable, "-c", PRINTING], stdout=out) as process:
        while process.poll() is None:
            if reader is None and path.stat().st_size > 300:
                reader = open_log(path)
            history.apply(reader.poll() if reader is not None else [])
    reader = reader or open_log(path)
    history.apply(reader.poll())
    table = history.evaluations
    assert table.step.values.tolist() == [*range(0, 1000, 100)]
    assert table["train/loss"].values == pytest.approx([4 - step / 500 for step in range(0, 1000, 100)], abs=1e-4)
    assert table["valid/loss"].values == pytest.approx([4.1 - step / 600 for step in range(0, 1000, 100)], abs=1e-4)
    assert history.steps["step/loss"].values == pytest.approx([3 - at / 900 for at in range(0, 1000, 10)], abs=1e-4)
    assert not analysis.is_running(history)


def test_build_nanogpts_bare_lines_are_read(tmp_path):
    lines = [f"{step} train {9 - step / 500:.6f}\n" for step in range(0, 750, 50)]
    lines.insert(0, "0 val 10.9300\n0 hella 0.2463\n")
    history = read(tmp_path, "".join(lines) + "500 val 8.5\n", "log.txt")
    assert history.evaluations["valid/loss"].values.tolist() == [10.93, 8.5]
    assert len(history.steps) == 15


@pytest.mark.parametrize("verbose", [1, 2])
def test_keras_bars_are_read_as_their_last_state(tmp_path, verbose):
    keras = pytest.importorskip("keras", reason="Keras prints the lines that are read here")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    from contextlib import redirect_stdout

    with (tmp_path / "out.txt").open("w") as out, redirect_stdout(out):
        fit = model.fit(x, (x[:, 0] > 0).astype("int32"), epochs=3, validation_split=0.25, verbose=verbose)
    history = read_history(tmp_path / "out.txt")
    for column, name in (("valid/loss", "val_loss"), ("step/loss", "loss"), ("valid/accuracy", "val_accuracy")):
        assert history.evaluations[column].values == pytest.approx(fit.history[name], abs=6e-5)
    assert (history.plan.epochs, history.evaluations["epoch"].values.tolist()) == (3, [1, 2, 3])


def test_a_bar_drawn_over_itself_is_read_without_a_line_break(tmp_path):
    bars = "".join(
        f"\rEpoch {epoch}:  50%|█████     | 5/10 [00:00<00:00, 80.1it/s, v_num=0, train_loss=0.9]"
        f"\rEpoch {epoch}: 100%|██████████| 10/10 [00:00<00:00, 80it/s, train_loss=0.{50 - epoch}, val_loss=0.6]"
        for epoch in range(6)
    )
    history = read(tmp_path, bars + "\n")
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3, 4, 5, 6]
    assert history.evaluations["step/loss"].values.tolist() == [0.5, 0.49, 0.48, 0.47, 0.46, 0.45]


def test_transformers_printed_dicts_are_placed_by_their_fraction_of_an_epoch(tmp_path):
    text = "".join(
        f"{{'loss': {2 - step / 10:.2f}, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': {step / 2}}}\n"
        + (f"{{'eval_loss': {2.1 - step / 10:.2f}, 'eval_runtime': 1.2, 'epoch': {step / 2}}}\n" if step % 2 else "")
        for step in range(8)
    )
    history = read(tmp_path, text)
    assert history.steps["epoch"].values.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert history.evaluations["epoch"].values.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert not history.counts_steps


def test_a_share_of_an_epoch_places_its_batches_and_a_test_set_is_its_validation(tmp_path):
    text = "".join(
        f"Train Epoch: {epoch} [{row}/60000 ({row / 600:.0f}%)]\tLoss: {2 / epoch:.6f}\n"
        + ("\nTest set: Average loss: 0.0432, Accuracy: 9851/10000 (99%)\n\n" if row else "")
        for epoch in range(1, 4)
        for row in (0, 30000)
    )
    history = read(tmp_path, text)
    assert history.steps["epoch"].values.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3]
    assert history.evaluations["valid/accuracy"].values.tolist() == [0.9851] * 3
    assert history.evaluations["valid/loss"].values.tolist() == [0.0432] * 3


def test_a_step_within_an_epoch_is_counted_on_and_an_epochs_line_is_at_the_newest_step(tmp_path):
    text = "".join(
        "".join(f"Epoch [{epoch}/3], Step [{step}/600], Loss: {2 / epoch:.4f}\n" for step in (200, 400, 600))
        + f"Epoch [{epoch}/3] val loss: 0.{9 - epoch}\n"
        for epoch in range(1, 4)
    )
    history = read(tmp_path, text)
    assert history.steps.step.values.tolist() == [*range(200, 1801, 200)]
    assert history.evaluations.step.values.tolist() == [600, 1200, 1800]
    assert history.plan.epochs == 3


@pytest.mark.parametrize(
    "line",
    [
        "2024-01-01 10:00:00 INFO Epoch [{epoch}/9], Train Loss: 0.{train}, Val Loss: 0.{valid}",
        "[Epoch {epoch:03d}] train_loss=0.{train} | valid_loss=0.{valid} | lr=1.0e-03",
        "\x1b[32mepoch {epoch}\x1b[0m | loss 0.{train} | val_loss 0.{valid} | 3.2s",
        "{{'epoch': {epoch}, 'train_loss': 0.{train}, 'val_loss': 0.{valid}}}",
    ],
)
def test_lines_of_ones_own_loop_are_read(tmp_path, line):
    lines = [line.format(epoch=epoch, train=90 - epoch, valid=95 - epoch) for epoch in range(1, 6)]
    history = read(tmp_path, "Using cuda:0\n" + "\n".join(lines) + "\n")
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3, 4, 5]
    assert history.evaluations["step/loss"].values.tolist() == [0.89, 0.88, 0.87, 0.86, 0.85]
    assert history.evaluations["valid/loss"].values.tolist() == [0.94, 0.93, 0.92, 0.91, 0.9]
