"""Numbers of tags laid into rows: one for each step, or for each epoch of Keras."""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum

import numpy as np

from regtui.core.series import FloatArray, IntArray
from regtui.readers.names import PLACES, parts
from regtui.readers.samples import Samples, all_logged
from regtui.readers.tensorboard.rows import Bools, Scalars

COUNTS = re.compile(r"(.*/)?evaluation_.*_vs_iterations$")
"""Keras writes the validation's numbers twice: at the epoch, and here at the count of batches."""

MOST_AT_ONCE = 4_000_000
"""Numbers of a block of rows, 32 MB: tags that are written at steps of their own have a row each."""

MOST_NUMBERS = 24_000_000
"""Numbers of a whole run, rows times names, whether each is there or not: 700 MB at the most, as columns grow by
doubling and a picture is made of them (38 million took 1.1 GB)."""

MOST_CUTS = 100
"""Times that a run may have been taken up again; a log whose steps fall more often has them in no order."""

FEW_TAGS = 16
"""Tags whose numbers are picked out of a block one by one; of more they are sorted."""

REMEMBERED = 4096
"""Numbers of the newest step that are kept, so that what a block ends within is one row."""

GOLDEN = 2654435769
"""Knuth's multiplier: its products with whole numbers, modulo 2^32, are spread evenly."""


class Role(IntEnum):
    """What a tag is for."""

    NUMBER = 0
    ALWAYS = 1
    """A number of a validation: kept where steps are thinned out."""
    EPOCH = 2
    """The epoch at a step."""
    KERAS = 3
    """A number of one of Keras's epochs."""
    BATCH = 4
    """A number of one of its batches."""
    COUNT = 5
    """What counts its batches at an evaluation."""


class TooMany(Exception):
    """More numbers than memory is to be had for."""


class NoEnds(Exception):
    """The tag `epoch` is the same at several evaluations: it numbers the epoch they are in, and none that has ended."""


