"""The other end of a line: a real server of ssh on the loopback, the line to it, and what lives there."""

import getpass
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regtui.core.events import EpochEnded, Event, RunEnded, StepEnded
from regtui.sources.log import LogSource
from tests.terminals import PseudoTerminal

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

LONG = ["--framework", "torch", "--dataset", "digits", "--train-rows", "1000", "--batch-size", "1000",
        "--hidden", "512,256", "--epochs", "20000"]  # fmt: skip
"""A run that takes minutes, and of which every step is recorded: of more than 20,000 only every so many are."""

PATIENCE_SECONDS = 60
"""What has to come comes soon, also on a busy machine; what hangs must end."""

ALIVE_SECONDS, ALIVE_TIMES = 1, 2
"""How often the server asks whether its client is there, and how many answers may be missing: that a line has died is
seen in some six seconds, once nothing is sent any more."""

PIECE_BYTES = 512
"""What goes over a slow line at once: a tenth of a second of 5 kB/s."""


class NoServer(Exception):
    """There is no server of ssh to be had here, and why."""


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until something holds, and give it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain {what}"
        time.sleep(0.01)
    return found


class Server:
    """A server of ssh on the loopback, for the user who runs the tests."""

    def __init__(self, folder: Path) -> None:
        """Start it and log in once; raises NoServer with the reason where that cannot be done."""
        missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
        if SSHD is None or missing:
            raise NoServer(f"needs {', '.join(missing or ['sshd'])}")
        folder.chmod(0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "user.pub").rename(folder / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {
            "Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "authorized", "PidFile": "none", "StrictModes": "no", "UsePAM": "no",
            "PasswordAuthentication": "no", "PermitRootLogin": "yes", "PrintMotd": "no", "PrintLastLog": "no",
            "ClientAliveInterval": ALIVE_SECONDS, "ClientAliveCountMax": ALIVE_TIMES,
        }  # fmt: skip
        (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.geteuid() == 0:
            with suppress(OSError):
                Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's drops its rights
        self.key = folder / "user"
        self._said = folder / "said"
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(folder / "config")], stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        try:
            self._log_in()
        except BaseException:
            self.close()
            raise

    def _log_in(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS):
                break
            time.sleep(0.02)
        else:
            raise NoServer(f"sshd does not start: {self._said.read_text(errors='replace')[-200:].strip()}")
        done = subprocess.run(
            self.client("echo there"), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        if "there" not in done.stdout:
            raise NoServer(f"nobody can log in at sshd: {(done.stderr or done.stdout)[-200:].strip()}")

    def client(self, command: str, port: int | None = None) -> tuple[str, ...]:
        """The command line of a client that runs something there on a terminal, perhaps through another port."""
        settings = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "EscapeChar=none",
                    "BatchMode=yes"]  # fmt: skip
        given = [part for setting in settings for part in ("-o", setting)]
        where = ["-p", str(port or self.port), "-i", str(self.key), f"{getpass.getuser()}@127.0.0.1"]
        return ("ssh", "-F", "none", "-tt", *given, *where, command)

    def sessions(self) -> list[int]:
        """The processes of sshd that serve somebody now."""
        parents = {}
        for pid in processes():
            with suppress(OSError, ValueError):
                name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
                if "(sshd" in name:
                    parents[pid] = int(rest.split()[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(pid for pid in found - {self.process.pid} if alive(pid))

    def close(self) -> None:
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.terminate()
        self.process.wait()


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def state(pid: int) -> str:
    """The letter by which the system calls what a process does: R, S, D, T, Z."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def alive(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return state(pid) != "Z"
    except OSError:
        return False


class Wire:
    """A line to a port, of so many bytes a second each way and so many seconds from end to end, which can die.

    It dies as lines do: nothing comes through any more, and nobody is told.
    """

    def __init__(self, port: int, *, bytes_a_second: float = 0.0, seconds: float = 0.0) -> None:
        """Open a port of its own; a line of 0 bytes a second is as fast as it can be."""
        self._to, self._rate, self._seconds = port, bytes_a_second, seconds
        self._whole = threading.Event()
        self._whole.set()
        self._sockets: list[socket.socket] = []
        self.come = 0
        """Bytes that have come from the other end."""
        self._listener = socket.socket()
        self._narrow(self._listener)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self._begin(self._accept)

    def cut(self) -> None:
        """Let nothing through from now on."""
        self._whole.clear()

    def close(self) -> None:
        self._whole.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _begin(self, task: Callable[..., None], *given: object) -> None:
        threading.Thread(target=task, args=given, daemon=True).start()

    def _narrow(self, each: socket.socket) -> None:
        if self._rate:
            # Else the system would take a second's worth and more into its own hands.
            for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                each.setsockopt(socket.SOL_SOCKET, side, 4096)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket()
                self._narrow(far)
                far.connect(("127.0.0.1", self._to))
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    self._begin(self._take, one, under_way, one is far)
                    self._begin(self._give, other, under_way)

    def _take(self, one: socket.socket, under_way: "queue.SimpleQueue[tuple[float, bytes]]", counts: bool) -> None:
        """Put what one end sends onto the line, as fast as that takes it."""
        with suppress(OSError):
            while True:
                piece = one.recv(PIECE_BYTES if self._rate else 1 << 16)
                self._whole.wait()
                if self._rate:
                    time.sleep(len(piece) / self._rate)
                self.come += len(piece) * counts
                under_way.put((time.monotonic() + self._seconds, piece))
                if not piece:
                    return
        under_way.put((0.0, b""))

    def _give(self, other: socket.socket, under_way: "queue.SimpleQueue[tuple[float, bytes]]") -> None:
        """Hand the other end what has come through."""
        with suppress(OSError):
            while True:
                at, piece = under_way.get()
                time.sleep(max(at - time.monotonic(), 0))
                self._whole.wait()
                if not piece:
                    other.shutdown(socket.SHUT_WR)
                    return
                other.sendall(piece)


DROPS = ("client killed", "session killed", "network dead")
"""The ways in which a line is lost."""


def drop(how: str, client: PseudoTerminal, server: Server, wire: Wire) -> None:
    """Lose the line."""
    match how:
        case "client killed":
            client.process.send_signal(signal.SIGKILL)
        case "session killed":
            for pid in server.sessions():
                os.kill(pid, signal.SIGKILL)
        case "network dead":
            wire.cut()


def shown_epoch(client: PseudoTerminal) -> int:
    """The epoch that the first line of the screen names."""
    found = re.search(r"epoch +(\d+)/", client.screen.display[0])
    return int(found[1]) if found else 0


def no_hole(events: list[Event]) -> bool:
    """Tell whether each step and each epoch that was trained is there, in order."""
    steps = [event.step for event in events if isinstance(event, StepEnded)]
    epochs = [event.epoch for event in events if isinstance(event, EpochEnded)]
    reached = [event.step for event in events if isinstance(event, EpochEnded | RunEnded)][-1]
    return (
        steps == list(range(1, len(steps) + 1)) and steps[-1] >= reached and epochs == list(range(1, len(epochs) + 1))
    )


@dataclass
class Far:
    """Where regtui runs at the other end: a folder for its runs, and a mark by which its processes are known."""

    folder: Path
    runs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.runs = self.folder / "runs"

    def command(self, *words: str) -> str:
        """A line for a shell, at this end or the other, that runs regtui."""
        return " ".join(self.words(*words))

    def words(self, *words: str) -> tuple[str, ...]:
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return ("env", *settings, sys.executable, "-m", "regtui", *words)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(
            [str(Path(__file__).parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
        )
        return {"XDG_CONFIG_HOME": str(self.folder / "config"), "PYTHONPATH": path, "OMP_NUM_THREADS": "1",
                "COLORTERM": "truecolor"}  # fmt: skip

    @property
    def log(self) -> Path:
        """The log of the only run."""
        (log,) = self.runs.glob("*/events.jsonl")
        return log

    def detach(self, *options: str, umask: str = "022") -> int:
        """Start a detached run here, and give its process once it trains."""
        words = self.words("train", *LONG, "--detach", "--json", "--runs-dir", str(self.runs), *options)
        within = ("sh", "-c", f'umask {umask}; exec "$@"', "sh", *words)
        done = subprocess.run(within, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
        pid = json.loads(done.stdout)["pid"]
        assert isinstance(pid, int)
        until(lambda: self.count("epoch") > 2, "for the third epoch")
        return pid

    def count(self, kind: str) -> int:
        """How many records of a kind the logs hold by now."""
        logs = self.runs.glob("*/events.jsonl")
        return sum(log.read_bytes().count(b'"kind":"%s"' % kind.encode()) for log in logs)

    def events(self) -> list[Event]:
        """All of the only run's log, which must be whole."""
        source = LogSource(self.log)
        events = source.poll()
        assert list(source.warnings) == []
        return events

    def end(self) -> RunEnded:
        """The end of the only run; its log must be whole."""
        events = self.events()
        end = events[-1]
        assert isinstance(end, RunEnded)
        assert no_hole(events)
        return end

    def grows(self, by: int = 2) -> None:
        """Wait until the run has come some epochs further."""
        before = self.count("epoch")
        until(lambda: self.count("epoch") >= before + by, "for an epoch")

    def living(self) -> list[int]:
        """The processes that were started there and are still there."""
        mark = f"XDG_CONFIG_HOME={self.folder / 'config'}\0".encode()
        found = []
        for pid in processes():
            with suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes() and alive(pid):
                    found.append(pid)
        return found

    def close(self) -> None:
        """Leave nothing behind, whatever a test has left."""
        for pid in self.living():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.living(), "for what was killed")
