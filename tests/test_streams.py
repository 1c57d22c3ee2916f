"""The command line where its streams are closed or full, and exit statuses that follow from what a run came to."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

LOG = Path(__file__).parent / "logs" / "clean-torch.jsonl"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    line = command.replace("regtui", f"{shlex.quote(sys.executable)} -m regtui", 1)  # a checkout is called so, too
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("more", ["", "--json"])
def test_a_replay_whose_standard_output_is_closed_is_no_fault(more: str) -> None:
    done = shell(f"regtui --replay {LOG} {more} >&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("command", [f"--replay {LOG}", f"runs --runs-dir {LOG.parent}"])
def test_a_full_standard_output_is_said_in_one_sentence(command: str) -> None:
    done = shell(f"regtui {command} >/dev/full")
    assert done.returncode == 2
    assert done.stderr == "regtui: standard output cannot be written: No space left on device\n"


def replayed(path: Path, *lines: dict[str, object], more: str = "") -> tuple[int, dict[str, object]]:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = shell(f"regtui --replay {path} --json {more}")
    return done.returncode, json.loads(done.stdout)


def test_a_run_that_went_on_although_its_loss_was_lost_has_diverged(tmp_path: Path) -> None:
    epochs = [{"kind": "epoch", "epoch": n, "step": n, "valid": {"loss": None}} for n in range(1, 9)]
    status, found = replayed(tmp_path / "log.jsonl", *epochs, {"kind": "end", "status": "finished"})
    assert (status, found["verdict"]["state"]) == (1, "diverged")  # type: ignore[index]


def test_a_replay_up_to_an_epoch_ends_there_whoever_counted_it(tmp_path: Path) -> None:
    rows = [{"kind": "evaluation", "epoch": n / 2, "step": n, "valid": {"loss": 1 / n}} for n in range(1, 9)]
    _, found = replayed(tmp_path / "log.jsonl", *rows, more="--until-epoch 2")
    assert (found["epochs"], found["steps"]) == (2, 4)


def test_half_an_epoch_has_ended_none(tmp_path: Path) -> None:
    rows = [{"kind": "epoch", "epoch": n / 2, "step": n, "valid": {"loss": abs(5 - n)}} for n in range(1, 9)]
    _, found = replayed(tmp_path / "log.jsonl", *rows)
    assert (found["best_epoch"], found["best_step"]) == (None, 5)
