"""Read hostile logs in every way there is: no error but LogError, no hang over 5 s, no more than 1 GB.

    python tests/benchmarks/hostile_logs.py [--logs 100000] [--from 0] [--apps 1000] [--jobs 2] [--kept FILE]

A log is made from its number alone, so `--from N --logs 1` brings one back: valid logs of `tests/logs`, spliced,
torn, with bits flipped and with absurd values in each field of each record, as the records themselves name them. Each
goes through the reader in pieces, the fold, verdicts, result and the lines around the curves; the charts, page and
picture that most of the time would go to are made of a share of them, and each so-many-th is watched in the app.
Processes of their own do it, under a limit of memory; the one in charge ends what hangs. With `--kept`, what came of
each log is written to a file, and a later run reads only those that it does not hold or that went wrong.
"""

import argparse
import asyncio
import io
import json
import os
import random
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec

from regtui.analysis import forecast, meters, verdict, verdict_at
from regtui.charts import STRIPS, StyledLine, View, draw, row_at
from regtui.charts.strips import stacks
from regtui.core.config import RunConfig
from regtui.core.events import Changed, Noted, Record, RunEnded, RunStarted
from regtui.core.history import History
from regtui.core.plan import Plan
from regtui.readers import LogError, open_log
from regtui.report import replay, result, summary, to_json
from regtui.sources import Activity
from regtui.sources.log import LogSource
from regtui.tui.app import RegtuiApp
from regtui.tui.canvas import fold_line
from regtui.tui.eventlines import event_line
from regtui.tui.panels import meter_lines, number_lines, status_line, verdict_lines

LOGS = Path(__file__).parents[1] / "logs"

LONGEST_SECONDS, MOST_MEGABYTES = 5, 1000
"""What one log may take; seconds of the processor, so that a busy machine is no hang."""

LIMIT_BYTES = 4 << 30
"""Where the system itself stops a process, so that a mistake does not take the machine with it."""

SHORT_LINES, LONG_LINES = 20, 70
"""Lines of a valid log that a hostile one begins with: more of the same show nothing new."""

LONG, DRAWN, REPLAYED = 0.1, 0.2, 0.03
"""The share of logs that begin with many lines, that charts are drawn of, and that `--replay` shows."""

A_SHARD = 1000
"""Logs a process reads before its memory is looked at and another takes over."""

MOST_TOLD = 50
"""Faults that are told one by one; all of them are counted."""

SILENCE_SECONDS = 60
"""A process that has not finished one log for so long hangs where no alarm reaches it."""

KINDS: dict[str, type[msgspec.Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Record)}
INNER: dict[str, type[msgspec.Struct]] = {"config": RunConfig, "plan": Plan}

NUMBERS = (
    "0 -0 -0.0 1 -1 0.5 2 7 1e308 -1e308 1e309 5e-324 1e15 1e16 9007199254740991 9007199254740992 9007199254740993 "
    "9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 -9223372036854775809 NaN "
    "-Infinity Infinity 1e-300 1.7e9 253402300800 -62135596801 -99999999999999 2147483648 4294967296 0.1 1000000000 "
    + "9" * 400
).split()  # fmt: skip
TEXTS = (
    "", " ", "a", "\x00", "\x1b]0;x\x07", "\x1b[2J", "\u202e\u200b\ufeff", "\ud83d", "a\nb\tc\r", "名前" * 40, "́" * 50,
    "x" * 5000, "[bold]red[/]", "{0}", "%s%n", "/" * 300, "norm/", "valid/loss", "NaN", "nan", "true", "12", "-1",
    "learning_rate", "user", "plateau", "floor", "restart", "finished", "failed", "diverged", "early_stopped",
    "stopped", "error", "output", "hold", "scale", "regtui", "torch", "exponential", "cosine", "one_cycle",
    "step", "run", "end",
)  # fmt: skip
SHAPES = (
    "null", "true", "false", "[]", "{}", "[[]]", '{"":{}}', "[1,2,3]", '{"loss":1}', '{"loss":null,"accuracy":9}',
    '["a"]', '{"":1}', '{"loss":"1"}', '{"loss":[1]}', "[" * 600 + "]" * 600, '{"a":' * 300 + "1" + "}" * 300,
    "[" * 5000,
    json.dumps({f"layer {at}": at for at in range(300)}), json.dumps(list(range(3000))), json.dumps([64] * 2000),
)  # fmt: skip


