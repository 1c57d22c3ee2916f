"""The loop's promises, driven over a backend whose losses are written down, so that each step is known."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from regtui import loop
from regtui.backends import StepLosses
from regtui.core.config import RunConfig
from regtui.core.data import Data, Rows
from regtui.core.events import (
    Changed,
    EpochEnded,
    Event,
    Metrics,
    Noted,
    Pause,
    Resume,
    RunEnded,
    RunEpoch,
    RunStarted,
    SetKnob,
    StepEnded,
    Stop,
)
from regtui.core.failing import failure
from regtui.loop import NEEDS_LESS, train
from regtui.preparation import evaluate_every


class Scripted:
    """A backend that gives the losses it was told and writes down what it was asked."""

    name, version, device, parameters = "scripted", "1.0", "cpu", 42

    def __init__(
        self,
        losses: Callable[[int], float] = lambda step: 1 / step,
        valid: Sequence[float] = (),
        penalties: Callable[[int], float] = lambda step: 0.5,
    ) -> None:
        self.losses, self.penalties, self.valid = losses, penalties, iter(valid)
        self.step = 0
        self.batches: list[np.ndarray] = []
        self.rates: list[float] = []
        self.knobs: dict[str, float] = {}
        self.evaluated: list[str] = []
        self.shapes: list[tuple[int, int]] = []

    def train_steps(self, rows, learning_rates):
        self.shapes.append(rows.shape)
        self.batches += list(rows)
        self.rates += learning_rates.tolist()
        steps = range(self.step + 1, self.step + len(rows) + 1)
        self.step += len(rows)
        return StepLosses(np.array([self.losses(s) for s in steps]), np.array([self.penalties(s) for s in steps]))

    def evaluate(self, split):
        self.evaluated.append(split)
        return Metrics(loss=next(self.valid, 1.0) if split == "valid" else 0.7, accuracy=0.5)

    def set_knob(self, knob, value):
        self.knobs[knob] = value

    def penalty(self):
        return 0.25

    def weight_norms(self):
        return {"output": 1.5}

    def weights(self):
        return []

    def close(self):
        raise AssertionError("closing is the caller's")


def data_of(train_rows: int = 100, valid_rows: int = 20, test_rows: int = 0) -> Data:
    def rows(count: int) -> Rows:
        return Rows(features=np.zeros((count, 4), np.float32), labels=np.arange(count) % 3)

    test = rows(test_rows) if test_rows else None
    return Data(name="zeros", train=rows(train_rows), valid=rows(valid_rows), test=test, classes=3)


def config_of(**given) -> RunConfig:
    return RunConfig.create("overfit", **{"epochs": 3, "batch_size": 10, "learning_rate": 0.1, **given})


def start(backend: Scripted | None = None, data: Data | None = None, **given) -> loop.Chunks:
    return train(config_of(**given), backend or Scripted(), data or data_of(), run_id="r", clock=lambda: 7.0)


def run(backend: Scripted | None = None, data: Data | None = None, **given) -> list[Event]:
    return [event for events in start(backend, data, **given) for event in events or ()]


def of(kind: type, events: Sequence[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]


def rest(chunks: loop.Chunks) -> list[Event]:
    return [event for events in chunks for event in events or ()]


def pace(monkeypatch, most: int) -> None:
    """Let chunks grow from one step to `most`, four times at once, however busy the machine is."""
    monkeypatch.setattr(loop, "MOST_STEPS_AT_ONCE", most)
    monkeypatch.setattr(loop, "CHUNK_SECONDS", 1e6)


def test_a_run_is_told_in_the_order_that_readers_rely_on():
    events = run(lr_policy="step", every=1, gamma=0.5)
    letters = "".join(
        {RunStarted: "r", StepEnded: "s", Changed: "c", EpochEnded: "e", RunEnded: "x"}[type(e)] for e in events
    )
    assert letters == "r" + ("s" * 10 + "ce") * 2 + "s" * 10 + "e" + "x"
    assert [event.step for event in of(StepEnded, events)] == list(range(1, 31))
    assert [(event.epoch, event.step) for event in of(EpochEnded, events)] == [(1, 10), (2, 20), (3, 30)]
    assert [(c.step, c.epoch, c.old, c.new, c.cause) for c in of(Changed, events)] == [
        (10, 1, 0.1, 0.05, "step"),
        (20, 2, 0.05, 0.025, "step"),
    ]
    end = events[-1]
    assert (end.status, end.reason, end.step, end.epoch) == ("finished", "", 30, 3)


def test_the_first_list_holds_the_start_alone_before_anything_is_trained():
    backend = Scripted()
    (started,) = next(start(backend))
    assert started.config == config_of()
    assert backend.step == 0
    expected = {
        "framework": "scripted",
        "framework_version": "1.0",
        "device": "cpu",
        "parameters": 42,
        "train_rows": 100,
        "valid_rows": 20,
        "classes": 3,
        "steps_per_epoch": 10,
    }
    assert expected.items() <= started.environment.items()
    assert started.environment.keys() - expected.keys() == {"regtui", "python"}


def test_each_epoch_is_a_pass_over_all_rows_in_an_order_of_its_own():
    backend, again, other = Scripted(), Scripted(), Scripted()
    run(backend, data_of(95))
    run(again, data_of(95))
    run(other, data_of(95), seed=1)
    epochs = [np.concatenate(backend.batches[at : at + 10]) for at in (0, 10, 20)]
    assert all(sorted(order) == list(range(95)) for order in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert all(map(np.array_equal, backend.batches, again.batches))
    assert not np.array_equal(np.concatenate(other.batches), np.concatenate(backend.batches))


def test_a_call_crosses_no_epoch_and_holds_one_batch_size():
    backend = Scripted()
    run(backend, data_of(95))
    assert backend.shapes[0] == (1, 10), "one step first, so that something is seen soon"
    assert [shape for shape in backend.shapes if shape[1] == 5] == [(1, 5)] * 3
    ends = list(itertools.accumulate(shape[0] for shape in backend.shapes))
    assert {10, 20, 30} <= set(ends)


def test_chunks_grow_to_fifty_milliseconds_and_shrink_at_once():
    pace = loop._Pace()
    sizes = []
    for _ in range(6):
        sizes.append(pace.steps)
        pace.took(pace.steps, 0.001 * pace.steps)
    assert sizes == [1, 4, 16, 50, 50, 50]
    pace.took(50, 0.5)
    assert pace.steps == 5
    pace.took(5, 10.0)
    assert pace.steps == 1


def test_a_paused_run_makes_no_step_and_gives_none(monkeypatch):
    pace(monkeypatch, 2)
    backend = Scripted()
    chunks = start(backend)
    next(chunks)
    next(chunks)
    assert chunks.send(Pause()) is None
    made = backend.step
    assert [next(chunks) for _ in range(3)] == [None, None, None]
    assert backend.step == made
    assert of(StepEnded, chunks.send(Resume()))
    assert of(StepEnded, rest(chunks))[-1].step == 30


def test_one_epoch_runs_to_its_end_and_pauses_there(monkeypatch):
    pace(monkeypatch, 3)
    chunks = start()
    next(chunks)
    next(chunks)
    chunks.send(Pause())
    for expected in (1, 2):
        events = chunks.send(RunEpoch())
        while (more := next(chunks)) is not None:
            events += more
        assert of(EpochEnded, events)[-1].epoch == expected
        assert next(chunks) is None
    chunks.send(Resume())
    assert rest(chunks)[-1].status == "finished"


def test_a_stop_is_obeyed_within_a_chunk_also_while_paused(monkeypatch):
    pace(monkeypatch, 4)
    for before in ((), (Pause(),)):
        chunks = start()
        next(chunks)
        next(chunks)
        for command in before:
            chunks.send(command)
        (end,) = chunks.send(Stop("SIGTERM"))
        assert (end.status, end.reason, end.step, end.epoch) == ("stopped", "SIGTERM", 1, 0)
        assert list(chunks) == []


def test_a_knob_turned_is_told_as_a_change_by_the_user_and_reaches_the_backend(monkeypatch):
    pace(monkeypatch, 4)
    backend = Scripted()
    chunks = start(backend, l2=0.5)
    next(chunks)
    next(chunks)
    (change,) = chunks.send(SetKnob("l2", 0.01))
    assert (change.what, change.old, change.new, change.cause, change.step) == ("l2", 0.5, 0.01, "user", 1)
    assert backend.knobs == {"l2": 0.01}
    (change,) = chunks.send(SetKnob("l2", 0.02))
    assert change.old == 0.01


def test_a_rate_held_or_scaled_is_used_from_the_next_update_on(monkeypatch):
    pace(monkeypatch, 4)
    backend = Scripted()
    chunks = start(backend, lr_policy="exponential", lr_decay=0.5)
    next(chunks)
    next(chunks)
    (change,) = chunks.send(SetKnob("learning_rate", 2.0, scale=True))
    assert (change.what, change.old, change.new, change.how) == ("learning_rate", 0.05, 0.1, "scale")
    next(chunks)
    assert backend.rates[1:5] == [0.1, 0.05, 0.025, 0.0125]
    (change,) = chunks.send(SetKnob("learning_rate", 0.3))
    assert change.how == "hold"
    rest(chunks)
    assert set(backend.rates[5:]) == {0.3}


@pytest.mark.parametrize(
    "command", [SetKnob("dropout", 1.0), SetKnob("l2", math.nan), SetKnob("learning_rate", 0.0), SetKnob("seed", 3.0)]
)
def test_a_knob_out_of_range_is_refused_in_a_note_and_the_run_goes_on(command):
    backend = Scripted()
    chunks = start(backend)
    next(chunks)
    (note,) = chunks.send(command)
    assert isinstance(note, Noted)
    assert note.level == "warning"
    assert command.knob.replace("_", "-") in note.text
    assert backend.knobs == {}
    assert rest(chunks)[-1].status == "finished"


def test_a_run_can_be_paused_before_its_first_step():
    backend = Scripted()
    chunks = start(backend)
    next(chunks)
    assert chunks.send(Pause()) is None
    assert backend.step == 0
    chunks.send(Resume())
    assert backend.step == 1


def test_a_knob_can_be_turned_while_paused(monkeypatch):
    pace(monkeypatch, 4)
    backend = Scripted()
    chunks = start(backend)
    next(chunks)
    next(chunks)
    chunks.send(Pause())
    (change,) = chunks.send(SetKnob("dropout", 0.5))
    assert (change.what, backend.step) == ("dropout", 1)
    assert next(chunks) is None


@pytest.mark.parametrize("most", [1, 3, 4096])
def test_plateau_per_step_is_exact_in_chunks_of_any_size(monkeypatch, most):
    torch = pytest.importorskip("torch")
    pace(monkeypatch, most)
    random = np.random.default_rng(5)
    losses = 2 * 0.999 ** np.arange(301) + 0.3 * random.random(301)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=7, factor=0.6, cooldown=2)
    rates, drops = [], []
    for step in range(1, 301):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step(losses[step])
        if optimizer.param_groups[0]["lr"] != rates[-1]:
            drops.append(step)
    backend = Scripted(lambda step: losses[step])
    events = run(backend, epochs=30, lr_policy="plateau", patience=7, factor=0.6, cooldown=2)
    assert backend.rates == pytest.approx(rates, rel=1e-12)
    assert len(drops) > 5
    assert [change.step for change in of(Changed, events)] == drops
    for change in of(Changed, events):
        before = events[events.index(change) - 1]
        assert isinstance(before, StepEnded)
        assert before.step == change.step


def test_plateau_per_epoch_hears_the_validation_loss_and_drops_before_the_epochs_record():
    valid = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98]
    given = {"lr_policy": "plateau", "plateau_per": "epoch", "patience": 1, "factor": 0.5, "epochs": 6}
    backend = Scripted(valid=valid)
    events = run(backend, **given)
    (change,) = of(Changed, events)
    assert (change.step, change.epoch, change.cause) == (40, 4, "plateau")
    assert events[events.index(change) + 1].epoch == 4
    assert isinstance(events[events.index(change) + 1], EpochEnded)
    assert backend.rates[39:41] == [0.1, 0.05]


def test_early_stopping_waits_its_patience_and_names_the_best():
    events = run(Scripted(valid=[1.0, 0.5, 0.6, 0.55, 0.7, 0.4]), epochs=9, early_stopping=3)
    end = events[-1]
    assert (end.status, end.epoch) == ("early_stopped", 5)
    assert end.reason == "validation loss not below 0.5 at epoch 2 for 3 epochs"


@pytest.mark.parametrize("most", [1, 7, 4096])
@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e6])
def test_a_run_whose_loss_leaves_all_bounds_ends_at_that_step(monkeypatch, loss, most):
    pace(monkeypatch, most)
    events = run(Scripted(lambda step: loss if step == 17 else 1.0), lr_policy="step", every=1)
    end = events[-1]
    assert (end.status, end.step, end.epoch) == ("diverged", 17, 1)
    assert of(StepEnded, events)[-1].step == 17
    assert "step 17, learning rate 0.05" in end.reason
    assert "last good epoch is 1" in end.reason
    assert end.test is None


def test_a_spike_of_a_thousand_times_the_start_is_no_divergence():
    assert run(Scripted(lambda step: 1e3 if step == 17 else 1.0))[-1].status == "finished"


def test_a_penalty_that_is_not_finite_is_divergence():
    end = run(Scripted(penalties=lambda step: math.inf if step == 4 else 0.0))[-1]
    assert (end.status, end.step) == ("diverged", 4)
    assert "no epoch was completed" in end.reason


def test_a_validation_loss_that_is_not_finite_is_divergence():
    end = run(Scripted(valid=[1.0, math.nan]))[-1]
    assert (end.status, end.step, end.epoch) == ("diverged", 20, 2)


def test_keep_going_goes_on_after_divergence_and_says_so_once():
    events = run(Scripted(lambda step: math.nan if step > 5 else 1.0), keep_going=True)
    assert events[-1].status == "finished"
    assert len(of(StepEnded, events)) == 30
    (note,) = of(Noted, events)
    assert "going on, as asked" in note.text


class Breaking(Scripted):
    """A backend that fails in its second call."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def train_steps(self, rows, learning_rates):
        if self.step:
            raise self.error
        return super().train_steps(rows, learning_rates)


