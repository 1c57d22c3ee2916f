"""TensorBoard's event files, read and written.

`checksum`, `event` (one record), `rows` (many at once), `files` (where records are in a growing file), `parts` (the
files of a run), `places` (numbers laid into rows), `settings`, and the `reader` on top of them; `writer` for the other
way.
"""

from regtui.readers.tensorboard.reader import TensorBoardReader

READER = TensorBoardReader
