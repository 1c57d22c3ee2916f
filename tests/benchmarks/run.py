"""What `regtui run` costs: seconds to return, and what the process beside a command takes; and when its end is told.

    python tests/benchmarks/run.py [SECONDS]

Linux only: memory and processor are read from /proc.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REGTUI = [sys.executable, "-m", "regtui"]
STARTS = 7
HOLDS = "import time\nfor second in range({}): print('second', second); time.sleep(1)"


def start(*command: str) -> tuple[float, dict]:
    """Start a command as a run; gives the seconds that it took, and what was said."""
    began = time.perf_counter()
    said = subprocess.run([*REGTUI, "run", "--json", "--", *command], capture_output=True, check=True).stdout
    return time.perf_counter() - began, json.loads(said)


def help_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([*REGTUI, "run", "--help"], capture_output=True, check=True)
    return time.perf_counter() - began


def end_of(folder: Path) -> dict | None:
    return json.loads((folder / "command.json").read_bytes())["end"]


def memory(pid: int, name: str) -> float:
    """Give a line of a process's status, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def processor(pid: int) -> float:
    """Give the seconds of processor that a process has taken, and those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the table."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        os.chdir(folder)
        returned, helped, told = [], [], []
        for _ in range(STARTS):
            helped.append(help_seconds())
            took, said = start("true")
            returned.append(took)
        _, said = start(sys.executable, "-c", HOLDS.format(seconds))
        time.sleep(max(seconds - 3, 1))
        own, alone = memory(said["pid"], "RssAnon"), statistics.median(helped)
        print(f"seconds to return       {statistics.median(returned):6.2f} (with --help alone {alone:.2f})")
        print(f"memory beside it, MB    {memory(said['pid'], 'VmRSS'):6.1f} (of its own {own:.1f})")
        print(f"processor, % of a core  {100 * processor(said['pid']) / seconds:6.2f}")
        for _ in range(3):
            _, said = start(sys.executable, "-c", "import time; print(1); time.sleep(1.5)")
            command = json.loads((Path(said["folder"]) / "command.json").read_bytes())["command_pid"]
            while Path(f"/proc/{command}").exists():
                time.sleep(0.005)
            gone = time.perf_counter()
            while end_of(Path(said["folder"])) is None:
                time.sleep(0.005)
            told.append(time.perf_counter() - gone)
        print(f"seconds from its exit to its end in the file  {statistics.median(told):.2f}")


if __name__ == "__main__":
    main()
