"""TensorBoard's event files, read and written.

`checksum`, `event` (one record), `rows` (many at once), `files` (where records are in a growing file), `parts` (the
files of a run), `places` (numbers laid into rows), `settings`, and the `reader` on top of them; `writer` for the other
way.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Load the reader when it is asked for: who writes event files, or replays a log of ours, does without it."""
    if name != "READER":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from regtui.readers.tensorboard.reader import TensorBoardReader

    return TensorBoardReader
