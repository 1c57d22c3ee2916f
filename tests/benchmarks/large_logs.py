"""Replay and watch logs that are as large as a hostile sender makes them: seconds, megabytes, and from key to screen.

    python tests/benchmarks/large_logs.py [--cases epochs,names] [--no-keys]

Each case is written to a file of its own, replayed in a process of its own, and watched in the app under a pilot in
another: the time until it is read, and the slowest of some keys.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regtui.tui.app import RegtuiApp

LIMIT_BYTES = 6 << 30
"""Where the system stops a process of a case."""

LIMIT_SECONDS = 120

RUN = (
    b'{"kind":"run","format":2,"run_id":"large","time":1.7e9,"plan":{"epochs":%d,"steps_per_epoch":10,"classes":10}}\n'
)
EPOCH = '{"kind":"epoch","epoch":%d,"step":%d,"train":{"loss":%.4f,"accuracy":0.9},"valid":{"loss":%.4f,"accuracy":0.8}'
STEP = b'{"kind":"step","step":%d,"epoch":%d,"loss":%.4f,"learning_rate":0.001,"time":%.2f}\n'


def epoch(at: int, more: str = "") -> bytes:
    """Write the end of an epoch of a run that learns."""
    return (EPOCH % (at, at * 10, 2 / at**0.2, 2 / at**0.2 + 0.1) + more + "}\n").encode()


def epochs(count: int = 1_000_000) -> Iterator[bytes]:
    yield RUN % count
    yield from (epoch(at) for at in range(1, count + 1))


def planned() -> Iterator[bytes]:
    """A plan, a configuration and a policy of a run that nobody could train."""
    from regtui.core.config import RunConfig
    from regtui.core.events import RunStarted, encode

    config = RunConfig.create("lr-decay")
    line = encode(RunStarted(run_id="planned", config=config, environment={"steps_per_epoch": 10**6}))
    yield line.replace(b'"epochs":%d' % config.epochs, b'"epochs":1000000')
    yield from (epoch(at) for at in range(1, 50))
    yield from (STEP % (at, 1, 1.0, 1.7e9) for at in range(500, 600))


def names() -> Iterator[bytes]:
    """A new name in each record."""
    yield RUN % 100
    for at in range(1, 1_000_001):
        yield b'{"kind":"evaluation","step":%d,"metrics":{"name %d":1}}\n' % (at, at)


def metrics(names: int = 1000) -> Iterator[bytes]:
    more = ',"metrics":{' + ",".join(f'"m{at}":{at}' for at in range(names)) + "}"
    yield RUN % 2000
    yield from (epoch(at, more) for at in range(1, 2001))


def wide() -> Iterator[bytes]:
    """Records of a hundred thousand names, each."""
    yield RUN % 100
    for at in range(1, 51):
        inside = ",".join(f'"{at}.{number}":1' for number in range(90_000))
        yield b'{"kind":"evaluation","step":%d,"metrics":{%s}}\n' % (at, inside.encode())


def layers() -> Iterator[bytes]:
    more = ',"weight_norms":{' + ",".join(f'"layer {at}":{at}' for at in range(300)) + "}"
    yield RUN % 200
    yield from (epoch(at, more) for at in range(1, 200))


def changes() -> Iterator[bytes]:
    yield RUN % 200
    yield from (epoch(at) for at in range(1, 200))
    for at in range(100_000):
        yield (
            b'{"kind":"change","step":%d,"epoch":1,"what":"learning_rate","old":%.6f,"new":%.6f,"cause":"%s"}\n'
            % (at // 50, 1 / (at + 1), 1 / (at + 2), b"user" if at % 2 else b"step")
        )


def one_step() -> Iterator[bytes]:
    """As many changes at one step."""
    yield RUN % 200
    yield from (epoch(at) for at in range(1, 200))
    for at in range(100_000):
        yield b'{"kind":"change","step":1000,"what":"w%d","old":1,"new":0.5,"cause":"c%d"}\n' % (at, at)


def notes() -> Iterator[bytes]:
    yield RUN % 200
    yield from (epoch(at) for at in range(1, 200))
    yield from (b'{"kind":"note","text":"note %d %s"}\n' % (at, b"word " * 20) for at in range(200_000))


def long_notes() -> Iterator[bytes]:
    yield RUN % 200
    yield from (b'{"kind":"note","text":"%s"}\n' % (b"word " * 180_000) for _ in range(200))


def runs() -> Iterator[bytes]:
    yield from (RUN % 5 for _ in range(500_000))


def steps(count: int = 10_000_000) -> Iterator[bytes]:
    yield RUN % 100
    yield from (STEP % (at, at // 100_000 + 1, 2 / at**0.2, 1.7e9 + at / 1000) for at in range(1, count + 1))


def zigzag() -> Iterator[bytes]:
    """Steps and epochs that go to and fro."""
    yield RUN % 100
    for at in range(300_000):
        yield STEP % ((at * 7919) % 100_000 + (2**53 - 200_000 if at % 2 else 1), at % 7, 1.0, 1.7e9 - at)
        if at % 10 == 0:
            yield epoch(at * 7919 % 1000 + 1)


def one_line() -> Iterator[bytes]:
    yield RUN % 100
    yield from (b"x" * (1 << 20) for _ in range(1000))
    yield b"\n" + epoch(1)


def blank_lines() -> Iterator[bytes]:
    yield RUN % 100
    yield from (b"\n" * (1 << 20) for _ in range(1000))


def brackets() -> Iterator[bytes]:
    yield RUN % 100
    yield from (b"[\n" * (1 << 19) for _ in range(100))


def nested() -> Iterator[bytes]:
    yield RUN % 100
    yield from (b'{"kind":"step","a":%s}\n' % (b"[" * 500_000) for _ in range(100))


def junk() -> Iterator[bytes]:
    """The dearest lines that cannot be read."""
    yield RUN % 100
    yield from (b'{"kind":"step"}\n' * (1 << 16) for _ in range(30))


def digits() -> Iterator[bytes]:
    yield RUN % 100
    yield from (b'{"kind":"step","step":%s}\n' % (b"9" * 900_000) for _ in range(100))


CASES: dict[str, Callable[[], Iterator[bytes]]] = {
    made.__name__: made
    for made in (
        epochs,
        planned,
        names,
        metrics,
        wide,
        layers,
        changes,
        one_step,
        notes,
        long_notes,
        runs,
        steps,
        zigzag,
        one_line,
        blank_lines,
        brackets,
        nested,
        junk,
        digits,
    )
}


def replayed(path: Path, *, as_json: bool) -> float:
    import io

    from regtui.report import replay

    begun = time.monotonic()
    replay(path, size=(100, 40), out=io.StringIO(), err=io.StringIO(), as_json=as_json)
    return time.monotonic() - begun


async def key_seconds(app: "RegtuiApp", key: str) -> float:
    """Press a key and wait until it has been dealt with and drawn; not the pilot's way, which waits for idleness."""
    from textual import events

    begun, drawn = time.monotonic(), asyncio.Event()
    assert app._driver is not None
    app._driver.send_message(events.Key(key, key if len(key) == 1 else None))
    await asyncio.sleep(0)
    while app._keys or app._in_hand is not None:
        await asyncio.sleep(0.001)
    app.screen.call_after_refresh(drawn.set)
    await drawn.wait()
    return time.monotonic() - begun


