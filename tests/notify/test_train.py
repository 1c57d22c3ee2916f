"""Whoever trains tells, and no way of telling touches the training."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("apprise", reason="the extra `notify` is not installed")

SMALL = ("--framework", "torch", "--dataset", "digits", "--train-rows", "100", "--hidden", "8", "--batch-size", "50")


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "regtui", "train", *SMALL, "--log", "r.jsonl", *options]


def train(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options), cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def warnings_in(folder: Path) -> list[str]:
    lines = map(json.loads, (folder / "r.jsonl").read_text().splitlines())
    return [line["text"] for line in lines if line["kind"] == "note" and line["level"] in ("warning", "error")]


def test_a_run_that_overfits_is_told_by_option_and_by_environment(tmp_path: Path, service: Any) -> None:
    overfits = ("--epochs", "300", "--learning-rate", "0.03", "--hidden", "64", "--label-noise", "0.4")
    done = train(tmp_path, *overfits, REGTUI_NOTIFY=f"bell {service.url('refused')} {service.url()}")
    assert done.returncode == 0, done.stderr
    assert {title.split()[-1] for title in service.titles} == {"overfits", "finished"}
    assert len(service.titles) == 4
    assert "\a" not in done.stderr + done.stdout
    assert "secret" not in done.stderr + (tmp_path / "r.jsonl").read_text()
    assert "finished': it answered 500" in done.stderr
    # Where the run went on for a quarter of a second after that, it is in its log, too.
    assert all("json://127.0.0.1 was not told" in text for text in warnings_in(tmp_path) if "told" in text)


def test_a_failing_service_is_a_note_of_the_run_and_no_error(tmp_path: Path, service: Any) -> None:
    process = subprocess.Popen(
        command("--epochs", "1000000", "--label-noise", "0.4", "--learning-rate", "0.03", "--hidden", "64", "--notify",
                service.url("refused")),
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        service.until(lambda: bool(service.told))
        by = time.monotonic() + 60
        while not any("overfits': it answered 500" in text for text in warnings_in(tmp_path)):
            assert time.monotonic() < by
            time.sleep(0.05)
        assert process.poll() is None
        process.terminate()
        told_at = time.monotonic()
        assert process.wait(60) == -signal.SIGTERM or process.returncode == 128 + signal.SIGTERM
        # Two seconds are promised, and some more on a busy machine.
        assert time.monotonic() - told_at < 10
    finally:
        process.kill()
        process.wait()
    assert service.titles[-1].endswith("stopped")
    assert "stopped by SIGTERM" in service.told[-1]["message"]


def test_a_service_that_never_answers_lets_a_run_end(tmp_path: Path, hanging: str, closed: str) -> None:
    done = train(tmp_path, "--epochs", "2", "--notify", hanging, "--notify", closed)
    assert done.returncode == 0
    assert done.stderr.count("json://127.0.0.1 was not told") == 2
    assert '"kind":"end","status":"finished"' in (tmp_path / "r.jsonl").read_text()


@pytest.mark.parametrize("url", ["nothing://secret", "json://"])
def test_a_url_that_nobody_knows_is_refused_before_anything_is_made(tmp_path: Path, url: str) -> None:
    done = train(tmp_path, "--notify", url)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("regtui: --notify ")
    assert "secret" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_variable_that_names_nobody_is_named_itself(tmp_path: Path) -> None:
    done = train(tmp_path, REGTUI_NOTIFY="nobody")
    assert (done.returncode, done.stderr.startswith("regtui: REGTUI_NOTIFY must be ")) == (2, True)
    assert not list(tmp_path.iterdir())


def test_a_terminal_on_standard_error_is_told(tmp_path: Path) -> None:
    given = {"TERM": "tmux-256color", "VTE_VERSION": "7600"}
    names = ("TMUX", "STY", "TERM_PROGRAM", "LC_TERMINAL", "VTE_VERSION")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    mine, other = pty.openpty()
    process = subprocess.Popen(
        command("--epochs", "2", "--notify", "terminal"), cwd=tmp_path, env={**environment, **given}, stderr=other,
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(other)
    come = b""
    try:
        while select.select([mine], [], [], 120)[0]:
            try:
                come += os.read(mine, 65536)
            except OSError:
                break
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(mine)
    assert b"log: r.jsonl" in come
    assert b"\x1bPtmux;\x1b\x1b]777;notify;regtui: " in come


def test_without_being_asked_nothing_of_it_is_imported() -> None:
    script = (
        "import sys\nfrom regtui.cli.train import _listeners\nassert _listeners(()) == (None, [])\n"
        "print('loaded:', *(name for name in sys.modules if name.startswith(('apprise', 'regtui.notify.'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
