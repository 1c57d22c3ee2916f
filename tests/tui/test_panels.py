"""The lines around the curves, as text."""

import math
from typing import Any

import msgspec
import pytest

from regtui.analysis import drop_effects, verdict
from regtui.analysis.comparison import compared
from regtui.charts import StyledLine
from regtui.core.config import RunConfig, difference
from regtui.core.events import (
    Changed,
    EpochEnded,
    Evaluated,
    Metrics,
    Noted,
    RunEnded,
    RunStarted,
    StepEnded,
    SystemSampled,
)
from regtui.core.history import History
from regtui.core.plan import Plan
from regtui.report.comparison import comparison
from regtui.sources import Activity
from regtui.tui.canvas import clip, fold_line, span, spread, width_of
from regtui.tui.compared import comparison_lines, comparison_rows
from regtui.tui.eventlines import event_line
from regtui.tui.panels import bar, machine_lines, meter_lines, number_lines, state_of, status_line, verdict_lines

TRAINING = Activity(stage="training", alive=True, growing=True)


def text_of(line: StyledLine) -> str:
    return "".join(part.text for part in line)


def history_of(valid: list[float], train: list[float] | None = None, **given: object) -> History:
    """A run of made-up losses, one second an epoch of ten steps."""
    config = RunConfig.create(epochs=20, framework="torch", **given)
    environment = {"device": "cpu", "steps_per_epoch": 10, "parameters": 34110}
    events: list[object] = [RunStarted(run_id="a", time=100.0, config=config, environment=environment)]
    for at, loss in enumerate(valid):
        train_loss = train[at] if train else loss - 0.1
        events += [
            StepEnded(step=10 * at + step, epoch=at + 1, loss=loss, learning_rate=0.003, time=100.0 + at + step / 10)
            for step in range(1, 11)
        ]
        events.append(
            EpochEnded(
                epoch=at + 1, step=10 * at + 10, train=Metrics(loss=train_loss, accuracy=0.99),
                valid=Metrics(loss=loss, accuracy=0.9), learning_rate=0.003, seconds=1.0, time=101.0 + at,
            )
        )  # fmt: skip
    history = History()
    history.apply(events)  # type: ignore[arg-type]
    return history


TURNING = [1.0, 0.7, 0.5, 0.40, 0.35, 0.30, 0.33, 0.37, 0.42, 0.46, 0.50, 0.55]
FALLING = [1.1, 0.8, 0.6, 0.45, 0.35, 0.25, 0.2, 0.15, 0.1, 0.08, 0.05, 0.03]


@pytest.mark.parametrize("width", [80, 110, 140, 200])
def test_the_status_line_fills_the_width_and_no_more(width: int) -> None:
    line = status_line(history_of([1.0, 0.5]), TRAINING, None, width, 102.0)
    assert width_of(line) == width
    assert "epoch  2/20" in text_of(line)
    assert "━" in text_of(line)


@pytest.mark.parametrize("width", range(24, 100))
def test_the_status_line_says_the_state_and_the_epoch_first_and_nothing_in_part(width: int) -> None:
    history = history_of([1.0, 0.5])
    paused = Activity(stage="paused", alive=True, growing=True)
    for activity, word in ((TRAINING, "● training"), (paused, "‖ paused")):
        text = text_of(status_line(history, activity, None, width, 102.0))
        assert len(text) == width
        assert word in text
        assert "epoch  2/20" in text or width < 27
        assert ("0:18 left" in text) == (width >= 37)
        assert "…" not in text
        assert [name for name in ("torch", "digits", "cpu") if name in text] == text[13:].split("epoch")[0].replace(
            " · ", " "
        ).split()
    history.apply([RunEnded(status="finished", time=103.0)])
    assert "✓ finished" in text_of(status_line(history, Activity(), None, width, 103.0))


def test_the_status_line_says_what_runs_where_how_fast_and_how_long() -> None:
    text = text_of(status_line(history_of([1.0, 0.5, 0.4]), TRAINING, None, 140, 103.0))
    for part in ("training", "torch", "digits", "cpu", "epoch  3/20", "steps/s", "left"):
        assert part in text
    assert "10 steps/s" in text
    assert "0:17 left" in text


