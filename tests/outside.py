"""Hostile text for every way into regtui, and a look at what comes out on a pseudo-terminal; used by test_outside.py.

    python tests/outside.py                 each text in front of each field, option and name: all of it, some minutes
    python tests/outside.py --drive FILE    run the command lines of a file one after the other, on this terminal

A field, an option or a command that is added later is found by itself: records are filled by the types of their
fields, options by walking click's commands.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import types
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
import msgspec
import numpy as np

from regtui.core.events import Record

PATIENCE_SECONDS = 120

PAYLOADS = (
    "\x1b]0;{}\x07", "\x1b]52;c;{}\x07", "\x1b]8;;http:{}\x1b\\", "\x1bP1$r{}\x1b\\", "\x1b_G{}\x1b\\", "\x1b[2J{}",
    "\x1b[?1049l{}", "\x1b[6n{}", "\x1bc{}", "\0{}", "\x07{}", "\b\b{}", "\r{}", "\n{}", "\x7f{}", "\x9b2J{}",
    "\x9d0;{}\x9c", "\x90{}\x9c", "\u202e{}\u2066", "\u200b{}\ufeff", "\u3164{}", "\U000e0041{}\ufe0f", "\u2028{}",
    "e" + 30 * "\u0301" + "{}", "\udc9b{}", "[bold]{}[/][link=x]",
)  # fmt: skip
"""Titles, the clipboard, links, strings for the terminal, clearing, leaving the screen, questions that the terminal
answers as if it were typed, C0 and C1, direction, no width, towers, halves of pairs, and markup."""

OBEYED = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""A control sequence."""

COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
MOVES = re.compile(r"\x1b\[[0-9;]*[HABCDGKJ]")

SHOWS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


class Hostile:
    """Texts that no two are alike: each begins with another of the payloads and holds them all."""

    def __init__(self, turn: int = 0, without: str = "") -> None:
        self.count = 0
        self._turn = turn
        self._payloads = [payload for payload in PAYLOADS if not set(without) & set(payload)]

    def __call__(self) -> str:
        self.count += 1
        first = (self._turn + self.count) % len(self._payloads)
        turned = self._payloads[first:] + self._payloads[:first]
        return "".join(payload.format(f"MARK{self.count}") for payload in turned)


