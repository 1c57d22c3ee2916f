"""The judge works in blocks; what it says of an evaluation must not depend on where they begin."""

import random
from pathlib import Path

import pytest

from regtui.analysis import judge
from regtui.analysis.judge import Judgement, judgement
from regtui.core.events import EpochEnded, Evaluated, Event, RunStarted, StepEnded, decode_lines
from regtui.core.history import History
from regtui.core.plan import Plan

LOGS = sorted((Path(__file__).parents[1] / "logs").glob("[!.]*.jsonl"))


def written(found: list[Judgement | None]) -> list[str]:
    """Write judgements so that each bit of a number is compared, and NaN is like NaN."""
    return [repr(each) for each in found]


def judged(events: list[Event], *, at_once: int) -> list[str]:
    history = History()
    for start in range(0, len(events), at_once):
        history.apply(events[start : start + at_once])
        judgement(history)
    return written([judgement(history, row) for row in range(len(history.evaluations))])


def wandering(seed: int) -> list[Event]:
    """A run whose losses wander, rise, jump, stop being measured, and start to be."""
    numbers = random.Random(seed)
    plan = Plan(epochs=200, classes=numbers.choice([10, 10, 2, None]), valid_rows=numbers.choice([60, None]))
    events: list[Event] = [RunStarted(run_id="wandering", plan=plan)]
    train, valid, trend, noise = 2.3, 2.3, 0.97, numbers.choice([0.0, 0.01, 0.1])
    begins = numbers.choice([0, 0, 30])

    def about(loss: float) -> float | None:
        return None if numbers.random() < 0.02 else loss * (1 + noise * numbers.gauss(0, 1))

    for epoch in range(1, numbers.choice([9, 60, 150])):
        if numbers.random() < 0.08:
            trend = numbers.choice([0.9, 0.97, 1.0, 1.03, 1.1])
        train, valid = train * numbers.choice([0.9, 0.97, 1.0]), valid * trend
        events.append(StepEnded(step=epoch * 10, loss=about(train)))
        measured = {"loss": about(train)} if epoch > begins else None
        validated = {"loss": about(valid), "accuracy": about(0.8)} if numbers.random() < 0.9 else None
        events.append(EpochEnded(epoch=epoch, step=epoch * 10, train=measured, valid=validated))
    return events


@pytest.mark.parametrize("log", LOGS[::6], ids=lambda log: log.stem)
def test_a_log_folded_a_record_at_a_time_is_judged_as_one_read_at_once(log: Path) -> None:
    events = [event for event in decode_lines(log.read_bytes()) if not isinstance(event, StepEnded)]
    assert judged(events, at_once=1) == judged(events, at_once=len(events))


@pytest.mark.parametrize("seed", range(24))
def test_a_wandering_run_is_judged_alike_however_its_blocks_are_cut(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    events = wandering(seed)
    whole = judged(events, at_once=len(events))
    assert any(isinstance(event, EpochEnded | Evaluated) for event in events)
    assert judged(events, at_once=1) == whole
    monkeypatch.setattr(judge, "ROWS_AT_ONCE", 16)
    assert judged(events, at_once=len(events)) == whole
