"""Whether files of JSON can be given to pyarrow, whose parser ends the process on rows that are too deep.

Reads the files once in pieces and builds nothing of them: 400 MB take 1 s, or 3 s where each row is long and full of
brackets. `datasets` gives files that begin with a list to another parser, which refuses such rows by itself.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_lmms.errors import DatasetError, explain
from pytest_lmms.tasks.allowance import ALWAYS_BYTES, MAX_RATIO

MAX_LEVELS = 1_000
"""Of one row; pyarrow 25 bears about ten thousand, Python's own parser a thousand."""
MAX_LINE_BYTES = 128 << 20
"""Of one row; pyarrow parses a longer line again and again, with twice the memory each time."""
_PIECE_BYTES = 4 << 20
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(byte for byte in range(256) if byte not in b"[{]}")
_LINES = frozenset({".jsonl", ".ndjson"})
_OPENERS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open),
)  # fmt: skip
"""What `datasets` unpacks by its first bytes."""


def check(paths: Iterable[Path]) -> None:
    """Look at files, in whatever order they come.

    Raises:
        DatasetError: A row is nested too deeply or too long, or a file unpacks to too much; it names file and line.
    """
    for path in paths:
        with contextlib.suppress(OSError, EOFError, zlib.error, lzma.LZMAError):  # whoever reads it says so
            _check(path)


def _check(path: Path) -> None:
    is_lines = bool(_LINES & set(path.suffixes))
    with _opened(path) as file:
        if file.peek(1)[:1] == b"[":
            return
        for number, line, size in _long_lines(file, path):
            if size > MAX_LINE_BYTES and is_lines:
                raise _refused(path, number, f"a line of more than {MAX_LINE_BYTES:,} bytes")
            if _may_be_deep(line) and _levels(line) > MAX_LEVELS:
                raise _refused(path, number, f"more than {MAX_LEVELS:,} lists and mappings inside each other")


def strings(value: Any) -> Iterator[str]:
    """The texts of `data_files` in any of its forms."""
    if isinstance(value, str):
        yield value
    elif value is not None:
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        beginning = file.read(8)
    opener = next((opener for magic, opener in _OPENERS if beginning.startswith(magic)), None)
    return opener(path) if opener else path.open("rb")


def _long_lines(file: Any, path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Lines that are long enough to be wrong: number, what is read of them, how long they are at least.

    Of a line that is longer than `MAX_LINE_BYTES` no more than that is given at once, and the rest as the same line.
    """
    number, size, num_read = 1, 0, 0
    held: list[bytes] = []
    most = max(ALWAYS_BYTES, MAX_RATIO * path.stat().st_size)
    while piece := file.read(_PIECE_BYTES):
        num_read += len(piece)
        if num_read > most:
            raise _refused(path, number, f"it unpacks to more than {MAX_RATIO} times its size, and than {most:,} bytes")
        *whole, rest = piece.split(b"\n")
        for line in whole:
            size += len(line)
            if size > MAX_LEVELS:
                yield number, b"".join((*held, line)), size
            number, held, size = number + 1, [], 0
        held.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            yield number, b"".join(held), size
            held = []
    if size > MAX_LEVELS:
        yield number, b"".join(held), size


def _may_be_deep(line: bytes) -> bool:
    return line.count(b"[") + line.count(b"{") > MAX_LEVELS


def _levels(line: bytes) -> int:
    """How deeply a line is nested, brackets in texts left out."""
    import numpy as np

    brackets = _TEXT.sub(b"", line).translate(_BRACKETS, _OTHERS)
    steps = np.frombuffer(brackets, np.int8)
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))


def _refused(path: Path, number: int, what: str) -> DatasetError:
    return DatasetError(
        explain(
            what,
            where=f"{path}:{number}",
            expected="a row of JSON that pyarrow can read",
            remedy="keep such a value as text, or as a file beside the rows",
        )
    )
