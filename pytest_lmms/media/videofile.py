"""What is known of a video's file before a decoder opens it: there, not cut, of a kind a backend survives."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media import wholeness
from pytest_lmms.media.kinds import is_indexed_video


def refuse_nothing(source: str | bytes, where: str) -> None:
    """Say what is wrong where there is no file to read."""
    if isinstance(source, str):
        if os.path.isdir(source):
            reason = "this is a folder"
        elif not os.path.exists(source):
            reason = "no such file"
        else:
            reason = "" if os.stat(source).st_size else "the file is empty (0 bytes)"
    else:
        reason = "" if source else "it is empty (0 bytes)"
    if reason:
        raise MediaError(explain(f"cannot be read as a video: {reason}", where=where))


def refuse_shortened(source: Any, where: str) -> None:
    """Say so where a file is shorter than its own header says: decoders take that for the video's end.

    Args:
        source: Path, encoded file, or open binary file, which is left at its beginning.
        where: Names the source in errors.

    Raises:
        MediaError: It is cut, or cannot be opened.
    """
    try:
        with _opened(source) as file:
            problem = wholeness.missing(file)
    except OSError as e:
        raise MediaError(explain(f"cannot be read as a video: {e.strerror or e}", where=where)) from e
    if problem:
        raise MediaError(explain(f"cannot be read as a video: {problem}", where=where))


def is_safe_for_torchcodec(source: Any) -> bool:
    """Whether a file is of a kind whose damage TorchCodec reports: over some transport streams it ends the process."""
    try:
        with _opened(source) as file:
            return is_indexed_video(file.read(12))
    except OSError:
        return True  # the reader says what is wrong


@contextlib.contextmanager
def _opened(source: Any) -> Iterator[Any]:
    """A file at its beginning; one that is open already stays open, and is put back there."""
    if isinstance(source, str):
        with open(source, "rb") as opened:
            yield opened
        return
    file: Any = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    file.seek(0)
    yield file
    file.seek(0)
