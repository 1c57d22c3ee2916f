"""What names in logs of others mean."""

import json
import time

import pytest

from regtui.core.history import History
from regtui.core.table import MOST_NAMES
from regtui.readers import LogError, Wanted, open_log
from regtui.readers.names import Names


def meanings(*names: str, epochs: bool = False, **wanted: str) -> dict[str, str]:
    read = Names(Wanted(**wanted), rows_are_epochs=epochs)
    read.see(names)
    return {name: f"{read[name].table[0]} {read[name].name}" for name in names}


STEP, MEAN, VALID, RATE = "s step/loss", "e step/loss", "e valid/loss", "s learning_rate"

TRAINERS = {
    "Keras": (
        {"loss": MEAN, "val_loss": VALID, "accuracy": "e train/accuracy", "val_accuracy": "e valid/accuracy",
         "learning_rate": "e learning_rate"},
        True,
    ),
    "Lightning": (
        {"train_loss_step": STEP, "train_loss_epoch": MEAN, "val_loss": VALID, "lr-Adam": RATE,
         "hp_metric": "n hp_metric"},
        False,
    ),
    "transformers": (
        {"loss": STEP, "eval_loss": VALID, "learning_rate": RATE, "grad_norm": "s grad_norm",
         "train_loss": "n train_loss", "train_runtime": "n train_runtime"},
        False,
    ),
    "transformers in TensorBoard": (
        {"train/loss": STEP, "eval/loss": VALID, "train/learning_rate": RATE, "train/train_loss": "n train/train_loss",
         "train/train_runtime": "n train/train_runtime"},
        False,
    ),
    "Keras in TensorBoard": (
        {"train/epoch_loss": MEAN, "validation/epoch_loss": VALID, "train/epoch_learning_rate": "e learning_rate"},
        False,
    ),
    "add_scalars": ({"Loss_train/Loss": STEP, "Loss_val/Loss": VALID}, False),
    "fastai": ({"train_loss": MEAN, "valid_loss": VALID}, True),
    "timm": ({"train_loss": MEAN, "eval_loss": VALID, "eval_top1": "e valid/accuracy", "lr": "e learning_rate"}, True),
    "nanoGPT": ({"train/loss": STEP, "val/loss": VALID, "lr": RATE, "iter": "p step"}, False),
    "nanochat": ({"train/loss": STEP, "val/bpb": "e valid/bpb", "train/lrm": "s train/lrm"}, False),
    "Composer": (
        {"loss/train/total": STEP, "metrics/eval/CrossEntropy": VALID, "lr-DecoupledAdamW/group0": RATE},
        False,
    ),
    "OpenNMT": (
        {"train/xent": STEP, "valid/xent": VALID, "valid/ppl": "e valid/perplexity", "train/lr": RATE},
        False,
    ),
    "Ultralytics": ({"lr/pg0": "e learning_rate", "lr/pg1": "e lr/pg1", "val/box_loss": VALID}, True),
    "YOLOv5": ({"x/lr0": "e learning_rate"}, True),
    "detectron2": ({"iteration": "p step", "total_loss": STEP, "lr": RATE, "eta_seconds": "s eta_seconds"}, False),
    "camels": ({"trainLoss": STEP, "valLoss": VALID}, False),
    "only a test split": ({"train_loss": STEP, "test_loss": VALID}, False),
}  # fmt: skip


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_names_of_well_known_trainers_are_understood(trainer):
    expected, epochs = TRAINERS[trainer]
    assert meanings(*expected, epochs=epochs) == expected


def test_of_several_evaluation_sets_the_first_is_the_validation_and_that_is_said():
    names = Names()
    names.see(["loss", "eval_g0_loss", "eval_g1_loss"])
    assert (names["eval_g0_loss"].name, names["eval_g1_loss"].name) == ("valid/loss", "valid/g1_loss")
    assert names.remarks == [
        "validation is eval_g0_loss, the first of several sets; --valid NAME takes another: eval_g1_loss"
    ]


def test_a_set_that_is_asked_for_is_the_validation():
    found = meanings("loss", "eval_g0_loss", "eval_g1_loss", valid="eval_g1_loss")
    assert found["eval_g1_loss"] == "e valid/loss"
    assert found["eval_g0_loss"] == "e valid/g0_loss"


def test_parts_of_a_loss_are_not_taken_for_the_whole():
    found = meanings("train/box_loss", "train/cls_loss", "val/box_loss", "val/cls_loss")
    assert "e valid/loss" not in found.values()


def test_a_validation_split_that_comes_later_takes_the_place_of_a_test_split():
    names = Names()
    assert names.see(["train_loss", "test_loss"])
    assert not names.see(["val_loss"])
    assert (names["val_loss"].name, names["test_loss"].name) == ("valid/loss", "test_loss")


def test_names_without_a_loss_are_listed_with_the_options_that_choose():
    names = Names()
    names.see(["step", "foo", "bar"])
    assert names.unpaired == "no name is known as a loss: --valid NAME and --train NAME choose among foo, bar"


def test_another_quantity_is_judged_when_it_is_asked_for():
    found = meanings("train_wer", "val_wer", "val_loss", metric="wer")
    assert (found["train_wer"], found["val_wer"], found["val_loss"]) == (STEP, VALID, "e val_loss")


def test_a_quantity_that_is_better_when_higher_is_refused_with_what_would_be_right():
    with pytest.raises(LogError, match="--metric accuracy: must be one that is better when lower, such as loss"):
        Names(Wanted(metric="accuracy"))


def test_names_that_come_one_after_the_other_do_not_each_cost_the_square_of_those_before():
    names = Names()
    before = time.process_time()
    for number in range(600):
        names.see([f"val/set{number}_loss" if number % 2 else f"layer{number}/norm"])
    assert time.process_time() - before < 5  # a second where nothing else runs, half a minute when each asked all
    assert names["val/set1_loss"].name == "valid/loss"


@pytest.mark.parametrize("form", ["text", "json", "table"])
def test_names_beyond_what_a_table_holds_are_left_out_and_that_is_said(form, tmp_path):
    path = tmp_path / {"text": "a.log", "json": "a.jsonl", "table": "a.csv"}[form]
    some = [f"layer{number} loss" for number in range(MOST_NAMES + 5)]
    lines = {
        "text": [f"step {at}: {name.replace(' ', '')}_loss {at / 8}" for at, name in enumerate(some)],
        "json": [json.dumps({"step": at, "loss": 0.5, name: 0.25}) for at, name in enumerate(some)],
        "table": [",".join(["step", "loss", *some]), ",".join(["1"] * (len(some) + 2))],
    }[form]
    path.write_text("\n".join(lines) + "\n")
    reader, history = open_log(path), History()
    history.apply(reader.poll())
    assert f"{path.name} has more than 1,000 names; the numbers of the others are left out" in reader.warnings()
    assert len(history.steps) > 0
    assert not any(f"{MOST_NAMES + 4}" in name for name in history.steps)
    assert not history.steps.left_out


def test_names_that_come_in_one_look_are_taken_in_at_once(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"step": number, "name": f"val/set{number}_loss", "value": 0.5}) for number in range(900)]
    path.write_text("\n".join(lines) + "\n")
    reader = open_log(path)
    before = time.process_time()
    reader.poll()
    assert time.process_time() - before < 5  # some hundredths where nothing else runs