def test_an_exception_ends_the_run_as_failed_with_a_sentence():
    events = run(Breaking(RuntimeError("matrix\n  has the wrong shape")))
    assert events[-1] == RunEnded(
        status="failed", reason="RuntimeError: matrix has the wrong shape", step=1, epoch=0, time=7.0
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor with shape[100000,65536]"),
    ],
)
def test_out_of_memory_is_recognised_in_every_framework(error):
    assert (
        failure(error, needs_less=NEEDS_LESS)
        == "out of memory: a smaller --batch-size, --hidden or --train-rows needs less"
    )


def test_a_long_message_is_cut_to_a_sentence():
    assert len(failure(ValueError("graph " * 1000))) < 320


def test_an_interrupt_ends_the_log_and_is_raised_again():
    chunks = start(Breaking(KeyboardInterrupt()))
    events = next(chunks) + next(chunks) + next(chunks)
    assert (events[-1].status, events[-1].reason) == ("stopped", "interrupted")
    with pytest.raises(KeyboardInterrupt):
        next(chunks)


def test_a_generator_that_is_closed_says_nothing_and_makes_no_step():
    backend = Scripted()
    chunks = start(backend)
    next(chunks)
    next(chunks)
    made = backend.step
    chunks.close()
    assert backend.step == made
    assert list(chunks) == []


