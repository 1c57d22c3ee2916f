"""The lab over a real ssh: whatever becomes of the line, the run ends with its `end` and no process stays."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regtui.core.events import EpochEnded, RunEnded
from regtui.sources.log import LogSource

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None,
    reason="needs sshd, ssh and ssh-keygen",
)

PATIENCE_SECONDS = 60


class Server:
    """A server of ssh on the loopback, for the user who runs the tests."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "user.pub").rename(folder / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {
            "Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "authorized", "PidFile": folder / "pid", "StrictModes": "no",
            "UsePAM": "no", "PasswordAuthentication": "no", "PermitRootLogin": "yes", "PrintMotd": "no",
        }  # fmt: skip
        (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where root's drops its rights
        self.key = folder / "user"
        command = [str(SSHD), "-D", "-e", "-f", str(folder / "config")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def client(self, command: str) -> tuple[str, ...]:
        """The command line of a client that runs something there on a terminal."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "EscapeChar=none",
                   "ConnectionAttempts=20"]  # fmt: skip
        given = [part for option in options for part in ("-o", option)]
        where = ["-p", str(self.port), "-i", str(self.key), f"{getpass.getuser()}@127.0.0.1"]
        return ("ssh", "-F", "none", "-tt", *given, *where, command)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "ssh"
    folder.mkdir()
    server = Server(folder)
    yield server
    server.process.terminate()
    server.process.wait()


def log_of(folder: Path) -> Path | None:
    return next(iter(folder.glob("far/*/events.jsonl")), None)


def epochs(folder: Path) -> int:
    log = log_of(folder)
    return sum(isinstance(event, EpochEnded) for event in LogSource(log).poll()) if log and log.stat().st_size else 0


def alive(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("setsid", ["", "setsid -w "])
def test_a_client_that_is_killed_ends_the_run_and_leaves_no_process(
    server: Server, terminal: Callable[..., Any], tmp_path: Path, setsid: str
) -> None:
    far, pid_file = tmp_path / "far", tmp_path / "pid"
    lab = (
        f"cd {Path.cwd()}; export PYTHONPATH={os.environ.get('PYTHONPATH', '')} XDG_CONFIG_HOME={tmp_path}/config; "
        f"{setsid}sh -c 'echo $$ > {pid_file}; exec {sys.executable} -m regtui --framework torch --start "
        f"--epochs 1000000 --runs-dir {far}' #"
    )
    client = terminal(through=server.client(lab))
    client.until(lambda: epochs(tmp_path) > 2)
    pid = int(pid_file.read_text())
    assert alive(pid)
    client.process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    log = log_of(tmp_path)
    assert log is not None
    end = LogSource(log).poll()[-1]
    assert isinstance(end, RunEnded)
    assert (end.status, end.reason in {"stopped by SIGHUP", "the terminal went away"}) == ("stopped", True)
