"""What looking at the machine costs: processor time of the sampler, and of a whole process with and without it.

Goal: under 0.5 % of a core. Each case is a process of its own that does nothing else, with some idle children such as
a data loader has; GPUs are real ones where there are any. In turn with its bare counterpart:

    python tests/benchmarks/system.py [--seconds 20] [--rounds 3]
"""

import argparse
import json
import statistics
import subprocess
import sys

IDLE = """
import json, subprocess, sys, threading, time
seconds, children, sampled = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "sampled"
waiting = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(children)]
from regtui.system import Sampler
import psutil  # its import is no part of what a look costs
try:
    import pynvml
except ImportError:
    pass
found = []
sampler = Sampler(found.append, step=lambda: 1, paused=lambda: False)
if sampled:
    sampler.start()
time.sleep(2)
began, used, looked, before = time.monotonic(), time.process_time(), sampler.cost_seconds, len(found)
time.sleep(seconds)
passed = time.monotonic() - began
gpus = sum(name.endswith("/memory_total") and "gpu" in name for name in found[-1].metrics) if found else 0
shares = (time.process_time() - used) / passed, (sampler.cost_seconds - looked) / passed
print(json.dumps([*shares, (len(found) - before) / passed, gpus]))
sampler.stop()
for child in waiting:
    child.kill()
    child.wait()
"""


def idle(seconds: float, children: int, kind: str) -> list[float]:
    """Give the shares of a core that a process and its sampler took, the records a second, and the GPUs."""
    command = [sys.executable, "-c", IDLE, str(seconds), str(children), kind]
    found: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    """Measure in turn and print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    heads = ("without", "with", "more", "sampler", "records/s", "GPUs")
    print(f"{'children':<10}" + "".join(f"{head:>11}" for head in heads))
    for children in (0, 8):
        pairs = [
            (idle(given.seconds, children, "bare"), idle(given.seconds, children, "sampled"))
            for _ in range(given.rounds)
        ]
        without, with_it = (statistics.median(pair[at][0] for pair in pairs) for at in (0, 1))
        sampler, records, gpus = (statistics.median(pair[1][at] for pair in pairs) for at in (1, 2, 3))
        print(
            f"{children:<10}{without:11.3%}{with_it:11.3%}{with_it - without:11.3%}{sampler:11.3%}{records:11.2f}"
            f"{gpus:11.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
