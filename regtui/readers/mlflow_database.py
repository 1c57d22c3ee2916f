"""MLflow's database: `mlflow.db`, SQLite, which it writes by default since version 3.

A database holds the runs of all experiments: the newest is read, or that which is named behind its path, as in
`mlflow.db#RUN`, by its name or by the start of its id. It is opened for each look, for reading, and nothing is written
beside it.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from regtui.readers.metric_rows import MetricReader, setting
from regtui.readers.opening import opened
from regtui.readers.protocol import NOTHING_WANTED, Wanted
from regtui.readers.samples import Samples

MAGIC = b"SQLite format 3\0"
WRITE_VERSION, AHEAD = 18, 2
"""Where a database says how it is written, and what it says where changes are written ahead, to `-wal`."""

TABLES = ("runs", "metrics", "params")

NUMBERS_AT_ONCE = 50_000
MOST_SECONDS = 5.0
"""One question to a database: a hundred thousand numbers take a tenth of a second."""
TURNS = 100_000
"""Instructions of SQLite's machine between two looks at the clock: about a millisecond."""
LONGEST_VALUE = 1 << 20
"""Bytes of one value of a database; MLflow's own are 8,000 at most."""
MOST_PARAMETERS = 5_000
RUNS_NAMED = 8

UNREADABLE = (OSError, sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError)
"""What a damaged database raises; the last where SQLite's own sentence about it quotes bytes that are no text."""

Row = tuple[Any, ...]


class MlflowDatabaseReader(MetricReader):
    """Reads one run of a database, its newest numbers by their row ids."""

    name = "MLflow"
    file_names = ("mlflow.db", "mlruns.db")
    holds_several = True
    """Whether a path may name one of several runs behind a `#`."""

    def __init__(self, path: Path, wanted: Wanted = NOTHING_WANTED) -> None:
        """Name the database, perhaps with a run of it behind a `#`; nothing is read before the first poll."""
        self._database, self._which = _named(Path(path))
        self._chosen = ""
        super().__init__(path, wanted)

    def _start_over(self) -> None:
        super()._start_over()
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._identity: tuple[int, int] | None = None
        self._row_id = 0
        self._others: list[str] = []
        self._unread = ""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Tell whether a file is a database with MLflow's tables."""
        database, _ = _named(path)
        try:
            return _is_database(database) and _has_tables(database)
        except UNREADABLE:
            return False

    def warnings(self) -> list[str]:
        """Say which other runs there are, too."""
        said = super().warnings()
        if self._unread:
            said.append(f"{self._database.name} could not be read: {self._unread}")
        if self._others:
            some = ", ".join(self._others[:RUNS_NAMED]) + (", ..." if len(self._others) > RUNS_NAMED else "")
            said.append(f"{self._database.name} holds other runs; {self._database.name}#RUN names one of {some}")
        return said

    def _look(self) -> Iterable[Samples] | None:
        try:
            status = os.stat(self._database)  # noqa: PTH116 # asked at each look
        except OSError:
            return ()
        identity = (status.st_dev, status.st_ino)
        seen = ((status.st_size, status.st_mtime_ns), _state_of(Path(f"{self._database}-wal")))
        if seen == self._seen:
            return ()
        if self._identity not in (None, identity):
            self._chosen = ""
            self._another()
            return None
        self._seen, self._identity = seen, identity
        return self._numbers()

    def _numbers(self) -> Iterator[Samples]:
        """Read on, some ten thousand numbers at a time, each time over a connection of its own."""
        while True:
            try:
                if not _is_database(self._database):
                    return
                with closing(_connected(self._database)) as database:
                    self._tell_of_run(database)
                    rows = database.execute(
                        "SELECT rowid, key, value, timestamp, step, is_nan FROM metrics"
                        " WHERE run_uuid = ? AND rowid > ? ORDER BY rowid LIMIT ?",
                        (self._chosen, self._row_id, NUMBERS_AT_ONCE),
                    ).fetchall()
                self._unread = ""
            except UNREADABLE as error:
                # Locked for the moment, half written, or damaged: asked again at the next look.
                self._unread = str(error)
                self._seen = () if "locked" in self._unread else self._seen
                return
            if not rows:
                return
            self._row_id = int(rows[-1][0])
            yield from self._rows_of([number for row in rows if (number := self._number(row)) is not None])
            if len(rows) < NUMBERS_AT_ONCE:
                return

    def _number(self, row: Row) -> tuple[int, float, float, float] | None:
        _, key, value, timestamp, step, is_nan = row
        if not (isinstance(key, str) and isinstance(value, int | float) and isinstance(step, int)):
            return None
        when = timestamp / 1000 if isinstance(timestamp, int | float) else float("nan")
        return self._column(key), float(step), float("nan") if is_nan else float(value), when

    def _tell_of_run(self, database: sqlite3.Connection) -> None:
        """Choose a run, once, and take in what is said of it."""
        if not self._chosen:
            found = database.execute(
                "SELECT run_uuid, name FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time DESC LIMIT 1000"
            ).fetchall()
            known = [(run, name or "") for run, name in found if isinstance(run, str)]
            ours = [run for run, name in known if not self._which or self._which == name or run.startswith(self._which)]
            self._chosen = ours[0] if ours else ""
            self._others = [f"{run[:8]} ({name})" for run, name in known if run != self._chosen]
        for name, status in database.execute("SELECT name, status FROM runs WHERE run_uuid = ?", (self._chosen,)):
            self._run_id = name if isinstance(name, str) and name else self._chosen
            self._status = status if isinstance(status, str) else ""
        said = database.execute(
            "SELECT key, value FROM params WHERE run_uuid = ? LIMIT ?", (self._chosen, MOST_PARAMETERS)
        )
        self._settings = {key: setting(value) for key, value in said if isinstance(key, str) and isinstance(value, str)}

    def _run_name(self) -> str:
        return self._database.stem


