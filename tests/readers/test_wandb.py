"""W&B's offline files, written here chunk by chunk from the facts of their layout."""

import json
import os
import random
import resource
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from regtui import analysis
from regtui.core.events import Resumed, Rows, RunEnded
from regtui.readers import open_log, read_history
from regtui.readers.wandb import WandbReader

HEADER = b":W&B\xe1\xbe\x00"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def item(name: str, value: object) -> bytes:
    return b"".join(field(2, part.encode()) for part in name.split(".")) + field(16, json.dumps(value).encode())


def call(step: int, **values: object) -> bytes:
    said = {"_step": step, "_timestamp": 1.7e9 + step, "_runtime": 0.5, **values}
    return field(1, step) + field(2, b"".join(field(1, item(name, value)) for name, value in said.items()))


def run(**config: object) -> bytes:
    settings = b"".join(field(1, field(1, name.encode()) + field(16, json.dumps(value).encode()))
                        for name, value in config.items())  # fmt: skip
    return field(17, field(1, b"abc") + field(4, settings) + field(8, b"some run"))


def ended(code: int) -> bytes:
    return field(18, field(1, code % 2**64))


def chunks(records: list[bytes], at: int = len(HEADER)) -> bytes:
    """Frame records, the first of which begins at a place of the file."""
    out = b""
    for record in records:
        kinds = (1, 2)
        while True:
            room = 32768 - (at + len(out)) % 32768
            if room < 7:
                out += b"\0" * room
                continue
            part, record = record[: room - 7], record[room - 7 :]
            kind = kinds[1] if record else kinds[0]
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            kinds = (4, 3)
            if not record:
                break
    return out


def save(folder: Path, records: list[bytes], name: str = "run-abc.wandb") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(HEADER + chunks(records))
    return folder / name


def steps_of(events: list[object]) -> list[float]:
    return [step for event in events if isinstance(event, Rows) and event.table == "steps" for step in event.step]


def counted(count: int, first: int = 0) -> list[bytes]:
    return [call(step, loss=2 / (step + 1), lr=0.1) for step in range(first, first + count)]


def test_losses_settings_name_plan_and_end_are_read(tmp_path):
    path = save(tmp_path, [run(lr=0.1, epochs=3, net={"value": {"hidden": [8]}}, _wandb={}), *counted(3), ended(0)])
    history = read_history(path)
    assert history.steps["step/loss"].values.tolist() == [2.0, 1.0, 2 / 3]
    assert history.steps["learning_rate"].values.tolist() == [0.1] * 3
    assert history.steps["time"].values.tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 2]
    assert history.settings == {"lr": 0.1, "epochs": 3, "net": {"hidden": [8]}}
    assert (history.run.run_id, history.plan.epochs, history.status) == ("some run", 3, "finished")
    assert "_runtime" not in history.steps


@pytest.mark.parametrize("code", [1, 255, -9])
def test_a_run_that_failed_says_so_with_its_code(tmp_path, code):
    end = read_history(save(tmp_path, [*counted(2), ended(code)])).end
    assert (end.status, end.reason, end.step) == ("failed", f"exit code {code}", 1)


def test_a_loss_that_is_no_number_any_more_is_seen(tmp_path):
    calls = [call(at, loss=1 / (at + 1) if at < 50 else float("nan")) for at in range(60)]
    history = read_history(save(tmp_path, calls))
    assert (history.steps.step.last, analysis.verdict(history).state) == (59, "diverged")


def test_a_run_without_an_end_is_running(tmp_path):
    assert read_history(save(tmp_path, counted(2))).status == "running"


def test_levels_of_a_name_are_joined_and_what_is_no_number_is_left_out(tmp_path):
    values = {"a.b": 1.5, "text": "x", "yes": True, "image": {"_type": "image-file"}, "list": [1, 2]}
    history = read_history(save(tmp_path, [call(0, **values)]))
    assert (history.steps["a.b"].values.tolist(), len(history.steps.names)) == ([1.5], 2)


