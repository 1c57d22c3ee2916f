"""A log that could not be kept is said, with numbers; what can be mended is, and then the warning is taken back."""

import contextlib
import fcntl
import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from regtui.core.config import RunConfig
from regtui.core.events import EpochEnded, Event, Noted, RunEnded, RunStarted, StepEnded
from regtui.readers import LogError, LogWriter, is_being_written, logfile
from regtui.readers.jsonl import JsonlReader

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


def a_run(epochs: int = 3, run_id: str = "a") -> list[Event]:
    events: list[Event] = [RunStarted(run_id=run_id, time=1.0, config=RunConfig.create(epochs=epochs))]
    for epoch in range(1, epochs + 1):
        events += [StepEnded(step=epoch, epoch=epoch, loss=1 / epoch), EpochEnded(epoch=epoch, step=epoch)]
    return [*events, RunEnded(status="finished", step=epochs, epoch=epochs)]


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run" / "events.jsonl"


def limited(program: str, log: Path) -> list[object]:
    """Run a program whose files may only grow to what it says with `room(bytes)`; gives what it says with `tell`."""
    head = """
        import json, resource, sys
        from pathlib import Path
        from regtui.core.events import *
        from regtui.readers import LogWriter, writer as module
        def room(size):
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
        def steps(first, last):
            return [StepEnded(step=step, loss=0.5) for step in range(first, last + 1)]
        now = 0
        told = []
        tell = told.append
        log = Path(sys.argv[1])
    """
    whole = textwrap.dedent(head) + textwrap.dedent(program) + "\nprint(json.dumps(told))"
    done = subprocess.run(
        [sys.executable, "-c", whole, str(log)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told: list[object] = json.loads(done.stdout)
    return told


def test_a_folder_that_cannot_be_written_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match=r"file/events\.jsonl cannot be written: .*--runs-dir or --log"):
        LogWriter(tmp_path / "file" / "events.jsonl")


def test_a_log_has_one_writer(log: Path) -> None:
    with LogWriter(log), pytest.raises(LogError, match="is being written by another run"):
        LogWriter(log)
    with LogWriter(log) as writer:
        writer.write(a_run())
    assert JsonlReader(log).poll() == a_run()


def test_a_look_at_who_writes_a_log_keeps_no_writer_out(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.parent.mkdir()
    log.touch()
    with log.open("rb") as look:
        fcntl.flock(look.fileno(), fcntl.LOCK_SH)
        monkeypatch.setattr(logfile.time, "sleep", lambda seconds: fcntl.flock(look.fileno(), fcntl.LOCK_UN))
        with LogWriter(log) as writer:
            writer.write(a_run())
    assert JsonlReader(log).poll() == a_run()


def test_a_pipe_in_the_place_of_a_log_is_not_being_written_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_being_written(tmp_path / "pipe")


def test_a_log_that_was_taken_back_while_it_was_opened_is_made_anew(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, taken_back = logfile.LogFile._claim, []

    def claim_late(file: logfile.LogFile, fd: int) -> None:
        if not taken_back:
            taken_back.append(log)
            log.unlink()
        claim(file, fd)

    monkeypatch.setattr(logfile.LogFile, "_claim", claim_late)
    with LogWriter(log) as writer:
        writer.write(a_run())
    assert JsonlReader(log).poll() == a_run()


def test_a_disk_that_was_full_for_a_while_costs_no_record_and_the_warning_is_taken_back(log: Path) -> None:
    said = limited(
        """
        writer = LogWriter(log, clock=lambda: now)
        writer.write([RunStarted(run_id="a")])
        room(1000)
        writer.write(steps(1, 50))
        tell(writer.problem)
        for size in range(1010, 2000, 10):
            room(size)
            writer.write([])
        writer.write(steps(51, 60))
        tell(writer.news())
        room(None)
        now = 1
        writer.write(steps(61, 70))
        tell(writer.problem)
        tell(writer.news())
        writer.close()
        tell(writer.problem)
        """,
        log,
    )
    problem = f"the log {log} cannot be written (File too large): up to 8 MB wait in memory until it can"
    assert said == [problem, [["error", problem]], "", [["info", f"the log {log} is whole again"]], ""]
    reader = JsonlReader(log)
    assert [event.step for event in reader.poll()[1:]] == list(range(1, 71))
    assert reader.skipped.count == 0


def test_a_disk_that_stays_full_costs_little_memory_and_what_is_lost_is_counted(log: Path) -> None:
    said = limited(
        """
        module.MOST_PENDING = 2000
        writer = LogWriter(log)
        room(1000)
        for first in range(1, 1000, 10):
            writer.write(steps(first, first + 9))
        tell(len(writer._pending))
        tell(writer.problem)
        writer.write([RunEnded(status="finished", step=1000)])
        room(None)
        writer.close()
        tell(writer.problem)
        """,
        log,
    )
    reader = JsonlReader(log)
    *steps, end = reader.poll()
    assert reader.skipped.count == 0
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    assert isinstance(end, RunEnded)
    assert said[0] <= 2000
    assert "wait in memory, the rest is lost until it can" in said[1]
    assert said[2] == f"the log {log} lacks {1000 - len(steps)} records (File too large)"


@needs_full
def test_a_log_that_was_never_taken_lacks_all_its_records() -> None:
    with LogWriter(FULL) as writer:
        writer.write(a_run())
        assert "cannot be written (No space left on device)" in writer.problem
    assert writer.problem == f"the log /dev/full lacks {len(a_run())} records (No space left on device)"


def test_a_log_that_is_deleted_is_written_anew_and_whole_with_the_mode_that_it_had(log: Path) -> None:
    hand = Hand()
    with LogWriter(log, clock=hand) as writer:
        writer.write(a_run()[:3])
        log.chmod(0o640)
        log.unlink()
        hand.now = 2
        writer.write(a_run()[3:5])
        assert JsonlReader(log).poll() == a_run()[:5]
        assert writer.news() == [("warning", f"the log {log} was deleted, and has been written anew")]
        assert is_being_written(log)
        writer.write(a_run()[5:])
    assert (writer.problem, log.stat().st_mode & 0o777) == ("", 0o640)
    assert JsonlReader(log).poll() == a_run()


def test_a_log_that_is_deleted_just_before_the_end_is_written_anew(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(a_run())
        log.unlink()
    assert writer.problem == ""
    assert JsonlReader(log).poll() == a_run()


def test_a_log_that_is_deleted_with_its_folder_is_said_and_comes_back_with_it(log: Path) -> None:
    hand = Hand()
    with LogWriter(log, clock=hand) as writer:
        writer.write(a_run()[:3])
        log.unlink()
        log.parent.rmdir()
        hand.now = 2
        writer.write(a_run()[3:5])
        gone = f"the log {log} was deleted and cannot be written anew (No such file or directory): what it held is lost"
        assert writer.problem == gone
        log.parent.mkdir()
        hand.now = 4
        writer.write(a_run()[5:])
        assert writer.news() == [("error", gone), ("info", f"the log {log} is whole again")]
    assert writer.problem == ""
    assert JsonlReader(log).poll() == a_run()


def test_another_file_in_the_place_of_a_log_is_left_as_it_is_and_said(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(a_run()[:3])
        log.unlink()
        log.write_text("somebody else's\n")
        writer.write(a_run()[3:])
    assert writer.problem == (
        f"the log {log} was replaced by another file, which is left as it is: what this run records is lost"
    )
    assert log.read_text() == "somebody else's\n"


def test_a_log_that_is_moved_away_is_whole_at_its_new_place_and_that_is_said(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(a_run()[:3])
        log.rename(log.with_name("elsewhere"))
        writer.write(a_run()[3:])
    assert writer.problem == (f"the log {log} was moved away while it was written: it goes on under its new name")
    assert not log.exists()
    assert JsonlReader(log.with_name("elsewhere")).poll() == a_run()


def test_a_log_that_is_shortened_is_said_and_goes_on_upon_a_new_line(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(a_run()[:3])
        size = log.stat().st_size
        os.truncate(log, size - 30)
        writer.write(a_run()[3:])
    assert writer.problem == f"the log {log} was shortened by 30 bytes by another program"
    reader = JsonlReader(log)
    assert reader.poll() == a_run()[:2] + a_run()[3:]
    assert list(reader.skipped) == [3]


def test_a_log_that_is_shortened_while_a_line_is_half_written_loses_that_line_alone(log: Path) -> None:
    said = limited(
        """
        import os
        writer = LogWriter(log)
        writer.write(steps(1, 3))
        kept = log.stat().st_size
        room(kept + 10)
        writer.write(steps(4, 6))
        os.truncate(log, kept)
        room(None)
        writer.write(steps(7, 9))
        writer.close()
        tell(writer.problem)
        """,
        log,
    )
    reader = JsonlReader(log)
    assert [event.step for event in reader.poll()] == [1, 2, 3, 5, 6, 7, 8, 9]
    assert reader.skipped.count == 0
    assert said == [
        f"the log {log} was shortened by 10 bytes by another program, and it lacks 1 record (it was shortened)"
    ]


@pytest.mark.parametrize("spoil", [lambda log: None, lambda log: log.rename(log.with_name("away")), Path.unlink])
def test_a_refused_log_takes_nothing_that_it_has_not_made(log: Path, spoil: Callable[[Path], object]) -> None:
    other = log.parent / "other.jsonl"
    writer = LogWriter(log)
    spoil(log)
    other.write_text("somebody else's\n")
    if not log.exists():
        log.touch()
        writer.discard()
        assert log.exists()
    else:
        writer.discard()
        assert not log.exists()
    assert other.exists()


def test_a_discarded_log_takes_the_folders_that_were_made_for_it_along(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "a" / "b" / "events.jsonl")
    writer.discard()
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_after_the_end(log: Path) -> None:
    writer = LogWriter(log)
    writer.close()
    writer.write([Noted(text="late")])
    assert log.read_text() == ""


def test_a_disk_that_has_forgotten_the_file_ends_no_run(log: Path) -> None:
    writer = LogWriter(log)
    assert writer._file is not None
    os.close(writer._file._fd)
    writer.write(a_run())
    assert "cannot be written (Bad file descriptor)" in writer.problem
    writer.close()
    assert f"lacks {len(a_run())} records (Bad file descriptor)" in writer.problem


def test_runs_that_are_refused_at_any_moment_take_nothing_from_the_one_that_writes(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "LOCK_SECONDS", 0.0)
    written, unexpected = threading.Event(), []

    def be_refused() -> None:
        while not written.is_set():
            try:
                LogWriter(log).discard()
            except LogError as error:
                if "is being written by another run" not in str(error):
                    unexpected.append(error)

    refused = [threading.Thread(target=be_refused) for _ in range(3)]
    for thread in refused:
        thread.start()
    kept = 0
    try:
        while kept < 50:
            with contextlib.suppress(LogError), LogWriter(log) as writer:
                writer.write(a_run())
                kept += 1
                assert JsonlReader(log).poll() == a_run()
                log.rename(log.with_name("taken"))
    finally:
        written.set()
        for thread in refused:
            thread.join()
    assert unexpected == []


def test_what_is_said_of_a_log_is_printable_whatever_its_folder_is_called(tmp_path: Path) -> None:
    log = tmp_path / "a\x1b[2J" / "events.jsonl"
    with LogWriter(log, clock=itertools.count(step=2).__next__) as writer:
        writer.write([StepEnded(step=1, loss=1.0)])
        log.unlink()
        writer.write([StepEnded(step=2, loss=1.0)])
        log.rename(tmp_path / "gone.jsonl")
        writer.write([StepEnded(step=3, loss=1.0)])
        said = [text for _, text in writer.news()]
        assert said
        assert all(text.isprintable() and r"a\x1b[2J" in text for text in [*said, writer.problem])
