"""The reader of TensorBoard's event files.

A run is a folder that holds some, with parts of it in folders of its own (Keras's `train` and `validation`, the
sub-runs of `add_scalars`), or one file. A tag of a part is `part/tag`.
"""

from collections.abc import Iterable
from pathlib import Path

from regtui.readers.protocol import SkippedLines
from regtui.readers.samples import Anew, SampleReader, Samples, Told
from regtui.readers.search import walk
from regtui.readers.tensorboard.event import Extra
from regtui.readers.tensorboard.files import begins_as_log
from regtui.readers.tensorboard.parts import MARK, MOST_TAGS, SPLITS, Parts, event_files
from regtui.readers.tensorboard.places import NoEnds, Places, TooMany
from regtui.readers.tensorboard.settings import Said

MOST_THINNED = 4096
"""One step in so many is the least that is shown of a log; validation is always shown, and where that alone is too
much, or the log has a name for each number, the rest of it is left out."""


class SkippedRecords(SkippedLines):
    """The records of event files that could not be read."""

    noun = "record"


class TensorBoardReader(SampleReader):
    """Reads the event files of a run, as many as there are and as they come."""

    name = "TensorBoard"
    rank = 20
    file_names = (f"*{MARK}*",)
    _thinned = 1
    _epochs_end = True

    def _start_over(self) -> None:
        self.skipped = SkippedRecords()
        self._every: list[str] = []
        self._extras: list[Extra] = []
        self._said = Said()
        self._places = Places(self._every, self._thinned, epochs_end=self._epochs_end)
        self._parts = Parts(self.path, self._every)
        self._full = False

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give the folders that hold event files, in the place of those of its parts the one above."""
        found: dict[Path, None] = {}
        for parent, names in walk(folder):
            if any(MARK in name for name in names):
                found[parent.parent if parent.name in SPLITS and parent != folder else parent] = None
        return list(found)

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file begins with a record that is an event, or a folder or a part in it holds such a file."""
        if path.is_file():
            return begins_as_log(path)
        if not path.is_dir():
            return False
        folders = [path, *(path / name for name in sorted(SPLITS) if (path / name).is_dir())]
        return any(begins_as_log(folder / name) for folder in folders for name in sorted(event_files(str(folder))))

    def _look(self) -> Iterable[Samples] | None:
        looks = self._parts.look()
        if "replaced" in looks:
            return None
        return self._read() if "grown" in looks else ()

    def _read(self) -> Iterable[Samples]:
        """Read what has come, of several parts what was written first."""
        first = self._started is None
        for heads in self._parts.read(self.skipped, self._extras):
            for extra in self._extras:
                self._said.take(extra)
            self._extras.clear()
            if first:
                self._names.see(self._places.measured())
                self._places.prepare(heads)
                first = False
            part = min(heads, key=lambda prefix: heads[prefix].time[0])
            block = heads.pop(part)
            if self._full:
                continue
            try:
                yield from self._places.samples(part, block)
            except NoEnds:
                self._epochs_end = False
                raise Anew from None
            except TooMany:
                if self._thinned < MOST_THINNED:
                    self._thinned *= 4
                    raise Anew from None
                self._full = True

    def _run_name(self) -> str:
        """Give the name of the run's folder: those of event files and of the parts say nothing of it."""
        folder = self.path.resolve() if self.path.is_dir() else self.path.resolve().parent
        return folder.parent.name if folder.name in SPLITS else folder.name

    def _tell(self) -> Told:
        return self._said.told(self._every)

    def warnings(self) -> list[str]:
        """Say, too, what of a very long log is not shown."""
        said = super().warnings()
        if self._thinned > 1:
            said.append(f"the log is too long to be held: one step in {self._thinned} is shown, and every evaluation")
        if self._full:
            said.append("the log is too long to be held: its last numbers are left out")
        if self._parts.refused:
            said.append(f"the log has more than {MOST_TAGS:,} names: the others are left out")
        return said
