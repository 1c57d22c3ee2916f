"""Logs of other trainers that are broken, cut, mixed up or still growing: never an error, never other numbers."""

import json
import os
import random
import tracemalloc

import numpy as np
import pytest

from regtui.core.history import History
from regtui.readers import LogError, open_log, read_history
from regtui.readers.delimited import DelimitedReader
from regtui.readers.jsonlines import JsonLinesReader
from regtui.readers.lines import LinesReader

KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\n" + "".join(
    f"{epoch},{0.5 + epoch / 40},{1 / (epoch + 1)},NA,{1.5 / (epoch + 1)}\n" for epoch in range(12)
)
LIGHTNING = "epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_loss\n" + "".join(
    f",0.001,{step},,,\n{step // 20},,{step},,{1 / (step + 1)},\n"
    + (f"{step // 20},,{step},,,0.{step}\n{step // 20},,{step},0.{step},,\n" if step % 20 == 19 else "")
    for step in range(9, 120, 10)
)
SEMICOLONS = "epoch;loss;val_loss\n" + "".join(f"{epoch};0,{90 - epoch};1,{90 - epoch}\n" for epoch in range(12))
BLANKS = "step  loss   lr\n" + "".join(f"{step:4}  {1 / (step + 1):.5f}  1e-3\n" for step in range(12))
LONG = "".join(
    json.dumps({"key": key, "value": 1 / (step + 1), "step": step}) + "\n"
    for step in range(12)
    for key in ("train/loss", "val/loss")
)
MMENGINE = '{"seed": 1}\n' + "".join(
    json.dumps({"lr": 0.1, "loss": 1 / step, "epoch": step // 10, "iter": step, "step": step})
    + "\n"
    + (json.dumps({"accuracy/top1": 50.5 + step, "step": step // 10}) + "\n" if step % 10 == 0 else "")
    for step in range(5, 80, 5)
)
NANO = "number of parameters: 10.65M\n" + "".join(
    f"step {step}: train loss {4 - step / 500:.4f}, val loss {4.1 - step / 600:.4f}\niter {step}: loss 3.21, time 1ms\n"
    for step in range(0, 1000, 100)
)
BARS = "".join(
    f"Epoch {epoch}/9\r\n\r 1/10 [=>....] - loss: 0.99"
    f"\r10/10 [======] - 0s - loss: 0.{90 - epoch} - val_loss: 0.{95 - epoch}\n"
    for epoch in range(1, 10)
)
EXAMPLE = "".join(
    f"Train Epoch: {epoch} [{row}/60000 ({row / 600:.0f}%)]\tLoss: {2 / epoch - row / 1e6:.6f}\n"
    + ("\nTest set: Average loss: 0.0432, Accuracy: 9851/10000 (99%)\n\n" if row == 44800 else "")
    for epoch in range(1, 5)
    for row in (0, 6400, 44800)
)

LOGS = {
    "keras.csv": KERAS, "metrics.csv": LIGHTNING, "semicolons.csv": SEMICOLONS, "blanks.txt": BLANKS,
    "long.jsonl": LONG, "scalars.json": MMENGINE, "nano.log": NANO, "bars.log": BARS, "example.log": EXAMPLE,
}  # fmt: skip


def numbers(history: History) -> dict[str, list[float]]:
    tables = {"steps": history.steps, "evaluations": history.evaluations}
    found = {f"{name}/{column}": table[column].values.tolist() for name, table in tables.items() for column in table}
    return {**found, **{name: table.step.values.tolist() for name, table in tables.items()}}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_grows_byte_by_byte_gives_what_the_whole_gives(tmp_path, name):
    whole, path = tmp_path / name, tmp_path / "growing" / name
    path.parent.mkdir()
    whole.write_bytes(LOGS[name].encode())
    expected = numbers(read_history(whole))
    assert max(map(len, expected.values())) >= 6
    reader_of = {"csv": DelimitedReader, "txt": DelimitedReader, "log": LinesReader}
    reader = reader_of.get(name.rpartition(".")[2], JsonLinesReader)(path)
    history, content, position = History(), LOGS[name].encode(), 0
    # Single bytes around the first lines and then pieces of an odd length: each kind of place is an end once.
    while position < len(content):
        position += 1 if position < 400 else 37
        path.write_bytes(content[:position])
        history.apply(reader.poll())
    history.apply(reader.poll())
    assert str(numbers(history)) == str(expected)


def mutated(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(8)
    at = rng.randrange(len(content))
    if kind == 0:
        return content[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40))) + content[at:]
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + content[at + rng.randrange(1, 200) :]
    if kind == 3:
        lines = content.split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    if kind == 4:
        return content.replace(b"0.", rng.choice([b"nan", b"-inf", b'"', b"\0", b"1e999", b"\xff\xfe", b"[[[", b"\r"]))
    if kind == 5:
        return content[:at] + rng.choice([b'"', b"'", b"{", b"," * 3000, b"\n" * 50, b"9" * 400]) + content[at:]
    if kind == 6:
        return content + content
    return content.replace(b"\n", b"\r\n" if at % 2 else b"\r")


@pytest.mark.parametrize("name", LOGS)
def test_no_content_makes_a_reader_raise(tmp_path, name):
    rng = random.Random(name)
    path, refused = tmp_path / name, []
    for _ in range(60):
        content = mutated(LOGS[name].encode(), rng)
        if rng.random() < 0.3:
            content = mutated(content, rng) if content else b"x"
        path.write_bytes(content)
        try:
            history = read_history(path)
        except LogError as error:
            refused.append(str(error).removeprefix(f"{path} "))
            continue
        for table in (history.steps, history.evaluations):
            assert (np.diff(table.step.values) > 0).all()
    assert all(sentence.startswith(("holds no", "is a binary", "is empty")) for sentence in refused)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_another_takes_the_place_of_is_read_from_its_start(tmp_path, name):
    path, other = tmp_path / name, tmp_path / f"other-{name}"
    path.write_bytes(LOGS[name].encode())
    reader, history = open_log(path), History()
    history.apply(reader.poll())
    lines = LOGS[name].encode().splitlines(keepends=True)
    other.write_bytes(b"".join(lines[:1] + lines[-len(lines) // 2 :]))
    expected = numbers(read_history(other))
    other.replace(path)
    for _ in range(3):
        history.apply(reader.poll())
    assert str(numbers(history)) == str(expected)


@pytest.mark.parametrize("name", ["keras.csv", "long.jsonl", "nano.log"])
def test_a_line_without_an_end_takes_no_room_and_is_one_line_that_could_not_be_read(tmp_path, name):
    path = tmp_path / name
    content = LOGS[name].encode()
    with path.open("wb") as file:
        file.write(content)
        for _ in range(30):
            file.write(b"x" * (1 << 20))
        file.write(b"\n")
        file.write(content.splitlines(keepends=True)[-1])
    tracemalloc.start()
    try:
        history = read_history(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(history.steps) + len(history.evaluations) >= 10
    assert peak < 25 << 20


def test_what_is_read_without_an_end_of_its_line_is_read_anew_when_the_line_goes_on(tmp_path):
    path = tmp_path / "training.log"
    path.write_text("epoch,loss\n0,0.5\n1,0.2")
    os.utime(path, (1, 1))
    reader, history = open_log(path), History()
    history.apply(reader.poll())
    history.apply(reader.poll())
    assert history.evaluations["step/loss"].values.tolist() == [0.5, 0.2]
    with path.open("a") as file:
        file.write("5\n2,0.1\n")
    for _ in range(2):
        history.apply(reader.poll())
    assert history.evaluations["step/loss"].values.tolist() == [0.5, 0.25, 0.1]
