"""What trainings print: `step 250: train loss 2.1, val loss 2.3`, Keras's and tqdm's bars, and the like.

A line is read when it says where it is (a step or an epoch) and holds a number under a name that a training has. Of a
bar that was drawn over itself the last state counts.
"""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from regtui.core.plan import Plan
from regtui.readers.growing import GrowingFile
from regtui.readers.names import parts
from regtui.readers.placing import Placing
from regtui.readers.protocol import NOTHING_WANTED, SkippedLines, Wanted
from regtui.readers.samples import SampleReader, Samples, Told

SNIFFED_BYTES = 256 << 10
"""A training may print its configuration for some pages before its first loss."""

FEWEST_LINES = 2
"""So many lines with a loss and a place are no accident of prose."""

LONGEST = 4_000
"""Characters of a line, or of one state of a bar, that are looked through."""

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf)(?![\w.])"

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)|\x08")
"""Colours, cursors and titles; the backspaces of old bars."""

STEP = re.compile(r"\b(?:global[_ ]?)?(?:step|iter|iteration|update)s?['\"]?\s*[:=#\[]?\s*(\d+)(?:\s*/\s*(\d+))?", re.I)
EPOCH = re.compile(r"\bepochs?['\"]?\s*[:=#\[]?\s*(\d+(?:\.\d+)?)(?:\s*/\s*(\d+))?", re.I)
BARE = re.compile(rf"^(\d+)\s+(train|val|valid|test)\s+{NUMBER}\s*$")
"""build-nanoGPT's log: `250 val 3.27`."""

PAIR = re.compile(rf"([A-Za-z][\w/@.-]*(?:[ ][A-Za-z][\w/@-]*){{0,2}})['\"]?\s*(?::|=|\s)\s*{NUMBER}", re.I)
"""A name of up to three words and its number."""

RATE = re.compile(r"\b(lr|learning[_ ]rate)\b.?$", re.I)

Row = dict[str, float]


class LinesReader(SampleReader):
    """Reads what a training printed, as far as it has been written."""

    name = "text"
    rank = 90
    file_names = ("*.log", "*.out", "*.txt", "slurm-*")

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        self.path = Path(path)
        self.rows_are_epochs = not any("step" in row for row in _first_rows(self.path))
        super().__init__(path, wanted)

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether some of a file's first lines say a loss and where it was."""
        return path.is_file() and len(_first_rows(path)) >= FEWEST_LINES

    def _start_over(self) -> None:
        self._file = GrowingFile(self.path)
        self._placing = Placing()
        self._lines = Lines()
        self.skipped = SkippedLines()

    def _look(self) -> Iterable[Samples] | None:
        found = []
        while block := self._file.lines():
            rows = self._lines.rows(block)
            for names, some in groupby(rows, key=tuple):
                held = list(some)
                columns = {name: np.array([row[name] for row in held]) for name in names}
                found.append(self._placing.place(columns, len(held)))
        return None if block is None else found

    def _tell(self) -> Told:
        return Told(plan=Plan(epochs=self._lines.epochs, total_steps=self._lines.total_steps))


class Lines:
    """Reads printed lines one after another; an epoch that was announced holds for the lines after it."""

    def __init__(self) -> None:
        self.epochs: int | None = None
        self.total_steps: int | None = None
        self._epoch = math.nan

    def rows(self, block: bytes) -> Iterator[Row]:
        """Give the lines that hold numbers: those under their names, and `step` or `epoch`."""
        for line in block.decode("utf-8", errors="replace").split("\n"):
            row = self._row(line)
            if row is not None:
                yield row

    def _row(self, line: str) -> Row | None:
        for state in reversed(line.split("\r")):
            text = ESCAPES.sub("", state[:LONGEST]).strip()
            if text:
                return self._read(text)
        return None

    def _read(self, text: str) -> Row | None:
        bare = BARE.match(text)
        if bare:
            return {"step": float(bare[1]), f"{bare[2]} loss": float(bare[3])}
        step, epoch = STEP.search(text), EPOCH.search(text)
        if epoch:
            self._epoch = float(epoch[1])
            self.epochs = int(epoch[2]) if epoch[2] and self.epochs is None else self.epochs
        found = _pairs(text)
        if not found:
            return None
        if step:
            # `Step [100/600]` counts within an epoch of 600.
            before = (self._epoch - 1) * float(step[2]) if step[2] and epoch and self._epoch >= 1 else 0.0
            found["step"] = float(step[1]) + before
        elif self._epoch == self._epoch:
            found["epoch"] = self._epoch
        else:
            return None
        return found


def _pairs(text: str) -> Row:
    """Find the numbers under names that a training has; Keras's and tqdm's, and `train loss 2.1`."""
    found: Row = {}
    for match in PAIR.finditer(text):
        name, value = match[1], float(match[2])
        words = name.split(" ")
        # The words before a name belong to it only as far as they make it one: `Average loss`, `val loss`, `set loss`.
        for start in range(len(words)):
            shorter = " ".join(words[start:])
            if RATE.search(shorter) or parts(shorter).quantity:
                found.setdefault("lr" if RATE.search(shorter) else shorter, value)
                break
    return found


def _first_rows(path: Path) -> list[Row]:
    try:
        with path.open("rb") as file:
            start = file.read(SNIFFED_BYTES)
    except OSError:
        return []
    if b"\0" in start:
        return []
    return [row for row in Lines().rows(start) if any(parts(name).quantity == "loss" for name in row)]


READER = LinesReader
