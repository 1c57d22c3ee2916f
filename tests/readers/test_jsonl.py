"""The log: what was written is what is read, at any instant and whatever happened to the file."""

import contextlib
import json
import math
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regtui.core.config import RunConfig
from regtui.core.events import (
    Changed,
    EpochEnded,
    Event,
    Metrics,
    Noted,
    RunEnded,
    RunStarted,
    StepEnded,
    encode,
    encode_lines,
)
from regtui.core.history import History
from regtui.readers import LogWriter, is_being_written
from regtui.readers.jsonl import BLOCK_BYTES, LONGEST_LINE, ONE_IN, PATIENCE, JsonlReader


def a_run(epochs: int = 3, steps: int = 4, run_id: str = "a") -> list[Event]:
    """Make the events of a small run."""
    events: list[Event] = [RunStarted(run_id=run_id, time=1.0, config=RunConfig.create(epochs=epochs))]
    for epoch in range(1, epochs + 1):
        events += [
            StepEnded(step=step, epoch=epoch, loss=2 / step, penalty=0.1, learning_rate=0.2, time=step)
            for step in range((epoch - 1) * steps + 1, epoch * steps + 1)
        ]
        loss = Metrics(loss=2 / epoch, accuracy=0.5)
        events.append(EpochEnded(epoch=epoch, step=epoch * steps, train=loss, valid=loss, weight_norms={"output": 2.0}))
    events.append(Changed(step=steps, epoch=1, old=0.2, new=0.1, cause="user"))
    events.append(RunEnded(status="finished", step=epochs * steps, epoch=epochs))
    return events


def write(path: Path, events: list[Event]) -> Path:
    with LogWriter(path) as writer:
        writer.write(events)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def is_json(line: bytes) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


@pytest.fixture
def log(tmp_path):
    return tmp_path / "run" / "events.jsonl"


def test_what_was_written_is_read_back(log):
    events = a_run()
    assert JsonlReader(write(log, events)).poll() == events


def test_a_limit_splits_the_log_and_loses_nothing(log):
    events = a_run()
    reader = JsonlReader(write(log, events))
    batches = []
    while batch := reader.poll(3):
        batches.append(batch)
    assert [event for batch in batches for event in batch] == events
    assert max(map(len, batches)) == 3


def test_numbers_that_are_not_finite_are_written_as_null(log):
    write(log, [StepEnded(step=1, loss=math.nan, penalty=math.inf)])
    record = json.loads(log.read_text(), parse_constant=pytest.fail)
    assert record["loss"] is None
    assert record["penalty"] is None


def test_a_log_is_read_as_it_grows(log):
    events = a_run()
    with LogWriter(log) as writer:
        reader = JsonlReader(log)
        assert reader.poll() == []
        for event in events:
            writer.write([event])
            assert reader.poll() == [event]
        assert reader.poll() == []


def test_a_half_written_last_line_is_not_yet(log):
    lines = encode_lines(a_run()).splitlines(keepends=True)
    write(log, [])
    reader = JsonlReader(log)
    append(log, lines[0] + lines[1][:20])
    assert len(reader.poll()) == 1
    assert reader.poll() == []
    append(log, lines[1][20:] + lines[2])
    assert len(reader.poll()) == 2
    assert reader.warnings() == []


def test_a_last_line_without_its_line_break_is_read_once(log):
    lines = encode_lines(a_run()).splitlines()
    write(log, [])
    append(log, lines[0] + b"\n" + lines[1])
    reader = JsonlReader(log)
    assert len(reader.poll()) == 2
    append(log, b"\n")
    assert reader.poll() == []
    append(log, b"junk\n" + lines[2] + b"\n")
    assert len(reader.poll()) == 1
    assert list(reader.skipped) == [3]


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 200), min_size=1, max_size=60))
def test_any_way_of_growing_gives_the_same_events(tmp_path_factory, cuts):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    path.touch()
    data, reader, seen, at = encode_lines(a_run()), JsonlReader(path), [], 0
    for size in [*cuts, len(data)]:
        append(path, data[at : at + size])
        at += size
        seen += reader.poll()
    assert seen == a_run()
    assert reader.skipped.count == 0


