"""What the screen sends down the line: bytes a second, and where on the screen they go.

The lab trains on the digits in a pseudo-terminal that answers as one does. `fast` has 60 epochs that last a few
seconds, so that the axes move at most frames; `long` has 3,000, of which the first are watched. Goal: at most 4 kB/s at
80x24 and 10 kB/s at 140x40, and nothing while idle or paused.

    python tests/benchmarks/line.py [--size 80x24] [--seconds 20] [--cheap] [--rows]
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from regtui.tui.line import QUESTION
from tests.terminals import PseudoTerminal

CHEAP = (
    "import sys; from regtui.tui import budget; budget.FrameBudget.__init__.__kwdefaults__['share'] = 1.0; "
    "sys.argv[0] = 'regtui'; from regtui.cli import main; main()"
)
"""The app as on a machine whose frames cost next to nothing: what it sends is held by the line alone."""

RUNS = {"fast": ("--preset", "overfit"), "long": ("--preset", "overfit", "--epochs", "3000")}

TOKEN = re.compile(
    rb"(?P<place>\x1b\[[\d;]*[A-HG`d])|(?P<pen>\x1b\[[\d;]*m)|(?P<other>\x1b\[[?\d;]*[a-zA-Z])|(?P<text>[^\x1b]+)"
)


def take(lab: PseudoTerminal, seconds: float, until: bytes = b"") -> tuple[bytes, float]:
    """Give what comes within some time, or up to and with some words, and how long that took."""
    begun, before = time.monotonic(), len(lab.come)
    while (left := begun + seconds - time.monotonic()) > 0 and not (until and until in lab.come[before:]):
        lab.read(left)
    return lab.come[before:], time.monotonic() - begun


def watched(name: str, size: tuple[int, int], *, cheap: bool, most_seconds: float) -> tuple[bytes, float, bytes]:
    """Run the lab; gives what it sends while it trains, in how many seconds, and then once it is paused or over."""
    program = ("-c", CHEAP) if cheap else ("-m", "regtui")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *program, "--dataset", "digits", *RUNS[name], "--start", "--runs-dir", folder]
        with closing(PseudoTerminal(command, size, XDG_CONFIG_HOME=folder)) as lab:
            take(lab, 60, b"training")
            # The first screen is drawn once, whatever follows.
            take(lab, 1)
            come, seconds = take(lab, most_seconds, b"finished")
            lab.press(" ")
            take(lab, 2)
            paused, _ = take(lab, 3)
            return come, seconds, paused


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
            come, seconds, paused = watched(name, (columns, rows), cheap=given.cheap, most_seconds=given.seconds)
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


if __name__ == "__main__":
    main()
