"""The run that a person means is found."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regtui.core.config import fields
from regtui.readers import LogError
from regtui.runs import find_run, make_run_folder, new_run_id


def folder_of(runs_dir: Path, *names: str) -> Path:
    """A folder of runs, the last name the newest."""
    for at, name in enumerate(names):
        log = runs_dir / name / "events.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text("{}\n")
        os.utime(log, (at, at))
    return runs_dir


def test_the_run_that_is_meant_is_found_by_id_by_folder_and_by_nothing(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", "b")
    newest = tmp_path / "b" / "events.jsonl"
    assert find_run("a", tmp_path) == find_run(Path("a"), tmp_path) == tmp_path / "a" / "events.jsonl"
    assert find_run(str(newest), tmp_path) == newest
    assert find_run(str(tmp_path), Path("elsewhere")) == newest
    assert find_run(None, tmp_path) == newest


def test_a_run_that_is_not_there_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    folder_of(tmp_path, "a")
    with pytest.raises(LogError, match=f"does not exist and is no run in {tmp_path}.*`regtui runs`"):
        find_run("c", tmp_path)
    with pytest.raises(LogError, match="holds no run"):
        find_run(None, tmp_path / "empty")


def test_the_end_of_a_run_id_cannot_be_read_as_a_field_or_a_value() -> None:
    tails = {new_run_id("torch", 0.0).rpartition("-")[2] for _ in range(2000)}
    signs = set("".join(tails))
    words = {word for name, field in fields().items() for word in (*name.split("_"), *field.choices, *name.split())}
    assert len(tails) > 200
    assert not any(set(word) <= signs for word in {*words, "lr", "bs", "wd", "mps", "gpu", "fp16", "sgd"})


def test_two_hundred_runs_that_start_in_one_second_get_two_hundred_folders(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from regtui.runs import make_run_folder, new_run_id\n"
        "for _ in range(50): print(make_run_folder(new_run_id('torch', 0.0), Path(sys.argv[1]))[0])\n"
    )
    starting = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "runs")], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ids = [run_id for process in starting for run_id in process.communicate(timeout=60)[0].split()]
    assert len(set(ids)) == 200
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(ids)


def test_an_id_that_is_taken_gets_another_tail_however_many_want_it_at_once(tmp_path: Path) -> None:
    ids: list[str] = []

    def start() -> None:
        ids.extend(make_run_folder("20260101-000000-torch-xxxxx", tmp_path / "runs")[0] for _ in range(25))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == len(ids) == 200
    assert all(run_id.startswith("20260101-000000-torch-") for run_id in ids)


def test_a_folder_of_runs_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(LogError, match=r"runs cannot be written: Not a directory; name another place with --runs-dir"):
        make_run_folder("a", tmp_path / "runs")


@contextmanager
def closed_to_us(folder: Path) -> Iterator[None]:
    """Run as somebody who may not look into a folder, whoever runs the tests."""
    mode, user = folder.stat().st_mode, os.geteuid()
    folder.chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(mode)


def test_a_run_that_somebody_does_not_share_is_said_to_be_closed(tmp_path: Path) -> None:
    folder_of(tmp_path / "runs", "theirs")
    with closed_to_us(tmp_path / "runs"):
        for name in ("theirs", tmp_path / "runs" / "theirs" / "events.jsonl", tmp_path / "runs", None):
            with pytest.raises(LogError, match=f"^{tmp_path}.* cannot be read: Permission denied$"):
                find_run(name, tmp_path / "runs")
