"""LevelDB's log framing, as W&B writes it: records in chunks, chunks in blocks, each with its checksum.

A file is 7 bytes of header, which the first block counts as its own, and blocks of 32 KiB. A chunk is a checksum
(uint32, CRC of IEEE over the type and the payload), a length (uint16) and a type: 1 a whole record, 2 the first part
of one, 3 another, 4 the last. No chunk crosses the end of a block; fewer than 7 bytes there are padding.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from zlib import crc32

from regtui.readers.opening import opened

MAGIC = b":W&B\xe1\xbe\x00"
"""What a file begins with: the letters, 0xBEE1 and version 0."""

BLOCK = 32_768
CHUNK = Struct("<IHB")
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4

BYTES_AT_ONCE = 32 * BLOCK
"""Read at once: 1 MiB."""

MOST_RECORD = 16 << 20
"""A record of a million names is no row of numbers."""

FINGERPRINT_BYTES = 512
"""The first records of a file name its run."""


class ChunkFile:
    """The records of a file that another process may be writing, each once; opened for each look, never held open."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read before the first look."""
        self.path = path
        self.damaged = 0
        """Places at which the file could not be read on and the next block was gone to."""
        self._at = len(MAGIC)
        """Where the next chunk begins."""
        self._parts: list[bytes] = []
        self._held = 0
        self._identity: tuple[int, int] | None = None
        self._seen: tuple[int, int] = (0, 0)
        self._fingerprint = b""

    def news(self) -> bool | None:
        """Tell whether there may be records that have not been given out; None for another file by now."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 # asked at each look
        except OSError:
            return False
        seen = (status.st_size, status.st_mtime_ns)
        if seen == self._seen or not stat.S_ISREG(status.st_mode):
            return False
        identity = (status.st_dev, status.st_ino)
        if self._identity not in (None, identity) or status.st_size < max(self._seen[0], 0):
            return None
        head = self._read(0, FINGERPRINT_BYTES)
        if not head.startswith(self._fingerprint):
            return None
        self._identity, self._seen, self._fingerprint = identity, seen, head
        return head.startswith(MAGIC)

    def records(self) -> Iterator[bytes]:
        """Give the whole records that have been written since the last look."""
        while True:
            start = self._at - self._at % BLOCK
            data = self._read(start, BYTES_AT_ONCE)
            yield from self._chunks(data, start)
            if len(data) < BYTES_AT_ONCE:
                return

    def _chunks(self, data: bytes, start: int) -> Iterator[bytes]:
        """Read on in what was read from the start of a block."""
        at, size, view = self._at - start, len(data), memoryview(data)
        unpack, head = CHUNK.unpack_from, CHUNK.size
        while True:
            room = BLOCK - at % BLOCK
            if room < head:
                at += room
                continue
            if at + head > size:
                break
            checksum, length, kind = unpack(data, at)
            end = at + head + length
            fits = length <= room - head and WHOLE <= kind <= LAST
            if fits and end > size:
                break
            if not fits or crc32(view[at + head - 1 : end]) != checksum:
                if at + room >= size:
                    # In the newest block what is wrong now may be half written.
                    break
                self.damaged += 1
                self._parts.clear()
                at = self._after_a_hole(start + at + room, zero=not (length or kind)) - start
                continue
            at = end
            self._at = start + at
            if kind == WHOLE:
                yield data[end - length : end]
            elif (record := self._joined(data[end - length : end], kind)) is not None:
                yield record
        self._at = start + at

    def _joined(self, part: bytes, kind: int) -> bytes | None:
        """Put a record together from its parts; None until it is whole."""
        if kind == FIRST:
            self._parts, self._held = [part], len(part)
            return None
        if not self._parts:
            return None  # its first part was damaged, or it is too long
        self._parts.append(part)
        self._held += len(part)
        if self._held > MOST_RECORD:
            self.damaged += 1
            self._parts.clear()
            return None
        if kind == MIDDLE:
            return None
        record = b"".join(self._parts)
        self._parts.clear()
        return record

    def _after_a_hole(self, at: int, *, zero: bool) -> int:
        """Give the start of the next block that was written at all: nothing is in a hole of a sparse file."""
        if not zero:
            return at
        try:
            with opened(self.path) as file:
                end = os.fstat(file).st_size
                found = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                return at
            # Nothing but a hole up to the end.
            found = end
        except AttributeError:
            # A system that does not tell.
            return at
        return max(at, found - found % BLOCK)

    def _read(self, at: int, size: int) -> bytes:
        try:
            with opened(self.path) as file:
                return os.pread(file, size, at)
        except OSError:
            return b""
