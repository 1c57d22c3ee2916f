"""The gate before every reader: what `open_log` gives is printable, and costs nothing where it is so already."""

import json
from pathlib import Path

import pytest

from regtui.core.events import Noted, RunStarted, StepEnded, encode_lines
from regtui.core.text import LONGEST_TEXT
from regtui.readers import Gated, LogError, SkippedLines, open_log
from regtui.readers.gated import is_plain
from regtui.readers.jsonl import JsonlReader

EVIL, TAMED = "\x1b]0;x\x07\u202e", r"\x1b]0;x\x07\u202e"


class Foreign:
    """The reader of another format, of the smallest kind: it knows nothing of the gate."""

    name = "foreign"
    skipped = SkippedLines()

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def accepts(cls, path: Path) -> bool:
        return True

    def poll(self, limit=None):
        return [Noted(text=EVIL), StepEnded(step=1, metrics={EVIL: 0.5})]

    def warnings(self):
        return [f"line 3: {EVIL}"]


def test_a_reader_that_knows_nothing_of_the_gate_gives_printable_text():
    reader = Gated(Foreign(Path("x")))
    assert reader.poll() == [Noted(text=TAMED), StepEnded(step=1, metrics={TAMED: 0.5})]
    assert reader.warnings() == [f"line 3: {TAMED}"]
    assert (reader.name, reader.skipped.count) == ("foreign", 0)


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("around", [0, 20_000])
@pytest.mark.parametrize("limit", [None, 1, 7])
def test_a_hostile_text_anywhere_in_a_log_comes_out_printable(tmp_path, ascii_only, around, limit):
    plain = encode_lines([StepEnded(step=step, loss=0.5) for step in range(1, around + 1)])
    line = json.dumps({"kind": "note", "text": EVIL}, ensure_ascii=ascii_only).encode() + b"\n"
    log = tmp_path / "events.jsonl"
    log.write_bytes(plain + line + plain)
    reader, events = open_log(log), []
    while some := reader.poll(limit):
        events += some
    assert len(events) == 2 * around + 1
    assert [event.text for event in events if isinstance(event, Noted)] == [TAMED]


def test_a_text_of_megabytes_is_shortened_though_it_is_plain(tmp_path):
    log = tmp_path / "events.jsonl"
    log.write_bytes(encode_lines([RunStarted(run_id="x" * 900_000), Noted(text="y" * 500_000)]))
    run, note = open_log(log).poll()
    assert {len(run.run_id), len(note.text)} == {LONGEST_TEXT}


def test_a_run_named_by_its_folder_is_named_in_printable_text(tmp_path):
    log = tmp_path / f"run{EVIL}" / "events.jsonl"
    log.parent.mkdir()
    log.write_text('{"kind":"run","config":{}}\n')
    (run,) = open_log(log).poll()
    assert run.run_id == f"run{TAMED}"


def test_a_configuration_with_an_odd_name_is_shown_and_not_replaced(tmp_path):
    from regtui.core.config import RunConfig

    log = tmp_path / "events.jsonl"
    log.write_bytes(encode_lines([RunStarted(run_id="a", config=RunConfig.create(dataset=f"{EVIL}.csv"))]))
    reader = open_log(log)
    (run,) = reader.poll()
    assert (run.config.dataset, reader.warnings()) == (f"{TAMED}.csv", [])


def test_the_sentence_of_an_error_is_printable(tmp_path):
    with pytest.raises(LogError) as caught:
        open_log(tmp_path / EVIL)
    assert str(caught.value).startswith(f"{tmp_path}/{TAMED} does not exist")


def test_lines_in_plain_ascii_need_no_look_and_all_others_do(tmp_path):
    lines = encode_lines([StepEnded(step=step, loss=0.5) for step in range(9000)])
    assert is_plain(lines)
    assert not is_plain(lines + b'{"kind":"note","text":"\\u001b"}\n')
    assert not is_plain(lines + '{"kind":"note","text":"\u202e"}\n'.encode())
    assert not is_plain(lines + b'{"kind":"note","text":"\x7f"}\n')
    assert not is_plain(lines + b'{"kind":"note","text":"' + b"x" * LONGEST_TEXT + b'"}\n' + lines)
    log = tmp_path / "events.jsonl"
    log.write_bytes(lines)
    reader = JsonlReader(log)
    assert len(reader.poll()) == 9000
    assert reader.gave_plain
