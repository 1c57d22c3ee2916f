"""Opening a log: the reader that accepts it, or one sentence that says what would be right."""

import os
import subprocess
import sys

import pytest

from regtui import readers
from regtui.core.events import StepEnded, encode
from regtui.readers import LogError, formats, open_log
from regtui.readers.jsonl import JsonlReader

STEP = encode(StepEnded(step=1, loss=0.5))


def test_every_format_of_the_folder_is_found():
    assert JsonlReader in formats()


@pytest.mark.parametrize("reader", formats())
def test_every_reader_refuses_what_is_no_log(reader, tmp_path):
    for content in (b"", b"hello\n", b"\0\1\2", b"{}\n", b"[]"):
        path = tmp_path / "file"
        path.write_bytes(content)
        assert not reader.accepts(path)
        assert reader(path).poll() == []


def test_a_log_of_ours_is_replayed_without_loading_the_readers_of_others(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(STEP)
    code = (
        "import sys\nfrom regtui.report import replay\nreplay(sys.argv[1])\n"
        "print(*(name for name in sys.modules if name in ('sqlite3', 'yaml', 'regtui.readers.samples')))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_log_is_opened_by_its_path_or_by_its_folder(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(STEP)
    for path in (tmp_path, tmp_path / "events.jsonl", str(tmp_path)):
        assert open_log(path).poll() == [StepEnded(step=1, loss=0.5)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: nothing has been logged there yet"),
        (b" \n\n", "is empty: nothing has been logged there yet"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a binary file of no known format; looked for regtui, "),
        (b"\x1f\x8b\x08", "is compressed with gzip: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is the pointer of Git LFS to a log: `git lfs"),
        (b"a,b\n1,2\n", "holds no log of a training: no table that counts steps or epochs or has a loss, no JSON"),
        (b'{"a":1}\n', "holds no log of a training: its JSON has no step or epoch with numbers; looked for regtui"),
        (b'{"kind":"other"}\n', "holds no log of a training: its JSON has no step or epoch with numbers"),
        (b"{" * 99, "holds no log of a training: its JSON has no step or epoch with numbers"),
        ("é".encode() * 40_000, "holds no log of a training: no table that counts steps or epochs"),
        ("é\n".encode("latin-1") * 400, "holds no log of a training: no table that counts steps or epochs"),
    ],
)
def test_what_is_no_log_is_said_in_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(LogError) as caught:
        open_log(path)
    assert str(caught.value).startswith(f"{path} {sentence}")
    assert "\n" not in str(caught.value)


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(LogError, match=r"none\.jsonl does not exist: name a log such as runs/RUN/events\.jsonl"):
        open_log(tmp_path / "none.jsonl")


def test_a_folder_without_a_log_is_named(tmp_path):
    with pytest.raises(LogError, match=r"is a folder without a log; looked for .*regtui.*; it holds nothing"):
        open_log(tmp_path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogError, match="is a pipe, not a regular file"):
        open_log(tmp_path / "pipe")


def test_an_empty_log_that_grows_is_not_yet(tmp_path):
    path = tmp_path / "events.jsonl"
    path.touch()
    reader = open_log(path, growing=True)
    assert reader.poll() == []
    path.write_bytes(STEP)
    assert reader.poll() == [StepEnded(step=1, loss=0.5)]


def test_a_log_behind_much_junk_is_still_found(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\0" * 5_000_000 + b"\n" + STEP)
    reader = open_log(path)
    assert len(reader.poll()) == 1
    assert list(reader.skipped) == [1]


def test_a_format_is_added_by_putting_a_file_into_the_folder(tmp_path, monkeypatch):
    (tmp_path / "csv_of_losses.py").write_text(
        "from regtui.core.events import StepEnded\n"
        "from regtui.readers.protocol import SkippedLines\n"
        "class CsvReader:\n"
        "    behind = False\n"
        "    name, rank = 'losses', 50\n"
        "    def __init__(self, path, wanted=None):\n"
        "        self.lines, self.skipped = path.read_text().splitlines()[1:], SkippedLines()\n"
        "    @classmethod\n"
        "    def accepts(cls, path):\n"
        "        return path.read_bytes().startswith(b'loss\\n')\n"
        "    def poll(self, limit=None):\n"
        "        lines, self.lines = self.lines, []\n"
        "        return [StepEnded(step=at, loss=float(line)) for at, line in enumerate(lines, 1)]\n"
        "    def warnings(self):\n"
        "        return []\n"
        "READER = CsvReader\n"
    )
    monkeypatch.setattr("regtui.readers.__path__", [*readers.__path__, str(tmp_path)])
    (tmp_path / "losses.csv").write_text("loss\n2.5\n1.5\n")
    try:
        assert [step.loss for step in open_log(tmp_path / "losses.csv").poll()] == [2.5, 1.5]
    finally:
        sys.modules.pop("regtui.readers.csv_of_losses", None)
