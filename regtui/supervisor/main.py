"""The life of a command, from its start to its end."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from regtui.commandfile import OUTPUT_NAME, RUN_VARIABLE, CommandEnd, CommandRun, write_command
from regtui.processes import answer, detach
from regtui.supervisor import COMMANDS_NAME, LOG_NAME
from regtui.supervisor.looking import Looking
from regtui.supervisor.output import Output
from regtui.supervisor.stopping import Stopping

POLL_SECONDS = 0.5
"""How often commands are looked for, and the output is measured; the command's end and signals are heard at once."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that ask for the end."""

PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""What batch systems send some time before they kill: what it means to the command is the command's to say."""

END_PATIENCE_SECONDS = 3600.0
"""How long a disk that takes nothing is given to take the end of the run."""


class Supervisor:
    """One command that runs as a run."""

    def __init__(self, folder: Path, argv: list[str], *, share: bool, grace_seconds: float) -> None:
        self._folder = folder
        self._argv = argv
        self._share = share
        self._grace = grace_seconds
        self._received: list[signal.Signals] = []
        self._wakes, self._woken = os.pipe()
        self._inbox: Any = None
        self._unwritten = False

    def start(self) -> None:
        """Start the command; raises OSError where the system cannot."""
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        # Those that are caught here are back to what they usually do in the command, also where they had been ignored.
        for number in (*ENDING, *PASSED_ON):
            signal.signal(number, self._receive)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        cwd = os.getcwd()  # noqa: PTH109
        self._output = Output(self._folder / OUTPUT_NAME)
        self._looking = Looking(cwd, self._folder)
        environment = {**os.environ, RUN_VARIABLE: str(self._folder)}
        # Python holds what is printed into a file back, some kilobytes of it, unless it is told not to.
        environment.setdefault("PYTHONUNBUFFERED", "1")
        started = time.time()
        self._child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, env=environment, process_group=0)
        self._stopping = Stopping(self._child.pid, self._folder / LOG_NAME, self._grace)
        self._run = CommandRun(
            run_id=self._folder.name, argv=tuple(self._argv), cwd=cwd, host=socket.gethostname(), pid=os.getpid(),
            command_pid=self._child.pid, started=started,
        )  # fmt: skip
        self._write()

    def stand_by(self) -> None:
        """Stand by until the command has ended, and write its end."""
        while not self._is_over():
            with suppress(InterruptedError):
                select.select([self._wakes], [], [], POLL_SECONDS)
            with suppress(BlockingIOError):
                os.read(self._wakes, 4096)
            self._obey()
            self._stopping.press()
            if self._stopping.by_signals and not self._run.stopping:
                self._run = replace(self._run, stopping=self._stopping.reason, stopping_since=time.time())
                self._unwritten = True
            self._output.bound()
            self._take_log(self._looking.look())
            if self._unwritten:
                self._write()
        self._take_log(self._looking.last_look())
        self._run = replace(self._run, end=self._end())
        until = time.monotonic() + END_PATIENCE_SECONDS
        # A folder that was deleted meanwhile takes no end any more.
        while not self._write() and time.monotonic() < until and self._folder.is_dir():
            time.sleep(POLL_SECONDS)

    def _receive(self, number: int, _frame: object) -> None:
        self._received.append(signal.Signals(number))

    def _is_over(self) -> bool:
        """Tell whether the command has ended; after signals of ours its children, too: they may be saving."""
        if self._child.poll() is None:
            return False
        return not self._stopping.by_signals or self._stopping.killed or not self._stopping.group_lives()

    def _obey(self) -> None:
        while self._received:
            received = self._received.pop(0)
            if received in ENDING:
                self._stopping.pass_on(received)
            else:
                self._stopping.send(received)
        for reason in self._stops_ordered():
            from regtui.readers import is_being_written

            self._stopping.order(reason, listened_to=is_being_written(self._folder / LOG_NAME))

    def _stops_ordered(self) -> list[str]:
        """Give the reasons of the orders to stop that have come; all else is for a loop that listens."""
        if self._inbox is None:
            if not os.path.lexists(self._folder / COMMANDS_NAME):
                return []
            from regtui.commands import Inbox

            self._inbox = Inbox(self._folder / LOG_NAME, begin=0)
        from regtui.core.events import Stop

        found = [command.reason for command in self._inbox.poll() if isinstance(command, Stop)]
        if self._inbox.refused:
            print(f"regtui: {self._inbox.refused}", file=sys.stderr, flush=True)
            self._inbox.refused = ""
        return found

    def _take_log(self, log: str | None) -> None:
        if log is not None and log != self._run.log:
            self._run = replace(self._run, log=log)
            self._write()

    def _end(self) -> CommandEnd:
        code = self._child.returncode
        name = _name_of(-code) if code < 0 else None
        how = f"killed by {name}" if name else f"exit status {code}" if code else ""
        status, reason = ("failed" if code else "finished"), how
        if self._stopping.reason:
            status, reason = "stopped", self._stopping.reason
            if self._stopping.killed:
                reason += ", and killed since it had not ended"
        return CommandEnd(
            status=status, reason=reason, exit_status=None if name else code, signal=name, time=time.time()
        )

    def _write(self) -> bool:
        try:
            write_command(self._folder, self._run, share=self._share)
        except OSError:
            self._unwritten = True  # a full disk gets room again, perhaps
        else:
            self._unwritten = False
        return not self._unwritten


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the named ones
        return f"signal {number}"


def main() -> None:
    """Run as the process that `regtui run` starts: descriptor of the answer, folder, share, grace, command line."""
    fd, folder, share, grace, *argv = sys.argv[1:]
    detach()
    os.set_inheritable(int(fd), False)
    supervisor = Supervisor(Path(folder), argv, share=share == "share", grace_seconds=float(grace))
    try:
        supervisor.start()
    except OSError as error:
        answer(int(fd), {"problem": error.strerror or str(error)})
        return
    answer(int(fd), {"pid": os.getpid()})
    supervisor.stand_by()
