"""The gate at the door of every reader: what `open_log` gives hands on printable text only, whatever the log holds."""

from regtui.core.events import Event
from regtui.core.gate import passed
from regtui.core.text import LONGEST_TEXT, printable
from regtui.readers.protocol import Reader, SkippedLines


class Gated:
    """A reader of any format behind the gate; a format has nothing to do for it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def name(self) -> str:
        """The format, as people call it."""
        return self._reader.name

    @property
    def names_itself(self) -> bool:
        """Whether its numbers have our names already."""
        return getattr(self._reader, "names_itself", False)

    @property
    def missing(self) -> str:
        """Say which names a person asked for that the log has not, and which it has; empty where it has all of them."""
        return printable(getattr(self._reader, "missing", ""))

    @property
    def skipped(self) -> SkippedLines:
        """Lines that could not be read."""
        return self._reader.skipped

    @property
    def behind(self) -> bool:
        """Whether there is more to be read at once than the last call gave."""
        return self._reader.behind

    def poll(self, limit: int | None = None) -> list[Event]:
        """Give what has been written since the last call, each text of it printable."""
        events = self._reader.poll(limit)
        # A format that can tell more cheaply that nothing needs a look says so; see `is_plain`.
        return events if getattr(self._reader, "gave_plain", False) else [passed(event) for event in events]

    def warnings(self) -> list[str]:
        """Say what was skipped or replaced while reading; sentences may quote the log."""
        return [printable(warning) for warning in self._reader.warnings()]


def is_plain(lines: bytes) -> bool:
    """Tell whether lines of JSON hold no text that the gate would change: a look at bytes, a hundredth of decoding.

    So it is with ASCII alone, without a backslash (before which JSON has each control code, and an escape of any other
    sign) and without DEL, and with no line so long that it could hold a text that must be shortened.
    """
    if not lines.isascii() or b"\\" in lines or b"\x7f" in lines:
        return False
    at, end = 0, len(lines)
    while end - at > LONGEST_TEXT:
        at = lines.rfind(b"\n", at, at + LONGEST_TEXT) + 1
        if not at:
            return False
    return True