@pytest.mark.parametrize(
    ("epochs", "said"),
    [([at / 4 for at in range(1, 21)], "epoch 5 "), ([10.0, 20.0], "epoch 20 "), ([0.5], "epoch 0 ")],
)
def test_the_status_line_counts_epochs_and_not_evaluations(epochs: list[float], said: str) -> None:
    history = History()
    history.apply(
        [
            RunStarted(run_id="a", trainer="own loop"),
            *(Evaluated(step=int(40 * epoch), epoch=epoch, valid={"loss": 0.5}) for epoch in epochs),
        ]
    )
    assert said in text_of(status_line(history, TRAINING, None, 140, 100.0))


def test_of_epochs_planned_the_status_line_says_the_one_reached() -> None:
    history = History()
    evaluated = [Evaluated(step=at, epoch=at / 4, valid={"loss": 0.5}) for at in range(1, 21)]
    history.apply([RunStarted(run_id="a", plan=Plan(epochs=12)), *evaluated])
    assert "epoch  5/12 " in text_of(status_line(history, TRAINING, None, 140, 100.0))


def test_numbers_of_the_status_line_keep_their_place_from_epoch_to_epoch() -> None:
    lines = [text_of(status_line(history_of([0.5] * n), TRAINING, None, 140, 100.0 + n)) for n in (2, 9, 10, 15)]
    assert len({line.index("/20") for line in lines}) == 1
    assert len({line.index("steps/s") for line in lines}) == 1


def test_a_stage_before_training_is_shown_in_its_own_words() -> None:
    words, _ = state_of(History(), Activity(stage="importing tensorflow", alive=True, growing=True))
    assert words == "◌ importing tensorflow …"


@pytest.mark.parametrize(
    ("status", "words"),
    [("finished", "finished"), ("stopped", "stopped"), ("early_stopped", "stopped early"), ("diverged", "diverged"),
     ("failed", "failed")],
)  # fmt: skip
def test_each_end_has_its_own_words(status: str, words: str) -> None:
    history = history_of([1.0])
    history.apply([RunEnded(status=status, time=103.0)])
    assert words in state_of(history, Activity())[0]


def test_the_bar_counts_half_cells() -> None:
    assert text_of(tuple(bar(0.5, 10))) == "━━━━━─────"
    assert text_of(tuple(bar(0.55, 10))) == "━━━━━╸────"
    assert text_of(tuple(bar(2.0, 4))) == "━━━━"
    assert text_of(tuple(bar(-1.0, 4))) == "────"


def test_the_verdict_has_state_sign_evidence_and_advice() -> None:
    worse = [0.60, 0.65, 0.70, 0.75, 0.80, 0.85]
    history = history_of(TURNING + worse, FALLING + [0.02] * len(worse))
    first, *rest = verdict_lines(history, TRAINING, 140, 3)
    assert "▲ overfitting since epoch 6" in text_of(first)
    assert "0.85" in text_of(first)
    assert any("dropout" in text_of(line) for line in rest)


@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("height", [2, 3])
def test_the_verdict_keeps_to_its_room(width: int, height: int) -> None:
    lines = verdict_lines(history_of(TURNING, FALLING), TRAINING, width, height)
    assert len(lines) == height
    assert all(width_of(line) <= width for line in lines)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_what_a_verdict_has_no_row_for_ends_in_an_ellipsis_and_the_advice_has_its_beginning(height: int) -> None:
    worse = [0.60, 0.65, 0.70, 0.75, 0.80, 0.85]
    history = history_of(TURNING + worse, FALLING + [0.02] * len(worse))
    told = verdict(history)
    lines = [text_of(line).rstrip() for line in verdict_lines(history, TRAINING, 60, height)]
    shown = " ".join(" ".join(lines).split())
    assert (told.evidence in shown) or lines[0].endswith("…")
    if height > 1:
        assert " ".join(told.advice.split()[:3]) in shown
        assert told.advice in shown or lines[-1].endswith("…")


