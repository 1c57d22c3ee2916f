"""Processes that outlive whoever starts them: in a session of their own, without anything of the terminal's.

The first process that is started only forks the one that stays and ends, so that nobody is left to be waited for; the
one that stays says through a pipe, in one line of JSON, how its start went.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from {} import main; main()"
"""What it runs, with this process's path: it finds the same regtui, however that is installed."""

ANSWER_SECONDS = 30.0
"""How long the start of a process is waited for: a machine that is so busy that it takes longer would not start it."""

MOST_ANSWER = 1 << 16
"""Bytes of its answer."""


class NotStarted(Exception):
    """The process could not be started; its text says why."""


def python(module: str) -> list[str]:
    """Give the command line that runs the `main` of a module of ours.

    Isolated (`-I`): no module in the folder that somebody stands in, such as a `signal.py`, takes the place of one of
    Python's, and no PYTHONWARNINGS meant for his own program ends ours.
    """
    return [sys.executable, "-I", "-c", PROGRAM.format(module), json.dumps([path for path in sys.path if path])]


def start_detached(module: str, arguments: Sequence[str], output: int) -> dict[str, Any]:
    """Run a module's `main` in a process that outlives this one, and give its answer; raises NotStarted.

    `main` must begin with `detach` and give its answer by `answer`. What it prints goes to a descriptor.
    """
    ours, theirs = os.pipe()
    try:
        try:
            first = subprocess.Popen(
                [*python(module), str(theirs), *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[theirs],
            )  # fmt: skip
        except OSError as error:
            raise NotStarted(error.strerror or str(error)) from None
        finally:
            os.close(theirs)
        said = _answer(ours)
        if "problem" in said:
            # One that has not even come to its fork is not waited for.
            first.kill()
        first.wait()
    finally:
        os.close(ours)
    if "problem" in said:
        raise NotStarted(str(said["problem"]))
    return said


def _answer(fd: int) -> dict[str, Any]:
    said, until = b"", time.monotonic() + ANSWER_SECONDS
    while len(said) < MOST_ANSWER and select.select([fd], [], [], max(until - time.monotonic(), 0))[0]:
        part = os.read(fd, MOST_ANSWER)
        if not part:
            break
        said += part
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"problem": "regtui's own process ended before it had begun"}


def detach() -> None:
    """Go on in a process in a session of its own, which nobody has to wait for; to be called before any thread."""
    if os.fork():
        os._exit(0)
    os.setsid()


def answer(fd: int, said: dict[str, Any]) -> None:
    """Tell whoever started this process how that went; he may have gone."""
    try:
        os.write(fd, json.dumps(said).encode())
    except OSError:
        return
    finally:
        os.close(fd)