def value(dice: random.Random) -> str:
    """Give a value that some field was not made for, as JSON writes it, or nearly."""
    kind = dice.random()
    if kind < 0.5:
        return dice.choice(NUMBERS)
    if kind < 0.75:
        return json.dumps(dice.choice(TEXTS), ensure_ascii=dice.random() < 0.5).encode("utf-8", "replace").decode()
    return dice.choice(SHAPES)


@cache
def fields_of(kind: type[msgspec.Struct]) -> list[str]:
    return [item.name for item in msgspec.structs.fields(kind)]


def record(dice: random.Random) -> str:
    """Make a record of some kind with absurd values in some of its fields, known and unknown ones."""
    name = dice.choice([*KINDS, "other", ""])
    inside = [f'"kind":{json.dumps(name)}'] if dice.random() < 0.97 else []
    kind = KINDS.get(name)
    for field in fields_of(kind) if kind else ["step"]:
        if field in INNER and dice.random() < 0.5:
            parts = [f'"{each}":{value(dice)}' for each in fields_of(INNER[field]) if dice.random() < 0.4]
            inside.append(f'"{field}":{{{",".join(parts)}}}')
        elif dice.random() < 0.7:
            plain = str(dice.randrange(200)) if field in ("step", "epoch") and dice.random() < 0.6 else value(dice)
            inside.append(f'"{field}":{plain}')
    dice.shuffle(inside)
    return "{" + ",".join(inside) + "}"


