"""Checkpoints beside a log, by their names alone: none is ever opened."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from regtui.core.events import Checkpoint

FOLDERS = ("", "checkpoints", "checkpoint", "ckpt", "ckpts", "weights", "models")
"""Where they lie, under the folder of the log: Lightning's `checkpoints`, Ultralytics's `weights`."""

MOST_ENTRIES = 5_000
"""Entries of a folder that are looked at."""

MOST = 1_000
"""Checkpoints that are kept in mind; a run that saves more of them does so at each evaluation, and its last ones do."""

HUGGING_FACE = re.compile(r"checkpoint-(\d+)$")
LIGHTNING = re.compile(r"epoch=(\d+)(?:\D*step=(\d+))?.*\.ckpt$")
ENDING = re.compile(r"\.(keras|h5|hdf5|ckpt|pt|pth|safetensors|tar|index|msgpack|npz)$")
NAMED = re.compile(r"(?:^|[^a-z])(epoch|ep|e|step|iter|iteration)s?[-_=. ]?(\d{1,9})(?!\d)", re.IGNORECASE)
DETECTRON2 = re.compile(r"model_(\d{7})\.pth$")
TIMM = re.compile(r"checkpoint-(\d+)\.pth\.tar$")
KERAS = re.compile(r"[a-zA-Z][._-]?(\d{1,6})(?:-\d*\.?\d+)?(?:\.weights)?\.(?:keras|h5|hdf5|ckpt)(?:\.index)?$")
"""What people give ModelCheckpoint: `model.05-0.31.keras`, `weights.10.h5`, `cp-0005.ckpt` (its `.index`)."""


def checkpoint(name: str) -> Checkpoint | None:
    """Read a name; None where it is no checkpoint's, or does not say of when."""
    if found := HUGGING_FACE.match(name):
        return Checkpoint(name=name, step=int(found[1]))
    if found := LIGHTNING.search(name):  # its epochs count from 0
        return Checkpoint(name=name, epoch=int(found[1]) + 1, step=int(found[2]) if found[2] else None)
    if found := TIMM.match(name):  # as do timm's
        return Checkpoint(name=name, epoch=int(found[1]) + 1)
    if found := DETECTRON2.match(name):
        return Checkpoint(name=name, step=int(found[1]))
    if not ENDING.search(name):
        return None
    if found := NAMED.search(name):
        number = int(found[2])
        return Checkpoint(name=name, step=number) if found[1][0] in "sSiI" else Checkpoint(name=name, epoch=number)
    if found := KERAS.search(name):
        return Checkpoint(name=name.removesuffix(".index"), epoch=int(found[1]))
    return None


class Checkpoints:
    """Looks for checkpoints under a folder, again when something has come into it."""

    def __init__(self, folder: Path) -> None:
        """Name the folder of the run; nothing is looked for before the first call."""
        self._paths = [folder / name if name else folder for name in FOLDERS]
        self._seen: list[int] = []
        self._found: tuple[Checkpoint, ...] = ()

    def news(self) -> tuple[Checkpoint, ...] | None:
        """Give all that there are, in the order of their making; None where nothing has changed."""
        seen = [_changed_at(path) for path in self._paths]
        if seen == self._seen:
            return None
        self._seen = seen
        names = {name: None for path in self._paths for name in _names(path)}
        held = {found.name: found for found in map(checkpoint, names) if found is not None}
        found = tuple(sorted(held.values(), key=lambda each: (each.step or 0, each.epoch or 0, each.name))[-MOST:])
        if found == self._found:
            return None
        self._found = found
        return found


def _changed_at(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 # asked at each look
    except OSError:
        return 0


def _names(path: Path) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries):
                if number == MOST_ENTRIES:
                    return
                yield entry.name
    except OSError:
        return