@pytest.mark.parametrize("name", ["trainer/global_step", "train/global_step", "global_step", "iter"])
def test_a_counter_of_updates_is_the_step_and_not_the_count_of_calls(tmp_path, name):
    calls = [call(at, **{"train/loss": 1 / (at + 1), name: 50 * (at + 1)}) for at in range(3)]
    history = read_history(save(tmp_path, calls))
    assert history.steps.step.values.tolist() == [50, 100, 150]
    assert name not in history.steps


def test_a_counter_that_comes_late_places_what_came_before_it_too(tmp_path):
    path = save(tmp_path, [call(0, **{"eval/loss": 3.0})])
    reader = open_log(path)
    reader.poll()
    with path.open("ab") as file:
        file.write(chunks([call(1, **{"train/loss": 2.0, "train/global_step": 10})], at=path.stat().st_size))
    events = reader.poll()
    assert type(events[0]).__name__ == "RunStarted"
    assert {event.table: event.step.tolist() for event in events[1:]} == {"steps": [10], "evaluations": [0]}


def test_a_counter_that_most_calls_lack_places_nothing(tmp_path):
    calls = [call(at, loss=1.0, **({"global_step": 900} if at == 5 else {})) for at in range(10)]
    assert read_history(save(tmp_path, calls)).steps.step.values.tolist() == [*range(10)]


def test_a_call_an_epoch_is_an_epoch_counted_from_1(tmp_path):
    history = read_history(save(tmp_path, [call(at, loss=1.0, val_loss=2.0, epoch=at) for at in range(3)]))
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3]
    assert not history.counts_steps


def test_calls_that_are_each_validated_are_epochs_without_saying_so(tmp_path):
    history = read_history(save(tmp_path, [call(at, loss=1.0, val_loss=2.0) for at in range(3)]))
    assert (history.evaluations["epoch"].values.tolist(), history.counts_steps) == ([1, 2, 3], False)


def test_epochs_with_fractions_are_what_is_completed(tmp_path):
    values = [{"train/global_step": at, "train/epoch": at / 4, "eval/loss": 1.0} for at in range(5)]
    history = read_history(save(tmp_path, [call(at, **each) for at, each in enumerate(values)]))
    assert history.evaluations["epoch"].values.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_counter_that_falls_is_a_run_that_was_taken_up_again(tmp_path):
    counts = [10, 20, 30, 20, 30, 40]
    calls = [call(at, loss=float(at), global_step=count) for at, count in enumerate(counts)]
    path = save(tmp_path, calls)
    assert [event.step for event in open_log(path).poll() if isinstance(event, Resumed)] == [19]
    assert read_history(path).steps["step/loss"].values.tolist() == [0, 3, 4, 5]


def test_records_longer_than_a_block_and_blocks_that_end_in_padding_are_read(tmp_path):
    texts = [call(at, loss=float(at), note="x" * (32768 * 3 if at == 1 else 32700 - at)) for at in range(40)]
    assert read_history(save(tmp_path, texts)).steps["step/loss"].values.tolist() == [float(at) for at in range(40)]


def test_a_file_cut_anywhere_gives_whole_calls_and_goes_on_where_it_ended(tmp_path):
    path = save(tmp_path, [run(lr=0.1), *counted(300), ended(0)])
    whole = path.read_bytes()
    assert len(whole) > 32768
    generator = random.Random(7)
    path.write_bytes(b"")
    reader = WandbReader(path)
    steps: list[float] = []
    at = 0
    while at < len(whole):
        more = generator.choice([1, 3, 100, 4000])
        with path.open("ab") as file:
            file.write(whole[at : at + more])
        at += more
        steps += steps_of(reader.poll())
    assert steps == [*range(300)]
    assert reader.warnings() == []


