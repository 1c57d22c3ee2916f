"""The checksum of TensorBoard's records: CRC-32C (Castagnoli), of one message or of many of one length at once.

A CRC is linear over exclusive or, so what a byte adds to it depends only on the byte and on its distance from the end:
one table a distance, and messages that differ in a few columns need those columns alone.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Checksums = NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, its bits turned round."""

CHUNK = 1024
"""Bytes of a long message taken in at once: their tables fill 1 MB, which a processor's cache holds."""


def crc32c(message: bytes | memoryview) -> int:
    """Give the checksum of a message."""
    state = 0xFFFFFFFF
    whole = np.frombuffer(message, dtype=np.uint8)
    for start in range(0, len(whole), CHUNK):
        part = whole[start : start + CHUNK].copy()
        held = min(4, len(part))
        part[:held] ^= np.frombuffer(state.to_bytes(4, "little"), dtype=np.uint8)[:held]
        rest = state >> (8 * held)
        tables = _tables(len(part))
        state = rest ^ int(np.bitwise_xor.reduce(tables[np.arange(len(part) - 1, -1, -1), part]))
    return state ^ 0xFFFFFFFF


def crc32c_of_rows(rows: Bytes, differing: Sequence[int]) -> Checksums:
    """Give the checksum of each row, shape (n, length), when rows differ from the first in the columns named only."""
    size = rows.shape[1]
    tables = _tables(size)
    known = crc32c(rows[0].tobytes())
    for column in differing:
        known ^= int(tables[size - 1 - column][rows[0, column]])
    found = np.full(len(rows), known, dtype=np.uint32)
    for column in differing:
        found ^= tables[size - 1 - column].take(rows[:, column])
    return found


def masked(crc: int) -> int:
    """Turn a checksum into what a record holds, so that records within records do not look sound."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def masked_rows(crc: Checksums) -> Checksums:
    """Do as `masked` with each of many."""
    return (crc >> np.uint32(15) | crc << np.uint32(17)) + np.uint32(0xA282EAD8)


def _tables(size: int) -> Checksums:
    """Give what each byte adds by its distance from the end, shape (at least size, 256)."""
    return _so_many_tables(max(64, 1 << (size - 1).bit_length()))


@lru_cache(maxsize=8)
def _so_many_tables(size: int) -> Checksums:
    tables = np.zeros((size, 256), dtype=np.uint32)
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, first >> 1 ^ np.uint32(POLYNOMIAL), first >> 1)
    tables[0] = first
    for distance in range(1, size):
        before = tables[distance - 1]
        tables[distance] = first[before & 0xFF] ^ before >> 8
    return tables