def with_absurd_field(dice: random.Random, line: bytes) -> bytes:
    """Give a valid record an absurd value in one of its fields, or in one of those within."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(said, dict) or not said:
        return line
    kind = KINDS.get(str(said.get("kind")))
    mark, inner = "\x01here\x01", dice.choice(list(said))
    if isinstance(said[inner], dict) and dice.random() < 0.7:
        names = [*said[inner], *(fields_of(INNER[inner]) if inner in INNER else ()), "odd"]
        said[inner][dice.choice(names)] = mark
    else:
        said[dice.choice([*said, *(fields_of(kind) if kind else ())])] = mark
    return json.dumps(said).replace(json.dumps(mark), value(dice)).encode("utf-8", "replace")


@cache
def valid() -> list[list[bytes]]:
    """Read the logs that hostile ones are made from, without their line breaks."""
    return [path.read_bytes().split(b"\n")[:LONG_LINES] for path in sorted(LOGS.glob("[!.]*.jsonl"))]


def _flip(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    if lines[at]:
        changed = bytearray(lines[at])
        for _ in range(dice.choice((1, 1, 3, 20))):
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        lines[at] = bytes(changed)


def _absurd(dice: random.Random, lines: list[bytes]) -> None:
    for _ in range(dice.choice((1, 3, 10))):
        at = 0 if dice.random() < 0.3 else dice.randrange(len(lines))
        lines[at] = with_absurd_field(dice, lines[at])


def _made(dice: random.Random, lines: list[bytes]) -> None:
    for _ in range(dice.choice((1, 5, 30))):
        lines.insert(dice.randrange(len(lines) + 1), record(dice).encode("utf-8", "replace"))


def _cut(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
    if dice.random() < 0.5:
        del lines[at + 1 :]


def _mix(dice: random.Random, lines: list[bytes]) -> None:
    first = dice.randrange(len(lines))
    part = lines[first:]
    dice.shuffle(part)
    lines[first:] = part


def _splice(dice: random.Random, lines: list[bytes]) -> None:
    lines[dice.randrange(len(lines)) :] = dice.choice(valid())[dice.randrange(20) :]


def _again(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    lines[at:at] = [lines[at]] * dice.choice((1, 5, 300))


def _twice(dice: random.Random, lines: list[bytes]) -> None:
    at = dice.randrange(len(lines))
    names = ("step", "loss", "epoch", "kind", "run_id", "config", "valid")
    lines[at] = lines[at].rstrip(b"}") + f',"{dice.choice(names)}":{value(dice)}}}'.encode("utf-8", "replace")


def _between(dice: random.Random, lines: list[bytes]) -> None:
    junk = (
        b"",
        b"\0" * 50,
        b"[",
        b"{",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"x" * 20_000,
        b"null",
        b'"',
        b"\r",
    )
    for _ in range(dice.choice((1, 10))):
        lines.insert(dice.randrange(len(lines) + 1), dice.choice(junk))


MUTATIONS: tuple[Callable[[random.Random, list[bytes]], None], ...] = (
    _flip, _absurd, _absurd, _absurd, _made, _made, _cut, _mix, _splice, _again, _twice, _between,
)  # fmt: skip


def hostile(number: int) -> bytes:
    """Make the log of a number: always the same one."""
    dice = random.Random(number)
    length = LONG_LINES if dice.random() < LONG else SHORT_LINES
    lines = dice.choice(valid())[:length] if dice.random() < 0.8 else [b""]
    for _ in range(dice.choice((1, 2, 4))):
        dice.choice(MUTATIONS)(dice, lines)
        lines = lines or [b""]
    return dice.choice((b"\n", b"\n", b"\n", b"\r\n")).join(lines) + dice.choice((b"", b"\n"))


def read_through(path: Path, dice: random.Random) -> Counter[str]:
    """Read a log in every way without a screen, and say which of them those were; none for one that was refused."""
    try:
        reader = open_log(path, growing=(growing := dice.random() < 0.5))
    except LogError as error:
        if "\n" in str(error):
            raise ValueError("more than one line") from error
        return Counter()
    history, limit = History(), dice.choice((None, 1, 7, 4000))
    told: list[StyledLine] = []
    while events := reader.poll(limit):
        history.apply(events)
        told += [event_line(e) for e in events if isinstance(e, RunStarted | Changed | Noted | RunEnded)]
    verdict(history), meters(history), forecast(history, 50)
    rows, width, height = len(history.evaluations), *dice.choice(SIZES)
    for row in {0, rows // 2, rows - 1} if rows else ():
        verdict_at(history, row)
    to_json(result(history, reader.skipped.count, reader.name))
    ways = Counter(read=1)
    if dice.random() < DRAWN:
        ways["drawn"] = 1
        summary(history, width, warnings=reader.warnings())
        draw_as_shown(history, width, height, dice)
    look_around(history, told, width, dice)
    if dice.random() < REPLAYED:
        ways["replayed"] = 1
        out, ghost = io.StringIO(), path if dice.random() < 0.5 else None
        try:
            replay(path, size=(80, 24), out=out, err=io.StringIO(), ghost=ghost, speed=dice.choice((None, 1e6)),
                   svg=dice.choice((None, path.with_suffix(".svg"))), until_epoch=dice.choice((None, 3)),
                   check=dice.random() < 0.5)  # fmt: skip
        except LogError:
            # What grows may be empty yet.
            assert growing, "a log that can be read can be replayed"
    return ways


def draw_as_shown(history: History, width: int, height: int, dice: random.Random) -> None:
    """Draw a run's curves as the screen does."""
    newest = len(history.evaluations) - 1
    strips = dice.choice([*stacks(history, View().strips, tall=True), tuple(STRIPS)])
    view = View(
        strips=strips, zoom=dice.choice(("all", "half", "tenth")), log_y=dice.random() < 0.5,
        smoothing=dice.choice((0, 0.9)), cursor=dice.choice((None, 0, max(newest, 0))), ascii=dice.random() < 0.3,
        ghost=history if dice.random() < 0.3 else None, show_penalty=dice.random() < 0.5,
    )  # fmt: skip
    lines = draw(history, width, height, view)
    assert [sum(len(span.text) for span in line) for line in lines] == [width] * height
    row_at(history, width, height, width // 2, view)


def look_around(history: History, told: list[StyledLine], width: int, dice: random.Random) -> None:
    """Make the lines that the screen shows around the curves."""
    for line in told[:500]:
        fold_line(line, max(width, 12))
    row = dice.choice((None, 0)) if len(history.evaluations) else None
    number_lines(history, width, 2, row=row)
    meter_lines(history, history if dice.random() < 0.3 else None, width, 5)
    verdict_lines(history, Activity(growing=True), width, 3, row=row)
    status_line(history, Activity(growing=dice.random() < 0.5), None, width, 1.7e9, watching="watching")


SIZES = ((1, 1), (2, 5), (20, 8), (40, 10), (80, 24), (100, 30), (120, 36), (200, 60))
"""Columns and lines."""

KEYS = ("question_mark", "escape", "g", "g", "z", "l", "s", "w", "left", "home", "end", "right", "tab", "tab", "escape")


async def watch_through(path: Path, dice: random.Random) -> None:
    """Watch a log in the app, under a few keys; raises what the app raises, and AssertionError where a key is slow."""
    try:
        source = LogSource(path)
    except LogError:
        return
    app = RegtuiApp(RunConfig.create(), source=source, runs_dir=path.parent)
    async with app.run_test(size=dice.choice(((80, 24), (120, 36), (1, 1), (30, 8)))) as pilot:
        for key in ("", *KEYS):
            await pilot.press(*([key] if key else []))
            await pilot.pause()


def one(number: int, path: Path, *, app: bool) -> Counter[str]:
    path.write_bytes(hostile(number))
    dice = random.Random(-number)
    if app:
        asyncio.run(watch_through(path, dice))
    return read_through(path, dice)


class Hang(BaseException):
    """A log took too long; no Exception, so that nothing on its way takes it for one of a library's."""


def _too_long(*_: object) -> None:
    raise Hang(f"over {LONGEST_SECONDS} s of the processor")


def shard(numbers: range, apps: int) -> int:
    """Read some logs in this process and tell of each, a line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    signal.signal(signal.SIGVTALRM, _too_long)
    real = sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_SECONDS + 1)
            app, ways, error = bool(apps) and number % apps == 0, Counter[str](), ""
            try:
                ways = one(number, Path(folder) / "hostile.jsonl", app=app)
            except KeyboardInterrupt:
                raise
            except BaseException as raised:
                frames = traceback.extract_tb(raised.__traceback__)
                at = next((f"{f.filename}:{f.lineno}" for f in reversed(frames) if "/regtui/" in f.filename), "")
                error = f"{type(raised).__name__}: {str(raised)[:150]} at {at}"
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            seconds, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            if not error and not app and seconds > LONGEST_SECONDS:
                error = f"took {seconds:.1f} s"
            told = {"number": number, "app": app, "ways": ways, "seconds": seconds, "peak": peak, "error": error}
            print(json.dumps(told), file=real, flush=True)
    return 0


def runs_of(numbers: Iterable[int]) -> Iterator[range]:
    """Put numbers that follow one another together, as many as a process reads."""
    start = stop = None
    for number in numbers:
        if start is None or number != stop or number - start >= A_SHARD:
            if start is not None:
                yield range(start, stop)
            start = number
        stop = number + 1
    if start is not None:
        yield range(start, stop)


def shards(numbers: Iterable[int], apps: int, jobs: int) -> Iterator[dict[str, Any]]:
    """Let processes read the logs, and go on behind one that ended a process or hung in it."""
    waiting = list(runs_of(numbers))[::-1]
    running: dict[int, tuple[subprocess.Popen[str], range, int, float]] = {}
    looker = selectors.DefaultSelector()
    while waiting or running:
        while waiting and len(running) < jobs:
            numbers = waiting.pop()
            command = [sys.executable, __file__, "--shard", f"{numbers.start}:{numbers.stop}", "--apps", str(apps)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert process.stdout is not None
            looker.register(process.stdout, selectors.EVENT_READ, process.pid)
            running[process.pid] = process, numbers, numbers.start, time.monotonic()
        for key, _ in looker.select(timeout=1):
            process, numbers, at, _since = running[key.data]
            line = process.stdout.readline() if process.stdout else ""
            if line:
                told = json.loads(line)
                running[key.data] = process, numbers, told["number"] + 1, time.monotonic()
                yield told
                continue
            looker.unregister(key.fileobj)
            status = process.wait()
            del running[key.data]
            if at < numbers.stop:
                yield {"number": at, "app": False, "ways": {}, "seconds": 0.0, "peak": 0.0,
                       "error": f"the process ended with {status}"}  # fmt: skip
                if at + 1 < numbers.stop:
                    waiting.append(range(at + 1, numbers.stop))
        for process, _numbers, _at, since in running.values():
            if time.monotonic() - since > SILENCE_SECONDS:
                process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=100_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--apps", type=int, default=1000, help="watch each so-many-th in the app; 0 for none")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--kept", help="a file of what came of each log, made or gone on with")
    parser.add_argument("--shard", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.shard:
        start, stop = map(int, given.shard.split(":"))
        return shard(range(start, stop), given.apps)
    begun, told = time.monotonic(), held(given.kept, range(given.first, given.first + given.logs))
    with Path(given.kept or os.devnull).open("a", encoding="utf-8") as kept:
        known = {each["number"] for each in told}
        left = (number for number in range(given.first, given.first + given.logs) if number not in known)
        for each in shards(left, given.apps, given.jobs):
            told.append(each)
            kept.write(json.dumps(each) + "\n")
            kept.flush()
            if each["error"] and sum(bool(one["error"]) for one in told) <= MOST_TOLD:
                print(f"log {each['number']}: {each['error']}", flush=True)
            if len(told) % 10_000 == 0:
                print(f"{len(told):,} logs in {time.monotonic() - begun:.0f} s", flush=True)
    return tell(told, given, time.monotonic() - begun)


def held(kept: str | None, numbers: range) -> list[dict[str, Any]]:
    """Give what an earlier run wrote of logs that nothing was wrong with."""
    if kept is None or not Path(kept).exists():
        return []
    said = [json.loads(line) for line in Path(kept).read_text(encoding="utf-8").splitlines()]
    return list({each["number"]: each for each in said if not each["error"] and each["number"] in numbers}.values())


def tell(told: list[dict[str, Any]], given: argparse.Namespace, seconds: float) -> int:
    """Print what came of the logs; 1 where one broke a promise."""
    errors = Counter(each["error"].rpartition(" at ")[2] or each["error"] for each in told if each["error"])
    heaviest = max(each["peak"] for each in told)
    slowest = max((each for each in told if not each["app"]), key=lambda each: each["seconds"], default=told[0])
    ways = sum((Counter(each["ways"]) for each in told), Counter[str]())
    watched = [each for each in told if each["app"]]
    rows = [
        ("logs", f"{len(told):,}", f"{given.first} to {given.first + given.logs - 1}"),
        ("read as logs", f"{ways['read']:,}", "the others were refused in one sentence"),
        ("their charts drawn", f"{ways['drawn']:,}", f"each in one of {len(SIZES)} sizes, and the page"),
        ("replayed", f"{ways['replayed']:,}", "some with a ghost, as a picture, to an epoch"),
        ("watched in the app", f"{len(watched):,}", f"slowest {max((e['seconds'] for e in watched), default=0):.1f} s"),
        ("raised, hung or ended", f"{sum(errors.values()):,}", f"in {len(errors)} places"),
        ("slowest, s", f"{slowest['seconds']:.2f}", f"log {slowest['number']}, of all that is done with it"),
        ("peak memory, MB", f"{heaviest:.0f}", f"of a process that reads {A_SHARD} and has the app loaded"),
        ("took, s", f"{seconds:.0f}", f"{given.jobs} processes"),
    ]
    for name, number, remark in rows:
        print(f"{name:<24}{number:>10}  {remark}")
    for where, count in errors.most_common(20):
        print(f"  {count:>6}  {where}")
    return 1 if errors or heaviest > MOST_MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