def filled(hint: Any, text: Callable[[], str]) -> Any:
    """Make a value of a type, hostile wherever it holds text."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return filled(inside[0], text)
    if origin in (Union, types.UnionType):
        return filled(next(each for each in inside if each not in (types.NoneType, msgspec.UnsetType)), text)
    if origin is Literal:
        return inside[0]
    if origin is dict:
        known = ("loss", "accuracy") if Any not in inside else ("device", "framework", "framework_version", "dataset")
        return {name: filled(inside[1], text) for name in (*known, text(), f"valid/{text()}")}
    if origin in (tuple, list):
        return [filled(inside[0], text), filled(inside[0], text)]
    if hint is Any:
        return {text(): [text(), {text(): text()}]} if text.count % 2 else text()  # type: ignore[attr-defined]
    if hint is str:
        return text()
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return record(hint, text)
    return {bool: True, int: 3, float: 0.5}[hint]


def record(kind: type[msgspec.Struct], text: Callable[[], str], **given: Any) -> dict[str, Any]:
    """Make a record, hostile in each field that holds text; numbers are as they are where nobody says otherwise."""
    made: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        default = field.default
        usual = isinstance(default, bool | int | float) and not isinstance(default, str)
        made[field.name] = default if usual else filled(field.type, text)
    tag = kind.__struct_config__.tag
    return {**({"kind": tag} if tag else {}), **made, **given}


def log_lines(text: "Hostile | Harmless", *, own: bool, status: str | None, strict: bool, raw: bool) -> bytes:
    """Write a log with every kind of record, hostile in every field; `strict` is decoded at once, else line by line."""
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(Record)}
    records = [record(kinds["run"], text, **({"trainer": "regtui"} if own else {})), record(kinds["resume"], text)]
    for at in range(1, 7):
        records += [record(kinds[tag], text, step=at, epoch=at) for tag in ("step", "epoch", "evaluation")]
    records += [record(kinds["note"], text, level=level) for level in ("info", "warning", "error", "output")]
    records += [record(kinds["change"], text), record(kinds["change"], text, what="learning_rate", old=0.5, new=0.1)]
    rest = set(kinds) - {"run", "step", "epoch", "evaluation", "note", "change", "resume", "end"}
    records += [record(kinds[tag], text) for tag in sorted(rest)]
    records += [record(kinds["note"], text), record(kinds["end"], text, **({"status": status} if status else {}))]
    if not strict:
        records = [{**each, "step": float(each.get("step", 0))} for each in records]
    lines = "".join(json.dumps(each, ensure_ascii=not raw) + "\n" for each in records)
    return lines.encode()


def make_logs(folder: Path, turn: int) -> list[Path]:
    """Write the hostile logs: regtui's own and a stranger's, decoded at once and one by one, ended well and badly."""
    kinds = ((True, None, True, False), (False, None, True, True), (True, "failed", False, False))
    paths = []
    for number, (own, status, strict, raw) in enumerate(kinds):
        path = folder / f"log{number}" / "events.jsonl"
        path.parent.mkdir(parents=True)
        text = Hostile(turn, without="\udc9b" if raw else "")
        path.write_bytes(log_lines(text, own=own, status=status, strict=strict, raw=raw))
        paths.append(path)
    return paths


def file_names(turn: int) -> list[bytes]:
    """Give hostile names of files: each payload as far as a name can hold it, and bytes that are no text."""
    names = [payload.format(f"MARK{at}").replace("/", "").replace("\0", "") for at, payload in enumerate(PAYLOADS)]
    whole = "".join(names[turn % len(names) :] + names[: turn % len(names)])
    return [
        *(name.encode("utf-8", "surrogateescape") for name in names),
        whole.encode("utf-8", "ignore")[:200],
        b"\xff\x9bM",
    ]


def commands() -> Iterator[tuple[list[str], click.Command]]:
    """Give every command with the words that name it: the lab first."""
    from regtui.cli.lab import cli

    context = click.Context(cli)
    yield [], cli
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield [name], command


def command_lines(logs: list[Path], folder: Path, turn: int, every: int = 1) -> list[list[bytes]]:
    """Give the command lines that show hostile logs, names, options and data without the app.

    Of the names only one in `every`, and always the one that holds all payloads.
    """
    text = Hostile(turn, without="\0")
    lines: list[list[Any]] = []
    for log in logs:
        ways: tuple[list[Any], ...] = ([], ["--json"], ["--ascii"], ["--size", "200x80"], ["--until-epoch", "3"])
        lines += [["--replay", log, *way] for way in ways]
        lines += [["--replay", log, "--speed", "1e9"], ["--replay", logs[0], "--ghost", log]]
        lines += [["--replay", log, "--svg", folder / "x.svg"]]
    lines += [["runs", "--runs-dir", logs[0].parents[1]]]
    for words, command in commands():
        for parameter in command.params:
            value = [] if getattr(parameter, "is_flag", False) else [text()]
            option = [parameter.opts[0], *value] if isinstance(parameter, click.Option) else value
            lines += [[*words, *option, *(["--dataset", "none.npz"] if words == ["train"] else [])]]
            lines += [["--replay", logs[0], *option]] if not words else []
        lines += [[*words, f"--{text()}"], [*words, text(), text()], [*words, f"--dataset={text()}"]]
    *single, whole, bytes_alone = file_names(turn)
    for name in [*single[turn % every :: every], whole, bytes_alone]:
        lines += named(folder, os.fsdecode(name), logs[0])
    lines += data_files(folder, text)
    small = ["--epochs", "1", "--hidden", "4", "--train-rows", "50", "--dataset", "digits"]
    lines += [["train", *small, "--log", folder / "kept" / text().replace("/", "")[:80] / "x"]]
    return [[os.fsencode(str(word)) for word in line] for line in lines]


def named(folder: Path, name: str, log: Path) -> Iterator[list[Any]]:
    """Use a hostile name for a run, for logs that are none, for folders and for data."""
    for place in ("runs", "bad", "data"):
        (folder / place).mkdir(exist_ok=True)
    run = folder / "runs" / name / "events.jsonl"
    run.parent.mkdir()
    run.write_bytes(log.read_bytes().split(b"\n", 1)[1])  # without its first record: its name is that of its folder
    empty, prose = folder / "bad" / name, folder / "bad" / f"prose {name}"
    empty.touch()
    prose.write_bytes(b"MARK \x1b[2J\n")
    csv = folder / "data" / f"{name}.csv"
    csv.write_text("1,2\n")
    yield from (["--replay", run], ["--replay", run, "--json"], ["--replay", name], ["watch", run])
    yield from (["--replay", empty], ["--replay", prose, "--ghost", run], ["watch", empty], ["watch", prose])
    yield from (["runs", "--runs-dir", empty], ["runs", "--runs-dir", run.parent], ["train", "--dataset", csv])
    yield from (["train", "--log", run.parent], ["train", "--log", empty / "x", "--epochs", "1"])


def data_files(folder: Path, text: Hostile) -> Iterator[list[Any]]:
    """Write data whose cells, labels, columns and arrays have hostile names, each wrong in another way."""
    for at, rows in enumerate((["1,{}", "2,{}"], ["{},a", "{},b"], ["{}", "{}"], ["1,2,{}", "1,{},3"], ["1,{}"] * 12)):
        path = folder / f"data{at}.csv"
        one = text().replace("\r", "").replace("\n", "").replace(",", "").encode("utf-8", "replace").decode()
        path.write_text("\n".join(row.format(one) for row in rows) + "\n")
        yield ["train", "--dataset", path]
    label = text().encode("utf-8", "replace").decode()
    rows, few = np.zeros((12, 2)), {"y_train": np.array([label] * 12)}
    for at, arrays in enumerate(({"x_train": rows, **few}, {label.replace("/", ""): rows}, {"x_train": rows})):
        path = folder / f"data{at}.npz"
        np.savez(path, **arrays)
        yield ["train", "--dataset", path]


def drive(file: Path) -> None:
    """Run command lines in forks of one process that has imported what they need, each under its number."""
    import regtui.charts
    import regtui.cli.ending
    import regtui.datasets
    import regtui.loop
    import regtui.report
    import regtui.sources.here

    regtui.charts.warm_up()
    for number, line in enumerate(json.loads(file.read_text())):
        child = os.fork()
        if not child:
            os.write(1, f"\n#{number}#\n".encode())
            sys.argv = ["regtui", *(os.fsdecode(bytes.fromhex(word)) for word in line)]
            try:
                regtui.cli.ending.run()
            except SystemExit as ended:
                sys.stdout.flush()
                os._exit(ended.code if isinstance(ended.code, int) else 3)
            os._exit(4)
        _, status = os.waitpid(child, 0)
        os.write(1, f"\n={os.waitstatus_to_exitcode(status)}=\n".encode())


class Harmless:
    """Texts as long as the hostile ones, of which nothing is to be feared."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"word{self.count} " * 40


