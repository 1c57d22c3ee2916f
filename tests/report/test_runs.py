"""The recorded runs as a table and as JSON."""

import json

import pytest

from regtui.core.events import RunEnded, RunStarted
from regtui.readers import LogError, LogWriter, read_history
from regtui.report import result, runs_json, runs_table


def test_the_table_names_each_run_and_what_came_of_it(run, log_of, tmp_path):
    log_of(run(), "first")
    log_of(run(epochs=3, status="stopped"), "second")
    lines = runs_table(tmp_path).splitlines()
    assert lines[0].split("  ")[0] == "run"
    first = next(line for line in lines if line.startswith("first"))
    told = "first torch digits 40/40 0.959 at epoch 10 overfitting since epoch 10 finished"
    assert " ".join(first.split()) == told
    second = next(line for line in lines if line.startswith("second"))
    assert second.split()[-3:] == ["warming", "up", "stopped"]


def test_a_run_that_ended_without_a_number_has_no_verdict(log_of, tmp_path):
    log_of([RunStarted(run_id="tried", trainer="command"), RunEnded(status="failed", reason="exit status 3")])
    assert runs_table(tmp_path).splitlines()[1].split() == ["run", "command", "-", "0", "-", "-", "failed"]


def test_a_run_that_trains_now_is_told_from_one_that_was_killed(run, log_of, tmp_path):
    path = log_of(run(epochs=3, status=""))
    assert runs_table(tmp_path).endswith("no end: killed, or written elsewhere")
    with LogWriter(path):
        assert runs_table(tmp_path).endswith("running")


def test_logs_that_cannot_be_read_are_named(run, log_of, tmp_path):
    log_of(run(), "good")
    log_of([], "empty")
    (tmp_path / "no-run").mkdir()
    lines = runs_table(tmp_path).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith(f"{tmp_path / 'empty' / 'events.jsonl'} is empty: ")


def test_a_folder_without_runs_is_an_answer(tmp_path):
    for folder in (tmp_path, tmp_path / "runs"):
        assert (
            runs_table(folder) == f"the folder {folder} holds no run yet: `regtui train` or `regtui --start` makes one"
        )


def test_a_file_is_no_folder_of_runs(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match="file is not a folder: --runs-dir names the folder of the recorded runs"):
        runs_table(tmp_path / "file")


def test_what_the_json_of_a_run_says_too_has_the_same_key_and_value(run, log_of, tmp_path):
    path = log_of(run())
    listed, problems = runs_json(tmp_path)
    (found,) = json.loads(listed)
    alone = json.loads(json.dumps(result(read_history(path))))
    assert problems == []
    assert (found["name"], found["path"], found["being_written"]) == ("run", str(path), False)
    assert found["verdict"]["words"] == "overfitting since epoch 10"
    alone["verdict"] = {key: alone["verdict"][key] for key in ("state", "since_epoch", "since_step")}
    del found["verdict"]["words"]
    shared = alone.keys() & found.keys()
    assert len(shared) > 15
    assert {key: found[key] for key in shared} == {key: alone[key] for key in shared}


def test_in_json_too_a_bad_log_is_said_beside_the_others(run, log_of, tmp_path):
    log_of(run(), "good")
    log_of([], "empty")
    listed, problems = runs_json(tmp_path)
    assert [found["name"] for found in json.loads(listed)] == ["good"]
    assert [problem.partition(": ")[0] for problem in problems] == [f"{tmp_path / 'empty' / 'events.jsonl'} is empty"]


def test_no_runs_are_an_empty_list(tmp_path):
    assert runs_json(tmp_path / "none") == ("[]", [])
