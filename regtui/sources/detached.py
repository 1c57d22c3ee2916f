"""A run that trains in a process and a session of its own: it outlives the app, the terminal and the line.

It is `regtui train` like any other, but for the one thing that it tells whoever started it how its set-up goes. From
then on its log, and the file of commands beside it, are all there is between the two.
"""

import contextlib
import os
import signal
import site
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

import regtui
from regtui import commands
from regtui.commandfile import OUTPUT_NAME
from regtui.core.config import ConfigError, RunConfig, options_of
from regtui.core.events import COMMANDS, Command, Event, RunStarted
from regtui.core.text import printable
from regtui.folders import Made, make_folders, open_own_file, take_back
from regtui.readers import LOG_NAME, LogError
from regtui.readers.opening import last_line
from regtui.runs import log_of, make_run_folder, new_run_id
from regtui.sources import Activity
from regtui.sources.log import LogSource
from regtui.sources.starter import ENVIRONMENT, HEARD, Told, Word

SET_UP_SECONDS = 1.0
"""How long whoever starts a run from a shell waits for its data: a download takes longer, and its failure is then in
the log."""

STARTING_SECONDS = 20.0
"""How long he waits for its first word: a third of a second where the machine has nothing else to do."""

ENDING_SECONDS = 5.0
"""How long a process that could not set up its run may take to end before it is killed."""


def output_of(log: Path) -> Path:
    """Give the file of what the process prints that writes a log."""
    return log.with_name(OUTPUT_NAME if log.name == LOG_NAME else f"{log.name}.{OUTPUT_NAME}")


