"""What regtui keeps by itself is its owner's alone, and nothing is taken over that others made."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regtui.core.events import RunStarted
from regtui.folders import make_folder, make_folders, write_whole
from regtui.readers import LogError, LogWriter
from regtui.tui.remembered import remember_theme, settings_file


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("bits", [0, 0o022, 0o077, 0o477])
def test_a_log_and_each_folder_made_for_it_are_their_owners_alone_whatever_the_umask(tmp_path: Path, bits: int) -> None:
    log = tmp_path / "runs" / "a" / "events.jsonl"
    with umask(bits), LogWriter(log) as writer:
        writer.write([RunStarted(run_id="a")])
    assert [mode(path) for path in (log, log.parent, log.parent.parent)] == [0o600, 0o700, 0o700]


@pytest.mark.parametrize(("bits", "folder", "file"), [(0, 0o755, 0o644), (0o022, 0o755, 0o644), (0o027, 0o750, 0o640)])
def test_a_shared_log_can_be_read_as_far_as_the_umask_lets_others(
    tmp_path: Path, bits: int, folder: int, file: int
) -> None:
    log = tmp_path / "runs" / "a" / "events.jsonl"
    with umask(bits), LogWriter(log, share=True):
        pass
    assert [mode(path) for path in (log, log.parent, log.parent.parent)] == [file, folder, folder]


@pytest.mark.parametrize("share", [True, False])
def test_the_mode_of_what_is_there_already_stays(tmp_path: Path, share: bool) -> None:
    log = tmp_path / "runs" / "events.jsonl"
    log.parent.mkdir()
    log.touch()
    log.parent.chmod(0o751)
    log.chmod(0o664)
    with LogWriter(log, share=share) as writer:
        writer.write([RunStarted(run_id="a")])
    assert (mode(log), mode(log.parent)) == (0o664, 0o751)


def test_the_remembered_colours_are_their_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with umask(0):
        remember_theme("dark")
    assert (mode(settings_file()), mode(settings_file().parent)) == (0o600, 0o700)


def test_a_folder_is_made_by_one_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "a")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")


def test_a_folder_of_the_same_name_that_somebody_else_made_is_not_taken_back(tmp_path: Path) -> None:
    made = make_folder(tmp_path / "a")
    made.path.rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    made.take_back()
    assert (tmp_path / "a").is_dir()


def test_folders_are_made_and_taken_back_by_many_at_once_and_none_is_in_anothers_way(tmp_path: Path) -> None:
    missing: list[Exception] = []

    def make_and_take_back(number: int) -> None:
        for at in range(100):
            try:
                made = make_folders(tmp_path / "runs" / f"{number}-{at}")
                assert made[-1].path.is_dir()
                for each in reversed(made):
                    each.take_back()
            except Exception as error:
                missing.append(error)

    threads = [threading.Thread(target=make_and_take_back, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []


def test_a_link_that_somebody_else_could_have_laid_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine\n")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "log.jsonl").symlink_to(precious)
    with pytest.raises(LogError, match=r"log\.jsonl is a link in a folder that others can write to"):
        LogWriter(shared / "log.jsonl")
    assert precious.read_text() == "mine\n"


def test_a_link_in_a_folder_of_ones_own_is_followed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "real.jsonl")
    with LogWriter(tmp_path / "log.jsonl") as writer:
        writer.write([RunStarted(run_id="a")])
    assert writer.problem == ""
    assert (tmp_path / "real.jsonl").read_text().count("\n") == 1


def test_a_pipe_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogError, match="pipe is not a regular file"):
        LogWriter(tmp_path / "pipe")


def test_a_file_that_is_written_whole_is_ones_own_and_where_it_cannot_be_there_is_what_was(tmp_path: Path) -> None:
    with umask(0o022):
        for data, share, expected in ((b"a\n", False, 0o600), (b"b\n", True, 0o644)):
            write_whole(tmp_path / "file", data, share=share)
            assert ((tmp_path / "file").read_bytes(), mode(tmp_path / "file")) == (data, expected)
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "taken", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]