def test_a_log_cut_anywhere_near_its_end_reads_to_its_last_whole_line(log):
    data = encode_lines(a_run())
    log.parent.mkdir()
    for kept in range(len(data) - 300, len(data) + 1):
        log.write_bytes(data[:kept])
        reader = JsonlReader(log)
        assert len(reader.poll()) == sum(map(is_json, data[:kept].splitlines()))
        assert reader.skipped.count == 0


def test_a_writer_killed_in_the_middle_leaves_a_log_that_reads(log):
    program = (
        "import sys; from pathlib import Path; from regtui.readers import LogWriter\n"
        "from regtui.core.events import StepEnded\n"
        "writer = LogWriter(Path(sys.argv[1]))\n"
        "step = 0\n"
        "while True:\n"
        "    writer.write([StepEnded(step=step + i, loss=0.1) for i in range(1, 51)])\n"
        "    step += 50\n"
        "    step == 5000 and print('enough', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(log)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"enough\n"
        assert is_being_written(log)
        writer.send_signal(signal.SIGKILL)
    assert not is_being_written(log)
    reader = JsonlReader(log)
    steps = [event.step for event in reader.poll()]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 5000
    assert reader.skipped.count == 0


def test_a_run_appended_to_a_torn_log_starts_on_a_line_of_its_own(log):
    data = encode_lines(a_run())
    log.parent.mkdir()
    log.write_bytes(data[:-20])
    write(log, a_run(run_id="b"))
    reader = JsonlReader(log)
    events = reader.poll()
    assert events[: len(a_run()) - 1] == a_run()[:-1]
    assert events[len(a_run()) - 1 :] == a_run(run_id="b")
    assert list(reader.skipped) == [len(a_run())]


def test_lines_that_cannot_be_read_are_counted_and_named(log):
    lines = encode_lines(a_run()).splitlines()
    bad = [b"{broken", b"[1, 2]", b'{"kind":"step"}', b'{"no":"kind"}', b'"text"', b"\xff\xfe", b"\0" * 50]
    bad += [b'{"kind":"step","step":"x"}', b'{"kind":["a"]}', b"[" * 100_000, b'{"kind":"step","step":Infinity}']
    log.parent.mkdir()
    log.write_bytes(b"\n".join([lines[0], *bad, *lines[1:]]) + b"\n")
    reader = JsonlReader(log)
    assert reader.poll() == a_run()
    assert reader.skipped.count == len(bad) == 11
    assert list(reader.skipped) == list(range(2, 12))
    warning = "11 lines of events.jsonl could not be read and left out: lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ..."
    assert reader.warnings() == [warning]


def test_kinds_and_keys_that_are_not_known_are_passed_over_in_silence(log):
    log.parent.mkdir()
    log.write_text('{"kind":"gradient","step":1,"norm":NaN}\n{"kind":"step","step":1,"loss":0.5,"new":[{}]}\n\n\r\n')
    reader = JsonlReader(log)
    assert reader.poll() == [StepEnded(step=1, loss=0.5)]
    assert reader.warnings() == []


def test_numbers_as_other_tools_write_them_are_accepted(log):
    log.parent.mkdir()
    log.write_text(
        '\ufeff{"kind":"step","step":1,"loss":NaN,"penalty":-Infinity,"learning_rate":Infinity}\r\n'
        '{"kind":"step","step":2.0,"loss":"nan","penalty":"0.5"}\n'
        '{"step":3,"loss":1e999,"kind":"step"}\n'
    )
    reader = JsonlReader(log)
    steps = reader.poll()
    assert [event.step for event in steps] == [1, 2, 3]
    assert (steps[0].loss, steps[0].penalty, steps[0].learning_rate) == (None, None, None)
    assert math.isnan(steps[1].loss)
    assert steps[1].penalty == 0.5
    assert reader.skipped.count == 0


def test_a_text_that_speaks_of_nan_keeps_its_words(log):
    log.parent.mkdir()
    said = r'saw "loss":NaN, "a\":Infinity and [NaN]'
    log.write_bytes(encode_lines([Noted(text=said)]) + b'{"kind":"step","step":1,"loss":NaN,"extra":[NaN]}\n')
    assert JsonlReader(log).poll() == [Noted(text=said), StepEnded(step=1)]


def test_line_numbers_are_right_far_into_a_log(log):
    steps = [StepEnded(step=step, loss=0.123456789, time=1e9 + step) for step in range(1, 30_001)]
    data = encode_lines(steps)
    assert len(data) > 2 * BLOCK_BYTES
    log.parent.mkdir()
    log.write_bytes(data + b"bad\n" + data + b"worse\n")
    reader = JsonlReader(log)
    assert len(reader.poll()) == 60_000
    assert list(reader.skipped) == [30_001, 60_002]


def test_a_line_of_100_megabytes_is_skipped_without_being_held(log):
    lines = encode_lines(a_run()).splitlines(keepends=True)
    log.parent.mkdir()
    with log.open("wb") as file:
        file.write(lines[0])
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n")
        file.writelines(lines[1:])
    tracemalloc.start()
    reader = JsonlReader(log)
    events = reader.poll()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert events == a_run()
    assert list(reader.skipped) == [2]
    assert peak < 5 * LONGEST_LINE


def test_a_log_that_was_replaced_is_read_anew(log, tmp_path):
    reader = JsonlReader(write(log, a_run()))
    reader.poll()
    other = write(tmp_path / "other.jsonl", a_run(run_id="b", epochs=9))
    other.replace(log)
    assert reader.poll() == a_run(run_id="b", epochs=9)


def test_a_log_that_shrank_is_read_anew(log):
    reader = JsonlReader(write(log, a_run(epochs=9)))
    reader.poll()
    log.write_bytes(encode_lines(a_run(run_id="b")))
    assert reader.poll() == a_run(run_id="b")


def test_a_log_written_anew_and_longer_is_read_anew(log):
    reader = JsonlReader(write(log, a_run()))
    reader.poll()
    log.write_bytes(encode_lines(a_run(run_id="b", epochs=9)))
    assert reader.poll() == a_run(run_id="b", epochs=9)


def test_a_log_that_is_gone_for_a_moment_is_not_yet(log):
    reader = JsonlReader(write(log, a_run()))
    reader.poll()
    log.rename(log.with_name("away"))
    assert reader.poll() == []
    log.with_name("away").rename(log)
    append(log, encode_lines([Noted(text="back")]))
    assert reader.poll() == [Noted(text="back")]


def test_a_log_whose_head_is_missing_still_reads(log):
    data = encode_lines(a_run())
    log.parent.mkdir()
    log.write_bytes(data[len(data) // 3 :])
    reader = JsonlReader(log)
    events = reader.poll()
    assert events == a_run()[-len(events) :]
    assert list(reader.skipped) == [1]


OURS = msgspec.to_builtins(RunConfig.create(dataset="digits"))


@pytest.mark.parametrize(
    "record",
    [
        '{"kind":"run"}',
        '{"kind":"run","config":null}',
        '{"kind":"run","config":[]}',
        '{"kind":"run","config":{"epochs":7}}',
        '{"kind":"run","trainer":"keras","config":' + json.dumps(OURS) + "}",
    ],
)
def test_what_a_record_does_not_say_of_the_configuration_no_default_stands_in_for(log, record):
    log.parent.mkdir()
    log.write_text(record + "\n")
    (run,) = JsonlReader(log).poll()
    assert run.config is None


def test_a_configuration_that_is_not_ours_is_kept_as_settings(log):
    log.parent.mkdir()
    log.write_text('{"kind":"run","config":{"lr":0.3,"epochs":7}}\n')
    history = History()
    history.apply(JsonlReader(log).poll())
    assert history.settings == {"lr": 0.3, "epochs": 7}
    assert history.plan.epochs is None


def test_the_plan_of_a_run_is_read_as_far_as_it_can_be(log):
    log.parent.mkdir()
    log.write_text('{"kind":"run","run_id":5,"plan":{"epochs":"7","total_steps":90,"classes":-2}}\n')
    history = History()
    history.apply(JsonlReader(log).poll())
    assert (history.plan.epochs, history.plan.total_steps, history.plan.classes) == (None, 90, None)


@pytest.mark.parametrize(
    "config",
    [
        "{}", '{"dropout":"much"}', '{"dropout":7}', '{"hidden":[0,-1]}', '{"lr_policy":"magic"}',
        '{"epochs":0}', '{"lr_floor":3.0,"lr_policy":"cosine","learning_rate":0.1}', '{"from_a_newer_version":1}',
        '{"lr_policy":"plateau"}', '{"learning_rate":NaN}', '{"dataset":null}', '{"lr_policy":{}}',
    ],
)  # fmt: skip
def test_a_run_is_never_lost_for_its_configuration(log, config):
    log.parent.mkdir()
    whole = json.dumps({**OURS, **json.loads(config)})
    log.write_text(f'{{"kind":"run","run_id":"a","config":{whole}}}\n{{"kind":"step","step":1}}\n')
    reader = JsonlReader(log)
    run, step = reader.poll()
    assert run.run_id == "a"
    assert list(run.config.problems()) == []
    assert step == StepEnded(step=1)
    assert reader.skipped.count == 0


def test_a_field_that_cannot_be_run_is_named(log):
    log.parent.mkdir()
    config = json.dumps({**OURS, "lr_policy": "magic", "epochs": 7})
    log.write_text(f'{{"kind":"run","run_id":"a","config":{config}}}\n')
    reader = JsonlReader(log)
    assert reader.poll()[0].config.epochs == 7
    (warning,) = reader.warnings()
    assert warning.startswith("line 1 of events.jsonl: lr_policy of the run must be one of constant, ")
    assert "'magic'" in warning


@pytest.mark.parametrize("record", ['{"kind":"run"}', '{"kind":"run","run_id":5,"environment":[],"config":{"l2":0.1}}'])
def test_a_run_without_a_name_is_called_after_its_folder(log, record):
    log.parent.mkdir()
    log.write_text(record + "\n")
    (run,) = JsonlReader(log).poll()
    assert run.run_id == "run"
    assert run.environment == {}


def test_any_bytes_are_read_without_an_error(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    lines = st.sampled_from([*encode_lines(a_run()).splitlines(), b"", b"{", b"null", b'{"kind":"run","config":3}'])

    @settings(max_examples=200, deadline=None)
    @given(st.lists(lines | st.binary(max_size=40), max_size=20))
    def read(parts):
        path.write_bytes(b"\n".join(parts))
        reader = JsonlReader(path)
        reader.poll()
        assert reader.poll() == []
        assert reader.skipped.count <= len(parts) + sum(part.count(b"\n") for part in parts)

    read()


def test_a_log_that_goes_on_leniently_after_very_much_junk_is_read_from_there_on(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    lenient = b'{"kind":"step","step":"%d","loss":"1.5"}\n'
    junk = b'{"kind":"step"}\n' * (2 * PATIENCE)
    log.write_bytes(junk + b"".join(lenient % step for step in range(1, 201)))
    found = JsonlReader(log).poll()
    assert [event.step for event in found] == list(range(found[0].step, 201))
    assert found[0].step <= ONE_IN


def test_after_much_junk_a_strict_record_is_read_at_once(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b'{"kind":"step"}\n' * (2 * PATIENCE) + encode(StepEnded(step=7, loss=1.0)))
    reader = JsonlReader(log)
    assert [event.step for event in reader.poll()] == [7]
    assert reader.skipped.count == 2 * PATIENCE


def test_the_rest_of_a_block_with_a_run_is_given_without_the_gate(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(encode(RunStarted(run_id="plain")) + encode(StepEnded(step=1, loss=1.0)))
    reader = JsonlReader(log)
    reader.poll()
    assert reader.gave_plain


@pytest.mark.parametrize("odd", [b'"\xe9"', b"9" * 5000], ids=["bytes", "digits"])
def test_a_field_that_is_not_known_and_cannot_be_read_spoils_no_run(log, odd):
    log.parent.mkdir()
    log.write_bytes(b'{"kind":"run","format":2,"run_id":"a","odd":%s,"config":{"epochs":3}}\n' % odd)
    (run,) = JsonlReader(log).poll()
    assert (run.run_id, run.config) == ("a", None)
