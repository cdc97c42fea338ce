"""Whether a sound, a video or an image ends where its own headers say: decoders give what is there and say nothing.

Reads headers and checksums; decodes nothing.
"""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

_UNKNOWN_SIZE = 0x7FFFFF00
"""From here on, the size in a WAV header means: written to a pipe, up to the end of the file."""
_SEGMENT = b"\x18\x53\x80\x67"
"""The element that holds everything in a Matroska file but its header."""
_MATROSKA_PARTS = frozenset(
    bytes.fromhex(part)
    for part in (
        *("114d9b74", "1549a966", "1654ae6b", "1254c367", "1043a770", "1941a469", "1c53bb6b", "1f43b675"),
        *("ec", "bf", "e7", "a7", "ab", "a3", "a0"),
    )
)
"""Elements of a segment (4 bytes: what is told of the file, clusters) and of a cluster (1 byte: its time, frames)."""
_MAX_PARTS = 200_000
"""Of a file that are looked at: hours of a recording."""
_OGG_SEARCH_BYTES = 1 << 17
"""An Ogg page is at most 65,307 bytes."""

_CUT_PART = "it is truncated: its last part is incomplete"


def missing(file: BinaryIO) -> str | None:
    """Say what a WAV, Ogg, Matroska (WebM), AVI or fragmented MP4 file lacks; None when nothing is known to lack.

    Args:
        file: At its beginning; left there.
    """
    beginning = file.read(12)
    size = file.seek(0, io.SEEK_END)
    problem = None
    if beginning[:4] == b"RIFF" and beginning[8:] == b"WAVE":
        problem = _of_wave(file, size)
    elif beginning[:4] == b"RIFF" and beginning[8:] == b"AVI ":
        problem = _shorter(size, 8 + int.from_bytes(beginning[4:8], "little"))
    elif beginning[:4] == b"\x1a\x45\xdf\xa3":
        problem = _of_matroska(file, size)
    elif beginning[:4] == b"OggS":
        problem = _of_ogg(file, size)
    elif beginning[4:8] == b"ftyp":
        problem = _of_fragments(file, size)
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


def _shorter(size: int, said: int) -> str | None:
    return f"it is truncated: {size:,} of {said:,} bytes" if size < said else None


def _of_matroska(file: BinaryIO, size: int) -> str | None:
    """The segment says how long it is, unless it was written to a pipe; then its parts say how long they are."""
    length, position = _matroska_length(file, 4)
    if length is None:
        return None
    file.seek(position + length)
    if file.read(4) != _SEGMENT:
        return None
    length, position = _matroska_length(file, position + length + 4)
    return _of_matroska_parts(file, position, size) if length is None else _shorter(size, position + length)


def _of_matroska_parts(file: BinaryIO, position: int, size: int) -> str | None:
    """Go from part to part, into those that do not say how long they are, to the one that should end the file."""
    for _ in range(_MAX_PARTS):
        if position == size:
            return None
        file.seek(position)
        name = file.read(4)
        name = name[: 9 - name[0].bit_length()]
        if name not in _MATROSKA_PARTS:  # damaged, or the end lies in a name
            is_cut = position + 4 > size and any(part.startswith(name) for part in _MATROSKA_PARTS)
            return _CUT_PART if is_cut else None
        length, start = _matroska_length(file, position + len(name))
        if start == position + len(name):
            return _CUT_PART
        if length is not None and start + length > size:
            return _shorter(size, start + length)
        position = start + (length or 0)
    return None


def _matroska_length(file: BinaryIO, position: int) -> tuple[int | None, int]:
    """Read an element's length; None where it is unknown (all ones); and where its content begins.

    Where the length itself is cut, it is None, and the content begins where the length does.
    """
    file.seek(position)
    data = file.read(8)
    num_bytes = 9 - data[0].bit_length() if data else 9
    if num_bytes > len(data):
        return None, position
    mask = (1 << 7 * num_bytes) - 1
    length = int.from_bytes(data[:num_bytes], "big") & mask
    return None if length == mask else length, position + num_bytes


def _of_fragments(file: BinaryIO, size: int) -> str | None:
    """An MP4 in fragments, a `moof` before each `mdat`, has no index of the whole; any other is left to its index."""
    position, before, has_fragments = 0, b"", False
    for _ in range(_MAX_PARTS):
        file.seek(position)
        header = file.read(16)
        name, length = header[4:8], int.from_bytes(header[:4], "big")
        if length == 1:  # it stands behind the name
            length = int.from_bytes(header[8:], "big")
        has_fragments = has_fragments or name == b"moof"
        if len(header) < 8:
            return _CUT_PART if has_fragments and (header or before == b"moof") else None
        if (name == b"mdat" and not has_fragments) or not name.isalnum() or length < 8:  # 0: up to the file's end
            return None
        position, before = position + length, name
        if position > size:
            return _shorter(size, position) if has_fragments else None
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


def is_whole_image(data: bytes) -> bool:
    """Whether a PNG, JPEG or WEBP file has its end, and a PNG's checksums are right; False when that is not known."""
    if data.startswith(b"\x89PNG"):
        return _is_whole_png(data)
    if data.startswith(b"\xff\xd8"):
        return _is_whole_jpeg(data)
    return data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 <= len(data)


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether the end marker follows the first scan; before that, it may be of a thumbnail in the header."""
    position = 2
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        if data[position + 1] == 0xDA:
            return data.find(b"\xff\xd9", position) >= 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _is_whole_png(data: bytes) -> bool:
    view, position = memoryview(data), 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big") or end + 4 > len(data):
            return False
        if kind == b"IEND":
            return True
        position = end + 4
    return False
