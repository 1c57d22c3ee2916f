"""What is held becomes lines of the log: the same as any writer's, thinned where a run is long."""

import math

import msgspec
import pytest

from regtui.core.events import Noted, StepEnded, encode
from regtui.recording import lines
from regtui.recording.lines import Lines, StepLine


def line(step: int, loss: float | None = 0.5, rate: float | None = 0.1, **metrics: float) -> StepLine:
    return StepLine(step, 1, loss, None, rate, metrics or msgspec.UNSET, 100.0 + step)


@pytest.mark.parametrize("metrics", [{}, {"grad_norm": 2.0}])
@pytest.mark.parametrize("loss", [0.5, None, math.nan])
def test_a_line_that_was_made_in_the_loop_is_that_of_a_step(metrics, loss) -> None:
    said = {"metrics": metrics} if metrics else {}
    step = StepEnded(step=3, epoch=1, loss=loss, learning_rate=0.1, time=103.0, **said)
    assert msgspec.json.encode(line(3, loss, **metrics)) + b"\n" == encode(step)


def test_the_first_steps_of_a_run_have_a_line_each(monkeypatch) -> None:
    monkeypatch.setattr(lines, "STEPS_TO_A_LEVEL", 10)
    made = Lines().made_of([line(step) for step in range(1, 10)], unread=False, again=False)
    assert [each.step for each in made] == list(range(1, 10))


def test_a_line_of_a_long_run_stands_for_several_updates_by_their_mean(monkeypatch) -> None:
    monkeypatch.setattr(lines, "STEPS_TO_A_LEVEL", 10)
    making = Lines()
    *first, note = making.made_of([line(step) for step in range(1, 11)], unread=False, again=False)
    assert (len(first), isinstance(note, Noted)) == (10, True)
    assert "a line of the log stands for up to 2 updates, by their mean" in note.text
    held = [line(step, float(step), step / 10, norm=step * 2.0) for step in range(11, 16)]
    made = making.made_of(held, unread=False, again=False)
    assert [(each.step, each.loss, each.learning_rate, each.metrics) for each in made] == [
        (12, 11.5, 1.2, {"norm": 23.0}), (14, 13.5, 1.4, {"norm": 27.0}), (15, 15.0, 1.5, {"norm": 30.0}),
    ]  # fmt: skip


def test_what_stands_between_updates_stays_between_them(monkeypatch) -> None:
    monkeypatch.setattr(lines, "STEPS_TO_A_LEVEL", 1)
    making = Lines()
    making.made_of([line(1)], unread=False, again=False)
    note = Noted(text="here", step=3)
    made = making.made_of([line(2), line(3), note, line(4), line(5)], unread=False, again=False)
    assert [each.step for each in made[:3]] == [3, 3, 5]
    assert made[1] is note


def test_a_loss_that_is_lost_is_seen_in_a_long_run_too(monkeypatch) -> None:
    monkeypatch.setattr(lines, "STEPS_TO_A_LEVEL", 1)
    making = Lines()
    making.made_of([line(1)], unread=False, again=False)
    made = making.made_of([line(2), line(3, math.inf)], unread=False, again=False)
    assert math.isnan(made[0].loss)


def test_a_slow_run_loses_no_update_however_long_it_is(monkeypatch) -> None:
    monkeypatch.setattr(lines, "STEPS_TO_A_LEVEL", 1)
    making = Lines()
    steps = [step for step in range(1, 50) for each in making.made_of([line(step)], unread=False, again=False)
             if isinstance(each, StepLine)]  # fmt: skip
    assert steps == list(range(1, 50))


def test_a_hundred_million_updates_are_less_than_half_a_gigabyte() -> None:
    written, updates = 0, 0
    while updates < 10**8:
        updates += lines.STEPS_TO_A_LEVEL << (written // lines.STEPS_TO_A_LEVEL)
        written += lines.STEPS_TO_A_LEVEL
    assert (
        written * len(encode(StepEnded(step=10**8, epoch=1, loss=1 / 3, learning_rate=1 / 3, time=1.7e9 + 1 / 3))) < 6e8
    )
