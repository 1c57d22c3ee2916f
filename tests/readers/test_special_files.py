"""What is no regular file is refused in one sentence, and where it took a log's place, it is 'not yet'."""

import os
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from regtui.core.events import StepEnded, encode
from regtui.readers import LogError, is_being_written, open_log
from regtui.readers.jsonl import JsonlReader
from regtui.readers.opening import NotAFile, _file_system, opened
from regtui.readers.tensorboard.files import EventFile
from regtui.readers.tensorboard.rows import Tags

STEP = encode(StepEnded(step=1, loss=0.5))


@contextmanager
def ended_after(seconds: int):
    """Fail where something waits, for it would wait for ever."""

    def fail(_signal, _frame):
        raise AssertionError("it waited")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "events.jsonl").symlink_to(path / "events.jsonl")


def a_loop(path: Path) -> None:
    path.symlink_to(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def a_terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def messages_of_the_kernel(path: Path) -> None:
    path.symlink_to("/proc/kmsg")


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


KINDS = [a_pipe, a_folder, a_loop, a_link_to_nothing, a_terminal, an_endless_device, messages_of_the_kernel, a_socket]


@pytest.mark.parametrize("make", KINDS)
def test_what_is_no_file_is_refused_in_one_sentence(make, tmp_path):
    make(tmp_path / "log")
    for growing in (False, True):
        with pytest.raises(LogError, match=r"is .* not a regular file|does not exist|cannot be read") as caught:
            open_log(tmp_path / "log", growing=growing)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", KINDS)
def test_a_log_whose_place_something_else_has_taken_is_not_yet_and_goes_on_when_it_is_back(make, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(STEP)
    reader = open_log(path)
    assert len(reader.poll()) == 1
    path.rename(tmp_path / "away")
    make(path)
    assert reader.poll(5) == []
    assert not is_being_written(path)
    if path.is_dir() and not path.is_symlink():
        (path / "events.jsonl").unlink()
        path.rmdir()
    else:
        path.unlink()
    (tmp_path / "away").rename(path)
    with path.open("ab") as log:
        log.write(STEP)
    assert len(reader.poll()) == 1


@pytest.mark.parametrize("name", ["x.log", "x.csv", "x.jsonl", "events.jsonl", "events.out.tfevents.1", "run-1.wandb"])
def test_a_folder_with_a_pipe_that_is_named_like_a_log_is_searched_without_waiting_for_a_writer(name, tmp_path):
    (tmp_path / "runs").mkdir()
    os.mkfifo(tmp_path / "runs" / name)
    with ended_after(10), pytest.raises(LogError):
        open_log(tmp_path / "runs")


def test_a_pipe_that_took_the_place_of_an_event_file_is_not_yet(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"begun")
    file = EventFile(path)
    assert file.look() == "grown"
    path.unlink()
    os.mkfifo(path)
    with ended_after(10):
        assert file.read(Tags("", [], 10)) is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system has no /proc")
@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/version", "/proc/kmsg", "/proc/kcore"])
def test_files_that_the_system_makes_up_are_never_opened(path):
    if not Path(path).exists():
        pytest.skip(f"the system has no {path}")
    with pytest.raises(NotAFile, match="made up by the system"), opened(Path(path)):
        pass


def test_an_empty_file_on_a_disk_is_a_file(tmp_path):
    (tmp_path / "log").touch()
    with opened(tmp_path / "log") as fd:
        assert os.read(fd, 1) == b""


def test_a_device_number_that_nothing_is_mounted_under_is_no_file_system():
    assert _file_system(os.makedev(4095, 4095)) == ""


def test_a_name_that_no_file_can_have_is_said(tmp_path):
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(LogError, match="cannot be read"):
            open_log(tmp_path / name)


def test_a_file_that_may_not_be_read_is_said(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(STEP)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(LogError, match="cannot be read: Permission denied"):
        open_log(path)
    assert JsonlReader(path).poll() == []
