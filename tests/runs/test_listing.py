"""The runs of a folder are listed: each log is read once, and no row is ever another than the log says."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import msgspec
import pytest

from regtui.core.events import EpochEnded, Evaluated, Metrics, RunEnded, RunStarted, StepEnded
from regtui.readers import LOG_NAME, LogWriter, read_history
from regtui.runs import find_run, kept, logs, workers
from regtui.runs.kept import FILE_NAME, read_kept
from regtui.runs.listing import Listing, list_runs
from regtui.runs.looking import look
from regtui.runs.summary import LONGEST_TEXT, MOST_SETTINGS, summarize

LOGS = sorted((Path(__file__).parent.parent / "logs").glob("[!.]*.jsonl"))


def later() -> float:
    """A time at which what was written just now has been there for long."""
    return time.time() + 60


def listed(folder: Path) -> tuple[Listing, int]:
    """List a folder, and count the logs that were read for it."""
    read = []
    listing = list_runs(folder, lambda _done, total: read.append(total), later)
    return listing, read[0]


def add(folder: Path, name: str, content: bytes) -> Path:
    log = folder / name / LOG_NAME
    log.parent.mkdir(parents=True)
    log.write_bytes(content)
    return log


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder of three runs."""
    for log in LOGS[:3]:
        add(tmp_path, log.stem, log.read_bytes())
    return tmp_path


