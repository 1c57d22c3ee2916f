"""The plateau policy against torch's ReduceLROnPlateau and Keras's callback, loss by loss."""

import math
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regtui.core.config import RunConfig
from regtui.schedules.plateau import KerasRule, TorchRule
from regtui.schedules.policies import RateDrop, make_schedule

FORMS = [
    # A fall with noise on it, a slope that rises again, a flat line, coin flips between two values.
    lambda random, count: np.exp(-np.arange(count) / random.uniform(5, 200)) + random.normal(0, 0.05, count),
    lambda random, count: np.abs(np.arange(count) - random.uniform(0, count)) / count,
    lambda random, count: np.full(count, random.uniform(0, 2)),
    lambda random, count: random.choice([0.5, 0.50001, 0.4999], count),
]


@st.composite
def traces(draw, count):
    """Losses of different characters, some of them NaN or infinite."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    losses = draw(st.sampled_from(FORMS))(random, count)
    broken = draw(st.sampled_from([0.0, 0.0, 0.02, 0.3]))
    losses = np.where(random.random(count) < broken, random.choice([math.nan, math.inf], count), losses)
    if draw(st.booleans()):
        losses[0] = math.nan
    return losses


def walk(settings_, losses, sizes=(1,), steps_per_epoch=100):
    """The rate after each loss, planned and observed in chunks of the sizes given."""
    schedule = make_schedule(settings_, steps_per_epoch=steps_per_epoch)
    rates, chunk = [], 0
    while len(rates) < len(losses):
        step = len(rates)
        planned = schedule.plan(step, min(sizes[chunk % len(sizes)], len(losses) - step)).tolist()
        schedule.observe(losses[step : step + len(planned)])
        rates += planned
        chunk += 1
    rates.append(schedule.next_rate())
    return rates[1:], schedule


def plateau(**given):
    return RunConfig.create("plateau", **{"learning_rate": 0.1, "epochs": 10_000, **given})


def torch_walk(losses, **given):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **given)
    rates = []
    for loss in losses.tolist():
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates, scheduler


class TestTorchRule:
    @settings(max_examples=150, deadline=None)
    @given(
        losses=traces(3000),
        patience=st.integers(0, 250),
        factor=st.floats(0.01, 0.99),
        threshold=st.sampled_from([0.0, 1e-4, 1e-2, 0.5]),
        mode=st.sampled_from(["rel", "abs"]),
        cooldown=st.sampled_from([0, 0, 1, 2, 30]),
        floor=st.sampled_from([0.0, 1e-8, 1e-3, 0.1]),
        eps=st.sampled_from([0.0, 1e-8, 1e-3]),
        sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    )
    def test_every_rate_is_torchs_exactly(self, losses, patience, factor, threshold, mode, cooldown, floor, eps, sizes):
        ours, schedule = walk(
            plateau(
                patience=patience, factor=factor, threshold=threshold, threshold_mode=mode, cooldown=cooldown,
                lr_floor=floor, lr_eps=eps,
            ),
            losses,
            sizes,
        )  # fmt: skip
        theirs, scheduler = torch_walk(
            losses, patience=patience, factor=factor, threshold=threshold, threshold_mode=mode, cooldown=cooldown,
            min_lr=floor, eps=eps,
        )  # fmt: skip
        assert ours == theirs
        meter = schedule.meter()
        assert (meter.bad, meter.cooldown) == (scheduler.num_bad_epochs, scheduler.cooldown_counter)

    @settings(max_examples=150, deadline=None)
    @given(
        losses=traces(400),
        patience=st.integers(0, 12),
        cooldown=st.integers(0, 12),
        eps=st.sampled_from([1e-8, 1e-3]),
        data=st.data(),
    )
    def test_certain_is_never_too_long_and_never_shorter_than_it_must_be(self, losses, patience, cooldown, eps, data):
        """From any state, bad losses alone fire after exactly as many as were said to be certain."""
        rule = TorchRule(rate=0.1, patience=patience, cooldown=cooldown, eps=eps)
        for loss in losses[: data.draw(st.integers(0, len(losses)))].tolist():
            rule.observe(loss)
        certain, rate = rule.certain(), rule.rate
        if rule.next_rate() == rate:
            assert certain > 10**9
            return
        fired = [rule.observe(math.inf) for _ in range(certain)]
        assert fired == [False] * (certain - 1) + [True]

    def test_two_thousand_short_traces_end_as_torchs(self):
        """Short ones, with little patience, pass through many more states than long ones."""
        random = np.random.default_rng(0)
        for _ in range(2000):
            losses = random.normal(1.0, 0.3, 120).round(random.integers(1, 5)) * 0.995 ** np.arange(120)
            losses[random.random(120) < 0.02] = math.nan
            given = {
                "patience": int(random.integers(0, 8)),
                "cooldown": int(random.integers(0, 6)),
                "factor": float(random.uniform(0.1, 0.9)),
                "threshold": float(random.choice([0.0, 1e-4, 0.05])),
                "threshold_mode": str(random.choice(["rel", "abs"])),
            }
            ours, _ = walk(plateau(**given), losses, (1, 17, 4))
            assert ours == torch_walk(losses, **given)[0]

    def test_patience_200_falls_after_the_201st_bad_batch(self):
        losses = np.concatenate([[1.0], np.full(250, 1.0)])
        ours, _ = walk(plateau(learning_rate=0.1), losses, (64,))
        assert ours[200] == 0.1
        assert ours[201] == pytest.approx(0.01)

    def test_a_chunk_reaches_as_far_as_the_rate_is_certain(self):
        schedule = make_schedule(plateau(), steps_per_epoch=1000)
        assert len(schedule.plan(0, 5000)) == 201
        schedule.observe([1.0] * 51)
        assert len(schedule.plan(51, 5000)) == 151

    def test_a_rate_that_cannot_fall_any_more_is_planned_to_the_end(self):
        schedule = make_schedule(plateau(lr_floor=0.1), steps_per_epoch=1000)
        assert len(schedule.plan(0, 5000)) == 5000


class TestPerEpoch:
    def test_validation_losses_alone_count(self):
        schedule = make_schedule(plateau(plateau_per="epoch", patience=1), steps_per_epoch=10)
        for epoch in range(4):
            schedule.observe([9.0] * 10)
            schedule.observe_epoch(1.0)
            assert schedule.drops() == (
                [RateDrop(step=30, old=0.1, new=pytest.approx(0.01), cause="plateau")] if epoch == 2 else []
            )

    def test_batch_losses_alone_count_per_step(self):
        schedule = make_schedule(plateau(patience=1000), steps_per_epoch=10)
        for _ in range(10):
            schedule.observe([1.0])
            schedule.observe_epoch(5.0)
        assert schedule.meter().bad == 9

    def test_the_patience_of_epochs_is_five_unless_said(self):
        assert plateau(patience=None, plateau_per="epoch").patience == 5
        assert plateau(patience=None).patience == 200

    @pytest.mark.parametrize("warmup", [0, 7, 10, 25])
    def test_a_chunk_ends_with_the_epoch_that_may_make_the_rate_fall(self, warmup):
        schedule = make_schedule(
            plateau(plateau_per="epoch", patience=0, factor=0.9, warmup=warmup), steps_per_epoch=10
        )
        step = 0
        while step < 200:
            planned = len(schedule.plan(step, 1000))
            # The first epoch that is watched is the first to end after the warm-up.
            assert planned <= (max(step, warmup) // 10 + 1) * 10 - step
            made = min(planned, 10 - step % 10)
            schedule.observe([1.0] * made)
            step += made
            if step % 10 == 0:
                schedule.observe_epoch(1.0)

    def test_losses_of_the_warmup_are_not_watched(self):
        schedule = make_schedule(plateau(patience=3, warmup=50), steps_per_epoch=10)
        schedule.observe([0.1] * 50)
        assert math.isnan(make_schedule(plateau(), steps_per_epoch=10).meter().best)
        assert math.isnan(schedule.meter().best)
        schedule.observe([0.5])
        assert schedule.meter().best == 0.5


class TestMeter:
    def test_it_says_what_would_be_better_and_what_comes_next(self):
        schedule = make_schedule(plateau(patience=200, threshold=0.01), steps_per_epoch=100)
        schedule.observe([2.0] + [3.0] * 143)
        meter = schedule.meter()
        assert (meter.bad, meter.patience, meter.per, meter.best) == (143, 200, "step", 2.0)
        assert meter.better_than == pytest.approx(1.98)
        assert (meter.rate, meter.next_rate) == (0.1, pytest.approx(0.01))

    def test_it_shows_the_rates_that_are_used_when_they_are_scaled(self):
        schedule = make_schedule(plateau(), steps_per_epoch=100)
        schedule.scale(0.5)
        assert (schedule.meter().rate, schedule.meter().next_rate) == (0.05, pytest.approx(0.005))

    def test_it_is_gone_while_a_rate_is_held(self):
        schedule = make_schedule(plateau(), steps_per_epoch=100)
        schedule.hold(0.01)
        assert schedule.meter() is None


@pytest.fixture(scope="module")
def callbacks():
    """Keras's own callbacks, on TensorFlow as in regtui."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    return pytest.importorskip("keras", reason="the Keras rule is compared with Keras itself")


