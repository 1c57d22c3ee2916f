"""The run that a person means is found."""

import os
from pathlib import Path

import pytest

from regtui.readers import LogError
from regtui.runs import find_run


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
