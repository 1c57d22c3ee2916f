"""What a loop logs through an Accelerator, as it is recorded."""

import pytest

pytest.importorskip("torch", reason="torch is not installed")
accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed: pip install 'regtui[accelerate]'")

from regtui.core.events import Pause, Resume, Stop  # noqa: E402
from regtui.integrations.accelerate import Recorder  # noqa: E402


def test_what_is_logged_is_recorded_under_what_its_names_mean(log, recorded):
    accelerator = accelerate.Accelerator(cpu=True, log_with=Recorder(log=log))
    accelerator.init_trackers("toy", config={"learning_rate": 0.5, "width": 8})
    losses = [1 / (step + 1) for step in range(6)]
    for step, loss in enumerate(losses, 1):
        accelerator.log({"train_loss": loss, "lr": 0.5}, step=step)
        if step % 3 == 0:
            accelerator.log({"val_loss": loss + 1, "val_acc": 0.5, "epoch": step // 3}, step=step)
    accelerator.end_training()
    found = recorded()
    assert found.run.trainer == "accelerate"
    assert found.run.settings == {"learning_rate": 0.5, "width": 8}
    assert [(each.step, each.loss, each.learning_rate) for each in found.steps] == [
        (step, loss, 0.5) for step, loss in enumerate(losses, 1)
    ]
    assert [(each.step, each.valid, each.epoch) for each in found.evaluations] == [
        (step, {"loss": losses[step - 1] + 1, "accuracy": 0.5}, step // 3) for step in (3, 6)
    ]
    assert found.end.status == "finished"


def test_the_loop_is_paused_and_learns_that_it_is_to_stop(log, recorded, ask):
    recorder = Recorder(log=log)
    accelerator = accelerate.Accelerator(cpu=True, log_with=recorder)
    accelerator.init_trackers("toy")
    asked = [Pause(), Resume(), Stop(reason="enough")]
    accelerator.log({"train_loss": 1.0})
    for command in asked:
        ask(command)
    while not accelerator.get_tracker("regtui").should_stop():
        accelerator.log({"train_loss": 1.0})
    accelerator.end_training()
    assert {"paused", "training", "stopping"} <= set(recorded().said())
    assert (recorded().end.status, recorded().end.reason) == ("stopped", "enough")


def test_the_mean_of_an_epochs_batches_is_a_running_loss(log, recorded):
    accelerator = accelerate.Accelerator(cpu=True, log_with=Recorder(log=log))
    accelerator.init_trackers("toy")
    accelerator.log({"train_loss_epoch": 0.5, "val_loss": 0.75}, step=10)
    accelerator.end_training()
    (measured,) = recorded().evaluations
    assert (measured.valid, measured.train, measured.metrics) == ({"loss": 0.75}, None, {"step/loss": 0.5})
