"""Damaged files from whole ones: cut, zeroed, flipped, spliced, with changed sizes; the same for the same seed."""

from __future__ import annotations

import random
import struct


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to three ways.

    Args:
        whole: A file that can be read, at least 64 bytes.
        rng: Decides everything.
    """
    data = bytearray(whole)
    for _ in range(rng.randint(1, 3)):
        rng.choice(_WAYS)(data, rng)
    return bytes(data)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 8, 64, 512))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _flip_head(data: bytearray, rng: random.Random) -> None:
    """Where containers keep what they say of themselves: the first and the last 2,000 bytes."""
    for _ in range(rng.choice((1, 4, 16))):
        if data:
            place = rng.randrange(min(2000, len(data)))
            data[place if rng.random() < 0.5 else -1 - place] = rng.randrange(256)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    length = min(rng.choice((4, 100, 5000)), len(data) - start)
    data[start : start + length] = rng.randbytes(length) if rng.random() < 0.5 else bytes(length)


def _number(data: bytearray, rng: random.Random) -> None:
    """A length, a count or an offset that is far too large, or nothing."""
    if len(data) >= 8:
        place = rng.randrange(len(data) - 4)
        value = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x01000000))
        data[place : place + 4] = struct.pack(rng.choice((">I", "<I")), value)


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 16, 3000))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = data[start : start + rng.choice((1, 16, 3000))]


_WAYS = (_cut, _flip, _flip_head, _overwrite, _number, _remove, _repeat)
