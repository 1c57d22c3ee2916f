"""The verdict held to real runs, at every prefix of each.

`tests/logs/labels.json` says what a person sees in each curve; the logs are made by `tests/logs/make.py`.
"""

import json
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from regtui import analysis
from regtui.core.events import EpochEnded, StepEnded, decode_lines
from regtui.core.history import History

LOGS = Path(__file__).parents[1] / "logs"
LABELS = json.loads((LOGS / "labels.json").read_text(encoding="utf-8"))
MADE = {
    f"{label.get('log', name)}-{framework}": label
    for name, label in LABELS["runs"].items()
    for framework in label["frameworks"]
}
OVERFIT = [name for name, label in MADE.items() if "plain_at" in label]
STUCK = [name for name, label in MADE.items() if "plain_stuck_at" in label]
ACCURATE = [name for name, label in MADE.items() if "accuracy_falls" in label]


@cache
def prefixes(name: str) -> list[analysis.Verdict]:
    """Give the verdict after each epoch, folded as it was when the run was young, and the one at the end.

    In a log that holds no epochs, the verdict after each step.
    """
    history, found = History(), []
    kind = EpochEnded if MADE[name]["since"] else StepEnded
    for event in decode_lines((LOGS / f"{name}.jsonl").read_bytes()):
        history.apply([event])
        if isinstance(event, kind):
            found.append(analysis.verdict(history))
    return [*found, analysis.verdict(history)]


@cache
def whole(name: str) -> History:
    history = History()
    history.apply(decode_lines((LOGS / f"{name}.jsonl").read_bytes()))
    return history


