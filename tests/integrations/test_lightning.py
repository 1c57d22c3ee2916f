"""A fit of Lightning as it is recorded, held against what its CSVLogger and its monitors write."""

import csv
import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pl = pytest.importorskip("lightning.pytorch", reason="lightning is not installed: pip install 'regtui[lightning]'")

from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402

from regtui.core.events import Changed, Pause, Resume, Resumed, SetKnob, Stop  # noqa: E402
from regtui.integrations.lightning import Recorder  # noqa: E402
from tests.integrations.conftest import Recorded, only_log  # noqa: E402

ROWS, BATCH = 64, 16


class Module(pl.LightningModule):
    """A small classifier that logs as people do."""

    def __init__(self, lr=0.1, decay=1.0, fail_at=None):
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(5, 3)
        self.returned = []

    def training_step(self, batch, index):
        if self.hparams.fail_at is not None and self.global_step == self.hparams.fail_at:
            raise OSError("the disk with the data is gone")
        loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.returned.append(float(loss))
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        given = self.net(batch[0])
        self.log("val_loss", torch.nn.functional.cross_entropy(given, batch[1]))
        self.log("val_acc", (given.argmax(1) == batch[1]).float().mean())

    def test_step(self, batch, index):
        self.log("test_loss", 1.0)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.hparams.lr)
        if self.hparams.decay == 1.0:
            return optimizer
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, self.hparams.decay)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 5, generator=generator)
    data = torch.utils.data.TensorDataset(x, (x @ torch.randn(5, 3, generator=generator)).argmax(1))
    return torch.utils.data.DataLoader(data, batch_size=BATCH)


def trainer(tmp_path, loggers, callbacks, **given):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    given = {"max_epochs": 2, "log_every_n_steps": 1, "accelerator": "cpu", **quiet, **given}
    return pl.Trainer(logger=loggers, callbacks=callbacks, default_root_dir=tmp_path / "root", **given)


def table(logger):
    """Read what CSVLogger wrote: name -> (updates completed, number) in its order."""
    found = {}
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    found.setdefault(name, []).append((int(row["step"]) + 1, pytest.approx(float(value))))
    return found


def test_both_in_one_object_has_the_numbers_of_the_csv_logger_and_those_of_every_update(rows, tmp_path, log, recorded):
    module, recorder, csv_logger = Module(decay=0.9), Recorder(log=log, classes=3), CSVLogger(tmp_path / "csv")
    loop = trainer(tmp_path, [recorder, csv_logger], [recorder, LearningRateMonitor("step")], val_check_interval=0.5)
    loop.fit(module, rows, rows)
    found, said = recorded(), table(csv_logger)
    assert [(each.step, each.loss) for each in found.steps] == said["train_loss_step"]
    assert [each.learning_rate for each in found.steps] == [value for _, value in said["lr-SGD"]]
    assert [each.loss for each in found.steps] == module.returned
    measured = sorted([*found.evaluations, *found.epochs], key=lambda each: each.step)
    assert [(each.step, each.valid["loss"]) for each in measured] == said["val_loss"]
    assert [(each.step, each.valid["accuracy"]) for each in measured] == said["val_acc"]
    assert [each.epoch for each in measured] == [0.5, 1, 1.5, 2]
    assert [(each.step, each.running_loss) for each in found.epochs] == said["train_loss_epoch"]
    assert found.end.status == "finished"


def test_as_a_callback_alone_it_records_the_same_but_what_is_logged_of_an_epoch(rows, tmp_path, log, recorded):
    module, recorder, csv_logger = Module(), Recorder(log=log), CSVLogger(tmp_path / "csv")
    trainer(tmp_path, csv_logger, [recorder]).fit(module, rows, rows)
    found, said = recorded(), table(csv_logger)
    assert [(each.step, each.loss) for each in found.steps] == said["train_loss_step"]
    assert [(each.step, each.valid["loss"]) for each in found.epochs] == said["val_loss"]
    assert [(each.step, each.valid["accuracy"]) for each in found.epochs] == said["val_acc"]
    assert {each.running_loss for each in found.epochs} == {None}


def test_as_a_logger_alone_it_records_what_is_logged(rows, tmp_path, log, recorded):
    recorder, csv_logger = Recorder(log=log), CSVLogger(tmp_path / "csv")
    loop = trainer(tmp_path, [recorder, csv_logger], [], log_every_n_steps=2, val_check_interval=0.5)
    loop.fit(Module(), rows, rows)
    found, said = recorded(), table(csv_logger)
    assert [(each.step, each.loss) for each in found.steps] == said["train_loss_step"]
    measured = sorted([*found.evaluations, *found.epochs], key=lambda each: each.step)
    assert [(each.step, each.valid["loss"]) for each in measured] == said["val_loss"]
    assert [each.epoch for each in measured] == [None, 1, None, 2]
    assert [(each.step, each.running_loss) for each in found.epochs] == said["train_loss_epoch"]
    assert found.run.settings["lr"] == 0.1
    assert found.end.status == "finished"


