"""The result of a run: the promised keys, numbers that JSON can hold, and the exit status."""

import json
import math

import msgspec
import pytest

from regtui.core.config import RunConfig
from regtui.core.events import Changed, EpochEnded, Metrics, RunEnded, StepEnded, SystemSampled, decode, encode
from regtui.core.history import History
from regtui.report import check_status, epoch_line, render, result, summary, to_json

PROMISED = [
    "run_id", "status", "framework", "device", "epochs", "steps", "train_loss", "valid_loss", "train_accuracy",
    "valid_accuracy", "best_epoch", "best_valid_loss", "generalization_gap", "learning_rate", "penalty", "verdict",
    "changes", "skipped_lines",
]  # fmt: skip


def folded(events) -> History:
    history = History()
    history.apply(events)
    return history


def test_the_result_has_the_promised_keys_in_their_order(run):
    found = result(folded(run()), skipped_lines=3)
    assert list(found)[: len(PROMISED)] == PROMISED
    assert list(found["verdict"]) == ["state", "since_epoch", "evidence", "advice", "since_step"]
    assert found["skipped_lines"] == 3
    assert list(result(History())) == list(found)


def test_the_result_holds_what_the_screen_says_beside(run):
    found = result(folded([*run(status=""), RunEnded(status="finished", reason="done", test=Metrics(loss=0.5))]))
    beside = ["reason", "test", "cannot_judge", "drops", "meters", "floor"]
    gained = ["trainer", "format", "settings", "best_step", "metrics", "listens", "log_problem", "checkpoint", "system"]
    assert list(found)[len(PROMISED) :] == [*beside, *gained]
    assert (found["reason"], found["test"], found["cannot_judge"]) == ("done", {"loss": 0.5, "accuracy": None}, [])
    (drop,) = found["drops"]
    assert (drop["epoch"], drop["old"], drop["new"], drop["helped"]) == (20, 0.1, 0.01, None)


def test_the_result_tells_what_the_machine_showed(run):
    events = run()
    assert result(folded(events))["system"] is None
    samples = [SystemSampled(step=at, time=float(at), metrics={"gpu0/utilization": at / 4}) for at in (1, 2, 3)]
    found = result(folded([*events[:-1], *samples, events[-1]]))["system"]
    assert found == {
        "samples": 3, "last": {"gpu0/utilization": 0.75}, "mean": {"gpu0/utilization": 0.5},
        "highest": {"gpu0/utilization": 0.75}, "waiting": None,
    }  # fmt: skip


def test_the_page_tells_what_the_machine_showed_and_nothing_where_it_was_not_looked_at(run):
    events = run()
    assert "Machine" not in summary(folded(events))
    sample = SystemSampled(step=1, time=1.0, metrics={"gpu0/utilization": 0.93, "gpu0/power": 305.0, "cpu": 1.9})
    for page in (summary, lambda history: render(history, 80, 24)):
        assert "Machine, on average: GPU 0 93 %, 305 W · CPU 1.9 cores" in page(
            folded([*events[:-1], sample, events[-1]])
        )


def test_the_result_tells_how_much_patience_is_left(run):
    events = run(status="")
    config = RunConfig.create(lr_policy="plateau", plateau_per="epoch", early_stopping=50, epochs=40, dataset="digits")
    events[0] = msgspec.structs.replace(events[0], config=config)
    meters = result(folded(events))["meters"]
    assert meters["early_stopping"]["waited"] == 30
    assert meters["plateau"]["patience"] == 5
    json.loads(to_json(meters), parse_constant=pytest.fail)


def test_the_numbers_are_those_of_the_last_evaluated_epoch(run):
    events = run()
    last = [event for event in events if isinstance(event, EpochEnded)][-1]
    found = result(folded(events))
    assert found["train_loss"] == last.train["loss"]
    assert found["valid_loss"] == last.valid["loss"]
    assert found["generalization_gap"] == last.valid["loss"] - last.train["loss"]
    assert (found["epochs"], found["steps"], found["learning_rate"], found["penalty"]) == (40, 160, 0.01, 0.02)
    assert (found["framework"], found["device"], found["status"]) == ("torch", "cpu", "finished")


