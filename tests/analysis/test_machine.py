"""What is said of the machine that trains."""

import pytest

from regtui.analysis.machine import machine_parts, means, newest, waiting
from regtui.core.config import RunConfig
from regtui.core.events import RunEnded, RunStarted, StepEnded, SystemSampled
from regtui.core.history import History

GIB = 2.0**30


def run(used, *, steps_per_second=4.0, seconds=90, device="cuda", pause=0.0, gpus=1, **others):
    """Fold a run that is sampled each second; `used` is what its GPUs compute of the time, by turns."""
    environment = {"device": device} if device else {}
    config = RunConfig.create() if device else None
    events = [RunStarted(run_id="a-run", time=0.0, trainer="regtui", config=config, environment=environment)]
    for second in range(seconds):
        step = int(second * steps_per_second)
        metrics = {"cpu": 1.9, "cores": 16.0, **others}
        for number in range(gpus):
            metrics[f"gpu{number}/utilization"] = used[second % len(used)] if number == 0 else 0.0
        time = second + (pause if second > seconds - 20 else 0.0)
        events += [
            StepEnded(step=step + 1, epoch=1, loss=1.0, time=float(time)),
            SystemSampled(step=step, time=float(time), metrics=metrics),
        ]
    history = History()
    history.apply(events)
    return history


def test_a_gpu_that_computes_little_while_steps_are_slow_waits():
    found = waiting(run([0.1, 0.5]))
    assert found.utilization == pytest.approx(0.3)
    assert found.steps_per_second == pytest.approx(4.0)
    assert found.idle_seconds == pytest.approx(0.7 / 4)
    assert found.line == (
        "the GPU waits: it computed 30 % of the last 59 s, idle for 175 ms of each step at 4 steps/s, while 1.9 of 16 "
        "processors are in use: load rows with more workers, or in larger batches"
    )


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ({"cpu": 15.0}, "prepare rows once and keep them"),
        ({"cpu": 0.1}, "the processors wait, too, for a disk or a network"),
        ({"cpu": 1.0, "host/utilization": 0.99}, "other programs take the rest"),
        ({"cpu": None}, "look at what comes between steps"),
    ],
)
def test_what_to_try_follows_from_what_the_processors_do(said, advice):
    assert advice in waiting(run([0.1, 0.5], **said)).line


@pytest.mark.parametrize(
    "history",
    [
        run([0.93]), run([0.3], steps_per_second=200), run([0.3], seconds=20), run([0.3], device="cpu"), run([0.0]),
        run([None]), run([0.01]), run([0.3], steps_per_second=0), History(),
    ],
    ids=[
        "it computes", "its steps are short", "too few samples", "on the processor", "it is not used",
        "utilization is not known", "the screen's alone", "no step is made", "nothing is known",
    ],
)  # fmt: skip
def test_nothing_is_said_to_wait_where(history):
    assert waiting(history) is None


def test_a_pause_is_no_waiting():
    busy = {"steps_per_second": 25, "used": [0.6, 0.3]}
    assert waiting(run(**busy, pause=3600)).idle_seconds == pytest.approx(waiting(run(**busy)).idle_seconds)
    assert waiting(run([0.6], steps_per_second=25, pause=3600)) is None


def test_samples_that_do_not_say_when_they_were_taken_are_not_judged():
    history = History()
    history.apply([SystemSampled(step=at, metrics={"gpu0/utilization": 0.3}) for at in range(90)])
    assert waiting(history) is None


def test_gpus_that_a_run_does_not_use_are_none_that_wait():
    assert waiting(run([0.9], gpus=8)) is None
    assert waiting(run([0.3], gpus=8)).utilization == pytest.approx(0.3)


def test_a_log_of_another_trainer_that_names_no_device_is_judged_by_its_samples():
    assert waiting(run([0.3], device=None)) is not None


ONE = {
    "gpu0/utilization": 0.93, "gpu0/memory": 11.2 * GIB, "gpu0/memory_total": 80 * GIB, "gpu0/power": 305.0,
    "gpu0/temperature": 71.0, "cpu": 1.9, "cores": 16.0, "rss": 1.8 * GIB, "host/utilization": 0.2,
    "host/memory": 20.0 * GIB, "host/memory_total": 64 * GIB,
}  # fmt: skip


def of_samples(*samples, end=False):
    history = History()
    history.apply([SystemSampled(step=at, time=float(at), metrics=metrics) for at, metrics in enumerate(samples)])
    if end:
        history.apply([RunEnded(status="finished", step=9)])
    return history


def test_the_newest_numbers_of_a_machine_are_told_with_their_units():
    assert machine_parts(of_samples({**ONE, "cpu": 0.1}, ONE)) == [
        "GPU 0 93 %  11.2 of 80 GiB  305 W  71 °C", "CPU 1.9 of 16 cores  RSS 1.8 GiB", "host 20 %  20.0 of 64 GiB",
    ]  # fmt: skip


def test_of_a_run_that_is_over_the_means_are_told_and_of_memory_and_temperature_the_highest():
    low = {**ONE, "gpu0/utilization": 0.73, "gpu0/memory": GIB, "gpu0/temperature": 30.0}
    assert machine_parts(of_samples(ONE, low, end=True))[0] == "GPU 0 83 %  11.2 of 80 GiB  305 W  71 °C"


def test_of_many_gpus_the_mean_the_laziest_the_sums_and_the_warmest_are_told():
    eight = {
        f"gpu{number}/{name}": value
        for number in range(8)
        for name, value in {"utilization": 0.9, "memory": 40 * GIB, "memory_total": 80 * GIB, "power": 300.0}.items()
    }
    found = machine_parts(of_samples({**eight, "gpu5/utilization": 0.1, "gpu3/temperature": 81.0}))
    assert found == ["8 GPUs 80 % (GPU 5 10 %)  320.0 of 640 GiB  2400 W  81 °C"]


@pytest.mark.parametrize("number", [1e300, -1e300, float("inf"), None])
def test_what_a_log_says_wrongly_of_a_machine_is_left_out(number):
    found = of_samples(dict.fromkeys(ONE, number), {})
    assert "".join(machine_parts(found)) == ""
    assert newest(found) == {} or abs(number) == 1e300


def test_numbers_too_large_to_be_added_up_have_no_mean():
    assert means(of_samples({"rss": 1.7e308, "cpu": 1.0}, {"rss": 1.7e308})) == {"cpu": 1.0}


def test_what_was_not_sampled_is_not_told():
    assert machine_parts(History()) == []
    assert means(of_samples({"rss": 1.0}, {"rss": 3.0})) == {"rss": 2.0}
