"""Many logs looked at by several processes at once.

Each is an interpreter of its own that is told paths and tells what it found, a line of JSON each way; nothing is
imported by it but what reading takes. One that cannot be started, or dies, is no loss: its logs are looked at here.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from regtui.processes import python
from regtui.readers.leniency import UNREADABLE
from regtui.runs.looking import Looked, look

WORTH_BYTES = 32 << 20
"""Fewer bytes are read here before another interpreter has started."""

MOST_WORKERS = 8
"""A machine with many cores is shared with others, who train on it."""

LOGS_AT_ONCE = 16
"""Told to a worker at once: about 30 ms of work, so that no core waits long for the last one."""

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""numpy would else start a thread a core in each of them."""

_decoder = msgspec.json.Decoder(list[Looked])


def look_at(paths: Sequence[Path], size: int) -> Iterator[tuple[Path, Looked]]:
    """Look at logs of so many bytes in all, in any order, with as many processes as it is worth."""
    workers = (
        min(cores(), MOST_WORKERS, -(-len(paths) // LOGS_AT_ONCE)) if size >= WORTH_BYTES and sys.executable else 1
    )
    if workers > 1:
        with contextlib.closing(_look_with(workers, paths)) as found:
            yield from found
        return
    for path in paths:
        yield path, look(path)


def cores() -> int:
    """Give the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _look_with(count: int, paths: Sequence[Path]) -> Generator[tuple[Path, Looked]]:
    shares = [list(paths[first : first + LOGS_AT_ONCE]) for first in range(0, len(paths), LOGS_AT_ONCE)][::-1]
    left: list[list[Path]] = []
    """Shares whose worker died."""
    workers: list[_Worker] = []
    try:
        with selectors.DefaultSelector() as selector:
            for _ in range(count):
                with contextlib.suppress(OSError):
                    worker = _Worker()
                    workers.append(worker)
                    selector.register(worker.answers, selectors.EVENT_READ, worker)
                    worker.tell(shares.pop() if shares else [])
            while any(worker.share for worker in workers):
                for key, _ in selector.select():
                    share, found = key.data.share, key.data.found()
                    key.data.share = []
                    if found is None:
                        selector.unregister(key.fileobj)
                        left.append(share)
                        continue
                    yield from zip(share, found, strict=True)
                    if shares:
                        key.data.tell(shares.pop())
    finally:
        for worker in workers:
            worker.end()
    for path in [path for share in [*left, *shares[::-1]] for path in share]:
        yield path, look(path)


class _Worker:
    """A process that looks at logs."""

    def __init__(self) -> None:
        self.share: list[Path] = []
        """What it was told and has not answered."""
        self._process = subprocess.Popen(
            python("regtui.runs.workers"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD},
            process_group=0,  # ctrl+c is for us, who then end it
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions: IO[bytes] = self._process.stdin
        self.answers: IO[bytes] = self._process.stdout

    def tell(self, share: list[Path]) -> None:
        """Have it look at some logs; where it is dead, that is seen by its answer."""
        self.share = share
        with contextlib.suppress(OSError):
            self._questions.write(json.dumps([os.fsdecode(path) for path in share]).encode() + b"\n")
            self._questions.flush()

    def found(self) -> list[Looked] | None:
        """Give its answer, None where it has none: it died."""
        try:
            answer = _decoder.decode(self.answers.readline())
        except (OSError, *UNREADABLE):
            return None
        return answer if len(answer) == len(self.share) else None

    def end(self) -> None:
        """End it, whatever it is doing: it only reads."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._questions.close()
        self.answers.close()


def main() -> None:
    """Look at the logs that standard input names until it ends; answers are lines of standard output."""
    for line in sys.stdin.buffer:
        found = [look(Path(path)) for path in json.loads(line)]
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
