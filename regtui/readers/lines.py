"""What trainings print: `step 250: train loss 2.1, val loss 2.3`, Keras's and tqdm's bars, and the like.

A line is read when it says where it is (a step or an epoch) and holds a number under a name that a training has. Of a
bar that was drawn over itself the last state counts.
"""

import math
import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from regtui.core.plan import Plan
from regtui.readers.growing import GrowingFile
from regtui.readers.names import MEASURED_TRAIN_LOSS, parts
from regtui.readers.opening import opened
from regtui.readers.placing import Placing
from regtui.readers.protocol import SkippedLines
from regtui.readers.samples import SampleReader, Samples, Told

SNIFFED_BYTES = 256 << 10
"""A training may print its configuration for some pages before its first loss."""

# fmt: off
NO_OUTPUT = frozenset({
    ".bib", ".c", ".cc", ".cfg", ".cpp", ".css", ".cu", ".go", ".h", ".htm", ".html", ".ini", ".ipynb", ".java", ".jl",
    ".js", ".json", ".lock", ".md", ".py", ".pyi", ".r", ".rs", ".rst", ".sh", ".tex", ".toml", ".ts", ".xml", ".yaml",
    ".yml",
})
# fmt: on
"""Endings of files that people write: they speak of steps and losses, too."""

MOST_EPOCHS = 1_000_000
"""A larger number behind an epoch is no count of epochs."""

FEWEST_LINES = 2
"""So many lines with a loss and a place are no accident of prose."""

LONGEST = 4_000
"""Characters of a line, or of one state of a bar, that are looked through."""

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf)(?![\w.])"

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)|\x08")
"""Colours, cursors and titles; the backspaces of old bars."""

STEP = re.compile(
    r"\b(?:(?:global|num|train)[_ ]?)?(?:step|iter|iteration|update)s?['\"]?[\s:=#\[]{0,5}"
    r"(\d{1,12})(?:\s*/\s*(\d{1,12}))?(?![.\d])",
    re.I,
)
EPOCH = re.compile(r"\bepochs?['\"]?[\s:=#\[]{0,5}(\d{1,12}(?:\.\d{1,12})?)(?:\s*/\s*(\d{1,12}))?", re.I)
OF = re.compile(r"[\]\s:|,]*[\[(]?\s*(\d{1,12})\s*/\s*(\d{1,12})")
"""Behind an epoch, how much of it is done: `Train Epoch: 1 [640/60000 (1%)]`, `Epoch: [3][ 10/5005]`."""

BAR = re.compile(r"(\d{1,12})/(\d{1,12})\s+(?:\[(?:\d|[=>.#-])|[━=]|\d+m?s)")
"""A bar, as tqdm and Keras draw it: `50/100 [00:01<00:01`, `10/10 ━━━━`, `10/10 [====`, `10/10 - 0s`."""

WITHIN = re.compile(r"\[\s*(\d{1,12})/\s*(\d{1,12})\s*(?:\]|\()")
"""Of an epoch that was announced before: `loss: 2.3  [ 6464/60000]`."""

BARE = re.compile(rf"^(\d{{1,12}})\s+(train|val|valid|test)\s+{NUMBER}\s*$")
"""build-nanoGPT's log: `250 val 3.27`."""

ESTIMATED = re.compile(r"^step (\d{1,12}): train loss (\S+), val loss (\S+)$")
"""nanoGPT's `estimate_loss` measures both splits with dropout off."""

SPLIT = re.compile(
    r"^\W*(train|test|val|valid|validation|eval|evaluation)(?:ing)?"
    r"(?: (?:set|error|results?|metrics))?\s*:(?!\s*[\d.])",
    re.I,
)
"""What the numbers behind it belong to: `Test set: Average loss: 0.05`; alone on a line, those of the next."""

SPLIT_BETWEEN = re.compile(r"\|\s*(train|valid|test)\s*\|")
"""The same in fairseq's lines."""

SUMMARY = re.compile(r"^\s*\*\s")
"""torchvision's and the ImageNet example's ` * Acc@1 76.1` stands under a validation."""

PAIR = re.compile(
    rf"(?<![\w/@.-])([A-Za-z][\w/@.-]{{0,60}}(?:[ ][A-Za-z][\w/@-]{{0,60}}){{0,2}})['\"]?\s*(?::|=|\s)\s*"
    rf"{NUMBER}(?:/(\d{{1,12}})|(%))?",
    re.I,
)
"""A name of up to three words and its number, of so many or in a hundred."""

RATE = re.compile(r"\b(lr|learning[_ ]rate)\b.?$", re.I)

Row = dict[str, float]


class LinesReader(SampleReader):
    """Reads what a training printed, as far as it has been written."""

    name = "text"
    rank = 90
    file_names = ("*.log", "*.out", "*.txt", "slurm-*")
    rows_are_epochs = True
    _counts_steps = False

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether some of a file's first lines say a loss and where it was."""
        return path.suffix.lower() not in NO_OUTPUT and path.is_file() and len(_first_rows(path)) >= FEWEST_LINES

    def _start_over(self) -> None:
        self._file = GrowingFile(self.path, bars=True)
        self._placing = Placing(from_one=True)
        self._lines = Lines(counts_steps=self._counts_steps)
        self.skipped = SkippedLines()

    def _look(self) -> Iterable[Samples] | None:
        found = []
        for block in self._file.looked_at():
            for names, some in groupby(self._lines.rows(block), key=tuple):
                held = list(some)
                columns = {name: np.array([row[name] for row in held]) for name in names}
                found.append(self._placing.place(columns, len(held)))
            if self._lines.wrong or (self.rows_are_epochs and self._lines.within_epochs):
                # What was taken for an epoch's end lies within one.
                self.rows_are_epochs, self._counts_steps = not self._lines.within_epochs, self._lines.counts_steps
                return None
        self._more = self._file.behind
        return None if self._file.is_another else found

    def _tell(self) -> Told:
        return Told(plan=Plan(epochs=self._lines.epochs, total_steps=self._lines.total_steps))


