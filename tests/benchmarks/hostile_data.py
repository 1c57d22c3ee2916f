"""Ten thousand hostile data files: none may raise anything but ConfigError, hang over 5 s, or take over 1 GB.

    python tests/benchmarks/hostile_data.py [files] [the number of the first]

Files are mutations of good ones (bits turned, cut off, spliced, headers that lie, types and shapes at random), made
from their number alone, beside a zoo made by hand. Children read them, the zoo's a child each, and are watched for
their processor time, which busy neighbours do not lengthen, and their peak of memory. Prints figures; exits 1 where a
file broke a promise.
"""

import contextlib
import io
import itertools
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

MOST_SECONDS = 5.0
MOST_BYTES = 1_000_000_000


def archive(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    """A zip of members as they are given, whether they are arrays or not."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(f"{name}.npy", content)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def header(descr: str, shape: str, order: str = "False", version: int = 1) -> bytes:
    """The head of an array, true or not."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode("latin1")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


X = np.random.default_rng(0).random((60, 5))
Y = np.arange(60) % 3
GOOD = {
    "stored.npz": archive(zipfile.ZIP_STORED, x_train=npy(X), y_train=npy(Y), x_test=npy(X[:9]), y_test=npy(Y[:9])),
    "packed.npz": archive(x_train=npy((X * 255).astype(np.uint8)), y_train=npy(np.array(list("abc"))[Y])),
    "wide.npz": archive(x_train=npy(np.asfortranarray(X)), y_train=npy(Y.astype(np.float16))),
    "plain.csv": "\n".join(",".join(f"{v:.3f}" for v in row) + f",{y}" for row, y in zip(X, Y, strict=True)).encode(),
    "named.csv": b'a,"b, c",kind\r\n' + b"".join(b'%d,%d,"kind %d"\r\n' % (r, r % 7, r % 3) for r in range(60)),
}


def zoo() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Files made by hand, each for one way to do harm."""
    y = npy(Y)

    def zeros(megabytes: int, descr: str = "'<f4'", size: int = 4) -> bytes:
        rows = 600
        count = megabytes * 1_000_000 // (rows * size)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            with packed.open("x_train.npy", "w", force_zip64=True) as member:
                member.write(header(descr, f"({rows}, {count})"))
                left = rows * count * size
                piece = bytes(1 << 20)
                while left:
                    left -= member.write(piece[: min(left, len(piece))])
            packed.writestr("y_train.npy", npy(np.arange(rows) % 3))
        return out.getvalue()

    def entries(count: int) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            for number in range(count):
                packed.writestr(f"{number}", b"")
        return out.getvalue()

    def patched(data: bytes, sign: bytes, at: int, value: bytes) -> bytes:
        """Turn a field of the last record with a sign: PK12 is the directory's, PK56 the end's."""
        begin = data.rindex(sign) + at
        return data[:begin] + value + data[begin + len(value) :]

    good = GOOD["packed.npz"]
    yield "bomb-3gb.npz", lambda: zeros(3000)
    yield "bomb-just-below.npz", lambda: zeros(590)
    yield "bomb-float64.npz", lambda: zeros(600, "'<f8'", 8)
    yield (
        "bomb-header.npz",
        lambda: archive(x_train=b"\x93NUMPY\x02\x00" + struct.pack("<I", 10**9) + bytes(10**8), y_train=y),
    )
    yield (
        "bomb-labels.npz",
        lambda: archive(x_train=npy(X), y_train=header("'<U1000000'", "(60,)") + bytes(240_000_000)),
    )
    for name, shape in {
        "overflow": "(4294967296, 4294967296, 4294967296)",
        "huge": "(1000000000000, 1)",
        "negative": "(-60, -5)",
        "true": "(True, 5)",
        "float": "(6e1, 5)",
        "deep": "(" + "1," * 3000 + ")",
        "nested": "(" * 3000,
        "none": "None",
        "zeros": "(60, 0, 99999999999999999999)",
    }.items():
        for descr in ("'<f4'", "'|b1'", "[('a', '<f4')]", "'|O'", "'<U99999999'", "'<U0'", "'>f8'", "'<f16'", "'V0'"):
            yield (
                f"shape-{name}-{descr.strip(chr(39)).strip('[(')[:6].strip('<>|')}.npz",
                lambda d=descr, s=shape: archive(x_train=header(d, s) + bytes(1200), y_train=y),
            )
    yield "text-of-no-signs.npz", lambda: archive(x_train=npy(X), y_train=header("'<U1'", "(60,)") + b"\xff" * 240)
    yield (
        "labels-surrogates.npz",
        lambda: archive(x_train=npy(X), y_train=header("'<U1'", "(60,)") + struct.pack("<2I", 0xD800, 0x1B) * 30),
    )
    yield "labels-billion.npz", lambda: archive(x_train=npy(X), y_train=npy(Y * 10**9))
    yield "labels-control.npz", lambda: archive(x_train=npy(X), y_train=npy(np.array(["\x1b]0;title\x07"] * 60)))
    yield (
        "classes-million.npz",
        lambda: archive(
            x_train=npy(np.zeros((2_000_000, 1), np.uint8)), y_train=npy(np.arange(2_000_000, dtype=np.int32) // 2)
        ),
    )
    yield (
        "bools.npz",
        lambda: archive(
            x_train=header("'|b1'", "(60, 5)") + os.urandom(300), y_train=header("'|b1'", "(60,)") + bytes(range(60))
        ),
    )
    yield "longer-than-declared.npz", lambda: archive(x_train=npy(X) + bytes(10**6), y_train=y)
    yield "shorter-than-declared.npz", lambda: archive(x_train=npy(X)[:-8], y_train=y)
    yield "names.npz", lambda: archive(**{"../../etc/passwd": y, "\x1b[2J": y, "x" * 60_000: y})
    yield "lzma.npz", lambda: archive(zipfile.ZIP_LZMA, x_train=npy(X), y_train=y)
    yield "bzip2.npz", lambda: archive(zipfile.ZIP_BZIP2, x_train=npy(X), y_train=y)
    yield "encrypted.npz", lambda: patched(good, b"PK\x01\x02", 8, b"\x01\x00")
    yield "method.npz", lambda: patched(good, b"PK\x01\x02", 10, b"\x63\x00")
    yield "crc.npz", lambda: patched(good, b"PK\x01\x02", 16, b"\0\0\0\0")
    yield "size-lie.npz", lambda: patched(good, b"PK\x01\x02", 24, b"\xfe\xff\xff\x7f")
    yield "zip64-lie.npz", lambda: patched(good, b"PK\x01\x02", 24, b"\xff\xff\xff\xff")
    yield "directory-far.npz", lambda: patched(good, b"PK\x05\x06", 16, b"\xff\xff\xff\x7f")
    yield "directory-long.npz", lambda: patched(good, b"PK\x05\x06", 12, b"\xff\xff\xff\x7f")
    yield "entries.npz", lambda: entries(60_000)
    yield "twice.npz", lambda: _twice(y)
    yield "empty.npz", lambda: archive()
    yield "end-of-line-none.csv", lambda: b"1," * 30_000_000
    yield "one-long-number.csv", lambda: b"1" * 60_000_000
    yield "columns-million.csv", lambda: b"\n".join([b"1," * 1_000_000 + b"%d" % (row % 2) for row in range(12)])
    yield "columns-four-million.csv", lambda: b"\n".join([b"1," * 4_100_000 + b"%d" % (row % 2) for row in range(4)])
    yield "lines-without-cells.csv", lambda: b"\n" * 30_000_000
    yield "rows-many.csv", lambda: b"1,0\n2,1\n" * 3_000_000
    yield "quote-open.csv", lambda: b'1,"2\n' + b"3,4\n" * 2_000_000
    yield "quotes-all.csv", lambda: b'"1.5","2","a"\n"2","3","b"\n' * 100_000
    yield "quotes-commas.csv", lambda: b'1,2,"a, b"\n2,3,"c, b"\n' * 100_000
    yield "labels-million.csv", lambda: b"".join(b"1,a%d\n" % (row // 2) for row in range(2_000_000))
    yield "label-long.csv", lambda: b"1," + b"a" * 8_000_000 + b"\n" + b"1,b\n2,c\n" * 500_000
    yield "nul.csv", lambda: GOOD["plain.csv"] + b"\n1,\0,3"
    yield "utf16.csv", lambda: GOOD["plain.csv"].decode().encode("utf-16")
    yield "utf16-bare.csv", lambda: GOOD["plain.csv"].decode().encode("utf-16-le")
    yield "bom.csv", lambda: b"\xef\xbb\xbf" + GOOD["named.csv"]
    yield "bom-alone.csv", lambda: b"\xef\xbb\xbf"
    yield "mac.csv", lambda: GOOD["plain.csv"].replace(b"\n", b"\r")
    yield "numbers-odd.csv", lambda: b"1_0,0x10,1\n" + b"1e400,-1e400,2\n" * 40
    yield "digits-long.csv", lambda: b"\n".join([b"1" * 5000 + b",2,%d" % (row % 2) for row in range(40)])
    yield "control.csv", lambda: GOOD["plain.csv"] + b"\n1,\x1b[2J\x1b]52;c;AAAA\x07,3"
    yield "ragged.csv", lambda: GOOD["plain.csv"] + b"\n1,2\n"


def _twice(y: bytes) -> bytes:
    import warnings

    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as packed:
        warnings.simplefilter("ignore")
        for name in ("x_train.npy", "x_train.npy", "y_train.npy"):
            packed.writestr(name, npy(X) if "x" in name else y)
    return out.getvalue()


def mutated(number: int) -> tuple[str, bytes]:
    """Make the hostile file of a number: the same one always."""
    chance = random.Random(number)
    name = chance.choice(list(GOOD))
    data = bytearray(GOOD[name])
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = bytes([data[at] ^ 1 << chance.randrange(8)]) if data else b""
            case 1:
                del data[at:]
            case 2:
                del data[at : at + chance.randrange(1, 200)]
            case 3:
                data[at:at] = chance.randbytes(chance.randrange(1, 50))
            case 4:
                other = GOOD[chance.choice(list(GOOD))]
                begin = chance.randrange(len(other))
                data[at:at] = other[begin : begin + chance.randrange(1, 500)]
            case 5:
                word = chance.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b'"', b"\n", b",", b"\0", b"1e999")
                )
                data[at : at + len(word)] = word
            case _:
                if name.endswith(".npz"):
                    return f"{number}.npz", _odd(chance)
    return f"{number}{Path(name).suffix}", bytes(data)


def _odd(chance: random.Random) -> bytes:
    """A whole archive of arrays whose types, shapes and lengths nobody checked."""

    def one(label: bool) -> bytes:
        descr = chance.choice(
            ("<f4", "<f8", "|u1", "<i8", ">i2", "|b1", "<U3", "<f2", "<c8", "<M8[s]", "<f16", "|S2", "<u8")
        )
        shape = (
            (60,) if label else tuple(chance.choice((60, 1, 0, 2, 5, 2**31, 2**62)) for _ in range(chance.randrange(4)))
        )
        truth = int(np.prod(shape, dtype=object)) * np.dtype(descr).itemsize
        held = truth if truth < 10_000 and chance.random() < 0.8 else chance.randrange(2000)
        return header(
            repr(descr), repr(shape), chance.choice(("False", "True")), chance.choice((1, 1, 2, 3))
        ) + chance.randbytes(held)

    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    return archive(
        method,
        **{
            key: one(key.startswith("y")) for key in ("x_train", "y_train", "x_test", "y_test") if chance.random() < 0.9
        },
    )


def outcome(path: Path) -> str:
    """Read a file, and say how that ended: `read`, `refused`, or what is wrong with it."""
    from regtui.core.config import ConfigError, RunConfig
    from regtui.datasets import load

    try:
        load(RunConfig(dataset=str(path)))
    except ConfigError as error:
        said = str(error)
        return (
            "refused" if said.isprintable() and len(said) < 600 else f"a sentence of {len(said)} signs: {said[:99]!r}"
        )
    except BaseException as error:
        return f"raised {type(error).__name__}: {error}"
    return "read"


def peak_kilobytes() -> int:
    """Memory at its peak; where Linux says it, without that of the process from which this one was split."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve() -> None:
    """Be the child: read the files that are named on standard input, and say how each ended."""
    for line in sys.stdin:
        began = time.process_time()
        said = outcome(Path(line.rstrip("\n")))
        print(json.dumps([said, time.process_time() - began, peak_kilobytes()]), flush=True)


def files(count: int, first: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    yield from zoo()
    for number in range(first, first + count):
        yield mutated(number)[0], lambda number=number: mutated(number)[1]


def main(count: int = 10_000, first: int = 0) -> int:
    counts: Counter[str] = Counter()
    slowest, heaviest, broken = (0.0, ""), (0, ""), []
    names = itertools.count()
    child: subprocess.Popen[str] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name, make in files(count, first):
            path = Path(folder) / f"{next(names)}-{name.replace('/', '_')}"
            path.write_bytes(make())
            own = not name[0].isdigit()  # the zoo's are read by a child each, so that peaks are theirs
            if child is None or own:
                _end(child)
                child = subprocess.Popen(
                    [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
                _ask(child, Path(folder) / "nothing.csv")  # what is imported once is not the file's
            said, seconds, peak = _ask(child, path)
            if peak * 1024 > MOST_BYTES:
                said = f"took {peak / 1e6:.2f} GB ({said})"
            if seconds > MOST_SECONDS:
                said = f"took {seconds:.1f} s ({said})"
            counts[said if said in ("read", "refused") else "broken"] += 1
            if said not in ("read", "refused"):
                broken.append(f"{name}: {said}")
            slowest, heaviest = max(slowest, (seconds, name)), max(heaviest, (peak, name))
            if own:
                print(f"{name:34} {said:8} {seconds:6.2f} s {peak / 1000:7.0f} MB", flush=True)
            if own or said not in ("read", "refused"):
                _end(child)
                child = None
            path.unlink()
    _end(child)
    print(f"{sum(counts.values()):,} files: " + ", ".join(f"{number:,} {kind}" for kind, number in counts.items()))
    print(f"slowest {slowest[0]:.2f} s ({slowest[1]}), heaviest {heaviest[0] / 1000:.0f} MB ({heaviest[1]})")
    for line in broken:
        print("BROKEN", line)
    return 1 if broken else 0


def _ask(child: "subprocess.Popen[str]", path: Path) -> tuple[str, float, int]:
    """Let a child read a file; one that takes ten times too long is ended."""
    watch = threading.Timer(10 * MOST_SECONDS, child.kill)
    watch.start()
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{path}\n")
        child.stdin.flush()
        answer = child.stdout.readline()
    finally:
        watch.cancel()
    if not answer:
        return "hung, or ended its process", 10 * MOST_SECONDS, 0
    said, seconds, peak = json.loads(answer)
    return said, seconds, peak


def _end(child: "subprocess.Popen[str] | None") -> None:
    if child is not None:
        child.communicate()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
