"""What a loop records is what its log says."""

import argparse
import math
import threading
from pathlib import Path

import numpy as np
import pytest

import regtui
from regtui.core.events import Changed, EpochEnded, Evaluated, Noted, Resumed, RunEnded, RunStarted, StepEnded
from regtui.core.plan import Plan
from regtui.runs import logs
from regtui.sources import Activity


def test_numbers_come_back_as_they_were_given(recorder, history) -> None:
    losses = [1 / 3, 0.1, 2e-308, 1e17, math.pi]
    with recorder(epochs=1) as run:
        for loss in losses:
            run.step(loss=loss, learning_rate=loss / 10, grad_norm=loss * 2, penalty=loss / 7)
        run.epoch(
            train={"loss": 0.25, "f1": 0.5}, valid={"loss": 1 / 7, "accuracy": 2 / 3}, running_loss=0.3, lookups=7
        )
    told = history()
    assert told.steps.step.values.tolist() == [1, 2, 3, 4, 5]
    assert told.steps["step/loss"].values.tolist() == losses
    assert told.steps["learning_rate"].values.tolist() == [loss / 10 for loss in losses]
    assert told.steps["grad_norm"].values.tolist() == [loss * 2 for loss in losses]
    assert told.steps["penalty"].values.tolist() == [loss / 7 for loss in losses]
    row = {name: told.evaluations[name].last for name in told.evaluations}
    assert (row["train/loss"], row["train/f1"], row["valid/loss"], row["valid/accuracy"]) == (0.25, 0.5, 1 / 7, 2 / 3)
    assert (row["step/loss"], row["lookups"], row["learning_rate"], row["epoch"]) == (0.3, 7, math.pi / 10, 1)
    assert (told.status, told.step, told.end and told.end.epoch) == ("finished", 5, 1)


def test_the_first_line_says_what_was_set_and_what_is_planned(recorder, records) -> None:
    settings = {"l2": 1e-4, "layers": (200, 100), "optimizer": {"name": "adam"}, "seed": np.int64(3), "amp": True}
    with recorder(settings=settings, epochs=3, total_steps=300, classes=10, name="mine", trainer="jax"):
        pass
    run, end = records()
    assert isinstance(run, RunStarted)
    assert isinstance(end, RunEnded)
    assert run.settings == {"l2": 1e-4, "layers": [200, 100], "optimizer": {"name": "adam"}, "seed": 3, "amp": True}
    assert run.plan == Plan(epochs=3, total_steps=300, classes=10)
    assert (run.run_id, run.trainer, run.config) == ("mine", "jax", None)
    assert run.listens == ("pause", "resume", "epoch", "stop")


def test_settings_may_be_what_argparse_gives(recorder, records) -> None:
    with recorder(settings=argparse.Namespace(lr=0.1, out=Path("x"))):
        pass
    assert records()[0].settings == {"lr": 0.1, "out": "x"}


def test_a_run_without_a_log_of_its_own_gets_a_folder_that_regtui_finds(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with regtui.record(name="a/b\x1b[31m c") as run:
        run.step(loss=1.0)
        monkeypatch.chdir("/")
    assert logs(tmp_path / "runs") == [run.log_path]
    assert run.log_path.parent.name.split("-", 2)[2].startswith("a-b--31m-c-")
    monkeypatch.setenv("REGTUI_RUNS_DIR", str(tmp_path / "elsewhere"))
    with regtui.record() as run:
        pass
    assert logs(tmp_path / "elsewhere") == [run.log_path]


def test_the_function_is_still_there_after_its_package_was_imported() -> None:
    import regtui.recording

    assert callable(regtui.record)
    assert callable(regtui.record)


def test_a_loop_needs_neither_start_nor_with(recorder, records) -> None:
    run = recorder()
    run.step(loss=1.0)
    run.finish(test={"loss": 0.5})
    run.finish("failed", "too late")
    run.step(loss=2.0)
    assert [type(each) for each in records()] == [RunStarted, StepEnded, RunEnded]
    assert (records()[-1].status, records()[-1].test) == ("finished", {"loss": 0.5})


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("shapes\n do not fit"), "failed", "ValueError: shapes do not fit"),
        (MemoryError(), "failed", "out of memory"),
        (KeyboardInterrupt(), "stopped", "stopped by SIGINT"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (SystemExit(0), "finished", ""),
    ],
)
def test_what_ends_the_loop_ends_the_run_and_goes_its_way(recorder, records, error, status, reason) -> None:
    def train() -> None:
        with recorder() as run:
            run.step(loss=1.0)
            raise error

    with pytest.raises(type(error)):
        train()
    assert (records()[-1].status, records()[-1].reason) == (status, reason)


