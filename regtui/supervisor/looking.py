"""Looking for a log that the command writes by itself, under the folder that it runs in.

A cheap walk over names and times, every few seconds, tells whether there is anything new; only then the readers of
all formats are asked, in a process that ends when it has answered.
"""

import json
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from regtui.commandfile import OUTPUT_NAME
from regtui.processes import python
from regtui.supervisor import LOG_NAME
from regtui.supervisor.fresh import fresh_files

LOOK_SECONDS = 2.0
"""From one walk to the next, at least."""

WALK_SECONDS, SHARE = 0.25, 0.05
"""The longest that a walk takes, and the share of the time that walks may take."""

FIRST_WALK_SECONDS = 0.1
"""The command waits for it."""

MOST_WAIT_SECONDS = 60.0
"""From one question to the readers to the next, at most; while they know none of the files, twice as long each time."""

ANSWER_SECONDS = 20.0
"""The readers are asked for no longer."""

BEFORE_SECONDS = 60.0
"""A log that was written to so shortly before the command began may be somebody else's: a new one goes before it."""

GOOD_RANK = 30
"""A format of this rank or before is written for logs alone: no better one is looked for. Tables are the last."""


class Looking:
    """What has been found so far, and when to look again."""

    def __init__(self, root: str, folder: Path) -> None:
        """Name the folder that the command runs in, and that of its run; notes what is written there by now."""
        self._root = root
        self._folder = folder
        self._since = time.time()
        self._before = list(fresh_files(root, self._since - BEFORE_SECONDS, FIRST_WALK_SECONDS, [str(folder)]))
        self._busy: list[str] = []
        """Files that others were seen to hold open."""
        self._at = time.monotonic() + LOOK_SECONDS / 2
        self._wait = LOOK_SECONDS
        self._asked: dict[str, float] = {}
        self._asked_at = 0.0
        self._asking: subprocess.Popen[bytes] | None = None
        self._rank: int | None = None

    def look(self) -> str | None:
        """Give a log that has just been found, None where there is no news; never waits."""
        if self._asking is not None:
            if self._asking.poll() is not None:
                return self._answer()
            if time.monotonic() > self._asked_at + ANSWER_SECONDS:
                self._asking.kill()
            return None
        if time.monotonic() >= self._at and not self._is_settled():
            self._walk()
        return None

    def last_look(self) -> str | None:
        """Look once more, after the command's end, and wait for the answer."""
        if self._is_settled():
            return None
        found = self._last_answer()
        if not self._is_settled():
            self._asked_at = 0.0
            self._walk()
        return self._last_answer() or found

    def _last_answer(self) -> str | None:
        if self._asking is None:
            return None
        self._wait_for_answer()
        return self._answer()

    def _is_settled(self) -> bool:
        """Tell whether no better log can be hoped for."""
        if self._rank is not None and self._rank <= GOOD_RANK:
            return True
        with suppress(OSError):
            return (self._folder / LOG_NAME).stat().st_size > 0
        return False

    def _walk(self) -> None:
        """See what is new; where something is, and the readers are not asked too often, ask them."""
        began = time.monotonic()
        fresh = fresh_files(self._root, self._since, WALK_SECONDS, [str(self._folder)])
        output = self._folder / OUTPUT_NAME
        with suppress(OSError):
            if (status := output.stat()).st_size:
                fresh[str(output)] = status.st_mtime
        took = time.monotonic() - began
        self._at = began + max(LOOK_SECONDS, took / SHARE)
        new = fresh.keys() - self._asked.keys()
        wait = LOOK_SECONDS if new else self._wait
        if fresh != self._asked and began >= self._asked_at + wait:
            self._wait = min(2 * self._wait, MOST_WAIT_SECONDS)
            self._asked, self._asked_at = fresh, began
            self._ask(list(fresh))

    def _ask(self, fresh: list[str]) -> None:
        question = {
            "root": self._root, "fresh": [path for path in fresh if _is_unicode(path)], "busy": self._busy,
            "before": [path for path in self._before if path in self._asked and _is_unicode(path)],
            "since": self._since, "session": os.getpid(), "output": str(self._folder / OUTPUT_NAME), "rank": self._rank,
        }  # fmt: skip
        with suppress(OSError):
            self._asking = subprocess.Popen(
                python("regtui.supervisor.finding"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
            assert self._asking.stdin is not None
            # Less than a pipe holds, or read at once: the process reads before it does anything else.
            with self._asking.stdin as pipe:
                pipe.write(json.dumps(question).encode())

    def _wait_for_answer(self) -> None:
        assert self._asking is not None
        with suppress(subprocess.TimeoutExpired):
            self._asking.wait(ANSWER_SECONDS)
            return
        self._asking.kill()
        self._asking.wait()

    def _answer(self) -> str | None:
        asking, self._asking = self._asking, None
        assert asking is not None
        assert asking.stdout is not None
        with asking.stdout as pipe:
            said = pipe.read()
        try:
            found = json.loads(said)
            self._busy = found["busy"]
            log, rank = str(found["log"]), int(found["rank"])
        except (ValueError, KeyError, TypeError):  # none was found, or the readers had no time to answer
            return None
        self._rank = rank
        return log


def _is_unicode(path: str) -> bool:
    """Tell whether a path can be named in the command's file: other bytes are written there as escapes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
