"""No data ends the process: plotext's kernel would, on a number that is none."""

import subprocess
import sys
from pathlib import Path

HISTORIES = 10_000


def test_ten_thousand_nasty_histories_are_drawn_by_a_process_that_lives_to_its_end():
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("nasty.py")), str(HISTORIES), "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "drawn\n", "")
