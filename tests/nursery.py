"""A process that has imported what training takes, and forks children that run regtui: a fresh one would take seconds.

    python tests/nursery.py

Each line of standard input is a JSON object: `words` of the command line, `dies_at` the number of the call of a Python
or C function at which the child kills itself (-9), in whatever thread that is, 0 for never. For each the child's id is
printed, and how it ended: its exit status, minus the signal; then how many calls there were, if it lived to say so.
"""

import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any


def count_calls(dies_at: int) -> "itertools.count[int]":
    """Count calls from now on, in every thread, and die at one of them."""
    calls = itertools.count(1)

    def look(_frame: FrameType, _event: str, _argument: Any) -> None:
        if next(calls) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(look)
    sys.setprofile(look)
    return calls


def live(words: list[str], dies_at: int, counted: int) -> None:
    """Run regtui, in a session of its own, with nothing to read and nobody to print to."""
    from regtui.cli.ending import run

    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    sys.argv = ["regtui", *words]
    calls = count_calls(dies_at)
    status = 0
    try:
        run()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    sys.setprofile(None)
    os.write(counted, str(next(calls)).encode())
    os._exit(status)


def main() -> None:
    import regtui.backends.torch.backend
    import regtui.cli.ending
    import regtui.report
    import regtui.sources.here  # noqa: F401 # so that children have them

    for line in sys.stdin:
        told = json.loads(line)
        counts, counted = os.pipe()
        child = os.fork()
        if not child:
            live(told["words"], told["dies_at"], counted)
        os.close(counted)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        with Path(f"/dev/fd/{counts}").open() as said:
            print(os.waitstatus_to_exitcode(status), said.read() or 0, flush=True)
        os.close(counts)


if __name__ == "__main__":
    main()
