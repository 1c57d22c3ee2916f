"""Hugging Face's trainer_state.json."""

import json
import math
import shutil
from pathlib import Path

import pytest

from regtui import analysis
from regtui.core.events import CheckpointsSeen
from regtui.core.history import History
from regtui.readers import open_log, read_history

REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "hf"


def entries(last: int, *, start: float = 2.0) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for step in range(10, last + 1, 10):
        found.append({"epoch": step / 40, "step": step, "loss": start / step, "learning_rate": 1e-4, "grad_norm": 1.0})
        if step % 20 == 0:
            found.append({"epoch": step / 40, "step": step, "eval_loss": 0.5 + 1 / step, "eval_runtime": 1.5})
    return found


def save(folder: Path, history: list[dict[str, float]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"log_history": history, "global_step": history[-1]["step"], "max_steps": 400, "num_train_epochs": 10}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder


def test_losses_rate_epochs_and_the_plan_are_read(tmp_path):
    summary = {"epoch": 1, "step": 40, "train_loss": 9.0, "train_runtime": 3.0, "total_flos": 1e9}
    history = read_history(save(tmp_path / "out" / "checkpoint-40", [*entries(40), summary]) / "trainer_state.json")
    assert history.steps["step/loss"].values.tolist() == [0.2, 0.1, 2 / 30, 0.05]
    assert history.evaluations["valid/loss"].values.tolist() == [0.55, 0.525]
    assert history.evaluations["epoch"].values.tolist() == [0.5, 1.0]
    assert (history.plan.epochs, history.plan.total_steps, history.trainer) == (10, 400, "transformers")
    assert (history.run.run_id, "train_loss" in history.steps) == ("out", False)


def test_the_newest_checkpoint_of_a_run_is_read_and_followed_without_reading_anything_twice(tmp_path):
    save(tmp_path / "checkpoint-20", entries(20))
    reader = open_log(tmp_path)
    first = reader.poll()
    assert not reader.poll()
    save(tmp_path / "checkpoint-100", entries(100))
    steps = [step for event in reader.poll() if getattr(event, "table", "") == "steps" for step in event.step]
    assert steps == [*range(30, 101, 10)]
    assert first


def test_half_a_file_is_not_yet(tmp_path):
    path = save(tmp_path / "run", entries(40)) / "trainer_state.json"
    reader = open_log(path)
    reader.poll()
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    assert not reader.poll()
    save(path.parent, entries(60))
    assert [event.step.tolist() for event in reader.poll() if getattr(event, "table", "") == "steps"] == [[50, 60]]


def test_another_run_in_the_same_folder_is_read_from_its_start(tmp_path):
    path = save(tmp_path / "run", entries(40)) / "trainer_state.json"
    reader = open_log(path)
    reader.poll()
    save(path.parent, entries(20, start=7.0))
    assert type(reader.poll()[0]).__name__ == "RunStarted"


@pytest.mark.skipif(not REAL.is_dir(), reason="the logs of strangers are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "state"),
    [("overfit_trainer_state", "overfitting"), ("many_eval_sets_trainer_state", "overfitting"),
     ("fp16nan_trainer_state", "diverged")],
)  # fmt: skip
def test_runs_of_strangers_are_judged_as_they_look(name, state):
    assert analysis.verdict(read_history(REAL / f"{name}.json")).state == state


def test_a_run_resumed_from_an_older_checkpoint_is_read_anew_and_its_later_numbers_win(tmp_path):
    save(tmp_path / "checkpoint-100", entries(100))
    reader, history = open_log(tmp_path), History()
    history.apply(reader.poll())
    save(tmp_path / "checkpoint-100", entries(60, start=4.0))
    save(tmp_path / "checkpoint-120", [*entries(60), *entries(120, start=4.0)[9:]])
    history.apply(reader.poll())
    assert history.steps["step/loss"].values[-1] == 4.0 / 120
    assert history.steps.step.values.tolist() == [*range(10, 121, 10)]


def test_checkpoints_that_are_pruned_leave_the_run_as_it_is(tmp_path):
    save(tmp_path / "checkpoint-20", entries(20))
    save(tmp_path / "checkpoint-40", entries(40))
    reader, history = open_log(tmp_path), History()
    history.apply(reader.poll())
    shutil.rmtree(tmp_path / "checkpoint-20")
    history.apply(reader.poll())
    assert len(history.steps) == 4
    assert [each.step for each in history.checkpoints] == [40]


def test_numbers_beyond_all_floats_are_logged_and_none(tmp_path):
    huge = int("9" * 400)
    state = {"log_history": [{"step": 1, "loss": huge}, {"step": 2, "loss": 0.5}, {"step": huge, "epoch": -huge}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps({**state, "max_steps": huge, "num_train_epochs": -huge}))
    history = read_history(tmp_path)
    assert history.steps["step/loss"].values.tolist()[1] == 0.5
    assert not math.isfinite(history.steps["step/loss"].values[0])
    assert history.plan.total_steps is None


def test_a_checkpoint_that_is_deleted_as_it_is_looked_at_is_not_yet(tmp_path, monkeypatch):
    save(tmp_path / "checkpoint-20", entries(20))
    reader = open_log(tmp_path)
    assert reader.poll()
    is_file = Path.is_file

    def pruned(path):
        found = is_file(path)
        if path.parent.name.startswith("checkpoint-"):
            shutil.rmtree(path.parent, ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "is_file", pruned)
    assert all(isinstance(event, CheckpointsSeen) for event in reader.poll())


def test_a_run_whose_folder_is_deleted_is_not_yet(tmp_path):
    save(tmp_path / "run" / "checkpoint-20", entries(20))
    reader = open_log(tmp_path / "run")
    assert reader.poll()
    shutil.rmtree(tmp_path / "run")
    assert all(isinstance(event, CheckpointsSeen) for event in reader.poll())
