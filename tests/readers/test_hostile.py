"""A sample of the hostile logs of `tests/benchmarks/hostile_logs.py`, which reads a hundred thousand."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "hostile_logs.py"

LOGS = 60


def test_no_hostile_log_of_a_sample_raises_hangs_or_takes_a_gigabyte():
    command = [sys.executable, "-W", "error", str(SCRIPT), "--logs", str(LOGS), "--apps", "30", "--jobs", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout
    assert f"{LOGS}" in ended.stdout.splitlines()[0]