def test_a_look_at_a_file_that_has_not_changed_gives_nothing(tmp_path):
    reader = WandbReader(save(tmp_path, counted(3)))
    assert reader.poll()
    assert reader.poll() == []


@pytest.mark.parametrize("how", ["shorter", "another", "in place"])
def test_another_file_in_its_place_is_read_from_its_start(tmp_path, how):
    path = save(tmp_path, [run(lr=0.1), *counted(20)])
    reader = WandbReader(path)
    reader.poll()
    count = 5 if how == "shorter" else 40
    if how == "another":
        path.unlink()
    save(tmp_path, [run(lr=0.5), *counted(count)])
    events = reader.poll()
    assert (events[0].settings, steps_of(events)) == ({"lr": 0.5}, [*range(count)])


def test_a_damaged_block_is_passed_over_and_said(tmp_path):
    path = save(tmp_path, counted(2000))
    data = bytearray(path.read_bytes())
    data[40_000] ^= 255
    path.write_bytes(data)
    reader = WandbReader(path)
    steps = steps_of(reader.poll())
    assert 1400 < len(steps) < 2000
    assert steps[-1] == 1999
    assert reader.warnings() == ["run-abc.wandb is damaged in 1 place; the rest is shown"]


def test_the_newest_run_of_a_folder_is_read(tmp_path):
    old = save(tmp_path / "wandb" / "offline-run-1-old", [run(lr=1), *counted(2)])
    new = save(tmp_path / "wandb" / "offline-run-2-new", [run(lr=2), *counted(2)])

    os.utime(old, (1, 1))
    (tmp_path / "wandb" / "latest-run").symlink_to(new.parent.name)
    for path in (tmp_path, tmp_path / "wandb", new.parent, new):
        assert read_history(path).settings == {"lr": 2}
    assert sorted(WandbReader.finds(tmp_path)) == [old, new]


def test_it_is_known_by_its_first_bytes_and_not_by_its_name(tmp_path):
    assert WandbReader.accepts(save(tmp_path, counted(1), name="renamed.bin"))
    (tmp_path / "run-x.wandb").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert not WandbReader.accepts(tmp_path / "run-x.wandb")


HOSTILE = [
    field(2, b"\x0a\xff\xff\xff\xff\x7f"),  # an item of 34 GB
    b"\x12\xff\xff\xff\xff\x03",
    b"\xff" * 30,
    field(2, field(1, field(2, b"loss") + b"\x82\x01\xff\xff\xff\xff\x07")),
    call(1, loss=float("nan"), x=float("inf")),
    field(2, field(1, field(2, b"loss") + field(16, b"1" * 100_000))),
    field(2, field(1, field(2, b"a\x82\x01b") + field(16, b"7"))),
    field(2, field(1, field(1, b"\xff\xfe\x1b[31m") + field(16, b"7"))),
    field(2, field(1, field(2, b"_step") + field(16, b"1e308")) + field(1, field(2, b"loss") + field(16, b"1"))),
    field(2, field(1, field(2, b"_step") + field(16, b"-5")) + field(1, field(2, b"loss") + field(16, b"1"))),
    field(17, field(4, field(1, field(1, b"deep") + field(16, b"[" * 60_000)))),
    field(17, field(4, field(1, field(1, b"big") + field(16, b"9" * 50_000)))),
    field(18, b"\x08\xff"),
]


@pytest.mark.parametrize("record", HOSTILE)
def test_no_record_raises_or_stops_the_next(tmp_path, record):
    history = read_history(save(tmp_path, [call(0, loss=2.0), record, call(7, loss=1.0)]))
    assert history.steps["step/loss"].values[0] == 2.0
    assert 7 in history.steps.step.values


def test_no_change_of_a_byte_raises(tmp_path):
    generator = random.Random(3)
    whole = save(tmp_path, [run(lr=0.1, net={"a": [1]}), *counted(20), ended(1)]).read_bytes()
    path = tmp_path / "mutated.wandb"
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(HEADER), len(data))] = generator.randrange(256)
        path.write_bytes(data)
        WandbReader(path).poll()