class Pty:
    """A process on a pseudo-terminal, and every byte that it sends there."""

    def __init__(
        self, command: list[str], cwd: Path, *, typed: bool, size: tuple[int, int] = (160, 50), **given: str
    ) -> None:
        self.raw = b""
        self._fd, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_CONFIG_HOME": str(cwd / "config")}
        env = {name: value for name, value in env.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
        env |= given
        env["PYTHONPATH"] = str(Path(__file__).parents[1])
        stdin = other if typed else subprocess.DEVNULL
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=other, stderr=other, cwd=cwd, env=env, start_new_session=True
        )
        os.close(other)

    def __enter__(self) -> "Pty":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def until(self, condition: Callable[[], bool]) -> None:
        """Read until something holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.raw[-3000:]
            self.read()

    def read(self) -> bool:
        """Take what has come; tells whether anything has."""
        if not select.select([self._fd], [], [], 0.05)[0]:
            return False
        try:
            come = os.read(self._fd, 65536)
        except OSError:
            return False  # the other side has closed
        self.raw += come
        return bool(come)

    def rest(self) -> bytes:
        """Read to the end of the process."""
        self.until(lambda: self.process.poll() is not None)
        while self.read():
            pass
        return self.raw

    def press(self, keys: str, then: str = "") -> None:
        """Type, and wait for a text that comes of it, where one is named."""
        before = len(self.raw)
        os.write(self._fd, keys.encode("utf-8", "replace"))
        self.until(lambda: then.encode() in self.raw[before:])


def leaks(raw: bytes, usual: frozenset[str] = frozenset()) -> list[str]:
    """Name what came that a terminal obeys or that nobody sees: all but line ends, colours and `usual` sequences."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return [f"no text: {raw[error.start - 20 : error.end + 20]!r}"]
    obeyed = [each for each in OBEYED.findall(text) if not COLOUR.fullmatch(each) and each not in usual]
    found = [repr(each) for each in obeyed if not (usual and MOVES.fullmatch(each))]
    for line in re.split("[\r\n]+", OBEYED.sub("", text)):
        if not (line.isascii() and line.isprintable()):
            found += _unseen(line)
    return found


