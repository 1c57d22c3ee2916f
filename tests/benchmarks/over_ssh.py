"""What goes over the line to a terminal, and how long one waits: the lab over a real sshd on the loopback.

    python tests/benchmarks/over_ssh.py [PART ...] [--rounds 5]

Parts: `bytes` (a second, of a run of 3,000 epochs of digits in the lab: while it trains, idle and paused), `waits` (to
return from --detach, to attach, from a key to what came of it in the log), `slow` (keys over a line of 5 kB/s and
0.2 s there and back), `drops` (from the loss of the line to the end of the run that it held), `watched` (steps a second
of a detached run with a watcher and without, in turns within one run). Goals: at most 4 and 10 kB/s at 80x24 and
140x40, 0 idle and paused; 1.5 s to return and from a key on a slow line; watched at most 2 % fewer steps.

A part that needs ssh is left out where there is no server to be had.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from regtui.core.events import EpochEnded, Noted
from regtui.sources.log import LogSource
from tests.remote import DROPS, LONG, Far, NoServer, Server, Wire, drop, until
from tests.terminals import PseudoTerminal

SIZES = ((80, 24), (140, 40))

EPOCHS_3000 = ["--framework", "torch", "--dataset", "digits", "--epochs", "3000"]

QUIET_SECONDS = 15.0
"""How long it is listened while nothing should come."""

PATIENCE_SECONDS = 600

TURN_SECONDS = 6.0
"""How long a run is watched, or not, at a time."""

SKIP_SECONDS = 1.5
"""Of each turn left out at its start: a watcher reads what there is, and one that has left takes a moment to go."""


class Place:
    """A folder for runs, and programs on terminals there; all is ended with it."""

    def __init__(self, server: Server | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.far = Far(Path(self._folder.name))
        self._server = server
        self._opened: list[PseudoTerminal] = []

    def open(self, *words: str, size: tuple[int, int] = (80, 24), wire: Wire | None = None) -> PseudoTerminal:
        """Run regtui on a terminal, over ssh where there is a server."""
        command = list(self.far.words(*words))
        if self._server is not None:
            command = list(self._server.client(self.far.command(*words), wire and wire.port))
        self._opened.append(PseudoTerminal(command, size))
        return self._opened[-1]

    def close(self) -> None:
        for each in self._opened:
            each.close()
        self.far.close()
        self._folder.cleanup()


def listen(client: PseudoTerminal, seconds: float, enough: Callable[[], bool] = lambda: False) -> float:
    """Count the bytes a second that come to a terminal, for some time or until it is enough."""
    before, began = len(client.come), time.monotonic()
    while time.monotonic() - began < seconds and not enough():
        client.read(0.05)
    return (len(client.come) - before) / (time.monotonic() - began)


def measure_bytes(server: Server, _rounds: int) -> None:
    print(f"{'kB/s to the terminal':24}{'idle':>10}{'training':>10}{'paused':>10}{'ended':>10}")
    for size in SIZES:
        with closing(Place(server)) as place:
            client = place.open(*EPOCHS_3000, "--runs-dir", str(place.far.runs), size=size)
            client.until(lambda client=client: "starts a run" in client.text and "Dropout" in client.text)
            listen(client, 2)
            idle = listen(client, QUIET_SECONDS)
            client.press("\x12")
            client.until(lambda client=client: "validation" in client.text)
            began = time.monotonic()
            training = listen(client, PATIENCE_SECONDS, lambda place=place: place.far.count("epoch") > 1500)
            seconds = time.monotonic() - began
            client.press(" ")
            client.until(lambda client=client: "paused" in client.screen.display[0])
            listen(client, 1)
            paused = listen(client, QUIET_SECONDS)
            client.press(" ")
            client.until(lambda place=place: place.far.count("end") > 0)
            listen(client, 3)
            ended = listen(client, QUIET_SECONDS)
            told = (idle, training, paused, ended)
            shown = "".join(f"{each / 1000:10.2f}" for each in told)
            print(f"{f'{size[0]}x{size[1]}':24}{shown}   1,500 epochs in {seconds:.0f} s", flush=True)


def newest(far: Far, state: str) -> float | None:
    """When the run last said that it does this."""
    said = [event for event in LogSource(far.log).poll() if isinstance(event, Noted) and event.level == "state"]
    return said[-1].time if said and said[-1].text == state else None


def key_to_log(client: PseudoTerminal, far: Far) -> float:
    """Press the key that pauses, and let the run go on; gives the seconds until the log said that it had paused."""
    pressed = time.time()
    client.press(" ")
    at: list[float | None] = [None]

    def paused() -> bool:
        at[0] = newest(far, "paused")
        return at[0] is not None and at[0] > pressed

    client.until(paused)
    client.until(lambda: "paused" in client.screen.display[0])
    client.press(" ")
    client.until(lambda: newest(far, "training") is not None and "training" in client.screen.display[0])
    assert at[0] is not None
    return at[0] - pressed


def measure_waits(server: Server | None, rounds: int) -> None:
    found: dict[str, list[float]] = {"from --detach": [], "to attach": [], "key to obeyed": []}
    for _ in range(rounds):
        with closing(Place(server)) as place:
            far = place.far
            began = time.monotonic()
            words = far.words("train", *LONG, "--detach", "--runs-dir", str(far.runs))
            subprocess.run(words, check=True, capture_output=True)
            found["from --detach"].append(time.monotonic() - began)
            until(lambda far=far: far.count("epoch") > 5)
            began = time.monotonic()
            client = place.open("watch", str(far.log))
            client.until(lambda client=client: any(0x2800 < ord(sign) < 0x2900 for sign in client.text))
            found["to attach"].append(time.monotonic() - began)
            found["key to obeyed"].append(statistics.median(key_to_log(client, far) for _ in range(5)))
    print(f"{'seconds':24}{'median':>8}{'most':>8}")
    for name, each in found.items():
        print(f"{name:24}{statistics.median(each):8.2f}{max(each):8.2f}", flush=True)


def measure_slow(server: Server, rounds: int) -> None:
    print(f"{'5 kB/s, 0.2 s, 80x24':24}{'median':>8}{'most':>8}   seconds from a key to the screen that shows it")
    for name, words in (("lab", ["--start"]), ("watch", [])):
        with closing(Place(server)) as place, closing(Wire(server.port, bytes_a_second=5000, seconds=0.1)) as wire:
            far = place.far
            if words:
                client = place.open(*words, *EPOCHS_3000[:-1], "100000", "--runs-dir", str(far.runs), wire=wire)
            else:
                far.detach()
                client = place.open("watch", str(far.log), wire=wire)
            client.until(lambda client=client: "training" in client.screen.display[0] and "validation" in client.text)
            listen(client, 5)
            waits = []
            for _ in range(max(rounds, 5)):
                for state in ("paused", "training"):
                    began = time.monotonic()
                    client.press(" ")
                    client.until(lambda client=client, state=state: state in client.screen.display[0])
                    waits.append(time.monotonic() - began)
                    listen(client, 1)
            print(f"{name:24}{statistics.median(waits):8.2f}{max(waits):8.2f}", flush=True)


def measure_drops(server: Server, rounds: int) -> None:
    print(f"{'a run of the lab':24}{'median':>8}{'most':>8}   seconds from the end of the session to that of the app")
    for how in DROPS:
        waits, left = [], set[Any]()
        for _ in range(rounds):
            with closing(Place(server)) as place, closing(Wire(server.port)) as wire:
                far = place.far
                client = place.open("--start", *LONG, "--runs-dir", str(far.runs), wire=wire)
                client.until(lambda client=client, far=far: "validation" in client.text and far.count("epoch") > 2)
                drop(how, client, server, wire)
                until(lambda: not server.sessions())
                began = time.monotonic()
                until(lambda far=far: not far.living())
                waits.append(time.monotonic() - began)
                left.add(f"{far.end().status}: {far.end().reason}")
        print(f"{how:24}{statistics.median(waits):8.2f}{max(waits):8.2f}   {', '.join(sorted(left))}", flush=True)


def measure_watched(server: Server | None, rounds: int) -> None:
    spans: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with closing(Place(server)) as place:
        far = place.far
        words = far.words("train", *EPOCHS_3000[:-1], "100000", "--detach", "--runs-dir", str(far.runs))
        subprocess.run(words, check=True, capture_output=True)
        until(lambda: far.count("epoch") > 100)
        for _ in range(rounds):
            for watched in (True, False):
                if watched:
                    client = place.open("watch", str(far.log), size=(140, 40))
                    client.until(lambda client=client: "validation" in client.text)
                began = time.time()
                if watched:
                    listen(client, TURN_SECONDS)
                    spans[True].append((began + SKIP_SECONDS, time.time()))
                    client.press("q")
                    client.status()
                else:
                    time.sleep(TURN_SECONDS)
                    spans[False].append((began + SKIP_SECONDS, time.time()))
        at = [
            (float(event.time or 0), event.step) for event in LogSource(far.log).poll() if isinstance(event, EpochEnded)
        ]

    def speed(span: tuple[float, float]) -> float:
        within = [each for each in at if span[0] <= each[0] <= span[1]]
        return (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0])

    pairs = [(speed(one), speed(other)) for one, other in zip(spans[True], spans[False], strict=True)]
    ratios = [one / other for one, other in pairs]
    print(f"{'steps a second':24}{'watched':>8}{'alone':>8}{'ratio':>8}{'least':>8}{'most':>8}")
    print(
        f"{'detached, 140x40':24}{statistics.median(one for one, _ in pairs):8.0f}"
        f"{statistics.median(other for _, other in pairs):8.0f}{statistics.median(ratios):8.3f}"
        f"{min(ratios):8.3f}{max(ratios):8.3f}"
    )


PARTS: dict[str, Callable[[Any, int], None]] = {
    "bytes": measure_bytes, "waits": measure_waits, "slow": measure_slow, "drops": measure_drops,
    "watched": measure_watched,
}  # fmt: skip

WITHOUT_SSH = {"waits", "watched"}


def main() -> None:
    """Measure what is asked for, all of it where nothing is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    # So that what was started here is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        try:
            server: Server | None = Server(Path(folder))
        except NoServer as none:
            server = None
            print(f"without ssh: {none}")
        try:
            for part in given.parts or PARTS:
                if server is None and part not in WITHOUT_SSH:
                    print(f"{part}: left out")
                else:
                    PARTS[part](server, given.rounds)
        finally:
            if server is not None:
                server.close()


if __name__ == "__main__":
    main()