def test_what_is_said_of_each_log_is_what_was_read_and_approved() -> None:
    spec = spec_from_file_location("make_logs", LOGS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = module_from_spec(spec)
    sys.modules[spec.name] = make  # dataclasses look their module up
    spec.loader.exec_module(make)
    assert make.verdicts() == (LOGS / "verdicts.txt").read_text(encoding="utf-8")


def test_every_log_has_a_label_and_every_label_a_log() -> None:
    assert {path.stem for path in LOGS.glob("[!.]*.jsonl")} == set(MADE)


def test_the_logs_stay_small() -> None:
    sizes = {path.name: path.stat().st_size for path in LOGS.glob("[!.]*.jsonl")}
    assert max(sizes.values()) < 80_000
    assert sum(sizes.values()) < 2_000_000


@pytest.mark.parametrize("name", MADE)
def test_the_run_ends_in_the_state_that_a_person_sees(name: str) -> None:
    assert prefixes(name)[-1].state == MADE[name]["path"][-1]


@pytest.mark.parametrize("name", MADE)
def test_the_state_changes_as_the_run_does_and_flickers_at_most_once(name: str) -> None:
    path = MADE[name]["path"]
    seen = [state for state, _ in groupby(found.state for found in prefixes(name))]
    # A wrong change is a state out of turn: what is left when the path is taken out of what was seen.
    assert len(seen) - longest_common(seen, path) <= MADE[name].get("wrong", 0)
    assert longest_common(seen, path) == len(path)


def longest_common(some: list[str], others: list[str]) -> int:
    """Give the length of the longest common subsequence."""
    table = np.zeros((len(some) + 1, len(others) + 1), dtype=int)
    for i, one in enumerate(some):
        for j, other in enumerate(others):
            table[i + 1, j + 1] = table[i, j] + 1 if one == other else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


@pytest.mark.parametrize("name", OVERFIT)
def test_overfitting_is_noticed_within_a_handful_of_evaluated_epochs_after_it_is_plain(name: str) -> None:
    label = MADE[name]
    numbers = whole(name).evaluations["epoch"].values
    first = next(
        int(number) for number, found in zip(numbers, prefixes(name), strict=False) if found.state == "overfitting"
    )
    within = label.get("within", 5) * label.get("evaluated_every", 1)
    assert label["not_before"] <= first <= label["plain_at"] + within


@pytest.mark.parametrize("name", STUCK)
def test_a_loss_that_stands_still_is_noticed_within_a_handful_of_epochs_after_it_is_plain(name: str) -> None:
    by_then = prefixes(name)[MADE[name]["plain_stuck_at"] + 5 - 1 :]
    assert {found.state for found in by_then} == {"underfitting"}


@pytest.mark.parametrize("name", ACCURATE)
def test_the_evidence_says_whether_accuracy_agrees_with_the_rising_loss(name: str) -> None:
    evidence = prefixes(name)[-1].evidence
    assert ("accuracy falls, too" in evidence) == MADE[name]["accuracy_falls"]
    assert ("overconfident: accuracy" in evidence) == (not MADE[name]["accuracy_falls"])


@pytest.mark.parametrize("name", ["disagree-torch", "disagree-tensorflow", "disagree-smooth-torch", "mnist-5000-torch"])
def test_where_loss_and_accuracy_disagree_the_advice_names_the_best_epoch_by_each(name: str) -> None:
    table, advice = whole(name).evaluations, prefixes(name)[-1].advice
    by_loss = int(np.argmin(table["valid/loss"].values)) + 1
    by_accuracy = int(np.argmax(table["valid/accuracy"].values)) + 1
    assert f"stop at epoch {by_loss} for probabilities" in advice
    assert f"at epoch {by_accuracy} for right answers" in advice


@pytest.mark.parametrize("name", MADE)
def test_overfitting_is_since_the_exact_epoch_of_the_lowest_validation_loss(name: str) -> None:
    valid, numbers = whole(name).evaluations["valid/loss"].values, whole(name).evaluations["epoch"].values
    for row, found in enumerate(prefixes(name)[:-1]):
        if found.state == "overfitting":
            assert found.since_epoch == numbers[np.nanargmin(valid[: row + 1])]


@pytest.mark.parametrize("name", MADE)
def test_the_epoch_since_which_it_holds_is_the_one_that_a_person_sees(name: str) -> None:
    found = prefixes(name)[-1]
    for since, wanted in ((found.since_epoch, MADE[name]["since"]), (found.since_step, MADE[name].get("since_step"))):
        if wanted is not None:
            assert since is not None
            assert wanted[0] <= since <= wanted[1]
    assert MADE[name]["since"] is not None or found.since_epoch is None


@pytest.mark.parametrize("name", MADE)
def test_the_advice_names_what_would_help_at_every_prefix(name: str) -> None:
    label = MADE[name]
    for found in prefixes(name):
        wanted = label["advice"].get(found.state, [])
        assert all(word in found.advice for word in wanted), (found.since_epoch, found.advice)
        unwanted = label.get("not_advised", [])
        assert not any(word in found.advice for word in unwanted), found.advice


@pytest.mark.parametrize("name", MADE)
def test_the_verdict_at_an_epoch_is_what_was_said_then(name: str) -> None:
    for row, found in enumerate(prefixes(name)[: max(0, len(whole(name).evaluations) - 1)]):
        assert analysis.verdict_at(whole(name), row) == found


@pytest.mark.parametrize("name", [name for name in MADE if "drops" in MADE[name]])
def test_each_drop_is_judged_as_a_person_would(name: str) -> None:
    found = [(effect.epoch, effect.helped) for effect in analysis.drop_effects(whole(name))]
    assert found == [tuple(drop) for drop in MADE[name]["drops"]]


@pytest.mark.parametrize(
    "name", [f"{name}-torch" for name, label in LABELS["runs"].items() if len(label["frameworks"]) > 1]
)
def test_both_frameworks_get_the_same_kind_of_verdict(name: str) -> None:
    assert prefixes(name)[-1].state == prefixes(name.replace("-torch", "-tensorflow"))[-1].state


@pytest.mark.parametrize("name", ["plateau-step-torch", "plateau-epoch-torch"])
def test_the_meter_has_the_rate_of_the_log_at_every_epoch(name: str) -> None:
    history = History()
    for event in decode_lines((LOGS / f"{name}.jsonl").read_bytes()):
        history.apply([event])
        if isinstance(event, EpochEnded):
            meter = analysis.meters(history).plateau
            latest = [change.new for change in history.changes]
            assert meter is not None
            assert meter.rate == pytest.approx(latest[-1] if latest else history.config.learning_rate)


def test_remedies_are_judged_better_than_none() -> None:
    best = {
        name: np.nanmin(whole(f"{name}-torch").evaluations["valid/loss"].values) for name in ("noisy", "noisy-dropout")
    }
    assert best["noisy-dropout"] < best["noisy"]
