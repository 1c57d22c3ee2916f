"""The command line, as a process: what it prints, where, and with which exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from regtui.backends import names
from regtui.cli.options import default_text
from regtui.core.config import fields

LOGS = Path(__file__).parent / "logs"

TINY = ("--hidden", "8", "--epochs", "2", "--train-rows", "200")


def regtui(
    *arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regtui", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("framework", names())
def test_a_replay_prints_the_same_object_as_the_run_did(framework: str, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    trained = regtui("train", "--framework", framework, *TINY, "--log", log, "--json")
    assert trained.returncode == 0, trained.stderr
    replayed = regtui("--replay", log, "--json")
    assert replayed.stdout == trained.stdout
    found = json.loads(trained.stdout)
    assert (found["framework"], found["status"], found["epochs"]) == (framework, "finished", 2)


def test_progress_goes_to_standard_error_and_nothing_else_does(tmp_path: Path) -> None:
    done = regtui("train", "--framework", "tensorflow", *TINY, "--runs-dir", tmp_path, "--json")
    said = done.stderr.splitlines()
    assert [line.split()[0] for line in said] == ["epoch", "epoch", "log:"]
    json.loads(done.stdout)


def test_options_beside_a_preset_win(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    regtui("train", "--preset", "dropout", "--dataset", "digits", "--dropout", "0.1", "--epochs", "1", "--log", log)
    config = json.loads(log.read_text().splitlines()[0])["config"]
    assert (config["dataset"], config["dropout"], config["batch_size"]) == ("digits", 0.1, 128)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--framework", "jax"], ["--framework", "torch, tensorflow", "'jax'"]),
        (["--lr-policy", "magic"], ["--lr-policy", "exponential", "'magic'"]),
        (["--preset", "best"], ["--preset", "overfit", "'best'"]),
        (["--no-such"], ["--no-such"]),
        (["--dropout", "1.0"], ["--dropout", "below 1"]),
        (["--dropout", "-0.1"], ["--dropout", "at least 0"]),
        (["--batch-size", "0"], ["--batch-size", "at least 1"]),
        (["--hidden", "200,,x"], ["--hidden", "200,100", "'200,,x'"]),
        (["--learning-rate", "nan"], ["--learning-rate", "above 0", "nan"]),
        (["--learning-rate", "fast"], ["--learning-rate", "a number", "'fast'"]),
        (["--epochs", "1.5"], ["--epochs", "a whole number"]),
        (["--l2", "-1"], ["--l2", "at least 0", "not -1\n"]),
        (["--patience", "3"], ["--patience", "plateau", "constant"]),
        (["--train-rows", "5000"], ["--train-rows", "1,797"]),
        (["--dataset", "none.npz"], ["none.npz"]),
        (["--dataset", ""], ["--dataset", "digits", ".csv"]),
        (["--framework", ""], ["--framework", "named"]),
        (["--preset", ""], ["--preset", "overfit", "''"]),
        (["--log", ""], ["--log", "path", "empty"]),
        (["--log", "x.jsonl"], ["--log", "--runs-dir", "one of them"]),
        (["--device", "cuda"], ["--device", "cpu"]),
    ],
)
def test_bad_options_get_one_sentence_that_names_them(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    assert_one_sentence(regtui("train", *arguments, "--runs-dir", tmp_path), *words)


def bad_data(folder: Path) -> list[tuple[Path, str]]:
    images, labels = np.zeros((10, 2, 2)), np.arange(10) % 2
    cases = {
        "one_class": {"x_train": images, "y_train": np.zeros(10, int)},
        "lengths": {"x_train": images, "y_train": labels[:7]},
        "nan": {"x_train": images * np.nan, "y_train": labels},
        "keys": {"images": images},
    }
    for name, arrays in cases.items():
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "empty.csv").write_text("")
    (folder / "words.csv").write_text("1,2,0\n3,x,1\n")
    return [
        (folder / "one_class.npz", "class"),
        (folder / "lengths.npz", "7"),
        (folder / "nan.npz", "finite"),
        (folder / "keys.npz", "x_train"),
        (folder / "empty.csv", "empty"),
        (folder / "words.csv", "line 2"),
    ]


def test_bad_data_files_get_one_sentence_that_names_them(tmp_path: Path) -> None:
    for path, word in bad_data(tmp_path):
        assert_one_sentence(regtui("train", "--dataset", path, "--runs-dir", tmp_path), path.name, word)


@pytest.mark.parametrize("option", ["--json", "--check", "--size=80x24", "--speed=2", "--until-epoch=3", "--svg=x.svg"])
def test_an_option_of_the_replay_without_one_is_refused(option: str) -> None:
    assert_one_sentence(regtui(option), option.split("=")[0], "--replay")


def test_a_run_option_beside_a_replay_or_in_front_of_a_command_is_refused() -> None:
    assert_one_sentence(regtui("--replay", "x.jsonl", "--l2", "0.1"), "--l2")
    assert_one_sentence(regtui("--l2", "0.1", "train"), "--l2", "regtui train --l2")


@pytest.mark.parametrize("size", ["80", "5x5", "39x30", "80x9", "80x2400"])
def test_a_size_that_is_none_or_cannot_be_read_says_what_is_needed(size: str) -> None:
    assert_one_sentence(regtui("--replay", "x.jsonl", "--size", size), "--size", "100x30", "at least 40x10", size)


@pytest.mark.parametrize("speed", ["nan", "inf", "-inf", "0", "-1", ""])
def test_a_pace_that_is_none_says_what_would_be(speed: str) -> None:
    assert_one_sentence(regtui("--replay", "x.jsonl", "--speed", speed), "--speed", speed)


@pytest.mark.parametrize("option", ["--replay", "--ghost", "--runs-dir", "--svg"])
def test_a_path_that_is_empty_is_not_the_folder_one_is_in(option: str) -> None:
    given = {"--replay": "x.jsonl", option: ""}
    assert_one_sentence(regtui(*(word for pair in given.items() for word in pair)), option, "empty")


def test_a_replay_and_its_ghost_find_a_run_by_its_id_as_watch_does(tmp_path: Path) -> None:
    for name in ("one", "two"):
        log = tmp_path / name / "events.jsonl"
        log.parent.mkdir()
        log.write_text((LOGS / "two-epochs-torch.jsonl").read_text())
    page = regtui("--replay", "one", "--ghost", "two", "--runs-dir", tmp_path)
    assert page.returncode == 0, page.stderr
    assert "Compared with" in page.stdout
    assert_one_sentence(regtui("--replay", "three", "--runs-dir", tmp_path), "three", "regtui runs")


def test_logs_that_are_none_get_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "prose.jsonl").write_text("Once upon a time\n")
    for name, word in (("none", "exist"), ("empty", "empty"), ("binary", "binary"), ("prose", "JSON")):
        assert_one_sentence(regtui("--replay", tmp_path / f"{name}.jsonl"), f"{name}.jsonl", word)
    assert_one_sentence(regtui("--replay", tmp_path), str(tmp_path), "folder")


def test_a_name_longer_than_any_folder_may_have_gets_one_sentence(tmp_path: Path) -> None:
    for arguments in (["runs", "--runs-dir"], ["watch", "--runs-dir"], ["--replay"], ["train", "--log"]):
        assert_one_sentence(regtui(*arguments, tmp_path / ("x" * 300)), "xxx", "name too long")


def test_what_is_no_text_to_print_is_refused_by_the_name_of_its_field() -> None:
    for option in ("--dataset", "--framework"):
        done = regtui("train", option, "a\x1b]52;c;b\x07\u202e.npz")
        assert_one_sentence(done, option, r"a\x1b]52;c;b\x07\u202e.npz", "without control codes")


def test_the_trace_of_a_fault_is_printable_too() -> None:
    script = "from regtui.cli.ending import _fault\n_fault(ValueError('\\x1b[2J'))"
    env = {**os.environ, "REGTUI_DEBUG": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (1, "ValueError: \\x1b[2J\n")


def test_the_lab_without_a_terminal_says_what_to_use_instead() -> None:
    assert_one_sentence(regtui(), "terminal", "regtui train")


def test_a_runs_folder_that_cannot_be_written_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    done = regtui("train", *TINY, "--runs-dir", tmp_path / "runs")
    assert_one_sentence(done, str(tmp_path / "runs"))


def test_a_run_that_diverged_exits_with_1(tmp_path: Path) -> None:
    done = regtui("train", *TINY, "--optimizer", "sgd", "--learning-rate", "1e5", "--runs-dir", tmp_path, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "diverged"


def test_a_run_that_went_on_after_diverging_exits_with_1_as_the_replay_of_its_log_does(tmp_path: Path) -> None:
    rate = ["--optimizer", "sgd", "--learning-rate", "1e5", "--keep-going"]
    done = regtui("train", *TINY, *rate, "--log", tmp_path / "log.jsonl", "--json")
    found = json.loads(done.stdout)
    assert (found["status"], found["verdict"]["state"]) == ("finished", "diverged")
    assert (done.returncode, regtui("--replay", tmp_path / "log.jsonl").returncode) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_cleanly_with_its_number_its_end_written_and_its_result_printed(
    number: signal.Signals, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "regtui", "train", "--epochs", "1000000", "--log", str(log)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch"):
            break
    process.send_signal(number)
    result, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in " ".join(result.split())
    end = json.loads(log.read_text().splitlines()[-1])
    assert (end["kind"], end["status"], end["reason"]) == ("end", "stopped", f"stopped by {number.name}")


def test_runs_lists_what_is_there(tmp_path: Path) -> None:
    regtui("train", *TINY, "--log", tmp_path / "mine" / "events.jsonl")
    done = regtui("runs", env={"REGTUI_RUNS_DIR": str(tmp_path)})
    assert done.returncode == 0
    assert "digits" in done.stdout
    assert "finished" in done.stdout


def test_runs_takes_a_folder_and_prints_json_and_says_nothing_beside(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").write_bytes((LOGS / "noisy-torch.jsonl").read_bytes())
    for folder in ([tmp_path], ["--runs-dir", tmp_path]):
        done = regtui("runs", *folder, "--json", env={"REGTUI_RUNS_DIR": "elsewhere"})
        assert [run["name"] for run in json.loads(done.stdout)] == ["one", "two"]
        assert (done.returncode, done.stderr) == (0, "")
    assert_one_sentence(regtui("runs", tmp_path, "--runs-dir", tmp_path), "twice", "--runs-dir")


def test_the_help_names_every_option_and_loads_no_framework() -> None:
    script = (
        "import sys\nfrom regtui.cli import main\nsys.argv = ['regtui', 'train', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'sklearn', 'textual', 'plotext', 'psutil'} & set(sys.modules)\n"
        "print('loaded:', *sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
    for option in [field.option for field in fields().values()] + ["--preset", "--log", "--json", "--runs-dir"]:
        assert option in done.stdout


def test_the_help_shows_what_each_option_is_when_nobody_says_otherwise() -> None:
    help_text = regtui("--help").stdout
    of_option = {text.split()[0]: " ".join(text.split()) for text in help_text.split("\n  --")[1:]}
    for field in fields().values():
        shown = default_text(field)
        assert of_option[field.option[2:]].endswith(f"[default: {shown}]" if shown else "."), field.option
    said = " ".join(help_text.split())
    assert "[default: 0.001]" in said
    assert "[default: exponential 0.995, inverse_time 0.01]" in said
    assert "[default: plateau 200 (step) or 5 (epoch)]" in said
    assert "[default: overfit" in said


def test_on_windows_one_sentence_says_where_it_runs() -> None:
    script = "import sys\nsys.platform = 'win32'\nfrom regtui.cli import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert_one_sentence(done, "Linux", "macOS", "Windows")


@pytest.mark.parametrize("name", ["train", "watch", "runs"])
def test_a_command_is_a_file_and_is_found_by_its_name(name: str) -> None:
    assert f"Usage: regtui {name}" in regtui(name, "--help").stdout
    assert f"  {name} " in regtui("--help").stdout


@pytest.mark.parametrize("name", ["lab", "options", "nothing"])
def test_a_file_without_a_command_is_none(name: str) -> None:
    assert_one_sentence(regtui(name), name)


def test_a_replay_loads_no_framework(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    regtui("train", *TINY, "--log", log)
    script = (
        f"import sys\nfrom regtui.cli import main\nsys.argv = ['regtui', '--replay', {str(log)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'sklearn', 'textual', 'psutil'} & set(sys.modules)\n"
        "print('loaded:', *sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    regtui("train", *TINY, "--log", log)
    replay = f"{sys.executable} -m regtui --replay {log} | head -n 1"
    done = subprocess.run(["bash", "-c", replay], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("option", ["--valid", "--train", "--rate", "--metric"])
def test_names_without_a_log_or_for_one_of_ours_get_one_sentence(option: str) -> None:
    assert_one_sentence(regtui(option, "x"), option, "--replay")
    name = "wer" if option == "--metric" else "x"
    log = LOGS / "two-epochs-torch.jsonl"
    assert_one_sentence(regtui("--replay", log, option, name), "says itself")


def test_watching_several_of_which_one_is_missing_or_too_many_gets_one_sentence() -> None:
    log = LOGS / "two-epochs-torch.jsonl"
    assert_one_sentence(regtui("watch", log, "nowhere"), "nowhere", "does not exist")
    assert_one_sentence(regtui("watch", *[log] * 21), "21 runs are too many", "20")