def test_a_problem_longer_than_its_rows_ends_in_an_ellipsis() -> None:
    lines = [text_of(line) for line in verdict_lines(History(), Activity(problem="no such file " * 20), 40, 2)]
    assert lines[-1].endswith("…")


def test_a_verdict_at_the_cursor_says_at_which_epoch() -> None:
    assert "at epoch 3:" in text_of(verdict_lines(history_of(TURNING, FALLING), TRAINING, 140, 3, row=2)[0])


def test_before_a_run_the_verdict_says_what_to_press() -> None:
    text = "\n".join(map(text_of, verdict_lines(History(), Activity(), 80, 3)))
    assert "no run yet" in text
    assert "ctrl+r starts a run" in text


def test_what_kept_a_run_from_starting_is_said_whole() -> None:
    problem = "--dataset must be digits, mnist, fashion_mnist or the path of an .npz or .csv file; x.npz is not there"
    text = " ".join(" ".join(map(text_of, verdict_lines(History(), Activity(problem=problem), 60, 3))).split())
    assert problem in text


def test_a_failed_run_gives_its_reason_in_place_of_a_verdict() -> None:
    history = history_of([1.0])
    history.apply([RunEnded(status="failed", reason="MemoryError: out of memory", time=103.0)])
    text = "\n".join(map(text_of, verdict_lines(history, Activity(), 80, 3)))
    assert "failed" in text
    assert "MemoryError: out of memory" in text


def test_the_numbers_are_those_of_the_newest_epoch_or_of_the_cursor() -> None:
    history = history_of(TURNING, FALLING)
    assert text_of(number_lines(history, 120, 2)[0]).split()[:8] == [
        "epoch", "12", "valid", "0.5500", "train", "0.0300", "gap", "+0.5200",
    ]  # fmt: skip
    assert text_of(number_lines(history, 120, 2, row=5)[0]).split()[:4] == ["epoch", "6", "valid", "0.3000"]
    assert "best 0.3000 @6" in text_of(number_lines(history, 120, 2)[1])


@pytest.mark.parametrize("width", range(1, 120, 7))
def test_numbers_that_do_not_fit_whole_are_left_out(width: int) -> None:
    for line in map(text_of, number_lines(history_of(TURNING, FALLING), width, 2)):
        assert len(line.rstrip()) <= width
        assert not line.rstrip().endswith(("0.", "+", "valid", "train"))


def test_what_was_not_measured_is_a_dash() -> None:
    text = text_of(number_lines(history_of([math.nan, math.nan], [math.nan, math.nan]), 120, 1)[0])
    assert "valid      —  train      —  gap       —" in text


def test_the_comparison_has_two_columns_and_says_what_differs() -> None:
    now, before = history_of([0.9, 0.4], dropout=0.4), history_of(TURNING, FALLING)
    text = "\n".join(map(text_of, comparison_lines(now, before, 60)))
    assert "this run" in text
    assert "previous" in text
    assert "0.400" in text
    assert "0.300" in text
    assert "Dropout 0.4 (was 0)" in text
    narrow = [text_of(line) for line in comparison_rows(now, before, 80)]
    assert "0.400 (0.300)" in narrow[0]
    assert "Dropout 0.4 (was 0)" in narrow[-1]


@pytest.mark.parametrize("width", [38, 60, 76])
def test_all_that_differs_between_two_runs_is_told_whole(width: int) -> None:
    now, before = history_of([0.9, 0.4], dropout=0.4, l2=0.001, optimizer="sgd"), history_of(TURNING, FALLING)
    whole = "Optimizer sgd (was adam), L2 0.001 (was 0), Dropout 0.4 (was 0)"
    for lines in (comparison_lines(now, before, width), comparison_rows(now, before, width)):
        assert all(width_of(line) <= width for line in lines)
        assert whole in " ".join(" ".join(map(text_of, lines)).split())