class Places:
    """Lays numbers into rows, block by block."""

    def __init__(self, names: Sequence[str], thinned: int = 1, *, epochs_end: bool = True) -> None:
        """Name the tags by their numbers, a list that grows; of so many steps one is kept, validation apart.

        `epochs_end` says whether the tag `epoch` tells the evaluations apart.
        """
        self._names = names
        self._epochs_end = epochs_end
        self._evaluated = np.nan, np.nan
        """Epoch and step of the newest evaluation."""
        self._thinned = thinned
        self._roles: list[Role] = []
        self._newest: dict[str, Scalars] = {}
        self._rows = 0
        self._cuts = 0
        self._first_epoch: float | None = None
        """What is added to the numbers of the tag `epoch`; None before the first of them."""
        self._keras: bool | None = None
        """Whether tags such as `epoch_loss` are Keras's, whose step is the epoch, from 0; None before the first."""
        self._ends: dict[float, float] = {}
        """Keras's epoch, from 0 -> batches counted at its end, where it logs them, too."""
        self._from_zero: float | None = None
        """1 where the first of its batches is 0, in old versions; None before the first."""
        self._counted: dict[str, float] = {}
        """Part of the run -> its newest count of batches."""

    def prepare(self, blocks: Mapping[str, Scalars]) -> None:
        """Look at the first blocks of all parts: what one of them says of Keras's epochs holds for all."""
        for part in sorted(blocks, key=lambda part: not self._are(blocks[part], Role.COUNT).any()):
            self._learn(part, blocks[part])

    def measured(self) -> list[str]:
        """Name the tags that are measurements."""
        return [name for name in self._names if _role(name) != Role.COUNT]

    def samples(self, part: str, block: Scalars) -> Iterator[Samples]:
        """Lay the next block of one part of a run into rows, in the order of the blocks; raises TooMany."""
        self._learn(part, block)
        block = self._whole(part, block)
        if self._thinned > 1:
            spread = (block.step * GOLDEN) % 2**32 < 2**32 / self._thinned
            block = block.where(spread | self._are(block, Role.ALWAYS) | self._are(block, Role.KERAS))
        if self._keras:
            of_epochs = self._are(block, Role.KERAS)
            for some in self._in_order(block.where(of_epochs)):
                yield from self._rows_of(some, epochs=True)
            block = block.where(~of_epochs & ~self._are(block, Role.COUNT))
        for some in self._in_order(block):
            yield from self._rows_of(some, epochs=False)

    def _whole(self, part: str, block: Scalars) -> Scalars:
        """Put what the block before had of the first step of this one before it; keep what it has of its last."""
        kept = self._newest.get(part)
        if kept is not None and kept.step[-1] == block.step[0]:
            block = Scalars.joined([kept, block])
        others = np.flatnonzero(block.step != block.step[-1])
        start = int(others[-1]) + 1 if len(others) else 0
        self._newest[part] = block.part(max(start, len(block.step) - REMEMBERED), len(block.step))
        return block

    def _are(self, block: Scalars, role: Role) -> Bools:
        """Tell which numbers are of a role."""
        for name in self._names[len(self._roles) :]:
            self._roles.append(_role(name))
        if role not in self._roles:
            return np.zeros(len(block.tag), dtype=bool)
        which: Bools = np.array(self._roles) == role
        return which[block.tag]

    def _learn(self, part: str, block: Scalars) -> None:
        """Find out how Keras's epochs and the tag `epoch` count."""
        of_epochs = self._are(block, Role.KERAS)
        if self._keras is None and of_epochs.any():
            first = block.where(of_epochs)
            steps = first.step[first.tag == first.tag[0]]
            in_folder = parts(self._names[int(first.tag[0])].split("/")[0]).split != ""
            self._keras = bool((steps[0] == 0 or in_folder) and (np.diff(steps) <= 1).all())
        if self._keras and Role.BATCH in self._roles:
            # Training and validation may know the end of an epoch at different batches: what came first holds for both.
            batch = self._are(block, Role.BATCH)
            if batch.any() and self._from_zero is None:
                self._from_zero = float(block.step[batch][0] == 0)
            counted = np.flatnonzero(batch | self._are(block, Role.COUNT))
            steps = np.append(self._counted.get(part, np.nan), (block.step + batch * (self._from_zero or 0.0))[counted])
            ended = np.flatnonzero(of_epochs)
            for row, step in zip(ended, steps[np.searchsorted(counted, ended)], strict=True):
                if np.isfinite(step):
                    self._ends.setdefault(float(block.step[row]), float(step))
            self._counted[part] = float(steps[-1])
        said = self._are(block, Role.EPOCH)
        if self._first_epoch is None and said.any():
            first = block.where(said)
            bare = self._names[int(first.tag[0])].lower() == "epoch"
            # Lightning's is 0 in the first epoch; transformers' `train/epoch` is a fraction of what is done.
            from_zero = bare and (first.value[0] == 0 or "hp_metric" in self._names)
            self._first_epoch = 1.0 if from_zero else 0.0

    def _in_order(self, block: Scalars) -> Iterator[Scalars]:
        """Cut a block where the steps of a tag fall, so that within each piece they do not."""
        start = 0
        if not (np.diff(block.step) >= 0).all():
            order = np.argsort(block.tag, kind="stable")
            fell = (np.diff(block.step[order]) < 0) & (np.diff(block.tag[order]) == 0)
            for cut in np.sort(order[1:][fell]):
                if self._cuts >= MOST_CUTS:
                    break
                self._cuts += 1
                yield block.part(start, int(cut))
                start = int(cut)
        yield block.part(start, len(block.step))

    def _rows_of(self, some: Scalars, *, epochs: bool) -> Iterator[Samples]:
        """Lay numbers into rows by their steps, in as many pieces as memory asks for."""
        if not len(some.step):
            return
        tags, firsts = np.unique(some.tag, return_index=True)
        tags = tags[np.argsort(firsts)]
        places, row = _places(some.step)
        if len(places) * len(tags) > MOST_AT_ONCE and len(places) > 1:
            middle = len(some.step) // 2
            yield from self._rows_of(some.part(0, middle), epochs=epochs)
            yield from self._rows_of(some.part(middle, len(some.step)), epochs=epochs)
            return
        self._rows += len(places)
        if self._rows * (len(self._names) + 3) > MOST_NUMBERS:
            raise TooMany
        columns = dict(self._columns(some, tags, row, len(places)))
        time = np.full(len(places), np.nan)
        time[row] = some.time
        if epochs:
            yield Samples(
                columns=columns,
                step=np.array([self._ends.get(place, np.nan) for place in places]) if self._ends else None,
                epoch=places + 1,
                time=time,
            )
            return
        epoch = [name for name in columns if PLACES.get(name.lower()) == "epoch"] if self._epochs_end else []
        said = columns[epoch[0]] + (self._first_epoch or 0.0) if epoch else None
        if said is not None:
            evaluated = np.zeros(len(places), dtype=bool)
            evaluated[row[self._are(some, Role.ALWAYS)]] = True
            self._tell_apart(said[evaluated & np.isfinite(said)], places[evaluated & np.isfinite(said)])
        yield Samples(columns=columns, step=places, epoch=said, time=time)

    def _tell_apart(self, epochs: FloatArray, steps: FloatArray) -> None:
        """See whether each evaluation has an epoch of its own."""
        if len(epochs):
            same = np.diff(epochs, prepend=self._evaluated[0]) == 0
            if (same & (np.diff(steps, prepend=self._evaluated[1]) > 0)).any():
                raise NoEnds
            self._evaluated = epochs[-1], steps[-1]

    def _columns(self, some: Scalars, tags: IntArray, row: IntArray, size: int) -> Iterator[tuple[str, FloatArray]]:
        """Give the numbers of each tag in their rows, the later of two in one row."""
        few = len(tags) <= FEW_TAGS
        order = np.empty(0, dtype=np.int64) if few else np.argsort(some.tag, kind="stable")
        ordered = some.tag[order]
        for tag in tags:
            if few:
                chosen = np.flatnonzero(some.tag == tag)
            else:
                chosen = order[np.searchsorted(ordered, tag) : np.searchsorted(ordered, tag, side="right")]
            column = np.full(size, np.nan)
            column[row[chosen]] = all_logged(some.value[chosen])
            yield self._names[int(tag)], column


def _role(name: str) -> Role:
    """Say what a tag is for."""
    last = name.rsplit("/", 1)[-1]
    if PLACES.get(name.lower()) == "epoch":
        return Role.EPOCH
    if COUNTS.match(name):
        return Role.COUNT
    if last.startswith("epoch_"):
        return Role.KERAS
    if last.startswith("batch_"):
        return Role.BATCH
    return Role.ALWAYS if parts(name).split in ("valid", "test") else Role.NUMBER


def _places(steps: FloatArray) -> tuple[FloatArray, IntArray]:
    """Give each step once, in order, and the row of each number."""
    rises = np.diff(steps)
    if (rises >= 0).all():
        first = np.append(True, rises > 0)
        return steps[first], np.cumsum(first) - 1
    places, row = np.unique(steps, return_inverse=True)
    return places, row
