"""Whether a file of sound ends where its header says: decoders give what is there and say nothing.

Reads headers only; decodes nothing.
"""

from __future__ import annotations

import io
from typing import BinaryIO

_UNKNOWN_SIZE = 0x7FFFFF00
"""From here on, the size in a WAV header means: written to a pipe, up to the end of the file."""
_OGG_SEARCH_BYTES = 1 << 17
"""An Ogg page is at most 65,307 bytes."""


def missing(file: BinaryIO) -> str | None:
    """Say what a WAV or Ogg file lacks; None when nothing is known to lack.

    Args:
        file: At its beginning; left there.
    """
    beginning = file.read(12)
    size = file.seek(0, io.SEEK_END)
    problem = None
    if beginning[:4] == b"RIFF" and beginning[8:] == b"WAVE":
        problem = _of_wave(file, size)
    elif beginning[:4] == b"OggS":
        problem = _of_ogg(file, size)
    file.seek(0)
    return problem


def _of_wave(file: BinaryIO, size: int) -> str | None:
    position = 12
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            there = size - position - 8
            if length <= there or length >= _UNKNOWN_SIZE:
                return None
            return f"it is truncated: {there:,} of {length:,} bytes of samples"
        position += 8 + length + length % 2
    return None


def _of_ogg(file: BinaryIO, size: int) -> str | None:
    """The last page's table of segments says how long it is."""
    start = max(0, size - _OGG_SEARCH_BYTES)
    file.seek(start)
    end = file.read()
    page = end.rfind(b"OggS")
    if page < 0:
        return None
    num_segments = end[page + 26] if page + 26 < len(end) else 0
    table = end[page + 27 : page + 27 + num_segments]
    whole = page + 27 + num_segments + sum(table)
    if page + 27 <= len(end) and len(table) == num_segments and whole <= len(end):
        return None
    return "it is truncated: its last page is incomplete"
