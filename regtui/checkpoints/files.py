"""Checkpoints on the disk: a folder each, whole or not there, whatever happens while it is written.

`checkpoints/last` and `checkpoints/best` beside the log hold the framework's files and `checkpoint.json`, which says
what they are, how long, and what the run was at that moment. A new one is made under another name, put on the disk and
renamed; the one before it keeps a name until then. So a kill or a full disk leaves a whole one.
"""

import contextlib
import json
import os
import shutil
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from regtui.checkpoints.state import RunState
from regtui.core.config import RunConfig
from regtui.folders import PRIVATE_FILE, make_folder
from regtui.readers import LOG_NAME, LogError

FORMAT = 1
"""Version of what lies in a checkpoint's folder."""

FOLDER = "checkpoints"
MANIFEST = "checkpoint.json"

Kind = Literal["last", "best"]
Keep = Literal["best", "last", "both", "none"]
"""Which checkpoints a run keeps."""

KEEP: dict[Keep, tuple[Kind, ...]] = {"best": ("best",), "last": ("last",), "both": ("best", "last"), "none": ()}
"""In the order in which they are written: the loop's numbers in `last` then name no best that is not there."""

BLOCK_BYTES = 1 << 20

LARGEST_MANIFEST = 1 << 20
"""Bytes; ours take two thousand."""


class CheckpointError(LogError):
    """There is no checkpoint to go on from; says why in one sentence."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says of itself."""

    format: int = FORMAT
    regtui: str
    """Version of regtui that wrote it."""
    run_id: str
    config: RunConfig
    """As the run had it; the log's may be written otherwise, to be printable."""
    keep: Keep
    """Which checkpoints the run keeps."""
    framework: str
    framework_version: str
    device: str
    data: str
    """Digest of the rows and labels that it trains on and is measured with."""
    state: RunState
    files: dict[str, tuple[int, int]] = {}
    """Name -> bytes and their CRC-32."""


def folder_of(log: Path) -> Path:
    """Give the folder of the checkpoints of the run that writes a log."""
    return log.with_name(FOLDER if log.name == LOG_NAME else f"{log.name}.{FOLDER}")


def write(folder: Path, kind: Kind, manifest: Manifest, save: Callable[[Path], None], *, share: bool = False) -> None:
    """Put a checkpoint in the place of the one of its kind; raises OSError, and whatever `save` raises.

    `save` writes the framework's files into a folder. Whatever it raises, the one that was there is there still.
    """
    _check_ours(folder, share=share)
    made, final, old = folder / f".{kind}.new", folder / kind, folder / f".{kind}.old"
    _remove(made)
    try:
        make_folder(made, share=share)
        save(made)
        files = {path.name: _digest(path) for path in sorted(made.iterdir())}
        (made / MANIFEST).write_bytes(_written(msgspec.structs.replace(manifest, files=files)))
        for path in made.iterdir():
            if not share:
                path.chmod(PRIVATE_FILE)
            _sync(path)
        _sync(made)
        if final.exists():
            _remove(old)
            final.rename(old)
        made.rename(final)
        _sync(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(made)
        raise
    _remove(old)


def sweep(folder: Path) -> None:
    """Take away what a killed run left half done; for whoever writes here."""
    for kind in ("last", "best"):
        with contextlib.suppress(OSError):
            _remove(folder / f".{kind}.new")
            if (folder / kind).exists():
                _remove(folder / f".{kind}.old")


def place_of(folder: Path, kind: Kind) -> Path | None:
    """Give the folder of the newest checkpoint of a kind that was finished; None where there is none."""
    # Between two renamings the one before has the other name.
    return next((path for path in (folder / kind, folder / f".{kind}.old") if path.is_dir()), None)


def read(place: Path) -> Manifest:
    """Read what a checkpoint says of itself, and look whether its files are whole; raises CheckpointError."""
    try:
        _check_regular(place / MANIFEST)
        with (place / MANIFEST).open("rb") as file:
            manifest = _read(file.read(LARGEST_MANIFEST))
        for name, expected in manifest.files.items():
            if name != Path(name).name:
                raise CheckpointError(f"{MANIFEST} names a file elsewhere")
            _check_regular(place / name)
            if _digest(place / name) != expected:
                raise CheckpointError(f"{name} is not as it was written")
    except OSError as error:
        name = Path(error.filename or place).name
        raise CheckpointError(f"{name} cannot be read: {error.strerror or error}") from None
    return manifest


def _written(manifest: Manifest) -> bytes:
    text = json.dumps(msgspec.to_builtins(manifest))
    return f'{{"crc32": {zlib.crc32(text.encode())}, "checkpoint": {text}}}\n'.encode()


def _read(data: bytes) -> Manifest:
    try:
        found = json.loads(data)
        written = found["checkpoint"]
        if zlib.crc32(json.dumps(written).encode()) != found["crc32"]:
            raise CheckpointError(f"{MANIFEST} is not as it was written")
        if written["format"] != FORMAT:
            raise CheckpointError(f"it was written by another version of regtui, {written['regtui']}")
        return msgspec.convert(written, Manifest)
    except (ValueError, KeyError, TypeError, RecursionError, msgspec.ValidationError):
        raise CheckpointError(f"{MANIFEST} is not as it was written") from None


def _check_ours(folder: Path, *, share: bool) -> None:
    """Make the folder where it is missing; raises OSError where something of that name is not a folder of ours."""
    with contextlib.suppress(FileExistsError):
        make_folder(folder, share=share)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise NotADirectoryError(f"{folder} is no folder of one's own")


def _check_regular(path: Path) -> None:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise CheckpointError(f"{path.name} is no file")


def _digest(path: Path) -> tuple[int, int]:
    """Give a file's bytes and their CRC-32: what a disk or a copy has changed is seen, at the price of reading."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