def test_no_change_within_a_record_raises(tmp_path):
    generator = random.Random(4)
    records = [run(lr=0.1, net={"a": [1]}), call(1, loss=2.0, epoch=3, **{"a.b": 4}), ended(1)]
    mutated = []
    for _ in range(600):
        record = bytearray(generator.choice(records))
        for _ in range(generator.randint(1, 3)):
            record[generator.randrange(len(record))] = generator.randrange(256)
        mutated.append(bytes(record))
    read_history(save(tmp_path, [call(0, loss=1.0), *mutated]))


def test_a_million_names_are_bounded_and_said(tmp_path):
    calls = [call(at, loss=1.0, **{f"n{at}_{index}": 1.0 for index in range(400)}) for at in range(10)]
    reader = WandbReader(save(tmp_path, calls))
    events = reader.poll()
    assert len({name for event in events if isinstance(event, Rows) for name in event.columns}) <= 1001
    assert "run-abc.wandb has more than 1,000 names; the numbers of the others are left out" in reader.warnings()


def test_ten_gigabytes_of_nothing_are_passed_over_at_once(tmp_path):
    path = save(tmp_path, counted(3))
    with path.open("r+b") as file:
        file.truncate(10 << 30)
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert steps_of(WandbReader(path).poll()) == [0, 1, 2]
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


WRITER = """
    import sys, wandb
    run = wandb.init(mode="offline", project="p", name="real", dir=sys.argv[1], settings={"console": "off"},
                     config={"learning_rate": 0.1, "epochs": 400, "net": {"hidden": [8, 8]}})
    for step in range(400):
        run.log({"loss": 1 / (step + 1), "train": {"accuracy": step / 400}, "lr": 0.1 * 0.99**step,
                 "global_step": 10 * (step + 1), "note": "x" * 100, "bad": float("nan")})
        if step % 100 == 99:
            run.log({"val_loss": 2 / (step + 1), "global_step": 10 * (step + 1)})
        if step == 300:
            print("written", flush=True)
            sys.stdin.readline()
    run.finish(exit_code=int(sys.argv[2]))
"""


@pytest.mark.parametrize("code", [0, 3])
def test_the_real_library_is_followed_and_its_numbers_are_read(tmp_path, code, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    for name, value in {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(name, value)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path), str(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "written\n"
        # The library hands its blocks to the disk in a thread of its own.
        until = time.monotonic() + 60
        reader = None
        events: list[object] = []
        while not steps_of(events) and time.monotonic() < until:
            if reader is None and WandbReader.accepts(tmp_path / "wandb"):
                reader = WandbReader(tmp_path / "wandb")
            events += reader.poll() if reader is not None else []
        early = steps_of(events)
        process.communicate("\n", timeout=60)
    events += reader.poll()
    assert 0 < len(early) < 400
    assert steps_of(events) == [10 * (step + 1) for step in range(400)]
    assert [event.status for event in events if isinstance(event, RunEnded)] == ["failed" if code else "finished"]
    history = read_history(tmp_path / "wandb")
    count = np.arange(400)
    assert np.array_equal(history.steps["step/loss"].values, 1 / (count + 1))
    assert np.array_equal(history.steps["train/accuracy" if "train/accuracy" in history.steps else "train.accuracy"]
                          .values, count / 400)  # fmt: skip
    assert np.allclose(history.steps["learning_rate"].values, 0.1 * 0.99**count, rtol=1e-15, atol=0)
    assert history.evaluations["valid/loss"].values.tolist() == [2 / 100, 2 / 200, 2 / 300, 2 / 400]
    assert history.settings == {"learning_rate": 0.1, "epochs": 400, "net": {"hidden": [8, 8]}}
    assert history.run.run_id == "real"