async def watched(path: Path) -> dict[str, float | str]:
    """Watch a log: seconds until it is read, the slowest key while it is, and when it has been."""
    from regtui.core.config import RunConfig
    from regtui.sources.log import LogSource
    from regtui.tui.app import RegtuiApp

    begun = time.monotonic()
    app = RegtuiApp(RunConfig.create(), source=LogSource(path), runs_dir=path.parent)
    slowest, reading = ("", 0.0), 0.0
    async with app.run_test(size=(120, 36)):
        last, still = -1, 0
        while still < 3 and time.monotonic() - begun < LIMIT_SECONDS:
            reading = max(reading, await key_seconds(app, "z"))
            version = app.lab.history.version
            still = still + 1 if version == last else 0
            last = version
            await asyncio.sleep(0.4)
        read = time.monotonic() - begun
        for key in ("g", "g", "g", "z", "z", "z", "l", "s", "left", "left", "home", "end", "question_mark", "escape"):
            slowest = max(slowest, (key, await key_seconds(app, key)), key=lambda one: one[1])
    return {"read": read, "reading": reading, "slowest": slowest[1], "key": slowest[0]}


def child(how: str, path: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    told = asyncio.run(watched(path)) if how == "watch" else {"seconds": replayed(path, as_json=how == "json")}
    print(json.dumps({**told, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    return 0


def asked(how: str, path: Path) -> dict[str, object]:
    command = [sys.executable, __file__, "--child", how, "--log", str(path)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS + 30, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {LIMIT_SECONDS} s"}
    if ended.returncode:
        return {"failed": (ended.stderr.strip().splitlines() or [f"ended with {ended.returncode}"])[-1][:60]}
    told: dict[str, object] = json.loads(ended.stdout)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--no-keys", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child, given.log)
    print(f"{'case':<13}{'log MB':>7}{'page s':>8}{'MB':>6}{'json s':>8}{'MB':>6}{'read s':>8}{'MB':>6}  slowest key s")
    for name in given.cases.split(","):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.jsonl"
            with path.open("wb", buffering=1 << 20) as file:
                file.writelines(CASES[name]())
            line = f"{name:<13}{path.stat().st_size / 1e6:>7.0f}"
            for how in ("page", "json"):
                told = asked(how, path)
                line += f"{told['seconds']:>8.1f}{told['peak']:>6.0f}" if "seconds" in told else f"  {told['failed']}"
            if not given.no_keys:
                told = asked("watch", path)
                line += (
                    f"{told['read']:>8.1f}{told['peak']:>6.0f}  {told['reading']:.2f} while reading, "
                    f"{told['slowest']:.2f} after ({told['key']})"
                    if "read" in told
                    else f"  {told['failed']}"
                )
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