def test_epochs_that_were_not_evaluated_are_passed_over(run):
    events = [*run(status=""), EpochEnded(epoch=41, step=164, running_loss=0.1, learning_rate=0.01)]
    found = result(folded(events))
    assert found["epochs"] == 41
    assert found["valid_loss"] == result(folded(run()))["valid_loss"]


def test_an_epoch_that_came_to_no_number_is_null_and_not_the_one_before_it(run):
    lost = Metrics(loss=math.nan, accuracy=0.1)
    found = result(folded([*run(status=""), EpochEnded(epoch=41, step=164, train=lost, valid=lost)]))
    assert found["valid_loss"] is None
    assert found["generalization_gap"] is None
    assert found["valid_accuracy"] == 0.1


def test_the_best_epoch_is_exact_and_the_first_of_equals():
    losses = [3.0, 2.0, math.nan, 1.0, 1.0, 1.0000001, 4.0]
    events = [EpochEnded(epoch=n, step=n, valid=Metrics(loss=loss)) for n, loss in enumerate(losses, 1)]
    found = result(folded(events))
    assert (found["best_epoch"], found["best_valid_loss"]) == (4, 1.0)


def test_the_rate_and_penalty_within_an_epoch_are_those_of_the_newest_step(run):
    events = [*run(epochs=3, status=""), StepEnded(step=13, epoch=4, learning_rate=0.007, penalty=0.5)]
    found = result(folded(events))
    assert (found["learning_rate"], found["penalty"], found["steps"]) == (0.007, 0.5, 13)


def test_changes_are_given_as_they_are_logged(run):
    change = Changed(step=200, epoch=50, what="dropout", old=math.inf, new=0.4, cause="user", time=1.5)
    (first, second) = result(folded([*run(), change]))["changes"]
    assert first == json.loads(encode(Changed(step=80, epoch=20, old=0.1, new=0.01, cause="plateau", time=1020.0)))
    assert second == json.loads(encode(change))
    assert second["old"] is None


@pytest.mark.parametrize("lost", [math.nan, math.inf, None])
def test_a_run_and_the_replay_of_its_log_print_the_same(run, lost):
    losses = Metrics(loss=lost)
    events = [*run(), StepEnded(step=161, loss=lost, penalty=lost), EpochEnded(epoch=41, step=161, valid=losses)]
    events += [Changed(step=161, old=lost, new=lost), RunEnded(status="diverged", reason="the loss is not finite")]
    replayed = folded(decode(encode(event)) for event in events)
    text = to_json(result(folded(events)))
    assert text == to_json(result(replayed))
    assert json.loads(text, parse_constant=pytest.fail)["status"] == "diverged"
    assert text.isascii()


def test_an_empty_history_has_a_result_of_nulls():
    found = json.loads(to_json(result(History())))
    assert found["status"] == "empty"
    assert [found[key] for key in ("run_id", "framework", "valid_loss", "best_epoch", "learning_rate")] == [None] * 5
    assert (found["epochs"], found["steps"], found["changes"]) == (0, 0, [])


def test_a_check_fails_for_a_run_that_overfits(run):
    assert check_status(folded(run())) == 1


def test_a_check_passes_for_a_run_that_fits(run):
    assert check_status(folded(run(epochs=10))) == 0


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_check_fails_for_a_run_that_came_to_nothing(run, status):
    assert check_status(folded(run(epochs=10, status=status))) == 1


def test_a_check_that_cannot_judge_says_so(run):
    assert check_status(History()) == 2
    assert check_status(folded(run(epochs=2))) == 2
    without_validation = [EpochEnded(epoch=n, step=n, train=Metrics(loss=1 / n)) for n in range(1, 30)]
    assert check_status(folded(without_validation)) == 2


def test_the_line_of_an_epoch_keeps_its_places(run):
    lines = [epoch_line(folded(run(epochs=n, status=""))) for n in (1, 9, 40)]
    assert len({len(line) for line in lines}) == 1
    assert lines[0] == "epoch  1/40  valid  2.3297  train  2.0297  accuracy 80.00%  LR 0.1         0.50 s"


def test_the_line_of_an_epoch_shows_the_running_loss_where_nothing_was_evaluated():
    line = epoch_line(folded([EpochEnded(epoch=7, step=70, running_loss=0.5, learning_rate=math.nan)]))
    assert line == "epoch 7  running  0.5000  LR   -"
    assert epoch_line(History()) == "no epoch yet"