def keras_walk(keras, losses, **given):
    optimizer = SimpleNamespace(learning_rate=np.float32(0.1))
    callback = keras.callbacks.ReduceLROnPlateau(mode="min", **given)
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses.tolist()):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        # Keras's variable is float32: what is read back is what was assigned, rounded.
        optimizer.learning_rate = np.float32(optimizer.learning_rate)
        rates.append(float(optimizer.learning_rate))
    return rates, callback


class TestKerasRule:
    def test_every_rate_is_keras_own(self, callbacks):
        @settings(max_examples=60, deadline=None)
        @given(
            losses=traces(60),
            patience=st.integers(0, 8),
            factor=st.floats(0.05, 0.95),
            threshold=st.sampled_from([0.0, 1e-4, 0.05]),
            cooldown=st.integers(0, 6),
            floor=st.sampled_from([0.0, 1e-3, 0.02, 0.1]),
            sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
        )
        @example(np.full(60, math.nan), 2, 0.5, 1e-4, 0, 0.0, [1])
        def compare(losses, patience, factor, threshold, cooldown, floor, sizes):
            ours, schedule = walk(
                plateau(
                    plateau_rule="keras", patience=patience, factor=factor, threshold=threshold,
                    threshold_mode="abs", cooldown=cooldown, lr_floor=floor,
                ),
                losses,
                sizes,
            )  # fmt: skip
            theirs, callback = keras_walk(
                callbacks, losses, patience=patience, factor=factor, min_delta=threshold, cooldown=cooldown,
                min_lr=floor,
            )  # fmt: skip
            # The rate is float32 there, and coarse where that runs out of digits.
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-37)
            meter = schedule.meter()
            assert (meter.bad, meter.cooldown) == (callback.wait, callback.cooldown_counter)

        compare()

    def test_a_nan_first_loss_poisons_it(self):
        rule = KerasRule(rate=0.1, patience=3)
        assert [rule.observe(loss) for loss in (math.nan, 3.0, 2.0, 1.0)] == [False, False, False, True]

    @settings(max_examples=100, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        patience=st.integers(1, 20),
        threshold=st.sampled_from([0.0, 0.125, 0.5]),
        cooldown=st.integers(0, 10),
    )
    def test_it_is_torchs_with_one_less_patience_and_one_less_cooldown(self, seed, patience, threshold, cooldown):
        # Multiples of 1/16, so that float32 and float64 compare alike, and a rate that float32 can hold to the end.
        losses = np.random.default_rng(seed).integers(0, 64, 800) / 16
        keras = KerasRule(rate=0.1, factor=0.99, patience=patience, threshold=threshold, cooldown=cooldown + 1)
        torch_ = TorchRule(
            rate=0.1,
            factor=0.99,
            patience=patience - 1,
            threshold=threshold,
            relative=False,
            eps=0.0,
            cooldown=cooldown,
        )
        assert [keras.observe(loss) for loss in losses] == [torch_.observe(loss) for loss in losses]

    @settings(max_examples=150, deadline=None)
    @given(
        losses=traces(300), patience=st.integers(0, 12), cooldown=st.integers(0, 12), floor=st.sampled_from([0.0, 0.05])
    )
    def test_certain_is_exact_from_any_state(self, losses, patience, cooldown, floor):
        rule = KerasRule(rate=0.1, patience=patience, cooldown=cooldown, floor=floor)
        rule.observe(1.0)
        for loss in losses.tolist():
            rule.observe(loss)
        certain = rule.certain()
        if certain > 10**9:
            assert not any(rule.observe(math.inf) for _ in range(100))
            return
        fired = [rule.observe(math.inf) for _ in range(certain)]
        assert fired == [False] * (certain - 1) + [True]
