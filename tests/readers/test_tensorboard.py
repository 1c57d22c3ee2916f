"""TensorBoard's event files, written here record by record: bulk reading, growth, damage, and what is a run."""

import os
import random
import resource
from pathlib import Path

import numpy as np
import pytest

from regtui.core.events import Resumed, Rows
from regtui.core.history import History
from regtui.readers import logs_under, open_log
from regtui.readers.folding import blocks, fold
from regtui.readers.samples import ROWS_AT_ONCE
from regtui.readers.tensorboard.checksum import crc32c, crc32c_of_rows, masked
from regtui.readers.tensorboard.event import Malformed, read_event
from regtui.readers.tensorboard.files import EventFile
from regtui.readers.tensorboard.reader import TensorBoardReader
from regtui.readers.tensorboard.rows import Scalars, Tags
from regtui.readers.tensorboard.writer import first_record, record, scalar_records

NAME = "events.out.tfevents.1700000000.host.1.0"
BEGUN = 1.7e9


def scalars(tag: str, steps, values, time: float = BEGUN) -> list[bytes]:
    steps = np.asarray(steps, dtype=float)
    return scalar_records(tag, steps, time + steps / 100, np.asarray(values, dtype=float))


def write(path: Path, *records: bytes, begin: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write((first_record(BEGUN) if begin else b"") + b"".join(records))
    return path


def run_of(folder: Path, steps: int = 200) -> Path:
    """A run with a loss, a validation loss every tenth step, and a rate."""
    loss = scalars("train/loss", range(steps), 2 / (1 + np.arange(steps)))
    rate = scalars("train/learning_rate", range(steps), np.full(steps, 0.1))
    every = [one for pair in zip(loss, rate, strict=True) for one in pair]
    for number, one in enumerate(scalars("val/loss", range(9, steps, 10), np.linspace(3, 1, steps // 10))):
        every.insert((number + 1) * 21 - 1, one)
    return write(folder / NAME, *every)


def history_of(path: Path) -> History:
    return fold(blocks(open_log(path)))


def numbers(history: History) -> dict[str, list[float]]:
    return {
        f"{which}:{name}": np.nan_to_num([table.step.values, table[name].values], nan=-99).tolist()
        for which, table in (("steps", history.steps), ("evaluations", history.evaluations))
        for name in sorted(table.names)
    }


def read_file(path: Path) -> tuple[Scalars, list[str]]:
    names: list[str] = []
    tags, file, parts = Tags("", names, 1000), EventFile(path), []
    while file.look() == "grown":
        while (found := file.read(tags)) is not None:
            parts.append(found.scalars())
    return Scalars.joined(parts), names


def test_checksums_are_those_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    long = random.Random(1).randbytes(5000)
    state = 0xFFFFFFFF
    for byte in long:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(long) == state ^ 0xFFFFFFFF


def test_checksums_of_rows_are_those_of_each_row() -> None:
    rows = np.random.default_rng(2).integers(0, 256, size=(50, 37), dtype=np.uint8)
    rows[:, 5:20] = rows[0, 5:20]
    found = crc32c_of_rows(rows, [*range(5), *range(20, 37)])
    assert found.tolist() == [crc32c(row.tobytes()) for row in rows]


def test_what_is_written_is_read_whatever_the_steps(tmp_path) -> None:
    steps = np.array([0, 1, 127, 128, 16383, 16384, 2**21, 2**28, 2**35, 2**42, 2**49, 2**53], dtype=float)
    values = np.float32(np.linspace(-1e30, 1e30, len(steps)))
    path = write(tmp_path / NAME, *scalars("a", steps, values), *scalars("bb/ö", steps, -values))
    found, names = read_file(path)
    for number, name in enumerate(("a", "bb/ö")):
        some = found.where(found.tag == names.index(name))
        np.testing.assert_array_equal(some.step, steps)
        np.testing.assert_array_equal(some.time, BEGUN + steps / 100)
        np.testing.assert_array_equal(some.value, -values if number else values)


def test_records_read_in_bulk_are_those_read_one_by_one(tmp_path) -> None:
    draw = random.Random(3)
    records = []
    for step in range(3000):
        for tag in draw.sample(["loss", "lr", "acc1", "acc2", "acc3", "a_long_name", "xy", "yx"], draw.randint(1, 8)):
            records += scalars(tag, [step], [draw.random()])
    path = write(tmp_path / NAME, *records)
    found, names = read_file(path)
    events = [read_event(one[12:-4]) for one in records]
    assert [names[tag] for tag in found.tag] == [event.values[0].tag.decode() for event in events]
    assert found.step.tolist() == [event.step for event in events]
    assert found.time.tolist() == [event.time for event in events]
    assert found.value.tolist() == [event.values[0].number for event in events]


def test_a_record_is_taken_when_its_last_byte_is_there_and_once(tmp_path) -> None:
    whole = run_of(tmp_path / "whole", 20).read_bytes()
    path = tmp_path / "growing" / NAME
    path.parent.mkdir()
    path.write_bytes(whole[:40])
    growing, history = TensorBoardReader(path.parent), History()
    for size in range(40, len(whole) + 1):
        with path.open("ab") as file:
            file.write(whole[path.stat().st_size : size])
        history.apply(growing.poll())
        assert growing.poll() == []
    assert numbers(history) == numbers(history_of(tmp_path / "whole"))
    assert growing.warnings() == []


def test_a_broken_payload_is_counted_and_reading_goes_on(tmp_path) -> None:
    path = run_of(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"train/loss", 3000)
    data[at + 14] ^= 1
    path.write_bytes(data)
    opened = open_log(tmp_path)
    history = fold(blocks(opened))
    assert np.isfinite(history.steps["step/loss"].values).sum() == 199
    assert np.isfinite(history.evaluations["valid/loss"].values).sum() == 20
    assert opened.skipped.count == 1
    assert opened.warnings()[0].startswith(f"1 record of {tmp_path.name} could not be read and left out: record ")


def test_behind_a_broken_length_the_next_sound_record_is_found(tmp_path) -> None:
    path = run_of(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"train/loss", 3000)
    start = data.rindex(b"\x09", 0, at - 8) - 12
    data[start] ^= 0x10
    path.write_bytes(data)
    opened = open_log(tmp_path)
    history = fold(blocks(opened))
    assert np.isfinite(history.steps["step/loss"].values).sum() >= 198
    assert np.isfinite(history.evaluations["valid/loss"].values).sum() == 20
    assert opened.skipped.count == 1


def test_damaged_files_never_raise_and_never_hang(tmp_path) -> None:
    draw = random.Random(4)
    whole = run_of(tmp_path / "whole", 60).read_bytes()
    path = tmp_path / NAME
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(data))
            match draw.randrange(5):
                case 0:
                    data[at] = draw.randrange(256)
                case 1:
                    del data[at : at + draw.randrange(200)]
                case 2:
                    data[at:at] = draw.randbytes(draw.randrange(100))
                case 3:
                    data[at : at + 8] = (1 << draw.randrange(63)).to_bytes(8, "little")
                case 4:
                    data[at:at] = data[: draw.randrange(300)]
        path.write_bytes(data)
        opened = TensorBoardReader(path)
        history = fold(blocks(opened))
        opened.warnings()
        assert len(history.steps) < 500


def test_events_made_of_anything_are_read_or_refused() -> None:
    draw = random.Random(5)
    sound = [one[12:-4] for one in scalars("loss", range(100, 120), np.arange(20))]
    for _ in range(5000):
        data = bytearray(draw.choice(sound))
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            read_event(bytes(data))
        except Malformed:
            continue


@pytest.mark.parametrize("length", [2**60, 2**31 - 1, 1 << 30])
def test_a_record_of_absurd_length_takes_no_memory(tmp_path, length) -> None:
    size = length.to_bytes(8, "little")
    header = size + masked(crc32c(size)).to_bytes(4, "little")
    path = write(tmp_path / NAME, *scalars("loss", range(10), range(10)), header, *scalars("loss", [10], [1]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    history = history_of(tmp_path)
    assert len(history.steps) == (11 if length > 2**31 else 10)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert path.exists()


def test_a_hole_of_ten_gigabytes_is_given_up(tmp_path) -> None:
    path = write(tmp_path / NAME, *scalars("loss", range(10), range(10)))
    os.truncate(path, 10 << 30)
    opened = open_log(tmp_path)
    assert len(fold(blocks(opened)).steps) == 10
    assert opened.skipped.count == 1
    os.truncate(path, 11 << 30)
    assert opened.poll() == []


def test_a_record_with_a_film_is_passed_over(tmp_path) -> None:
    film = record(b"\x09" + bytes(8) + b"\x2a" + b"\x85\x80\x80\x0a" + b"\x0a\x80\x80\x80\x0a" + bytes(20 << 20))
    write(tmp_path / NAME, *scalars("loss", range(10), range(10)), film, *scalars("loss", range(10, 15), range(5)))
    assert len(history_of(tmp_path).steps) == 15


def test_a_name_for_each_number_is_bounded_and_said(tmp_path) -> None:
    every = [scalars(f"loss{number:06}", [number], [1.0])[0] for number in range(3000)]
    write(tmp_path / NAME, *every)
    opened = open_log(tmp_path)
    history = fold(blocks(opened))
    assert len(history.steps.names) + len(history.evaluations.names) < 1010
    assert "the log has more than 1,000 names: the others are left out" in opened.warnings()


def test_a_log_too_long_to_be_held_is_thinned_out_and_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("regtui.readers.tensorboard.places.MOST_NUMBERS", 3000)
    run_of(tmp_path, 2000)
    opened = open_log(tmp_path)
    history = fold(blocks(opened))
    assert 100 < len(history.steps) < 700
    assert len(history.evaluations) == 200
    assert "one step in" in opened.warnings()[-1]


def test_a_run_that_was_taken_up_again_is_one_curve_with_one_mark(tmp_path) -> None:
    run_of(tmp_path, 100)
    again = tmp_path / NAME.replace("1700000000", "1700000100")
    for tag in ("train/loss", "train/learning_rate", "val/loss"):
        steps = range(59, 160, 10) if tag == "val/loss" else range(50, 160)
        write(again, *scalars(tag, steps, np.full(len(steps), 7.0), BEGUN + 100), begin=tag == "train/loss")
    history = history_of(tmp_path)
    assert [resumed.step for resumed in history.resumed] == [49]
    loss = history.steps["step/loss"].values
    assert len(loss) == 160
    assert (loss[50:] == 7).all()
    assert (loss[:50] < 7).all()
    assert history.evaluations["valid/loss"].values[-11:].tolist() == [7.0] * 11


def test_files_and_folders_that_come_later_are_read(tmp_path) -> None:
    write(tmp_path / "train" / NAME, *scalars("loss", range(10), range(10)))
    opened = TensorBoardReader(tmp_path)
    history = History()
    history.apply(opened.poll())
    assert "valid/loss" not in history.evaluations
    write(tmp_path / "validation" / NAME, *scalars("loss", range(0, 10, 2), range(5)))
    history.apply(opened.poll())
    assert history.evaluations["valid/loss"].values.tolist() == [0, 1, 2, 3, 4]
    write(tmp_path / "train" / NAME.replace(".0", ".1"), *scalars("loss", range(10, 20), range(10)))
    history.apply(opened.poll())
    assert len(history.steps) == 20
    assert opened.poll() == []


def test_a_replaced_file_is_read_anew(tmp_path) -> None:
    path = run_of(tmp_path, 100)
    opened, history = TensorBoardReader(tmp_path), History()
    history.apply(opened.poll())
    path.unlink()
    run_of(tmp_path, 30)
    history.apply(opened.poll())
    assert len(history.steps) == 30


def test_keras_epochs_are_counted_from_one_and_pair_by_folder(tmp_path) -> None:
    for split, offset in (("train", 0.0), ("validation", 0.5)):
        write(
            tmp_path / split / NAME,
            *scalars("epoch_loss", range(5), np.arange(5) + offset),
            *(scalars("evaluation_loss_vs_iterations", range(10, 60, 10), range(5)) if offset else ()),
        )
    history = history_of(tmp_path)
    assert history.evaluations["epoch"].values.tolist() == [1, 2, 3, 4, 5]
    assert history.evaluations["step/loss"].values.tolist() == [0, 1, 2, 3, 4]
    assert history.evaluations["valid/loss"].values.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert not history.counts_steps
    assert history.trainer == "keras"


def test_keras_epochs_with_batches_stand_at_the_step_of_their_end(tmp_path) -> None:
    train, valid = [], []
    for epoch in range(3):
        steps = range(epoch * 10 + 1, epoch * 10 + 11)
        train += scalars("batch_loss", steps, np.ones(10)) + scalars("epoch_loss", [epoch], [1.0])
        valid += scalars("evaluation_loss_vs_iterations", [steps[-1]], [2.0]) + scalars("epoch_loss", [epoch], [2.0])
    write(tmp_path / "train" / NAME, *train)
    write(tmp_path / "validation" / NAME, *valid)
    history = history_of(tmp_path)
    assert history.evaluations.step.values.tolist() == [10, 20, 30]
    assert history.evaluations["valid/loss"].values.tolist() == [2, 2, 2]
    assert history.steps.step.values.tolist() == list(range(1, 31))


def test_an_epoch_that_many_evaluations_share_is_no_place(tmp_path) -> None:
    write(tmp_path / NAME, *scalars("val_loss", range(9, 100, 10), range(10)), *scalars("epoch", range(100), [0] * 100))
    history = history_of(tmp_path)
    assert "epoch" not in history.evaluations
    assert history.where(0) == "step 9"


def test_a_tag_after_another_gives_what_both_together_give(tmp_path) -> None:
    losses = scalars("loss", range(500), np.arange(500))
    rates = scalars("lr", range(0, 500, 5), np.arange(100))
    valid = scalars("val_loss", range(3, 500, 7), np.arange(71))
    write(tmp_path / "after" / NAME, *losses, *rates, *valid)
    together = sorted([*losses, *rates, *valid], key=lambda one: read_event(one[12:-4]).step)
    write(tmp_path / "together" / NAME, *together)
    assert numbers(history_of(tmp_path / "after")) == numbers(history_of(tmp_path / "together"))


def test_rows_are_handed_on_some_ten_thousand_at_a_time(tmp_path) -> None:
    write(tmp_path / NAME, *scalars("loss", range(120_000), np.zeros(120_000)))
    opened = TensorBoardReader(tmp_path)
    sizes = []
    while events := opened.poll(4000):
        sizes.append(sum(len(event.step) for event in events if isinstance(event, Rows)))
    assert sum(sizes) == 120_000
    assert max(sizes) <= 2 * ROWS_AT_ONCE


def test_steps_in_no_order_are_no_run_taken_up_a_thousand_times(tmp_path) -> None:
    steps = list(range(5000))
    random.Random(6).shuffle(steps)
    write(tmp_path / NAME, *[scalars("loss", [step], [1.0])[0] for step in steps])
    events = open_log(tmp_path).poll()
    assert sum(isinstance(event, Resumed) for event in events) <= 200


def test_runs_are_folders_with_their_parts(tmp_path) -> None:
    write(tmp_path / "keras" / "train" / NAME)
    write(tmp_path / "keras" / "validation" / NAME)
    write(tmp_path / "one" / NAME)
    write(tmp_path / "two" / "version_0" / NAME)
    found = [path for path in logs_under(tmp_path) if TensorBoardReader.accepts(path)]
    assert sorted(found) == [tmp_path / "keras", tmp_path / "one", tmp_path / "two" / "version_0"]


def test_a_run_is_called_by_its_folder(tmp_path) -> None:
    file = write(tmp_path / "mine" / "train" / NAME, *scalars("loss", [1], [1]))
    for path in (file, file.parent, tmp_path / "mine"):
        run = fold(blocks(open_log(path))).run
        assert run is not None
        assert run.run_id == "mine"


def test_a_file_is_told_by_its_first_record_and_not_by_its_name(tmp_path) -> None:
    other = write(tmp_path / "anything", *scalars("loss", [1], [1]))
    assert open_log(other).name == TensorBoardReader.name
    example = tmp_path / "data.tfevents.1"
    example.write_bytes(record(b"\x0a\x10" + bytes(16)))  # a record of a data set: the same frame, no event
    empty = tmp_path / "events.out.tfevents.2"
    empty.touch()
    torn = tmp_path / "events.out.tfevents.3"
    torn.write_bytes(first_record(BEGUN)[:-1])
    assert [TensorBoardReader.accepts(path) for path in (example, empty, torn, tmp_path)] == [False] * 3 + [False]
