"""What there is to tell of a run is told once, at its time, in the words of the screen."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from regtui.analysis import verdict
from regtui.core.events import EpochEnded, Event, Noted, Resumed, RunEnded, RunStarted, StepEnded, SystemSampled
from regtui.core.history import History
from regtui.core.plan import Plan
from regtui.notify.lookout import FIRST_SECONDS, FLOOR_SECONDS, Lookout, usual_seconds
from regtui.notify.notices import Notice
from regtui.sources.log import LogSource

LOGS = Path(__file__).parent.parent / "logs"


def told_of(events: Sequence[Event], at_once: int = 1, *, from_start: bool = True) -> list[Notice]:
    """Give what is told while a log is folded in, so many events at a time."""
    history, lookout, told = History(), Lookout(from_start=from_start), []
    for start in range(0, len(events), at_once):
        history.apply(events[start : start + at_once])
        told += lookout.look(history, float(start))
    return told


def log(name: str) -> list[Event]:
    return LogSource(LOGS / f"{name}.jsonl").poll()


@pytest.mark.parametrize("at_once", [1, 7, 100_000])
def test_the_first_sign_of_overfitting_is_told_with_what_was_known_then_however_records_come(at_once: int) -> None:
    overfits, ended = told_of(log("clean-torch"), at_once)
    assert overfits == told_of(log("clean-torch"))[0]
    assert overfits.title == "regtui: clean-torch overfits"
    assert overfits.body.startswith("Overfitting since epoch 15: validation 0.0")
    assert "at epoch 38, gap +0.0957" in overfits.body
    assert ended.title == "regtui: clean-torch finished"
    assert ended.body.startswith("epoch 60 of 60, ")
    assert "gap +0.101\nOverfitting since epoch 15: validation 0.101" in ended.body


def test_overfitting_that_went_and_came_back_is_told_once() -> None:
    events = log("noisy-remedy-torch")
    last = [event for event in events if isinstance(event, EpochEnded)][-1]
    again = [
        structs.replace(
            last, epoch=last.epoch + at, step=last.step + at, train={"loss": 0.42 * 0.99**at},
            valid={"loss": 0.31 * (1 + 0.02 * at)},
        )
        for at in range(1, 40)
    ]  # fmt: skip
    history = History()
    history.apply([*events[:-1], *again])
    assert verdict(history).state == "overfitting"
    assert [notice.kind for notice in told_of([*events[:-1], *again])] == ["overfitting"]


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        ("finished", "finished", "end"),
        ("stopped", "stopped", "end"),
        ("early_stopped", "stopped early", "end"),
        ("failed", "failed", "failure"),
        ("diverged", "diverged", "divergence"),
    ],
)
def test_each_end_has_its_word_and_its_reason(status: str, word: str, kind: str) -> None:
    events = [started(), EpochEnded(epoch=1, step=10, train={"loss": 2.0}, valid={"loss": 2.0})]
    (told,) = told_of([*events, RunEnded(status=status, reason="out of memory", step=10, epoch=1)])
    assert (told.kind, told.title) == (kind, f"regtui: r {word}")
    assert "epoch 1 of 5, gap +0: out of memory" in told.body.replace("+0.000", "+0")


def test_a_run_that_diverges_and_goes_on_is_told_when_it_does_and_when_it_ends() -> None:
    diverges, ended = told_of(log("lr-large-keep-going-torch"))
    assert (diverges.kind, ended.kind) == ("divergence", "end")
    assert diverges.title.endswith("diverges")
    assert diverges.body.startswith("Diverged since epoch 1")


def test_what_was_so_when_the_log_was_first_looked_at_is_no_news() -> None:
    events = log("clean-torch")
    assert told_of(events, len(events), from_start=False) == []
    (ended,) = told_of(events, len(events) - 1, from_start=False)
    assert ended.kind == "end"


def test_a_run_that_goes_on_from_a_checkpoint_ends_again() -> None:
    ended = RunEnded(status="finished", step=1, epoch=1)
    told = told_of([started(), StepEnded(step=1, loss=1.0), ended, Resumed(step=1), StepEnded(step=2, loss=1.0), ended])
    assert [notice.kind for notice in told] == ["end", "end"]


def test_another_run_in_the_same_log_is_news_from_its_start() -> None:
    told = told_of([*log("clean-torch"), *log("clean-torch")], len(log("clean-torch")), from_start=False)
    assert [notice.kind for notice in told] == ["overfitting", "end"]


def test_a_run_is_told_by_signs_that_stay_where_they_are_put() -> None:
    (told,) = told_of([started("x\x1b]0;y\x07" + "z" * 500), RunEnded(status="failed", reason="\x1b[31mred\n" * 900)])
    assert told.title.isprintable()
    assert len(told.title) <= 120
    assert all(line.isprintable() and len(line) <= 300 for line in told.body.split("\n"))


# Nothing new


def started(name: str = "r") -> RunStarted:
    return RunStarted(run_id=name, plan=Plan(epochs=5), time=0.0)


class Watcher:
    """Looks at a run every second of a clock that is moved by hand."""

    def __init__(self, *events: Event, growing: bool = True) -> None:
        self.history, self.lookout, self.now = History(), Lookout(from_start=True), 0.0
        self.growing = growing
        self.come(started(), *events)

    def come(self, *events: Event) -> list[str]:
        self.history.apply(events)
        return self.kinds(self.lookout.look(self.history, self.now, growing=self.growing))

    def wait(self, seconds: float, *, paused: bool = False, growing: bool | None = None) -> list[str]:
        """Let seconds pass in which nothing comes, looking all the time."""
        told, until = [], self.now + seconds
        growing = self.growing if growing is None else growing
        while self.now < until:
            self.now = min(self.now + 1.0, until)
            told += self.lookout.look(self.history, self.now, paused=paused, growing=growing)
        self.told = told
        return self.kinds(told)

    @staticmethod
    def kinds(notices: Iterable[Notice]) -> list[str]:
        return [notice.kind for notice in notices]

    def step(self, number: int) -> list[str]:
        return self.come(StepEnded(step=number, epoch=1, loss=1.0, time=self.now))


def test_a_stall_is_told_once_and_again_only_after_the_run_went_on() -> None:
    watcher = Watcher()
    watcher.step(1)
    assert watcher.wait(FLOOR_SECONDS) == []
    assert watcher.wait(1) == ["stall"]
    assert watcher.told[0].title == "regtui: r has stalled"
    assert watcher.told[0].body.startswith("nothing new for 1:01\n")
    assert watcher.wait(10_000) == []
    assert watcher.step(2) == ["recovery"]
    assert watcher.step(3) == []
    # Ten thousand seconds are usual by now, as far as is known; of more such waits the longest is left out.
    assert watcher.wait(100_000) == ["stall"]


def test_samples_of_the_machine_alone_do_not_hide_that_a_training_hangs() -> None:
    watcher = Watcher()
    watcher.step(1)
    told = []
    for _ in range(int(FLOOR_SECONDS) + 1):
        told += watcher.wait(1)
        told += watcher.come(SystemSampled(time=watcher.now, step=1, metrics={"cpu": 0.1}))
    assert told == ["stall"]


def test_a_run_that_usually_takes_long_is_waited_for_five_times_as_long() -> None:
    watcher = Watcher()
    for number in range(1, 5):
        # At first it cannot be known.
        assert watcher.step(number) == ([] if number != 2 else ["recovery"])
        assert watcher.wait(100) == ([] if number > 1 else ["stall"])
    watcher.step(5)
    assert watcher.wait(500) == []
    assert watcher.wait(1) == ["stall"]
    assert "where it usually takes no longer than 1:40" in watcher.told[0].body


def test_what_was_usual_is_known_from_the_times_in_the_log() -> None:
    steps = [StepEnded(step=number, loss=1.0, time=100.0 * number) for number in range(1, 6)]
    watcher = Watcher(*steps)
    assert watcher.wait(500) == []
    assert watcher.wait(1) == ["stall"]


def test_one_night_in_which_the_machine_slept_is_not_usual_and_neither_is_a_pause() -> None:
    history = History()
    times = [100.0, 200.0, 300.0, 400.0, 40_000.0, 40_100.0, 90_000.0]
    steps = [StepEnded(step=at, loss=1.0, time=time) for at, time in enumerate(times, 1)]
    history.apply([started(), *steps[:6], Noted(level="state", text="paused", time=40_200.0), steps[6]])
    assert usual_seconds(history) == 100.0


def test_a_paused_run_never_stalls() -> None:
    watcher = Watcher()
    watcher.step(1)
    assert watcher.wait(100_000, paused=True) == []
    assert watcher.wait(FLOOR_SECONDS) == []
    assert watcher.wait(1) == ["stall"]


def test_a_time_in_which_nobody_looked_is_no_silence() -> None:
    watcher = Watcher()
    watcher.step(1)
    watcher.now += 10_000
    assert watcher.wait(1) == []


def test_the_first_number_of_a_run_may_take_ten_minutes() -> None:
    watcher = Watcher()
    assert watcher.wait(FIRST_SECONDS) == []
    assert watcher.wait(1) == ["stall"]


def test_a_log_that_was_never_seen_to_grow_does_not_stall() -> None:
    assert Watcher(StepEnded(step=1, loss=1.0), growing=False).wait(100_000) == []


def test_a_log_whose_writer_is_gone_says_so() -> None:
    watcher = Watcher()
    watcher.step(1)
    assert watcher.wait(61, growing=False) == ["stall"]
    assert "nobody on this machine writes its log" in watcher.told[0].body


def test_a_run_that_has_ended_does_not_stall() -> None:
    watcher = Watcher(RunEnded(status="finished", step=1, epoch=1))
    assert watcher.wait(100_000) == []