def test_the_test_split_is_measured_once_at_the_end_and_never_before():
    backend = Scripted()
    events = run(backend, data_of(test_rows=30))
    assert backend.evaluated.count("test") == 1
    assert backend.evaluated[-1] == "test"
    assert events[-1].test == Metrics(loss=0.7, accuracy=0.5)


def test_a_long_run_thins_its_steps_and_nothing_else():
    events = run(Scripted(), data_of(1000), batch_size=1, epochs=45, lr_policy="step", every=5)
    steps = [event.step for event in of(StepEnded, events)]
    assert steps == [1, *range(3, 45_001, 3)]
    assert len(of(EpochEnded, events)) == 45
    assert len(of(Changed, events)) == 8


def test_a_step_that_diverged_is_recorded_however_thin_the_log_is():
    events = run(Scripted(lambda step: math.nan if step == 31 else 1.0), data_of(1000), batch_size=1, epochs=45)
    assert of(StepEnded, events)[-1].step == 31


def test_an_epoch_averages_its_batches_by_rows_and_keeps_its_last_rate():
    events = run(Scripted(float), data_of(25), epochs=1, lr_policy="exponential", lr_decay=0.5)
    (epoch,) = of(EpochEnded, events)
    assert epoch.running_loss == pytest.approx((10 * 1 + 10 * 2 + 5 * 3) / 25)
    assert epoch.learning_rate == 0.1 * 0.5**2
    assert (epoch.penalty, epoch.weight_norms) == (0.25, {"output": 1.5})