def _unseen(line: str) -> Iterator[str]:
    """Name the signs of a line that show nothing, or run over the lines above."""
    marks = 0
    for at, sign in enumerate(line):
        kind = unicodedata.category(sign)
        marks = marks + 1 if kind.startswith("M") else 0
        if kind[0] == "C" or kind in {"Zl", "Zp"} or SHOWS_NOTHING.match(sign) or marks > 4:
            yield repr(line[max(at - 30, 0) : at + 10])


def variables() -> set[str]:
    """Name the variables of the environment that regtui looks at, from its sources."""
    sources = Path(__file__).parents[1].glob("regtui/**/*.py")
    named = re.compile(r'(?:environ\.get\(|envvar=)"(\w+)"|^\w+ = "(REGTUI_\w+)"', re.MULTILINE)
    return {one or other for path in sources for one, other in named.findall(path.read_text())}


def run_lines(lines: list[list[bytes]], folder: Path, **environment: str) -> list[tuple[list[str], int, bytes]]:
    """Run command lines on one pseudo-terminal; gives each with its exit status and what it sent."""
    file = folder / "lines.json"
    file.write_text(json.dumps([[word.hex() for word in line] for line in lines]))
    (folder / "cwd").mkdir(exist_ok=True)
    with Pty(
        [sys.executable, "-W", "error", __file__, "--drive", str(file)], folder / "cwd", typed=False, **environment
    ) as opened:
        raw = opened.rest()
    found = re.findall(rb"\r\n#(\d+)#\r\n(.*?)\r\n=(-?\d+)=\r\n", raw, re.DOTALL)
    assert [int(number) for number, _, _ in found] == list(range(len(lines))), raw[-3000:]
    return [
        ([repr(word) for word in line], int(status), said) for line, (_, said, status) in zip(lines, found, strict=True)
    ]


def app(arguments: list[str], folder: Path, use: Callable[[Pty], None]) -> bytes:
    """Run the app, use it, leave it; gives all that it sent."""
    folder.mkdir(parents=True, exist_ok=True)
    with Pty([sys.executable, "-m", "regtui", *arguments], folder, typed=True) as opened:
        use(opened)
        opened.press("\x03")
        return opened.rest()


def main() -> int:
    """Run everything in every turn and say what came through."""
    total, through, statuses = 0, 0, Counter[int]()
    began = time.monotonic()
    for turn in range(len(PAYLOADS)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            logs = make_logs(folder / "logs", turn)
            # Single payloads in names are the same in each turn.
            lines = command_lines(logs, folder, turn, every=len(PAYLOADS) if turn else 1)
            for line, status, said in run_lines(lines, folder):
                total += 1
                statuses[status] += 1
                found = leaks(said, frozenset(ENTER_AND_LEAVE))
                fault = b"fault of regtui" in said
                through += bool(found)
                if found or fault or status not in {0, 1, 2}:
                    print(turn, " ".join(line)[:200], status, found[:2], said[-300:] if fault else "")
        print(f"{turn + 1} of {len(PAYLOADS)} turns: {through} of {total} let something through", flush=True)
    print(
        f"{total} command lines in {time.monotonic() - began:.0f} s: {through} let something through; {dict(statuses)}"
    )
    return 1 if through else 0


ENTER_AND_LEAVE = ("\x1b[?1049h", "\x1b[?25l", "\x1b[?25h", "\x1b[?1049l")
"""What a replay at its pace sends to have a screen of its own."""

if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(Path(sys.argv[2]))
    else:
        sys.exit(main())