def test_numbers_are_in_the_log_half_a_second_later_without_another_call(recorder, log, until) -> None:
    run = recorder()
    run.step(loss=1.0)
    until(lambda: b'"kind":"step"' in log.read_bytes())
    run.note("halfway")
    until(lambda: b"halfway" in log.read_bytes())


def test_an_evaluation_off_epochs_belongs_to_the_newest_update(recorder, records) -> None:
    with recorder() as run:
        run.step(loss=1.0, learning_rate=0.1)
        run.evaluate(valid={"loss": 0.7}, perplexity=2.0)
        run.evaluate({"loss": 0.6}, step=1, epoch=0.5)
    first, second = (each for each in records() if isinstance(each, Evaluated))
    assert (first.step, first.valid, first.metrics, first.learning_rate) == (1, {"loss": 0.7}, {"perplexity": 2.0}, 0.1)
    assert (second.epoch, second.valid) == (0.5, {"loss": 0.6})


def test_log_takes_the_names_that_people_give(recorder, history) -> None:
    with recorder() as run:
        for step in range(1, 5):
            run.log({"train/loss": 1 / step, "lr": 0.1, "grads": {"norm": 2.0}, "epoch": (step - 1) // 2})
            if step % 2 == 0:
                run.log({"val_loss": 2 / step, "val_acc": 0.5, "epoch": (step - 1) // 2})
    told = history()
    assert told.steps.step.values.tolist() == [1, 2, 3, 4]
    assert told.steps["step/loss"].values.tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    assert told.steps["learning_rate"].values.tolist() == [0.1] * 4
    assert told.steps["grads/norm"].values.tolist() == [2.0] * 4
    assert told.evaluations.step.values.tolist() == [2, 4]
    assert told.evaluations["valid/loss"].values.tolist() == [1.0, 0.5]
    assert told.evaluations["valid/accuracy"].values.tolist() == [0.5, 0.5]
    assert told.evaluations["epoch"].values.tolist() == [1, 2]


def test_several_calls_for_one_step_are_one_update(recorder, history, until, log) -> None:
    with recorder() as run:
        run.log({"loss": 0.5}, step=10)
        run.log({"lr": 0.1}, step=10)
        until(lambda: b'"learning_rate":0.1' in log.read_bytes())
        run.log({"grad_norm": 3.0}, step=10)
    told = history()
    assert set(told.steps.step.values) == {10}
    assert [told.steps[name].last for name in ("step/loss", "learning_rate", "grad_norm")] == [0.5, 0.1, 3.0]


def test_an_update_without_a_loss_is_not_one_that_lost_it(recorder, history) -> None:
    from regtui.analysis.divergence import lost_at

    with recorder() as run:
        run.log({"loss": 0.5})
        run.log({"grad_norm": 3.0})
    assert lost_at(history()) is None
    assert history().evaluations["grad_norm"].last == 3.0


def test_a_loss_that_is_not_finite_is_one_that_was_lost(recorder, history) -> None:
    from regtui.analysis.divergence import lost_at

    run = recorder()
    run.step(loss=0.5)
    run.step(loss=math.nan)
    run.finish()
    assert lost_at(history()) == 2


def test_a_run_that_counts_no_updates_has_none(recorder, history) -> None:
    with recorder(epochs=5) as run:
        for epoch in range(3):
            run.epoch(valid={"loss": 1.0 / (epoch + 1)})
    told = history()
    assert not told.counts_steps
    assert (told.step_of(2), told.where(2), told.total_steps) == (None, "epoch 3", 5)


def test_nothing_is_said_of_steps_where_nobody_counts_them(recorder, history, records) -> None:
    from regtui.core.events import SetKnob
    from regtui.report.result import result
    from regtui.tui.eventlines import change_text
    from regtui.tui.panels import status_line

    with recorder(epochs=20) as run:
        run.knob("learning_rate", set=lambda rate: None, value=0.1)
        for epoch in range(1, 15):
            if epoch == 8:
                run.orders.give([SetKnob(knob="learning_rate", value=0.05)])
            run.epoch(valid={"loss": 1 / epoch}, train={"loss": 1 / epoch})
    told = history()
    (change,) = told.changes
    assert (change.epoch, change.step) == (9, 8)
    found = result(told)
    assert (found["steps"], found["best_step"], found["changes"][0]["step"], found["drops"][0]["step"]) == (None,) * 4
    assert found["drops"][0]["epoch"] == 9
    (record,) = (each for each in records() if isinstance(each, Changed))
    assert "step" not in change_text(record)
    line = status_line(told, Activity(alive=True, growing=True), None, 140, 0.0)
    assert "step" not in "".join(part.text for part in line)


def test_a_run_that_broke_off_goes_on_in_its_log(log, history, records) -> None:
    for end in ("failed", "finished"):
        run = regtui.record(log=log)
        if end == "finished":
            run.resume_from(step=2, epoch=1)
        for loss in (4.0, 3.0, 2.0):
            run.step(loss=loss)
        run.finish(end)
    assert [type(each) for each in records()].count(RunStarted) == 1
    assert history().steps.step.values.tolist() == [1, 2, 3, 4, 5]
    assert history().steps["step/loss"].values.tolist() == [4, 3, 4, 3, 2]
    assert (history().status, len(history().resumed)) == ("finished", 1)


def test_a_step_that_falls_is_a_run_that_went_on_from_there(recorder, history, records) -> None:
    with recorder() as run:
        for step, loss in ((1, 5.0), (2, 4.0), (3, 3.0), (2, 1.0)):
            run.step(loss=loss, step=step)
    assert [each.step for each in records() if isinstance(each, Resumed)] == [1]
    assert history().steps["step/loss"].values.tolist() == [5, 1]


def test_a_second_run_in_a_log_is_the_one_that_is_shown(log, history) -> None:
    for loss in (1.0, 2.0):
        with regtui.record(log=log) as run:
            run.step(loss=loss)
    assert history().steps["step/loss"].values.tolist() == [2]


def test_threads_that_record_at_once_lose_nothing(recorder, history, records) -> None:
    run = recorder().start()
    each, threads = 3000, 4

    def train(number: int) -> None:
        for step in range(each):
            if step % 10:
                run.step(loss=float(number * each + step))
            else:
                run.log({"loss": float(number * each + step), "lr": 0.1})

    workers = [threading.Thread(target=train, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    run.finish()
    assert history().steps.step.values.tolist() == list(range(1, each * threads + 1))
    assert sorted(history().steps["step/loss"].values.tolist()) == list(range(each * threads))


def test_notes_and_epochs_stand_where_they_were_said(recorder, records) -> None:
    with recorder() as run:
        run.step(loss=1.0)
        run.note("one")
        run.epoch(valid={"loss": 1.0})
        run.step(loss=1.0)
    kinds = [type(each) for each in records()]
    assert kinds == [RunStarted, StepEnded, Noted, EpochEnded, StepEnded, RunEnded]
    assert [(each.step, each.epoch) for each in records()[1:]] == [(1, 1), (1, 1), (1, 1), (2, 2), (2, 1)]
