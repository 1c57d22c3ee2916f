"""The state of any schedule is taken out, passes through JSON and is put back: the rest of its rates are the same."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from regtui.core.config import RunConfig
from regtui.core.policies import policies
from regtui.schedules.policies import make_schedule
from regtui.schedules.rates import OpenLoop, Schedule

STEPS_PER_EPOCH, EPOCHS = 10, 6
LOSSES = np.concatenate([np.linspace(3, 1, 20), np.full(40, 1.0)])


def played(schedule: Schedule, start: int, stop: int) -> list:
    """Give all that a schedule says and does over some steps, epochs measured at their ends."""
    told = []
    for step in range(start, stop):
        told.append((schedule.plan(step, 1).tolist(), str(schedule.meter())))
        schedule.observe(LOSSES[step : step + 1])
        if (step + 1) % STEPS_PER_EPOCH == 0:
            schedule.observe_epoch(float(LOSSES[step]))
        if step % 3:
            told.append(schedule.drops())
    return told


@pytest.mark.parametrize("hand", ["", "hold", "scale"])
@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("policy", policies())
def test_every_policy_goes_on_from_its_state(policy, warmup, hand):
    goes_on(warmup, hand, lr_policy=policy)


@pytest.mark.parametrize("hand", ["", "hold", "scale"])
@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("given", [{"plateau_per": "epoch", "patience": 1}, {"plateau_rule": "keras", "patience": 3}])
def test_both_rules_of_the_plateau_go_on_from_their_state(warmup, hand, given):
    goes_on(warmup, hand, lr_policy="plateau", **given)


def goes_on(warmup: int, hand: str, **given: object) -> None:
    """Play a schedule on, and one that was given its state half way."""
    config = RunConfig.create(epochs=EPOCHS, warmup=warmup, **{"learning_rate": 0.1, **given})
    for split in (1, 19, 24, 30, 44):
        one, other = (make_schedule(config, steps_per_epoch=STEPS_PER_EPOCH) for _ in range(2))
        played(one, 0, split)
        if hand:
            getattr(one, hand)(0.3)
        other.restore(json.loads(json.dumps(one.state())))
        assert other.state() == one.state() or "NaN" in json.dumps(one.state())
        assert played(other, split, STEPS_PER_EPOCH * EPOCHS) == played(one, split, STEPS_PER_EPOCH * EPOCHS)


def test_the_state_of_one_policy_is_not_put_into_another():
    one = make_schedule(RunConfig.create(lr_policy="plateau"), steps_per_epoch=10)
    other = make_schedule(RunConfig.create(lr_policy="cosine"), steps_per_epoch=10)
    with pytest.raises(ValueError, match="the schedule has"):
        other.restore(one.state())


def test_a_schedule_that_keeps_its_state_where_it_would_be_forgotten_is_refused():
    class Forgetful(OpenLoop):
        def __init__(self) -> None:
            super().__init__(lambda step: 0.1)
            self.seen = np.zeros(3)

    @dataclass
    class Part:
        seen: set

    class Deep(OpenLoop):
        def __init__(self) -> None:
            super().__init__(lambda step: 0.1)
            self.part = Part({1})

    for schedule in (Forgetful(), Deep()):
        with pytest.raises(TypeError, match="numbers, texts and lists of drops"):
            schedule.state()
