"""The event files of a run: which folders are its parts, and their files in the order of their times."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from regtui.readers.names import TEST_WORDS, TRAIN_WORDS, VALID_WORDS
from regtui.readers.protocol import SkippedLines
from regtui.readers.tensorboard.event import Extra
from regtui.readers.tensorboard.files import BLOCK, EventFile
from regtui.readers.tensorboard.rows import Scalars, Tags

MARK = "tfevents"
"""What every writer puts into the name of an event file, and by which TensorBoard finds them."""

SPLITS = VALID_WORDS | TRAIN_WORDS | TEST_WORDS
"""Names of folders that are parts of the run in the folder above."""

SETTINGS_ALONE = re.compile(r"\d{9,}(\.\d+)?$")
"""Folders that torch's `add_hparams` makes, named by the time: settings, and the last number of each metric."""

MOST_PARTS = 100
"""Folders of one run; each is looked at whenever the run is."""

MOST_FILES = 10_000
"""Files of one folder: a run that was taken up again has some, one for each time."""

HEADS = 64 << 20
"""Bytes of files read at once for all parts together."""

MOST_TAGS = 1000
"""Tags of a run; what comes after them is left out, and said."""

LEAST_READ = 1 << 16

SETTLED = 100_000_000
"""Nanoseconds; a folder that changed less than so long ago may change again without its time telling it."""

NEVER = -1


class Part:
    """The event files of one folder, in the order of their times, as one stream."""

    def __init__(self, folder: str, prefix: str, every: list[str], *, numbers: bool = True) -> None:
        """Name the folder, what stands before its tags, the names of the run so far, and whether it has any."""
        self.folder = folder
        self.prefix = prefix
        self.files: dict[str, EventFile] = {}
        self.tags = Tags(prefix, every, MOST_TAGS if numbers else 0)
        self.listed = NEVER
        """When the folder changed last before its files were listed."""

    def list_files(self) -> None:
        """Find the files that have come."""
        news = [name for name in event_files(self.folder) if name not in self.files]
        if news:
            self.files |= {name: EventFile(Path(self.folder, name)) for name in news}
            self.files = {name: self.files[name] for name in sorted(self.files, key=by_time)[:MOST_FILES]}

    def read(self, skipped: SkippedLines, extras: list[Extra], most: int) -> Scalars | None:
        """Read the next numbers; None where all that was seen has been read."""
        for file in self.files.values():
            while (found := file.read(self.tags, most)) is not None:
                extras += found.extras
                for record in file.broken:
                    skipped.add(record)
                file.broken.clear()
                scalars = found.scalars()
                if len(scalars.step):
                    return scalars
        return None


class Parts:
    """All files of a run, a folder or one file."""

    def __init__(self, path: Path, every: list[str]) -> None:
        """Name the run, and the list of its tags, which grows as they are read."""
        self._every = every
        self._alone = path.is_file()
        folder = path.parent if self._alone else path
        own = Part(os.fspath(folder), f"{folder.name}/" if folder.name in SPLITS else "", every)
        if self._alone:
            own.files[path.name] = EventFile(path)
        self._own = own
        self._parts = {own.folder: own}
        self._others: dict[str, tuple[str, int]] = {}
        """Folder that is no part -> what would change if it became one, and when that changed last."""

    @property
    def refused(self) -> bool:
        """Tell whether there are more tags than are read."""
        return any(part.tags.refused for part in self._parts.values())

    def look(self) -> list[str]:
        """Find what has come; says of each file whether it is the same, has grown, or was replaced."""
        if not self._alone:
            self._find()
        return [file.look() for part in self._parts.values() for file in part.files.values()]

    def read(self, skipped: SkippedLines, extras: list[Extra]) -> Iterator[dict[str, Scalars]]:
        """Give the next block of every part that has one, by its prefix; the earliest is to be taken out each time."""
        heads: dict[str, Scalars] = {}
        done: set[str] = set()
        most = max(LEAST_READ, min(BLOCK, HEADS // len(self._parts)))
        while True:
            for part in list(self._parts.values()):
                if part.prefix not in heads and part.prefix not in done:
                    block = part.read(skipped, extras, most)
                    if block is None:
                        done.add(part.prefix)
                    else:
                        heads[part.prefix] = block
            if not heads:
                return
            yield heads

    def _find(self) -> None:
        """Find parts and files that have come; a folder that has not changed is not listed again."""
        for part in list(self._parts.values()):
            changed = _changed(part.folder)
            if changed == part.listed:
                continue
            part.listed = changed if time.time_ns() - changed > SETTLED else NEVER
            part.list_files()
            if part is self._own:
                for folder in _folders(part.folder):
                    if folder not in self._parts and folder not in self._others:
                        self._ask(folder)
        for folder, (cause, seen) in list(self._others.items()):
            if _changed(cause) != seen:
                self._ask(folder)

    def _ask(self, folder: str) -> None:
        """Decide whether a folder is a part of the run."""
        self._others.pop(folder, None)
        name = os.path.basename(folder)  # noqa: PTH119 # texts all the way: folders are looked at very often
        files = event_files(folder)
        self._others[folder] = folder, _changed(folder)
        if not files:
            return
        numbers = not SETTINGS_ALONE.match(name)
        if name not in SPLITS and numbers:
            first = os.path.join(folder, min(files, key=by_time))  # noqa: PTH118
            tags = _first_tags(first)
            if not any(name.startswith(tag.replace("/", "_") + "_") for tag in tags):
                # The tags of a file stay what they are; one without any yet is looked at again when it has grown.
                self._others[folder] = (first, _changed(first)) if not tags else ("", NEVER)
                return
        del self._others[folder]
        if len(self._parts) < MOST_PARTS:
            part = self._parts[folder] = Part(folder, f"{name}/", self._every, numbers=numbers)
            part.list_files()


def event_files(folder: str) -> list[str]:
    """Name the event files of a folder; none of one that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if MARK in entry.name and entry.is_file()]
    except OSError:
        return []


def by_time(name: str) -> tuple[int, list[int | str], str]:
    """Give what orders the event files of a folder: the second in which each was begun, and its number."""
    numbers = [int(digits) for digits in re.findall(r"\d{1,18}", name.partition(MARK)[2])]
    return numbers[0] if numbers else 0, [*numbers[1:]], name


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))[: 10 * MOST_PARTS]
    except OSError:
        return []


def _changed(path: str) -> int:
    """Tell when a file or folder changed last, in nanoseconds; never, where it is not there."""
    try:
        return os.stat(path).st_mtime_ns if path else NEVER  # noqa: PTH116 # a Path takes longer than the look
    except OSError:
        return NEVER


def _first_tags(file: str) -> Iterable[str]:
    """Name the tags at the beginning of a file."""
    found: list[str] = []
    events = EventFile(Path(file))
    events.look()
    events.read(Tags("", found, MOST_TAGS), LEAST_READ)
    return found
