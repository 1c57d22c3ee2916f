"""The gate for records: every text in them, named by their types, and nothing else."""

from typing import get_args

import msgspec
import numpy as np
import pytest

from regtui.core.events import EpochEnded, Noted, Record, Rows, RunStarted, StepEnded
from regtui.core.gate import DEEPEST, passed
from regtui.core.text import LONGEST_TEXT

EVIL, TAMED = "\x1b[2J", r"\x1b[2J"


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """A record with a field of each kind that may be added one day."""

    text: str = EVIL
    maybe: str | None = EVIL
    words: tuple[str, ...] = (EVIL, "plain")
    lists: list[str]
    named: dict[str, float]
    inner: Noted = Noted(text=EVIL)
    number: int = 3


def test_a_field_that_is_added_later_passes_the_gate_too():
    note = Noted(text=TAMED)
    expected = Later(text=TAMED, maybe=TAMED, words=(TAMED, "plain"), lists=[TAMED], named={TAMED: 0.5}, inner=note)
    assert passed(Later(lists=[EVIL], named={EVIL: 0.5})) == expected


def test_settings_pass_at_every_depth_names_and_values():
    run = RunStarted(run_id="a", settings={"list": [1, {EVIL: [EVIL, None]}], "flag": True}, listens=(EVIL,))
    assert passed(run) == RunStarted(
        run_id="a", settings={"list": [1, {TAMED: [TAMED, None]}], "flag": True}, listens=(TAMED,)
    )


def test_settings_nested_without_end_are_cut_where_nobody_reads():
    deep: object = EVIL
    for _ in range(10_000):
        deep = [deep]
    kept = passed(RunStarted(run_id="a", settings={"deep": deep})).settings["deep"]
    for _ in range(DEEPEST - 1):
        (kept,) = kept
    assert kept == "…"


def test_names_that_would_be_written_alike_are_told_apart():
    metrics = {"loss\n": 1.0, "loss\t": 2.0, "loss ": 3.0, "x" * 9000: 4.0, "x" * 9001: 5.0}
    kept = passed(EpochEnded(epoch=1, step=1, metrics=metrics)).metrics
    assert list(kept.values()) == list(metrics.values())
    assert list(kept)[:3] == ["loss ", "loss  (2)", "loss  (3)"]
    assert max(map(len, kept)) <= LONGEST_TEXT


@pytest.mark.parametrize("kind", get_args(Record), ids=lambda kind: kind.__name__)
def test_a_record_without_anything_to_change_is_given_back_itself(kind):
    required = {"run_id": "a", "status": "finished", "step": 1, "epoch": 1}
    event = kind(**{name: value for name, value in required.items() if name in kind.__struct_fields__})
    assert passed(event) is event
    step = StepEnded(step=1, metrics={"grad_norm": 1.0})
    assert passed(step) is step


def test_names_of_columns_in_rows_of_others_pass_too():
    rows = Rows(table="steps", step=np.array([1.0]), columns={"a\x1b[2J": np.array([2.0])})
    assert list(passed(rows).columns) == [r"a\x1b[2J"]