@pytest.mark.parametrize("width", [60, 78, 120])
def test_what_a_drop_did_is_told_whole(width: int) -> None:
    history = history_of(TURNING, FALLING)
    history.apply([Changed(step=60, epoch=7, old=0.003, new=0.0003, cause="plateau")])
    (effect,) = drop_effects(history)
    lines = meter_lines(history, None, width, 6)
    assert all(width_of(line) <= width for line in lines)
    assert effect.line in " ".join(" ".join(map(text_of, lines)).split())


def test_where_there_are_few_rows_each_meter_keeps_one_and_what_is_cut_ends_in_an_ellipsis() -> None:
    now, before = history_of(TURNING, FALLING, dropout=0.4, l2=0.001, early_stopping=10), history_of(TURNING, FALLING)
    now.apply([Changed(step=60, epoch=7, old=0.003, new=0.0003, cause="plateau")])
    lines = [text_of(line) for line in meter_lines(now, before, 60, 3)]
    assert len(lines) == 3
    assert "early stop" in lines[0]
    assert lines[1].startswith(" (previous)")
    assert lines[2].startswith(" LR 0.003")
    assert [line.rstrip()[-1] for line in lines[1:]] == ["…", "…"]


def test_screen_and_report_compare_two_runs_with_the_same_numbers() -> None:
    now, before = history_of([0.9, 0.4], dropout=0.4), history_of(TURNING, FALLING)
    screen = "\n".join(map(text_of, comparison_lines(now, before, 60)))
    report = "\n".join(comparison(now, before))
    for _, ours, theirs in compared(now, before):
        assert f"{ours} (was {theirs})" in report
        assert ours in screen
        assert theirs in screen


def test_equal_configurations_are_said_to_be_the_same() -> None:
    config = RunConfig.create()
    assert difference(config, config) == "the same configuration"


def test_what_follows_from_another_policy_is_not_told_beside_it() -> None:
    remedied, plain = RunConfig.create("plateau", framework="tensorflow"), RunConfig.create(framework="torch")
    assert difference(remedied, plain) == (
        "Framework tensorflow (was torch), Data mnist (was digits), Train rows all (was 1000), "
        "Label noise 0 (was 0.2), Learning rate 0.001 (was 0.003), LR policy plateau (was constant), "
        "Epochs 10 (was 60), Batch size 128 (was 32), Seed 0 (was 10)"
    )


def test_what_was_given_for_one_policy_alone_is_told_with_its_name() -> None:
    patient = RunConfig.create(lr_policy="plateau", plateau_per="epoch", patience=9, factor=0.5)
    slow = RunConfig.create(lr_policy="exponential", lr_decay=0.999)
    said = "plateau with Plateau of epoch and Patience 9 and Factor 0.5 (was exponential with Decay 0.999)"
    assert difference(patient, slow) == f"LR policy {said}, Floor 0 (was 1e-6)"
    assert difference(patient, msgspec.structs.replace(patient, patience=None)) == "Patience 9 (was 5)"
    foreign = msgspec.structs.replace(slow, lr_policy="of a newer version")
    assert difference(patient, foreign) == f"LR policy {said.partition(' (')[0]} (was of a newer version)"


def test_flags_and_empty_fields_are_told_by_what_they_mean() -> None:
    before = RunConfig.create(hidden=(16,))
    after = msgspec.structs.replace(before, keep_going=True, hidden=())
    assert difference(after, before) == "Hidden none (was 16), Keep going on (was off)"


def test_a_narrow_screen_has_the_comparison_among_the_meters() -> None:
    now, before = history_of([0.9, 0.4]), history_of(TURNING, FALLING)
    assert "(previous)" in text_of(meter_lines(now, before, 78, 5)[0])
    assert not meter_lines(now, before, 100, 5)


def test_patience_is_metered() -> None:
    history = history_of(TURNING, FALLING, early_stopping=10)
    lines = [text_of(line) for line in meter_lines(history, None, 100, 5)]
    assert any("early stop 6/10" in line for line in lines)
    assert any("━" in line for line in lines)