class Lines:
    """Reads printed lines one after another; an epoch that was announced holds for the lines after it."""

    def __init__(self, *, counts_steps: bool = False) -> None:
        """Say whether the lines are known to count steps: then a line without one is at the newest."""
        self.counts_steps = counts_steps
        self.wrong = False
        """Whether that was learned after lines had been placed by their epochs: they have to be read anew."""
        self._step = 0.0
        self._by_epoch = False
        self.epochs: int | None = None
        self.total_steps: int | None = None
        self.within_epochs = False
        """Whether lines say where within an epoch they are: their step, or a share of the epoch."""
        self._epoch = math.nan
        """The newest, from 1."""
        self._from = math.nan
        """What the first one was called."""
        self._split = ""
        """Of the line before, where it announced one and no number."""

    def rows(self, block: bytes) -> Iterator[Row]:
        """Give the lines that hold numbers: those under their names, and `step` or `epoch`."""
        for line in block.decode("utf-8", errors="replace").replace("\r", "\n").split("\n"):
            text = ESCAPES.sub("", line[:LONGEST]).strip() if line else ""
            row = self._read(text) if text else None
            if row is not None:
                yield self._placed(row)

    def _placed(self, row: Row) -> Row:
        if "step" in row:
            self._step = row["step"]
            self.wrong = self.wrong or (self._by_epoch and not self.counts_steps)
            self.counts_steps = True
        elif self.counts_steps:
            row["step"] = self._step
        else:
            self._by_epoch = True
        self.within_epochs = self.within_epochs or "step" in row or row["epoch"] != int(row["epoch"])
        return row

    def _read(self, text: str) -> Row | None:
        split, self._split = self._split, ""
        if any(sign.isdigit() for sign in text):
            bare, estimated = BARE.match(text), ESTIMATED.match(text)
            if bare:
                return {"step": float(bare[1]), f"{bare[2]} loss": float(bare[3])}
            if estimated:
                numbers = [_number(each) for each in estimated.groups()]
                return {"step": numbers[0], MEASURED_TRAIN_LOSS: numbers[1], "val loss": numbers[2]}
        said = SPLIT.match(text) or SPLIT_BETWEEN.search(text)
        split = said[1].lower() if said else "val" if SUMMARY.match(text) else split
        epoch = EPOCH.search(text)
        if epoch:
            self._announce(epoch[1], epoch[2])
        found = _pairs(text, split)
        if not found:
            self._split = split if said else ""
            return None
        place = self._place(text, epoch, split)
        return {**found, **place} if place else None

    def _announce(self, written: str, of: str | None) -> None:
        epoch, counted = float(written), "." not in written
        self.within_epochs = self.within_epochs or not counted
        if math.isnan(self._from) and counted:
            self._from = epoch
            self.epochs = int(of) if of and int(of) < MOST_EPOCHS else None
        # A fraction, as transformers prints it, says how much is completed; a count, which one it is.
        self._epoch = epoch + (self._from == 0 and counted)

    def _place(self, text: str, epoch: re.Match[str] | None, split: str) -> Row | None:
        """Say where a line is; None where it does not, or is a bar that goes on."""
        step, bar = STEP.search(text), BAR.search(text)
        known = self._epoch == self._epoch
        if step:
            # `Step [100/600]` counts within an epoch of 600.
            before = (self._epoch - 1) * float(step[2]) if step[2] and known and self._epoch >= 1 else 0.0
            return {"step": float(step[1]) + before}
        if bar and not known:
            self.total_steps = self.total_steps or int(bar[2])
            return {"step": float(bar[1])}
        if not known:
            return None
        end = epoch.end() if epoch else 0
        share = bar or (OF.match(text, end) if epoch else None) or WITHIN.search(text, end)
        if share is None or not int(share[2]) or int(share[1]) > int(share[2]):
            return {"epoch": self._epoch}
        if bar or split not in ("", "train"):
            return {"epoch": self._epoch} if int(share[1]) == int(share[2]) else None
        return {"epoch": self._epoch - 1 + int(share[1]) / int(share[2])}


def _pairs(text: str, split: str) -> Row:
    """Find the numbers under names that a training has; Keras's and tqdm's, and `train loss 2.1`."""
    found: Row = {}
    for match in PAIR.finditer(text):
        name, value = match[1], _number(match[2])
        words = name.split(" ")
        # The words before a name belong to it only as far as they make it one: `Average loss`, `val loss`, `set loss`.
        for start in range(len(words)):
            shorter = " ".join(words[start:])
            taken = parts(shorter)
            if RATE.search(shorter) or taken.quantity:
                shorter = f"{split} {shorter}" if split and not taken.split else shorter
                counted = taken.quantity == "accuracy" and match[3] and int(match[3])
                share = value / int(match[3]) if counted else value / 100 if match[4] else value
                found.setdefault("lr" if RATE.search(shorter) else shorter, share)
                break
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _first_rows(path: Path) -> list[Row]:
    try:
        with opened(path) as fd:
            start = os.pread(fd, SNIFFED_BYTES, 0)
    except OSError:
        return []
    if b"\0" in start:
        return []
    return [row for row in Lines().rows(start) if any(parts(name).quantity == "loss" for name in row)]


READER = LinesReader
