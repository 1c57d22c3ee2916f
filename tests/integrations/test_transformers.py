"""A training of Hugging Face's Trainer as it is recorded, held against its `trainer.state.log_history`."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install 'regtui[transformers]'"
)
pytest.importorskip("accelerate", reason="the Trainer of transformers needs accelerate")

from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments  # noqa: E402

from regtui.core.events import Changed, Pause, Resume, Resumed, SetKnob, Stop  # noqa: E402
from regtui.integrations.transformers import Recorder  # noqa: E402
from tests.integrations.conftest import Recorded, only_log  # noqa: E402

ROWS = 64


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(5, 3)

    def forward(self, x, labels=None):
        given = self.net(x)
        return {"loss": torch.nn.functional.cross_entropy(given, labels), "logits": given}


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 5, generator=generator)
    labels = (x @ torch.randn(5, 3, generator=generator)).argmax(1)
    return [{"x": each, "labels": label} for each, label in zip(x, labels, strict=True)]


def right(predicted):
    return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}


def trainer(tmp_path, rows, *callbacks, valid=None, **given):
    usual = {
        "num_train_epochs": 2,
        "logging_steps": 2,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "report_to": [],
    }
    usual |= {"per_device_train_batch_size": 16, "learning_rate": 0.02, "use_cpu": True, "disable_tqdm": True}
    args = TrainingArguments(str(tmp_path / "out"), **{**usual, **given})
    valid = rows if valid is None else valid
    return Trainer(
        Net(), args, train_dataset=rows, eval_dataset=valid, compute_metrics=right, callbacks=list(callbacks)
    )


def logged(loop, *names):
    """Give what the trainer itself keeps of the logs that have all of these names."""
    entries = [each for each in loop.state.log_history if set(names) <= set(each)]
    return [(each["step"], *(each[name] for name in names)) for each in entries]


def test_the_log_has_the_numbers_of_the_log_history_and_not_its_closing_summary(rows, tmp_path, log, recorded):
    loop = trainer(tmp_path, rows, Recorder(log=log))
    loop.train()
    found = recorded()
    steps = [(each.step, each.loss, each.learning_rate, each.metrics["grad_norm"]) for each in found.steps]
    assert steps == logged(loop, "loss", "learning_rate", "grad_norm")
    epochs = [(each.step, each.valid["loss"], each.valid["accuracy"], each.epoch) for each in found.epochs]
    assert epochs == logged(loop, "eval_loss", "eval_accuracy", "epoch")
    assert logged(loop, "train_loss") != []
    assert {name for each in found.epochs for name in each.metrics} == set()
    assert found.end.status == "finished"


def test_evaluations_within_an_epoch_have_its_fraction_and_those_at_its_end_end_it(rows, tmp_path, log, recorded):
    loop = trainer(tmp_path, rows, Recorder(log=log), eval_strategy="steps", eval_steps=2)
    loop.train()
    found = recorded()
    measured = sorted([*found.evaluations, *found.epochs], key=lambda each: each.step)
    assert [(each.step, each.valid["loss"], each.epoch) for each in measured] == logged(loop, "eval_loss", "epoch")
    assert [each.epoch for each in found.epochs] == [1, 2]


def test_several_evaluation_sets_are_one_measurement(rows, tmp_path, log, recorded):
    loop = trainer(tmp_path, rows, Recorder(log=log), valid={"easy": rows[:32], "hard": rows[32:]})
    loop.train()
    epochs = recorded().epochs
    assert [(each.step, each.valid["loss"]) for each in epochs] == logged(loop, "eval_easy_loss")
    assert [(each.step, each.valid["hard_loss"]) for each in epochs] == logged(loop, "eval_hard_loss")


def test_the_run_says_what_was_set_and_what_is_planned(rows, tmp_path, log, recorded):
    trainer(tmp_path, rows, Recorder(log=log, classes=3), weight_decay=0.1, hub_token="secret").train()
    run = recorded().run
    expected = {"learning_rate": 0.02, "weight_decay": 0.1, "per_device_train_batch_size": 16, "parameters": 18}
    assert run.settings.items() >= expected.items()
    assert (run.trainer, run.plan.epochs, run.plan.total_steps, run.plan.classes) == ("transformers", 2, 8, 3)
    assert "secret" not in log.read_text()


class Ask(TrainerCallback):
    """Asks for something after the first update, and for the rest once the rate has been turned."""

    def __init__(self, ask, first, then):
        self.ask, self.first, self.then = ask, first, then

    def on_step_end(self, args, state, control, optimizer=None, **others):
        if self.first:
            self.ask(self.first.pop(0))
        elif self.then and optimizer.param_groups[0]["lr"] != args.learning_rate:
            self.ask(self.then.pop(0))


def test_the_rate_is_turned_the_run_is_paused_and_then_stopped_by_command(rows, tmp_path, log, recorded, ask):
    asking = Ask(ask, [SetKnob(knob="learning_rate", value=0.03125)], [Pause(), Resume(), Stop(reason="enough")])
    given = {"lr_scheduler_type": "constant", "max_steps": 10**9, "eval_strategy": "no", "logging_steps": 1}
    trainer(tmp_path, rows, asking, Recorder(log=log), **given).train()
    found = recorded()
    (change,) = found.all(Changed)
    assert (change.old, change.new) == (0.02, 0.03125)
    assert found.steps[-1].learning_rate == 0.03125
    assert {"paused", "training", "stopping"} <= set(found.said())
    assert (found.end.status, found.end.reason) == ("stopped", "enough")


def test_a_rate_that_a_schedule_sets_cannot_be_turned(rows, tmp_path, log, recorded):
    trainer(tmp_path, rows, Recorder(log=log), max_steps=2).train()
    assert "knob" not in recorded().run.listens


def test_a_training_that_early_stopping_ends_says_so(rows, tmp_path, log, recorded):
    stopping = EarlyStoppingCallback(early_stopping_patience=1, early_stopping_threshold=1e9)
    given = {"metric_for_best_model": "loss", "load_best_model_at_end": False, "num_train_epochs": 9}
    trainer(tmp_path, rows, stopping, Recorder(log=log), **given).train()
    assert recorded().end.status == "early_stopped"
    assert recorded().end.epoch < 9


def test_a_training_that_goes_on_from_a_checkpoint_says_from_where(rows, tmp_path):
    trainer(tmp_path, rows, save_strategy="epoch").train()
    loop = trainer(tmp_path, rows, Recorder(runs_dir=tmp_path / "runs"))
    loop.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    found = Recorded(only_log(tmp_path / "runs"))
    (resumed,) = found.all(Resumed)
    assert (resumed.step, resumed.epoch) == (4, 1)
    assert [each.step for each in found.steps] == [6, 8]


class Fail(TrainerCallback):
    def on_epoch_end(self, args, state, control, **others):
        raise OSError("no space")


def test_one_recorder_takes_several_trainings_also_after_one_that_failed(rows, tmp_path):
    recorder = Recorder(runs_dir=tmp_path / "runs")
    with pytest.raises(OSError, match="no space"):
        trainer(tmp_path, rows, recorder, Fail()).train()
    trainer(tmp_path, rows, recorder, max_steps=2).train()
    ends = sorted(Recorded(log).end.status for log in (tmp_path / "runs").glob("*/events.jsonl"))
    assert ends == ["failed", "finished"]
