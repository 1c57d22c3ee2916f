"""A process that has imported what training takes, and forks children that run regtui: a fresh one would take seconds.

    python tests/nursery.py

Each line of standard input is a JSON object: `words` of the command line; `dies_at` the number of the call of a Python
or C function at which the child kills itself (-9), 0 for never; `recorded` where calls are counted only from the first
writing of a log on, in the thread that writes it. For each the child's id is printed, and how it ended: its exit
status, minus the signal; then how many calls there were, if it lived to say so.
"""

import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from regtui.core.events import Record
from regtui.readers import LogWriter


def count_calls(dies_at: int, recorded: bool) -> "itertools.count[int]":
    """Count calls from now on or from the first writing of a log on, and die at one of them."""
    calls = itertools.count(1)

    def look(_frame: FrameType, _event: str, _argument: Any) -> None:
        if next(calls) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def begin() -> None:
        threading.setprofile(look)
        sys.setprofile(look)

    if not recorded:
        begin()
        return calls

    def write(writer: LogWriter, events: Iterable[Record]) -> None:
        LogWriter.write = plain  # type: ignore[method-assign]
        begin()
        plain(writer, events)

    plain, LogWriter.write = LogWriter.write, write  # type: ignore[method-assign]
    return calls


def live(words: list[str], dies_at: int, recorded: bool, counted: int) -> None:
    """Run regtui, in a session of its own, with nothing to read and nobody to print to."""
    from regtui.cli.ending import run

    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    sys.argv = ["regtui", *words]
    calls = count_calls(dies_at, recorded)
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
    from regtui.checkpoints import keeper

    # Checkpoints all the time, so that a death falls into the writing of one.
    keeper.FIRST_SECONDS = keeper.LEAST_SECONDS = 0.0
    keeper.COST = 1.0
    for line in sys.stdin:
        told = json.loads(line)
        counts, counted = os.pipe()
        child = os.fork()
        if not child:
            live(told["words"], told["dies_at"], told["recorded"], counted)
        os.close(counted)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        with Path(f"/dev/fd/{counts}").open() as said:
            print(os.waitstatus_to_exitcode(status), said.read() or 0, flush=True)
        os.close(counts)


if __name__ == "__main__":
    main()
