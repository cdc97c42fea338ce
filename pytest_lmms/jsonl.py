"""JSON, one value a line, fast. Written for records and responses, of which there are many.

orjson does the work (measured on records of a few hundred bytes: 5 times faster than the standard library, which was
a fifth of the time spent on a document). What it refuses, lone surrogates and integers beyond 64 bits, goes through
the standard library, so that no text a model can produce is lost.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson


def dumps(value: Any, *, default: Callable[[Any], Any] | None = None, sort_keys: bool = False) -> bytes:
    """Encode a value as JSON without white space, in UTF-8, without a line end.

    Args:
        value: JSON values; a float must be finite.
        default: Turns what is no JSON value into one.
        sort_keys: Whether keys are sorted, so that equal mappings give equal bytes.

    Raises:
        TypeError: A value that is no JSON, and no `default`; or one nested deeper than Python writes.
    """
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except (TypeError, ValueError) as refused:
        try:
            text = json.dumps(value, default=default, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False)
        except RecursionError:
            raise TypeError("nested too deeply for JSON") from refused
        return text.encode()


def loads(data: bytes) -> Any:
    """Decode one JSON value.

    Raises:
        ValueError: The bytes are no JSON, or nested deeper than Python reads (about a thousand levels).
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as refused:
        try:
            return json.loads(data)
        except RecursionError:
            raise refused from None


class LineFile:
    """A file that one process appends whole lines to, handed to the operating system at once.

    Half a line, left by a kill or by a full disk, costs itself and never the line after it.
    """

    def __init__(self, path: Path) -> None:
        """Open a file for appending, or make it; its folder must be there."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        size = os.fstat(self._fd).st_size
        self._is_torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"
        self._writing = threading.Lock()

    def write(self, lines: bytes) -> None:
        """Append lines, the last one with its line end too.

        Raises:
            OSError: Not all of it could be written, e.g. because the disk is full. Later writes start a new line.
            FileNotFoundError: Somebody has removed the file, so that nobody will read what is written.
        """
        with self._writing:
            rest = memoryview(b"\n" + lines if self._is_torn else lines)
            self._is_torn = True
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            self._is_torn = False
            if os.fstat(self._fd).st_nlink == 0 and not self._path.exists():
                raise FileNotFoundError(errno.ENOENT, "the file was removed during the run", str(self._path))

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