def test_a_kept_row_is_the_row_that_was_read_for_every_log_whole_and_cut(tmp_path: Path) -> None:
    for number, log in enumerate(LOGS):
        whole = log.read_bytes()
        for part, end in enumerate((len(whole), 37 * number % len(whole), len(whole) // 2, len(whole) - 9)):
            add(tmp_path, f"{log.stem}-{part}", whole[:end])
    cold, read = listed(tmp_path)
    assert read == 4 * len(LOGS)
    warm, read = listed(tmp_path)
    assert warm == cold
    assert read == len(cold.problems) < len(LOGS)
    for run in cold.runs:
        assert run.summary == summarize(read_history(run.path))


def test_a_log_that_has_not_changed_is_read_once(three: Path) -> None:
    assert [listed(three)[1] for _ in range(3)] == [3, 0, 0]


def test_what_was_written_a_moment_ago_is_read_again(three: Path) -> None:
    list_runs(three)
    assert listed(three)[1] == 3


def test_a_log_that_grew_was_edited_in_secret_or_replaced_is_read_anew(three: Path) -> None:
    listed(three)
    grown, edited, replaced = logs(three)
    with grown.open("ab") as file:
        file.write(b'{"kind":"end","status":"stopped"}\n')
    before = edited.stat()
    edited.write_bytes(edited.read_bytes().replace(b'"status":"finished"', b'"status":"FINISHED"'))
    os.utime(edited, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = replaced.with_name("other")
    shutil.copy2(replaced, other)
    other.replace(replaced)
    listing, read = listed(three)
    assert read == 3
    status = {run.path: run.summary.status for run in listing.runs}
    assert (status[grown], status[edited]) == ("stopped", "FINISHED")


def test_a_run_that_is_being_written_is_read_at_each_listing(tmp_path: Path) -> None:
    log = add(tmp_path, "run", b'{"kind":"run","run_id":"run"}\n{"kind":"step","step":1,"loss":2.0}\n')
    listed(tmp_path)
    with LogWriter(log) as writer:
        for step in (2, 3):
            writer.write([StepEnded(step=step, loss=1.0)])
            for _ in range(2):
                listing, read = listed(tmp_path)
                assert (read, listing.runs[0].being_written, listing.runs[0].summary.steps) == (1, True, step)
    assert [(listing.runs[0].being_written, read) for listing, read in (listed(tmp_path), listed(tmp_path))] == [
        (False, 1),
        (False, 0),
    ]


def test_a_run_whose_log_is_still_empty_is_said_to_be_set_up_while_its_process_lives(tmp_path: Path) -> None:
    log = add(tmp_path, "run", b"")
    with LogWriter(log):
        assert listed(tmp_path)[0].problems == [f"{log}: its run is being set up"]
    assert listed(tmp_path)[0].problems == [f"{log} is empty: nothing has been logged there yet"]


HOSTILE = {
    "empty": b"",
    "torn": b'{"summaries":"%s"}\n{"run":"a","mark":[1,2',
    "binary": bytes(range(256)) * 100,
    "deep": b"[" * 100_000,
    "of others": b'{"summaries":"somebody else\'s code"}\n',
    "of other types": b'{"summaries":"%s"}\n{"run":"a","mark":[1,2,3,4],"summary":{"status":7}}\n',
    "a long name": b'{"summaries":"%s"}\n{"run":"' + b"a" * 300 + b'","mark":[1,2,3,4],"summary":{}}\n',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_file_of_summaries_that_is_wrong_costs_time_alone(three: Path, content: bytes) -> None:
    right, _ = listed(three)
    (three / FILE_NAME).write_bytes(content.replace(b"%s", kept.made_by().encode()))
    assert listed(three) == (right, 3)
    assert listed(three) == (right, 0)


def test_what_is_no_file_in_the_place_of_the_summaries_is_not_read_and_not_followed(three: Path) -> None:
    right, _ = listed(three)
    place = three / FILE_NAME
    elsewhere = three / "elsewhere"
    place.rename(elsewhere)
    content = elsewhere.read_bytes()
    place.symlink_to(elsewhere)
    assert listed(three) == (right, 3)
    assert not place.is_symlink()
    assert elsewhere.read_bytes() == content
    place.unlink()
    os.mkfifo(place)
    assert listed(three) == (right, 3)
    place.unlink()
    (place / "in the way").mkdir(parents=True)
    assert listed(three) == (right, 3)
    assert sorted(path.name for path in three.glob(".*")) == [FILE_NAME]


def test_summaries_of_another_run_or_of_another_file_are_not_taken(three: Path) -> None:
    right, _ = listed(three)
    lines = (three / FILE_NAME).read_bytes().splitlines()
    first, second = (json.loads(line) for line in lines[1:3])
    swapped = [{**first, "run": second["run"]}, {**second, "run": first["run"]}]
    (three / FILE_NAME).write_bytes(b"\n".join([lines[0], *(json.dumps(line).encode() for line in swapped), lines[3]]))
    assert listed(three) == (right, 2)


def test_summaries_that_other_rules_made_are_made_anew(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(three)
    monkeypatch.setattr(kept, "made_by", lambda: "yesterday's code")
    assert listed(three)[1] == 3


def test_summaries_are_their_owners_alone_and_nothing_else_is_left(three: Path) -> None:
    before = os.umask(0)
    try:
        listed(three)
    finally:
        os.umask(before)
    assert (three / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in three.iterdir()} == {FILE_NAME, *(log.stem for log in LOGS[:3])}


def test_runs_that_are_gone_are_forgotten(three: Path) -> None:
    listed(three)
    gone = logs(three)[0].parent
    shutil.rmtree(gone)
    add(three, "new", LOGS[5].read_bytes())
    assert listed(three)[1] == 1
    assert gone.name not in read_kept(three)
    assert set(read_kept(three)) == {log.parent.name for log in logs(three)}


def test_what_was_read_before_an_interruption_is_kept(three: Path) -> None:
    def told(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list_runs(three, told, later)
    assert listed(three)[1] == 1


def test_one_bad_log_is_one_line_and_nothing_waits_for_it(three: Path) -> None:
    right, _ = listed(three)
    for name in ("pipe", "folder", "link", "nobody"):
        (three / name).mkdir()
    os.mkfifo(three / "pipe" / LOG_NAME)
    (three / "folder" / LOG_NAME).mkdir()
    (three / "link" / LOG_NAME).symlink_to(three / "nothing")
    (three / "file").write_text("no folder")
    add(three, "binary", b"\0" * 100)
    listing, _ = listed(three)
    assert listing.runs == right.runs
    assert sorted(Path(problem.partition(" is ")[0]).parent.name for problem in listing.problems) == [
        "binary",
        "folder",
        "pipe",
    ]
    assert set(logs(three)) == {run.path for run in right.runs} | {three / "binary" / LOG_NAME}


def test_a_run_with_a_name_that_is_no_text_is_listed(three: Path) -> None:
    name = os.fsdecode(b"run-\xff")
    try:
        add(three, name, LOGS[4].read_bytes())
    except OSError:
        pytest.skip("the file system takes names that are text only")
    for _ in range(2):
        listing, _read = listed(three)
        assert [run.name for run in listing.runs][-1] == name


def test_a_log_that_goes_away_meanwhile_is_one_line(three: Path) -> None:
    def told(done: int, total: int) -> None:
        if done == 1:
            shutil.rmtree(logs(three)[1].parent)

    listing = list_runs(three, told, later)
    assert (len(listing.runs), len(listing.problems)) == (2, 1)
    assert "does not exist" in listing.problems[0] or "cannot be read: No such file" in listing.problems[0]


def test_a_folder_that_goes_away_or_was_never_there_holds_no_runs(three: Path) -> None:
    def told(done: int, total: int) -> None:
        if not done:
            shutil.rmtree(three)

    listing = list_runs(three, told, later)
    assert (listing.runs, len(listing.problems)) == ([], 3)
    assert list_runs(three) == Listing([], [])
    assert not three.exists()


def test_the_newest_run_is_a_file_that_can_be_read(three: Path) -> None:
    newest = logs(three)[-1]
    (three / "pipe").mkdir()
    os.mkfifo(three / "pipe" / LOG_NAME)
    assert find_run(None, three) == newest


def test_several_processes_find_what_one_does(tmp_path: Path) -> None:
    paths = [add(tmp_path, log.stem, log.read_bytes()) for log in LOGS] + [tmp_path / "none" / LOG_NAME]
    assert dict(workers._look_with(2, paths)) == {path: look(path) for path in paths}


@pytest.mark.parametrize("program", ["raise SystemExit", "import sys; sys.stdin.readline(); print('[[]')"])
def test_logs_of_processes_that_die_are_read_all_the_same(
    three: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(workers, "python", lambda _module: [sys.executable, "-c", program])
    paths = logs(three)
    assert dict(workers._look_with(2, paths)) == {path: look(path) for path in paths}


def test_a_summary_stays_small_whatever_the_log_holds(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    settings = {long: 1, "word": long, "deep": {"a": [1]}, "huge": 10**400, **{f"s{n}": n for n in range(10_000)}}
    log = tmp_path / LOG_NAME
    with LogWriter(log) as writer:
        writer.write(
            [
                RunStarted(
                    run_id=long, trainer=long, settings=settings, environment={"framework": long, "device": long}
                ),
                Evaluated(step=2**53, epoch=1e308, valid=Metrics(loss=1e308)),
                EpochEnded(epoch=2**53, step=2**53, valid=Metrics(loss=0.5)),
                RunEnded(status=long, reason=long, step=2**53),
            ]
        )
    found = look(log)
    assert found.summary is not None, found.problem
    assert len(found.summary.settings) <= MOST_SETTINGS
    encoded = msgspec.json.encode(found)
    assert len(encoded) < 10 * LONGEST_TEXT + MOST_SETTINGS * 20 + 1000
    assert msgspec.json.decode(encoded, type=type(found)) == found
