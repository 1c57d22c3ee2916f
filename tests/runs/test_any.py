"""Runs of any trainer are found, listed, watched and replayed by the folder they lie in."""

import io
import json
import os
from pathlib import Path

import pytest

from regtui.core.events import EpochEnded, RunEnded, RunStarted
from regtui.readers import LOG_NAME, LogError, LogWriter, Wanted, read_history
from regtui.report import replay
from regtui.runs import find_run
from regtui.runs.listing import list_runs
from regtui.sources.log import LogSource


def state(folder: Path, count: int = 8, **more: float) -> Path:
    """Write what transformers writes with a checkpoint: batches, and an evaluation at each epoch."""
    history: list[dict[str, float]] = []
    for epoch in range(1, count + 1):
        at = {"step": 100 * epoch, "epoch": float(epoch)}
        history.append({"loss": 2.0 / epoch, "learning_rate": 1e-3 / epoch, **at})
        history.append({"eval_loss": 1.5 / epoch + 0.1 * epoch, "eval_wer": 0.9 / epoch, **more, **at})
    path = folder / f"checkpoint-{100 * count}" / "trainer_state.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"log_history": history, "num_train_epochs": count, "max_steps": 100 * count}))
    return folder


def own(folder: Path) -> Path:
    with LogWriter(folder / LOG_NAME) as writer:
        writer.write([RunStarted(run_id=folder.name), EpochEnded(epoch=1, step=9, valid={"loss": 0.4})])
        writer.write([RunEnded(status="finished")])
    return folder


def replayed(path: Path, **asked: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    replay(path, out=out, err=err, **asked)  # type: ignore[arg-type]
    return out.getvalue(), err.getvalue()


def test_the_newest_run_under_a_folder_is_found_whoever_trained_it(tmp_path: Path) -> None:
    older, newer = state(tmp_path / "a" / "b"), state(tmp_path / "c")
    for path in older.rglob("*.json"):
        os.utime(path, (1e9, 1e9))
    assert find_run(tmp_path, tmp_path / "runs") == newer
    assert find_run(older, tmp_path / "runs") == older
    assert find_run(None, tmp_path) == newer


def test_a_folder_without_a_log_says_what_was_looked_for_and_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(LogError, match=r"without a log; looked for regtui, .*Hugging Face.*; it holds notes.md"):
        find_run(tmp_path, tmp_path / "runs")


def test_runs_of_all_trainers_are_listed_by_their_place_and_read_once(tmp_path: Path) -> None:
    own(tmp_path / "mine")
    own(tmp_path / "sweep" / "deep")
    state(tmp_path / "lm" / "first")
    (tmp_path / "lm" / "data.csv").write_text("a,b\n1,2\n")
    read: list[int] = []
    for _ in range(2):
        listing = list_runs(tmp_path, lambda _done, total: read.append(total), now=lambda: 4e9)
        assert sorted(run.name for run in listing.runs) == ["lm/first", "mine", "sweep/deep"]
        assert not listing.problems
        (found,) = [run for run in listing.runs if run.name == "lm/first"]
        assert (found.summary.trainer, found.summary.status, found.being_written) == ("transformers", "unknown", False)
        assert found.summary.best == "epoch 4"
    assert read[-1] <= 1 < read[0]


def test_a_folders_run_that_grows_is_read_anew(tmp_path: Path) -> None:
    state(tmp_path / "lm", 4)
    assert [run.summary.epochs for run in list_runs(tmp_path, now=lambda: 4e9).runs] == [4]
    state(tmp_path / "lm", 6)
    assert [run.summary.epochs for run in list_runs(tmp_path, now=lambda: 4e9).runs] == [6]


def test_the_log_of_an_epoch_has_the_batches_up_to_it_and_no_others(tmp_path: Path) -> None:
    page, _ = replayed(state(tmp_path / "lm"), until_epoch=3, as_json=True)
    found = json.loads(page)
    assert (found["epochs"], found["steps"], found["metrics"]["step/loss"]) == (3, 300, 2 / 3)


def test_a_name_chooses_the_validation_loss_and_one_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    log = state(tmp_path / "lm", eval_other_loss=7.0)
    page, _ = replayed(log, wanted=Wanted(valid="eval_other_loss"), as_json=True)
    assert json.loads(page)["valid_loss"] == 7.0
    with pytest.raises(LogError, match=r"nothing for --valid eval_lost; it has loss, learning_rate, .*eval_loss"):
        replayed(log, wanted=Wanted(valid="eval_lost"))


def test_another_metric_is_judged_in_the_place_of_the_loss_and_that_is_said(tmp_path: Path) -> None:
    page, warned = replayed(state(tmp_path / "lm"), wanted=Wanted(metric="wer"), as_json=True)
    found = json.loads(page)
    assert (found["valid_loss"], found["train_loss"]) == (pytest.approx(0.9 / 8), None)
    assert "wer is shown and judged in the place of the loss" in warned


def test_a_log_of_ours_takes_no_names(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="says itself what its numbers are: --valid, --train, --rate and --metric"):
        replayed(own(tmp_path / "mine") / LOG_NAME, wanted=Wanted(valid="x"))


def test_names_for_a_run_do_not_forbid_one_of_ours_behind_it(tmp_path: Path) -> None:
    assert read_history(own(tmp_path / "mine"), Wanted(valid="x")).status == "finished"


def test_a_log_that_has_no_word_for_its_end_grows_while_it_is_touched(tmp_path: Path) -> None:
    log = state(tmp_path / "lm")
    source = LogSource(log)
    source.poll()
    assert source.activity.growing
    for path in log.rglob("*.json"):
        os.utime(path, (1e9, 1e9))
    source = LogSource(log)
    source.poll()
    assert (source.activity.alive, source.activity.growing) == (True, False)


def test_a_folder_whose_log_goes_says_so(tmp_path: Path) -> None:
    source = LogSource(state(tmp_path / "lm"))
    source.poll()
    (tmp_path / "lm").rename(tmp_path / "elsewhere")
    assert source.activity.log_words == "log gone"


def test_an_empty_file_becomes_the_log_of_whoever_writes_it(tmp_path: Path) -> None:
    log = tmp_path / "trainer_state.json"
    log.touch()
    source = LogSource(log)
    assert source.poll() == []
    log.write_bytes(next(state(tmp_path / "lm").rglob("trainer_state.json")).read_bytes())
    assert isinstance(source.poll()[0], RunStarted)