class Detached:
    """One run in a process of its own, started here, and seen through its log."""

    def __init__(
        self, config: RunConfig, *, runs_dir: Path, log: Path | None = None, share: bool = False,
        resumes: str = "", commands_from: int | None = None, more: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Start the process; nothing is waited for. Raises LogError where no folder or process can be made.

        `resumes` is the id of a run that has a checkpoint and whose log is given: the process goes on with it, and
        obeys what lies in the file of commands behind so many bytes, by default what is sent from now on.
        `more` are options of `regtui train` beside those of the configuration; `environment` is what is said to it
        that not every user of the machine may read.
        """
        self.config = config
        self.run_id = resumes or new_run_id(config.framework, time.time())
        self.problem = ""
        """Why the run could not be set up, or how its process was lost, in one sentence."""
        self.refused: ConfigError | None = None
        """The field that it could not be set up with."""
        self.checked = False
        """Its data is there and fits: what is left is the framework."""
        self._made: list[Made] = []
        self._stage = ""
        """What it says that it does while it is set up."""
        self._said = b""
        self._source: LogSource | None = None
        self._begun = False
        """Its first record was read."""
        self._parted = False
        """Its process has ended, and what is left of it was seen to."""
        self._own_folder = log is None
        if log is None:
            self.run_id, self._made = make_run_folder(self.run_id, runs_dir, share=share)
        self._resumes = bool(resumes)
        self.log_path = log if log is not None else log_of(self.run_id, runs_dir)
        self._size_before = self._size()
        self._commands_from = commands.size_of_commands(self.log_path) if commands_from is None else commands_from
        self._output = output_of(self.log_path)
        self._output_made = False
        ours, theirs = socket.socketpair()
        self._socket: socket.socket | None = ours
        try:
            self._process = self._start(theirs.fileno(), share, more, environment or {})
        except OSError as error:
            self.let_go()
            self._take_back()
            what = f"{error.filename}: " if error.filename else ""
            raise LogError(f"a detached run cannot be started: {what}{error.strerror or error}") from None
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def folder(self) -> Path:
        """The folder of its log."""
        return self.log_path.parent

    @property
    def alive(self) -> bool:
        """Tell whether its process lives; one that does not is no zombie after this."""
        self._hear()
        if self._process.poll() is None:
            return True
        self._part()
        return False

    @property
    def behind(self) -> bool:
        return self._source is not None and self._source.behind

    @property
    def warnings(self) -> Sequence[str]:
        return self._source.warnings if self._source is not None else ()

    @property
    def listens(self) -> frozenset[type]:
        """The commands it obeys; what is sent while it is set up is obeyed once it trains."""
        return frozenset(COMMANDS.values()) if self._process.returncode is None else frozenset()

    @property
    def activity(self) -> Activity:
        alive, source = self.alive, self._log()
        told = source.activity if source is not None and (alive or self._begun) else Activity()
        stage = (told.stage or "training") if self._begun else self._stage or "starting"
        return replace(
            told, stage=stage if alive else "ended", alive=alive, growing=alive, problem=self.problem,
            refused=self.refused, log=self.log_path,
        )  # fmt: skip

    def poll(self, limit: int | None = None) -> list[Event]:
        source = self._log()
        events = source.poll(limit) if source is not None else []
        # The log of a run that goes on has its first record; the process says nothing more once it has added to it.
        begins = self._socket is None if self._resumes else any(isinstance(event, RunStarted) for event in events)
        self._begun = self._begun or begins
        return events

    def send(self, command: Command) -> None:
        """Lay a command into the file that the run looks at; raises OSError where that cannot be written."""
        commands.send(self.log_path, command)

    def wait_until_checked(self, seconds: float = SET_UP_SECONDS) -> bool:
        """Wait until it is known whether the run can be set up, for so long from its first word on.

        Gives whether it can, or is still at it; if not, `problem` says why, and nothing of it is left.
        """
        end = time.monotonic() + STARTING_SECONDS
        while self._socket is not None and not self.checked and not self.problem:
            silent, left = not self._stage, end - time.monotonic()
            if left <= 0:
                break
            self._hear(left)
            if silent and self._stage:
                end = time.monotonic() + seconds
        # One that lets go before it has checked its data has broken off, though it may not be quite gone.
        if not self.problem and (self._socket is not None or self.checked):
            return True
        self._end()
        return False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of its process; tell whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        return not self.alive

    def let_go(self) -> None:
        """Leave the run to itself: what it cannot be set up with is from now on in its log."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call_off(self) -> None:
        """End a run that was just started, and leave nothing of it: a person has thought better of it."""
        self._process.kill()
        self._process.wait()
        if self._own_folder:
            with contextlib.suppress(OSError):
                self.log_path.unlink()
        self._part()

    def _start(
        self, told_by: int, share: bool, more: Sequence[str], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start the process, which says on a socket how its set-up goes; raises OSError."""
        self._made += make_folders(self.folder, share=share)
        output, self._output_made = open_own_file(self._output, share=share)
        told = Told(fd=told_by, run_id=self.run_id, commands_from=self._commands_from)
        try:
            return subprocess.Popen(
                _command(None if self._resumes else self.config, self.log_path, share, more),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, pass_fds=(told_by,),
                env={**_environment(told), **environment},
            )  # fmt: skip
        finally:
            os.close(output)

    def _log(self) -> LogSource | None:
        if self._source is None:
            with contextlib.suppress(LogError):
                self._source = LogSource(self.log_path)
        return self._source

    def _hear(self, patience: float = 0.0) -> None:
        """Take in what the run says of its set-up, waiting so long for a word at most."""
        if self._socket is None:
            return
        # A timeout of 0 is one that does not wait.
        self._socket.settimeout(max(patience, 0.0))
        try:
            block = self._socket.recv(1 << 16)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            block = b""
        if not block:
            self.let_go()
            return
        *lines, self._said = (self._said + block).split(b"\n")
        for line in lines:
            self._take(msgspec.json.decode(line, type=Word))

    def _take(self, word: Word) -> None:
        self._stage = word.stage or self._stage
        self.checked = self.checked or word.checked
        if word.problem and self._socket is not None:
            self.refused = ConfigError(word.field, word.problem) if word.field else None
            self.problem = str(self.refused or word.problem)
            with contextlib.suppress(OSError):
                self._socket.send(HEARD)

    def _end(self) -> None:
        """See the end of a process that could not set up its run; one that hangs is killed."""
        if not self.wait(ENDING_SECONDS):
            self._process.kill()
            self.wait()

    def _part(self) -> None:
        """Put away what is left of a process that has ended, or say how it was lost; once."""
        if self._parted:
            return
        self._parted = True
        self.let_go()
        if self._size() <= self._size_before:
            self.problem = self.problem or self._last_words()
            self._take_back()
        elif not self.problem and not ends_a_run(self.log_path):
            self.problem = f"{self._last_words()}; what it recorded until then is in {self.log_path}"

    def _last_words(self) -> str:
        """Say why the process has ended, in its own words where it had any."""
        status = self._process.returncode
        if status < 0:
            return f"the run's process was ended by {signal.Signals(-status).name}"
        last = printable(last_line(self._output).decode(errors="replace")).removeprefix("regtui: ")
        return last or f"the run's process ended with status {status}"

    def _size(self) -> int:
        """Give the bytes in its log; it may hold runs before this one."""
        try:
            return self.log_path.stat().st_size
        except OSError:
            return 0

    def _take_back(self) -> None:
        """Remove what was made for a run of which nothing was recorded."""
        if self._output_made:
            with contextlib.suppress(OSError):
                self._output.unlink()
        take_back(self._made)


def ends_a_run(log: Path) -> bool:
    """Tell whether the last record of a log is the end of a run."""
    return b'"kind":"end"' in last_line(log)


def _command(config: RunConfig | None, log: Path, share: bool, more: Sequence[str]) -> list[str]:
    """Give the command line of the process, as a person would type it and `ps` shows it; without a configuration it
    goes on with the run of a log.

    The folder that one is in is no place to import from: a file `random.py` in it would be taken for Python's own. It
    is not wholly isolated as `processes.python` is: what somebody has said to Python in his environment, such as
    PYTHONUTF8, holds for his training, too.
    """
    flags = ["-P", *["-s"] * sys.flags.no_user_site]
    named = ["--resume", str(log)] if config is None else [*options_of(config), "--log", str(log)]
    options = [*named, *more, *["--share"] * share]
    return [sys.executable, *flags, "-m", "regtui", "train", *options]


def _environment(told: Told) -> dict[str, str]:
    """Give the environment of the process: it finds the same regtui as this one, however that is installed."""
    environment = {**os.environ, ENVIRONMENT: msgspec.json.encode(told).decode()}
    home = str(Path(regtui.__file__).resolve().parents[1])
    installed = map(os.path.realpath, [*site.getsitepackages(), site.getusersitepackages()])
    if home not in installed:
        paths = [home, *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in dict.fromkeys(paths) if path)
    return environment
