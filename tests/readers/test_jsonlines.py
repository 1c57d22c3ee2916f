"""JSON lines of others."""

import json
from pathlib import Path

import numpy as np
import pytest

from regtui.core.history import History
from regtui.readers import open_log, read_history

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_mmengines_validation_is_placed_at_the_last_update_of_its_epoch(tmp_path):
    rows = []
    for step in range(5, 31, 5):
        rows.append(
            {"lr": 0.1, "data_time": 0.01, "loss": 1 / step, "time": 0.2, "iter": step, "memory": 99, "step": step}
        )
        rows[-1]["epoch"] = (step + 9) // 10
        if step % 10 == 0:
            rows.append({"accuracy/top1": 40.0 + step, "data_time": 0.01, "time": 0.1, "step": step // 10})
    history = read_history(write(tmp_path / "20240101_101010" / "vis_data" / "scalars.json", rows))
    assert history.trainer == "mmengine"
    assert history.steps.step.values.tolist() == [5, 10, 15, 20, 25, 30]
    assert history.evaluations.step.values.tolist() == [10, 20, 30]
    assert history.evaluations["valid/accuracy"].values.tolist() == [0.5, 0.6, 0.7]
    assert not history.resumed
    assert "time" not in history.steps


def test_a_number_a_line_under_its_key_is_read(tmp_path):
    rows = [
        {"key": key, "value": value / (step + 1), "step": step, "timestamp": 1000.0 + step}
        for step in range(5)
        for key, value in (("train/loss", 1.0), ("val/loss", 2.0), ("lr", 0.1))
    ]
    history = read_history(write(tmp_path / "run.jsonl", rows))
    assert history.steps["step/loss"].values.tolist() == [1 / (step + 1) for step in range(5)]
    assert history.evaluations["valid/loss"].values.tolist() == [2 / (step + 1) for step in range(5)]
    assert history.steps["time"].values.tolist() == [1000, 1001, 1002, 1003, 1004]


def test_objects_within_objects_are_names_with_a_stroke(tmp_path):
    rows = [{"epoch": epoch, "train": {"loss": 1 / epoch}, "val": {"loss": 2 / epoch}} for epoch in (1, 2, 3)]
    history = read_history(write(tmp_path / "log.jsonl", rows))
    assert history.evaluations["step/loss"].values.tolist() == [1, 0.5, 1 / 3]
    assert history.evaluations["valid/loss"].values.tolist() == [2, 1, 2 / 3]


def test_without_a_count_a_row_is_an_epoch(tmp_path):
    history = read_history(write(tmp_path / "log.jsonl", [{"train_loss": 2.0, "val_loss": 3}, {"train_loss": 1.0}]))
    assert history.evaluations["epoch"].values.tolist() == [1, 2]


def test_a_fraction_of_an_epoch_is_how_much_is_completed(tmp_path):
    rows = [{"epoch": epoch, "loss": 1.0, "eval_loss": 2.0} for epoch in (0.0, 0.5, 1.0)]
    history = read_history(write(tmp_path / "log.jsonl", rows))
    assert history.evaluations["epoch"].values.tolist() == [0, 0.5, 1]


def test_a_loss_that_is_not_finite_is_a_step_without_a_number_and_lines_that_are_none_are_counted(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": 0.5}\noops\n{"step": 3, "loss": Infinity}\n')
    reader, history = open_log(path), History()
    history.apply(reader.poll())
    assert history.steps.step.values.tolist() == [1, 2, 3]
    assert np.isfinite(history.steps["step/loss"].values).tolist() == [False, True, False]
    assert reader.warnings()[0] == "1 line of metrics.jsonl could not be read and left out: line 3"


def test_a_log_that_begins_to_count_steps_is_read_anew(tmp_path):
    path = write(tmp_path / "log.jsonl", [{"loss": 3.0}, {"loss": 2.0}])
    reader, history = open_log(path), History()
    history.apply(reader.poll())
    assert history.evaluations["step/loss"].values.tolist() == [3, 2]
    write(path, [{"loss": 3.0}, {"loss": 2.0}, {"step": 10, "loss": 1.0}])
    history.apply(reader.poll())
    assert history.steps.step.values[-1] == 10


@pytest.mark.skipif(not REAL.is_dir(), reason="the logs of strangers are not beside this checkout")
def test_detectron2s_log_of_strangers_is_read(tmp_path):
    path = REAL / "detectron2" / "waste_metrics.json"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    history = read_history(path)
    assert history.steps["step/loss"].values.tolist() == [row["total_loss"] for row in rows if "total_loss" in row]
    assert history.steps.step.values.tolist() == [row["iteration"] for row in rows if "total_loss" in row]
    assert "valid/loss" not in history.evaluations
