"""What the screen sends down the line: bytes a second, and where on the screen they go.

The lab trains on the digits in a pseudo-terminal that answers as one does. `fast` has 60 epochs that last a few
seconds, so that the axes move at most frames; `long` has 3,000, of which the first are watched. Goal: at most 4 kB/s at
80x24 and 10 kB/s at 140x40, and nothing while idle or paused.

    python tests/benchmarks/line.py [--size 80x24] [--seconds 20] [--cheap] [--rows]
"""

import argparse
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from contextlib import suppress

QUESTION = b"\x1b[5n"

CHEAP = (
    "import sys; from regtui.tui import budget; budget.FrameBudget.__init__.__kwdefaults__['share'] = 1.0; "
    "sys.argv[0] = 'regtui'; from regtui.cli import main; main()"
)
"""The app as on a machine whose frames cost next to nothing: what it sends is held by the line alone."""

RUNS = {"fast": ("--preset", "overfit"), "long": ("--preset", "overfit", "--epochs", "3000")}

TOKEN = re.compile(
    rb"(?P<place>\x1b\[[\d;]*[A-HG`d])|(?P<pen>\x1b\[[\d;]*m)|(?P<other>\x1b\[[?\d;]*[a-zA-Z])|(?P<text>[^\x1b]+)"
)


class Watched:
    """The lab on a pseudo-terminal."""

    def __init__(self, size: tuple[int, int], *options: str, cheap: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLORFGBG": ""}
        environment["XDG_CONFIG_HOME"] = self.folder.name
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        program = ("-c", CHEAP) if cheap else ("-m", "regtui")
        self.process = subprocess.Popen(
            [sys.executable, *program, "--dataset", "digits", *options, "--runs-dir", self.folder.name],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def take(self, seconds: float, until: bytes = b"") -> tuple[bytes, float]:
        """Give what comes within some time, or up to and with some words, and how long that took."""
        begun, come = time.monotonic(), b""
        while (now := time.monotonic()) - begun < seconds and not (until and until in come):
            if select.select([self.fd], [], [], begun + seconds - now)[0]:
                block = os.read(self.fd, 1 << 16)
                come += block
                if asked := block.count(QUESTION):
                    os.write(self.fd, b"\x1b[0n" * asked)
        return come, time.monotonic() - begun

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.fd)
        self.folder.cleanup()


def kinds(come: bytes) -> tuple[Counter[str], Counter[int]]:
    """Count bytes by what they do, and by the row of the screen that they go to."""
    by_kind: Counter[str] = Counter()
    by_row: Counter[int] = Counter()
    row = 0
    for token in TOKEN.finditer(come):
        kind = token.lastgroup or "other"
        if kind == "place" and token[0].endswith(b"H"):
            row = int(token[0][2:-1].split(b";")[0] or 1)
        by_kind[kind] += len(token[0])
        by_row[row] += len(token[0])
    return by_kind, by_row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", action="append", help="columns x rows, such as 80x24; may be given twice")
    parser.add_argument("--run", action="append", choices=RUNS, help="may be given twice")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a run is watched at most")
    parser.add_argument("--cheap", action="store_true", help="draw as often as on a machine that does it in no time")
    parser.add_argument("--rows", action="store_true", help="say where the bytes go")
    given = parser.parse_args()
    print(" " * 14 + "".join(f"{head:>10}" for head in ("kB/s", "B/frame", "frames/s", "after")))
    for name in given.run or RUNS:
        for size in given.size or ["80x24", "140x40"]:
            columns, rows = map(int, size.split("x"))
            lab = Watched((columns, rows), *RUNS[name], "--start", cheap=given.cheap)
            try:
                lab.take(60, b"training")
                # The first screen is drawn once, whatever follows.
                lab.take(1)
                come, seconds = lab.take(given.seconds, b"finished")
                lab.press(b" ")
                lab.take(2)
                paused, _ = lab.take(3)
                frames = max(come.count(QUESTION), 1)
                print(
                    f"{name + ' ' + size:14}{len(come) / seconds / 1000:10.1f}{len(come) / frames:10.0f}"
                    f"{frames / seconds:10.1f}{len(paused):10}",
                    flush=True,
                )
                if given.rows:
                    by_kind, by_row = kinds(come)
                    print("   ", *(f"{kind} {count / len(come):.0%}" for kind, count in by_kind.most_common()))
                    print("   ", *(f"{row}:{count // frames}" for row, count in sorted(by_row.items())))
            finally:
                lab.close()


if __name__ == "__main__":
    main()
