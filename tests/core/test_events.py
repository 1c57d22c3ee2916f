"""The records: one line of strict JSON each, and back again."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regtui.core.config import RunConfig
from regtui.core.events import (
    Changed,
    EpochEnded,
    Metrics,
    Noted,
    RunEnded,
    RunStarted,
    StepEnded,
    decode,
    decode_lines,
    encode,
    encode_lines,
)

finite = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**53)
splits = st.none() | st.builds(Metrics, loss=finite, accuracy=finite)
environments = st.dictionaries(st.text(), finite)
events = (
    st.builds(StepEnded, step=counts, loss=finite, penalty=finite, learning_rate=finite, time=finite)
    | st.builds(EpochEnded, epoch=counts, step=counts, train=splits, valid=splits, running_loss=finite)
    | st.builds(Changed, step=counts, what=st.text(), old=finite, new=finite, cause=st.text())
    | st.builds(Noted, text=st.text(), level=st.text())
    | st.builds(RunEnded, status=st.text(), reason=st.text(), test=splits)
    | st.builds(
        RunStarted, run_id=st.text(), config=st.just(RunConfig()), environment=st.dictionaries(st.text(), finite)
    )
)


@given(st.lists(events, max_size=10))
def test_every_event_comes_back_as_it_was(some):
    assert [decode(encode(event)) for event in some] == some
    assert decode_lines(encode_lines(some)) == some
    assert encode_lines(some) == b"".join(map(encode, some))


@given(events)
def test_an_event_is_one_line_of_strict_json_with_its_kind(event):
    line = encode(event)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    record = json.loads(line, parse_constant=pytest.fail)
    assert record["kind"] in {"run", "step", "epoch", "change", "note", "end"}
    assert next(iter(record)) == "kind"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_become_null(number):
    step = json.loads(encode(StepEnded(step=1, loss=number)), parse_constant=pytest.fail)
    assert step["loss"] is None
    run = RunStarted(run_id="a", config=RunConfig(), environment={"speed": number})
    assert json.loads(encode(run), parse_constant=pytest.fail)["environment"] == {"speed": None}


def test_what_was_not_measured_is_absent_from_an_epoch():
    assert json.loads(encode(EpochEnded(epoch=1, step=32))) == {"kind": "epoch", "epoch": 1, "step": 32}


def test_a_run_carries_every_field_of_its_configuration():
    record = json.loads(encode(RunStarted(run_id="a", config=RunConfig())))
    assert list(record["config"]) == list(RunConfig.__struct_fields__)
    assert record["format"] == 2


def test_keys_that_are_not_known_are_passed_over():
    assert decode(b'{"kind":"step","step":1,"gradient":[1,{"a":2}]}') == StepEnded(step=1)


@pytest.mark.parametrize("line", [b"", b"{", b"{}", b'{"kind":"step"}', b'{"kind":"step","step":-1}', b'{"kind":"x"}'])
def test_a_line_that_is_no_event_is_refused(line):
    with pytest.raises(msgspec.DecodeError):
        decode(line)