def _named(path: Path) -> tuple[Path, str]:
    """Take a path apart into the database and the run that is named behind it."""
    before, sign, run = path.name.rpartition("#")
    if sign and before and run and not os.path.lexists(path):
        return path.with_name(before), run
    return path, ""


def _state_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_size, status.st_mtime_ns)


def _is_database(path: Path) -> bool:
    with opened(path) as file:
        return os.pread(file, len(MAGIC), 0) == MAGIC


def _has_tables(path: Path) -> bool:
    with closing(_connected(path)) as database:
        return _are_tables(database)


def _are_tables(database: sqlite3.Connection) -> bool:
    """Tell whether all that is asked for are tables: a view in their place would be run."""
    found = database.execute(
        f"SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ({', '.join('?' * len(TABLES))})"
        " AND sql NOT LIKE 'CREATE VIRTUAL%'",
        TABLES,
    ).fetchall()
    return {name for (name,) in found} == set(TABLES)


def _connected(path: Path) -> sqlite3.Connection:
    """Open a database for reading; raises sqlite3.Error for what is none, or in the hands of a writer.

    Read-only is not enough where changes are written ahead: SQLite would make `-wal` and `-shm` for a reader where
    they are missing. Where they are, nobody writes, and the file is taken as it stands.
    """
    with opened(path) as file:
        head = os.pread(file, 100, 0)
    ahead = len(head) == 100 and AHEAD in head[WRITE_VERSION : WRITE_VERSION + 2]
    alone = ahead and not all(Path(f"{path}{end}").exists() for end in ("-wal", "-shm"))
    database = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}",
        uri=True, timeout=0.05, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    try:
        database.text_factory = lambda text: text.decode("utf-8", errors="replace")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        until = time.monotonic() + MOST_SECONDS
        database.set_progress_handler(lambda: time.monotonic() > until, TURNS)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA query_only = ON")
        database.execute("PRAGMA mmap_size = 0")  # a file that is cut short under a map would end the process
        database.execute("PRAGMA cache_size = -8000")
        if not _are_tables(database):
            raise sqlite3.DatabaseError("it has not MLflow's tables")
    except BaseException:
        database.close()
        raise
    return database


READER = MlflowDatabaseReader