def test_an_update_of_several_batches_has_their_mean(rows, tmp_path, log, recorded):
    module, recorder = Module(), Recorder(log=log)
    trainer(tmp_path, recorder, [recorder], accumulate_grad_batches=2, max_epochs=1).fit(module, rows)
    first, second, third, fourth = module.returned
    means = [(first + second) / 2, (third + fourth) / 2]
    assert [each.loss for each in recorded().steps] == pytest.approx(means)
    assert recorded().run.plan.steps_per_epoch == 2


def test_the_run_says_what_was_set_and_what_is_planned(rows, tmp_path, log, recorded):
    recorder = Recorder(log=log, settings={"data": "toy"})
    trainer(tmp_path, recorder, [recorder]).fit(Module(lr=0.05), rows, rows)
    run = recorded().run
    expected = {"optimizer": "SGD", "learning_rate": 0.05, "lr": 0.05, "data": "toy", "parameters": 18}
    assert run.settings.items() >= expected.items()
    assert (run.plan.epochs, run.plan.total_steps, run.plan.steps_per_epoch) == (2, 8, 4)


class Ask(pl.Callback):
    """Asks for something after the first update, and for the rest once the rate has been turned."""

    def __init__(self, ask, first, then):
        self.ask, self.first, self.then = ask, first, then

    def on_train_batch_end(self, trainer, *_):
        if self.first:
            self.ask(self.first.pop(0))
        elif self.then and trainer.optimizers[0].param_groups[0]["lr"] != 0.1:
            self.ask(self.then.pop(0))


def test_the_rate_is_turned_the_run_is_paused_and_then_stopped_by_command(rows, tmp_path, log, recorded, ask):
    asking = Ask(ask, [SetKnob(knob="learning_rate", value=0.03125)], [Pause(), Resume(), Stop(reason="enough")])
    recorder = Recorder(log=log)
    trainer(tmp_path, False, [asking, recorder], max_epochs=-1).fit(Module(), rows)
    found = recorded()
    (change,) = found.all(Changed)
    assert (change.old, change.new) == (0.1, 0.03125)
    assert found.steps[-1].learning_rate == 0.03125
    assert {"paused", "training", "stopping"} <= set(found.said())
    assert (found.end.status, found.end.reason) == ("stopped", "enough")


def test_a_rate_that_a_scheduler_sets_cannot_be_turned(rows, tmp_path, log, recorded):
    recorder = Recorder(log=log)
    trainer(tmp_path, recorder, [recorder], max_epochs=1).fit(Module(decay=0.9), rows)
    assert "knob" not in recorded().run.listens


def test_an_error_ends_the_run_as_failed_with_its_sentence(rows, tmp_path, log, recorded):
    recorder = Recorder(log=log)
    with pytest.raises(OSError, match="disk"):
        trainer(tmp_path, recorder, [recorder]).fit(Module(fail_at=6), rows, rows)
    found = recorded()
    assert (found.end.status, found.end.reason) == ("failed", "OSError: the disk with the data is gone")
    assert len(found.steps) == 6


def test_a_fit_that_early_stopping_ends_says_so(rows, tmp_path, log, recorded):
    recorder = Recorder(log=log)
    stopping = EarlyStopping("val_loss", min_delta=math.inf, patience=1)
    trainer(tmp_path, recorder, [recorder, stopping], max_epochs=9).fit(Module(), rows, rows)
    assert (recorded().end.status, recorded().end.reason) == ("early_stopped", "EarlyStopping: val_loss")


def test_checkpoints_lie_beside_the_log_and_a_fit_that_goes_on_says_from_where(rows, tmp_path):
    recorder = Recorder(runs_dir=tmp_path / "runs")
    trainer(tmp_path, recorder, [recorder, ModelCheckpoint()], enable_checkpointing=True, max_epochs=1).fit(
        Module(), rows
    )
    log = only_log(tmp_path / "runs")
    (checkpoint,) = (log.parent / "checkpoints").iterdir()
    second = Recorder(runs_dir=tmp_path / "second")
    trainer(tmp_path, second, [second]).fit(Module(), rows, ckpt_path=checkpoint)
    found = Recorded(only_log(tmp_path / "second"))
    (resumed,) = found.all(Resumed)
    assert (resumed.step, resumed.epoch) == (4, 1)
    assert [each.step for each in found.steps] == [5, 6, 7, 8]


def test_what_is_tested_after_a_fit_is_no_run(rows, tmp_path):
    recorder = Recorder(runs_dir=tmp_path / "runs")
    module = Module()
    loop = trainer(tmp_path, recorder, [recorder], max_epochs=1)
    loop.fit(module, rows)
    loop.test(module, rows, verbose=False)
    assert Recorded(only_log(tmp_path / "runs")).end.status == "finished"