def machine_of(history: History) -> History:
    """Add a sample of a machine with one GPU."""
    gib = 2.0**30
    metrics = {
        "gpu0/utilization": 0.93, "gpu0/memory": 11.2 * gib, "gpu0/memory_total": 80 * gib, "gpu0/power": 305.0,
        "gpu0/temperature": 71.0, "cpu": 1.9, "cores": 16.0, "rss": 1.8 * gib, "host/utilization": 0.2,
    }  # fmt: skip
    history.apply([SystemSampled(step=20, time=102.0, metrics=metrics)])
    return history


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (30, " GPU 0 93 %  11.2 of 80 GiB…"),
        (60, " GPU 0 93 %  11.2 of 80 GiB  305 W  71 °C"),
        (80, " GPU 0 93 %  11.2 of 80 GiB  305 W  71 °C · CPU 1.9 of 16 cores  RSS 1.8 GiB"),
        (140, " GPU 0 93 %  11.2 of 80 GiB  305 W  71 °C · CPU 1.9 of 16 cores  RSS 1.8 GiB · host 20 %"),
    ],
)
def test_the_machine_is_told_on_one_row_in_parts_that_fit_whole(width: int, said: str) -> None:
    (line,) = machine_lines(machine_of(history_of([1.0, 0.5])), width)
    assert text_of(line) == said


def test_a_machine_that_was_not_looked_at_has_no_row() -> None:
    assert machine_lines(history_of([1.0, 0.5]), 80) == []


def test_a_gpu_that_waits_is_told_among_the_meters() -> None:
    history = history_of([1.0, 0.5])
    history.run = msgspec.structs.replace(history.run, environment={"device": "cuda"})
    metrics = {"gpu0/utilization": 0.2, "cpu": 1.0, "cores": 16.0}
    history.apply([SystemSampled(step=20 + at, time=102.0 + at, metrics=metrics) for at in range(60)])
    (first, *_) = meter_lines(history, None, 80, 5)
    assert text_of(first).startswith(" the GPU waits: it computed 20 % of the last 59 s")


def test_the_event_log_tells_changes_notes_and_ends() -> None:
    change = Changed(step=640, epoch=20, old=0.1, new=0.01, cause="plateau", time=1.0)
    assert "LR 0.1 → 0.01  plateau, epoch 20, step 640" in text_of(event_line(change))
    turned = Changed(step=640, epoch=20, what="dropout", old=0.0, new=0.4, cause="user", time=1.0)
    assert "Dropout 0 → 0.4  by hand" in text_of(event_line(turned))
    assert "something printed" in text_of(event_line(Noted(level="output", text="something printed", time=1.0)))
    end = RunEnded(status="diverged", reason="loss is not finite", epoch=3, step=90, test=Metrics(loss=0.5), time=1.0)
    assert "✗ diverged at epoch 3, step 90: loss is not finite; test loss 0.5000" in text_of(event_line(end))


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "✓ finished"), ({"epoch": 3}, "✓ finished at epoch 3"), ({"step": 90}, "✓ finished at step 90"),
     ({"reason": "enough"}, "✓ finished: enough")],
)  # fmt: skip
def test_an_end_is_told_with_no_more_than_its_record_says(given: dict[str, Any], said: str) -> None:
    assert text_of(event_line(RunEnded(status="finished", **given))).strip() == said


def test_lines_are_clipped_with_an_ellipsis_and_spread_to_both_edges() -> None:
    assert text_of(clip([span("abcdef"), span("ghi")], 5)) == "abcd…"
    assert text_of(clip([span("abc")], 3)) == "abc"
    assert text_of(spread([span("left")], [span("right")], 12)) == "left   right"
    assert width_of(spread([span("a long left side")], [span("right")], 12)) == 12


@pytest.mark.parametrize("width", [12, 20, 33, 80])
def test_a_folded_line_loses_no_word(width: int) -> None:
    words = "12:00:00  call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)"
    rows = fold_line([span(words[:10], "muted"), span(words[10:])], width)
    assert all(width_of(row) <= width for row in rows)
    assert "".join("".join(map(text_of, rows)).split()) == "".join(words.split())
