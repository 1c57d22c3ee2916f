"""A loop does as it is told: by commands from another process, and in the thread that trains."""

import threading

import pytest

from regtui import commands
from regtui.core.events import Changed, Noted, Pause, Resume, RunEnded, RunEpoch, SetKnob, Stop
from regtui.sources.log import LogSource

LOOP = """
import time
rate = [0.1]
def turn(value):
    rate[0] = value
run = regtui.record(log=log, epochs=1000)
run.knob("learning_rate", set=turn, value=rate[0])
with run:
    while not run.should_stop:
        for i in range(20):
            run.step(loss=1.0, learning_rate=rate[0])
            time.sleep(0.0005)
            if run.should_stop:
                break
        else:
            run.epoch(valid={"loss": 1.0})
"""


def states(records) -> list[str]:
    return [each.text for each in records if isinstance(each, Noted) and each.level == "state"]


def test_a_loop_in_another_process_is_paused_turned_and_stopped(child, log, until, records) -> None:
    from regtui import History

    started = child(LOOP)
    until(lambda: log.exists() and b'"kind":"step"' in log.read_bytes(), started)
    source, history = LogSource(log), History()

    def look() -> History:
        history.apply(source.poll())
        return history

    until(lambda: len(look().steps), started)
    assert source.listens == {Pause, Resume, RunEpoch, Stop, SetKnob}
    source.send(Pause())
    until(lambda: look() and source.activity.stage == "paused", started)
    before = look().step
    source.send(SetKnob(knob="learning_rate", value=0.5, scale=True))
    until(lambda: look().changes, started)
    assert look().step == before
    assert (history.changes[0].old, history.changes[0].new, history.changes[0].cause) == (0.1, 0.05, "user")
    epochs = len(history.evaluations)
    source.send(RunEpoch())
    until(lambda: len(look().evaluations) > epochs and source.activity.stage == "paused", started)
    assert history.evaluations.step.last == history.step
    source.send(Resume())
    until(lambda: look() and source.activity.stage == "training", started)
    commands.send(log, Stop(reason="stopped by hand"))
    _, said = started.communicate()
    assert (started.returncode, said) == (0, "")
    assert states(records()) == ["paused", "training", "paused", "training", "stopping"]
    assert (records()[-1].status, records()[-1].reason) == ("stopped", "stopped by hand")
    rates = [each.learning_rate for each in records() if hasattr(each, "loss")]
    assert set(rates) == {0.1, 0.05}
    assert rates == sorted(rates, reverse=True)
    look()
    assert (source.listens, source.activity.alive) == (frozenset(), False)


def test_a_stop_ends_a_pause(recorder, records) -> None:
    run = recorder().start()
    run.orders.give([Pause(), Stop(reason="enough")])
    run.step(loss=1.0)
    assert run.should_stop
    run.finish()
    assert (records()[-1].status, records()[-1].reason) == ("stopped", "enough")


def test_every_thread_waits_while_the_run_is_paused(recorder, until) -> None:
    run = recorder().start()
    run.orders.give([Pause()])
    passed: list[int] = []

    def train(number: int) -> None:
        run.step(loss=1.0)
        passed.append(number)

    threads = [threading.Thread(target=train, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: run.paused and run._step == 3)
    assert passed == []
    run.orders.give([Resume()])
    for thread in threads:
        thread.join()
    assert sorted(passed) == [0, 1, 2]
    assert not run.paused


def test_a_paused_loop_can_be_interrupted_and_one_that_finishes_elsewhere_goes_on(recorder) -> None:
    run = recorder().start()
    run.orders.give([Pause()])
    thread = threading.Thread(target=run.step, args=(1.0,))
    thread.start()
    run.finish()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("turn", "why"),
    [
        (SetKnob(knob="l2", value=0.1), "l2 was not changed: it is no knob of this run"),
        (SetKnob(knob="dropout", value=0.1), "dropout was not changed: ZeroDivisionError: no layer"),
        (SetKnob(knob="dropout", value=7.0), "dropout was not changed: must be a number"),
        (SetKnob(knob="learning_rate", value=2.0, scale=True), "learning_rate was not changed: its value is not known"),
    ],
)
def test_a_knob_that_cannot_be_turned_is_a_note(recorder, records, turn, why) -> None:
    def refuse(_value: float) -> None:
        raise ZeroDivisionError("no layer")

    run = recorder()
    run.knob("dropout", set=refuse)
    run.knob("learning_rate", set=lambda value: None)
    run.start()
    run.orders.give([turn])
    run.step(loss=1.0)
    run.finish()
    (note,) = (each for each in records() if isinstance(each, Noted))
    assert note.level == "warning"
    assert note.text.startswith(why)
    assert not any(isinstance(each, Changed) for each in records())


def test_a_rate_is_scaled_from_the_one_that_was_used_last(recorder, records) -> None:
    turned: list[float] = []
    with recorder() as run:
        run.knob("learning_rate", set=turned.append, value=1.0)
        run.step(loss=1.0, learning_rate=0.25)
        run.orders.give(
            [SetKnob(knob="learning_rate", value=0.5, scale=True), SetKnob(knob="learning_rate", value=3.0)]
        )
        run.step(loss=1.0, learning_rate=0.25)
    assert turned == [0.125, 3.0]
    first, second = (each for each in records() if isinstance(each, Changed))
    assert (first.step, first.old, first.new, first.how) == (2, 0.25, 0.125, "hold")
    assert (second.old, second.new) == (0.125, 3.0)


def test_the_first_line_says_that_a_knob_may_be_turned(recorder, records) -> None:
    with recorder() as run:
        run.knob("l2", set=lambda value: None, value=0.1)
        run.step(loss=1.0)
    assert records()[0].listens == ("pause", "resume", "epoch", "stop", "knob")


def test_a_knob_that_is_registered_too_late_for_the_first_line_is_said(recorder, log, until) -> None:
    run = recorder()
    run.step(loss=1.0)
    until(lambda: log.read_bytes())
    with pytest.warns(RuntimeWarning, match="nobody is told of the knob l2"):
        run.knob("l2", set=lambda value: None)


def test_a_loop_of_epochs_alone_obeys_too(recorder, records) -> None:
    run = recorder().start()
    run.orders.give([Stop()])
    run.epoch(valid={"loss": 1.0})
    assert run.should_stop
    run.finish()
    assert isinstance(records()[-1], RunEnded)
    assert states(records()) == ["stopping"]


def test_a_pause_is_no_time_of_the_epoch(recorder, records, monkeypatch) -> None:
    run = recorder().start()
    run.orders.waited_seconds = 1e6
    run.epoch(valid={"loss": 1.0})
    run.epoch(valid={"loss": 1.0})
    run.finish()
    assert records()[1].seconds == 0.0
    assert 0 < records()[2].seconds < 1e5


def test_a_file_of_commands_that_others_can_write_is_not_obeyed_and_the_log_says_so(
    recorder, records, log, until
) -> None:
    run = recorder().start()
    run.step(loss=1.0)
    commands.send(log, Stop())
    commands.commands_of(log).chmod(0o666)
    until(lambda: b"is not obeyed" in log.read_bytes())
    run.step(loss=1.0)
    assert not run.should_stop