def test_an_epochs_seconds_leave_out_pauses_and_evaluation(monkeypatch):
    now = 0.0
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now)

    class Slow(Scripted):
        def train_steps(self, rows, learning_rates):
            nonlocal now
            now += 2.0 * len(rows)
            return super().train_steps(rows, learning_rates)

        def evaluate(self, split):
            nonlocal now
            now += 5.0
            return super().evaluate(split)

    chunks = start(Slow(), epochs=1)
    events = next(chunks) + next(chunks)
    chunks.send(Pause())
    now += 100.0
    events += chunks.send(Resume()) + rest(chunks)
    (epoch,) = of(EpochEnded, events)
    assert (epoch.seconds, epoch.evaluate_seconds) == (20.0, 10.0)


@pytest.mark.parametrize(
    ("train_rows", "valid_rows", "given", "expected"),
    [
        (1000, 797, {}, 1),  # the default lab
        (50_000, 10_000, {"batch_size": 128}, 1),
        (100, 10_000, {"epochs": 200, "batch_size": 50}, 10),
        (100, 10_000, {"epochs": 1000, "batch_size": 50}, 15),
        (100, 10_000, {"epochs": 20, "batch_size": 50}, 1),  # too few epochs to leave any out
        (100, 10_000, {"epochs": 200, "batch_size": 50, "early_stopping": 5}, 1),  # it waits for every epoch
        (100, 10_000, {"epochs": 200, "batch_size": 50, "lr_policy": "plateau", "plateau_per": "epoch"}, 1),
    ],
)
def test_epochs_are_left_unmeasured_only_where_measuring_would_halve_the_speed(train_rows, valid_rows, given, expected):
    assert evaluate_every(config_of(**{"batch_size": 32, **given}), data_of(train_rows, valid_rows)) == expected


def test_a_run_that_leaves_epochs_unmeasured_says_so_and_measures_the_last():
    events = run(Scripted(), data_of(100, 10_000), epochs=203, batch_size=50)
    measured = [epoch.epoch for epoch in of(EpochEnded, events) if epoch.valid is not None]
    assert measured == [*range(10, 201, 10), 203]
    assert len(of(EpochEnded, events)) == 203
    (note,) = of(Noted, events)
    assert note.text.startswith("evaluated every 10 epochs: measuring 10,000 validation rows takes longer")
