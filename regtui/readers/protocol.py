"""What every log reader must do, and the one error that a log can be worth."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regtui.core.events import Event
from regtui.core.text import printable

LINES_NAMED = 10
"""Line numbers kept for the warning: enough to find the cause, few enough for one sentence."""


class LogError(Exception):
    """A log that cannot be read or written; its text is one sentence naming the file and what would be right."""

    def __init__(self, sentence: str) -> None:
        """Let the sentence through the gate: it quotes paths."""
        super().__init__(printable(sentence))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person says of a log whose names say too little."""

    valid: str = ""
    """The name whose numbers are the validation loss."""
    train: str = ""
    """The name whose numbers are the training loss."""
    rate: str = ""
    """The name whose numbers are the learning rate."""
    metric: str = ""
    """The quantity that is judged in the place of the loss, such as `wer`: one that is better when it is lower."""


NOTHING_WANTED = Wanted()


class NamesItself(LogError):
    """A log that says itself what its numbers are was given other names for them."""


class SkippedLines:
    """The lines of a log that could not be read: how many, and the numbers of the first ones, from 1."""

    noun = "line"
    """What the log consists of."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(self.first)

    def add(self, line: int) -> None:
        self.count += 1
        if len(self.first) < LINES_NAMED:
            self.first.append(line)

    def add_all(self, lines: list[int]) -> None:
        self.count += len(lines)
        self.first += lines[: max(LINES_NAMED - len(self.first), 0)]

    def sentence(self, name: str) -> str:
        """Name the lines in a sentence for a person; empty when there are none."""
        if not self.count:
            return ""
        noun = self.noun if self.count == 1 else f"{self.noun}s"
        more = ", ..." if self.count > len(self.first) else ""
        numbers = ", ".join(str(line) for line in self.first)
        return f"{self.count} {noun} of {name} could not be read and left out: {noun} {numbers}{more}"


class Reader(Protocol):
    """One log, read as far as it has been written.

    Its texts may hold anything: `open_log` puts the gate before it, which looks at every event. A format of which that
    would take long has `gave_plain`, true where it can tell that the last events need no look. One whose numbers have
    our names already has `names_itself`, true: there is nothing to choose by `Wanted`.
    """

    name: str
    """The format, as people call it: 'TensorBoard'."""
    rank: int
    """Formats are asked in this order whether a log is theirs: one that takes nearly anything comes late."""
    skipped: SkippedLines
    """Lines that could not be read."""
    behind: bool
    """The last `poll` ended before the end of what has been written."""

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Name the log, a file or a folder; nothing is read before the first poll."""

    @classmethod
    def finds(cls, folder: Path) -> Iterable[Path]:
        """Give what may be logs of this format under a folder, by their names: files, or folders of one run."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file, or a folder, holds at least one record of this format, without reading much of it."""

    def poll(self, limit: int | None = None) -> list[Event]:
        """Give what has been written since the last call, at most `limit` events, and never wait.

        An empty list means 'nothing new yet', or with `behind` that there was much to read and nothing to give, since
        a call with a limit must not take long either. A log that shrank or was replaced is read anew from its start.
        """

    def warnings(self) -> list[str]:
        """Say in sentences what was skipped or replaced while reading."""
