"""Which checkpoint of a run to keep."""

import json

import pytest

from regtui.analysis import verdict
from regtui.core.events import Checkpoint
from regtui.core.history import History
from regtui.readers import open_log, read_history
from regtui.readers.checkpoints import checkpoint
from regtui.report.result import result


@pytest.mark.parametrize(
    ("name", "step", "epoch"),
    [
        ("checkpoint-500", 500, None),  # transformers
        ("epoch=3-step=128.ckpt", 128, 4),  # Lightning counts epochs from 0
        ("epoch=3-val_loss=0.31.ckpt", None, 4),
        ("sample-mnist-epoch=02-val_loss=0.32.ckpt", None, 3),
        ("model.05-0.31.keras", None, 5),
        ("weights.10.hdf5", None, 10),
        ("cp-0005.ckpt.index", None, 5),
        ("model_07.weights.h5", None, 7),
        ("epoch_12.pth", None, 12),  # MMEngine
        ("iter_4000.pth", 4000, None),
        ("model_0004999.pth", 4999, None),  # detectron2
        ("checkpoint-12.pth.tar", None, 13),  # timm counts from 0
        ("ckpt_step_2000.pt", 2000, None),
    ],
)
def test_a_checkpoint_says_by_its_name_of_when_it_is(name, step, epoch):
    found = checkpoint(name)
    assert (found.step, found.epoch) == (step, epoch)


@pytest.mark.parametrize(
    "name", ["last.ckpt", "best.pt", "model.keras", "resnet50.pth", "training.log", "checkpoint", "cp-0005.ckpt.data-0"]
)
def test_what_does_not_say_of_when_it_is_is_none(name):
    assert checkpoint(name) is None


def overfitting(path, epochs: int = 30) -> None:
    rows = [
        f"{epoch},{2 / (epoch + 1):.4f},{1 + abs(epoch - 6) * 0.1:.4f},{min(0.5 + epoch * 0.02, 0.9):.4f}\n"
        for epoch in range(epochs)
    ]
    path.write_text("epoch,loss,val_loss,val_accuracy\n" + "".join(rows))


def test_the_advice_names_the_checkpoint_nearest_to_the_best_and_what_stopping_there_would_have_saved(tmp_path):
    overfitting(tmp_path / "training.log")
    for epoch in (5, 7, 30):
        (tmp_path / f"model.{epoch:02d}-0.31.keras").touch()
    history = read_history(tmp_path / "training.log")
    found = verdict(history)
    assert found.state == "overfitting"
    kept = "keep model.07-0.31.keras (validation 1.000), for right answers model.30-0.31.keras (accuracy 90.0%)"
    assert found.advice.endswith(kept)
    assert result(history)["checkpoint"] == {"name": "model.07-0.31.keras", "step": None, "epoch": 7, "exact": True}


def test_where_none_was_saved_at_the_best_the_nearest_is_named_as_such(tmp_path):
    state = {
        "log_history": [
            {"step": step, "epoch": step / 100, **part}
            for step in range(100, 2100, 100)
            for part in ({"loss": 100 / step}, {"eval_loss": 1 + abs(step - 700) / 1000})
        ]
    }
    for step in (500, 1000, 2000):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-2000" / "trainer_state.json").write_text(json.dumps(state))
    advice = verdict(read_history(tmp_path)).advice
    assert "keep checkpoint-500, the nearest to it (validation 1.200); stopping there would have saved 75%" in advice


def test_checkpoints_that_come_while_a_run_is_watched_are_seen(tmp_path):
    overfitting(tmp_path / "training.log", epochs=3)
    reader, history = open_log(tmp_path / "training.log"), History()
    history.apply(reader.poll())
    assert history.checkpoints == ()
    (tmp_path / "cp-0002.ckpt.index").touch()
    history.apply(reader.poll())
    assert history.checkpoints == (Checkpoint(name="cp-0002.ckpt", epoch=2),)
    assert reader.poll() == []
