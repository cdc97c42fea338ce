"""Pages of PDF files as images (extra `pdf`), each drawn by a process that may be ended: see `_pdfium`."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, cast

from pytest_lmms.errors import MediaError, UsageError, explain
from pytest_lmms.media.reader_process import Watch

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 1 << 27
"""Of a page: 134 million, half a gigabyte; a sheet of A0 at 144 dots an inch has 32. A damaged page says anything."""
LIMIT_VARIABLE = "LMMS_PDF_PAGE_SECONDS"
DEFAULT_LIMIT_SECONDS = 60.0
"""For one page; most take a tenth of a second."""


def render_page(path: str | os.PathLike[str], number: int, *, dots_per_inch: int = 144) -> PIL.Image.Image:
    """Draw one page.

    Args:
        path: The PDF file.
        number: The page's number, 1 or more.
        dots_per_inch: Resolution; an A4 page at 144 is 1191 x 1684 pixels.

    Returns:
        The page in RGB.

    Raises:
        MediaError: No such file or page, no PDF, a damaged page, one of more than `MAX_PIXELS`, or one that takes more
            than `LMMS_PDF_PAGE_SECONDS` (60) or more than 4 GiB to draw.
        UsageError: pypdfium2 is not installed, or the variable is no number.
    """
    if importlib.util.find_spec("pypdfium2") is None:
        raise UsageError(explain("showing pages of PDF files needs pypdfium2", remedy="pip install 'pytest-lmms[pdf]'"))
    return _process(os.getpid()).draw(os.path.abspath(os.fsdecode(path)), number, dots_per_inch)


def _limit_seconds() -> float:
    said = os.environ.get(LIMIT_VARIABLE) or DEFAULT_LIMIT_SECONDS
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise UsageError(explain(f"{LIMIT_VARIABLE}={said}", expected="a number of seconds, more than 0"))
    return seconds


class _Process:
    """A process that draws one page after the other; another takes its place when it was ended."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def draw(self, path: str, number: int, dots_per_inch: int) -> PIL.Image.Image:
        """Draw a page; see `render_page`."""
        seconds = _limit_seconds()
        order = json.dumps([path, number, dots_per_inch, MAX_PIXELS]).encode() + b"\n"
        with self._turn:
            if self._child is None:
                self._child = _start()
            watch = Watch(self._child, seconds)
            try:
                with watch:
                    answer = _answered(self._child, order)
            except (EOFError, OSError, ValueError) as e:
                code = self.close()
                reason = f"it takes more than {seconds:g} s" if watch.has_ended_it else _why(code)
                remedy = f"leave the document out, or set {LIMIT_VARIABLE} higher" if watch.has_ended_it else None
                raise MediaError(explain(f"page {number} cannot be drawn: {reason}", where=path, remedy=remedy)) from e
            except BaseException:
                self.close()  # interrupted: what it would answer is no answer to the next order
                raise
        return _page(answer)

    def close(self) -> int | None:
        """End the process, and return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        child.communicate()
        return child.returncode


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from pytest_lmms.media._pdfium import serve; serve()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603


@functools.cache
def _process(pid: int) -> _Process:
    """One for each of our processes: a fork must not share pipes."""
    del pid
    process = _Process()
    atexit.register(process.close)
    return process


def _answered(child: subprocess.Popen[bytes], order: bytes) -> tuple[dict[str, Any], bytes]:
    """What is told of a page, and its pixels.

    Raises:
        EOFError: The process has ended.
    """
    to_child, from_child = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    to_child.write(order)
    to_child.flush()
    line = from_child.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    told = json.loads(line)
    width, height = told.get("size", (0, 0))
    pixels = from_child.read(width * height * 3)
    if len(pixels) < width * height * 3:
        raise EOFError
    return told, pixels


def _page(answer: tuple[dict[str, Any], bytes]) -> PIL.Image.Image:
    import PIL.Image

    told, pixels = answer
    if "error" in told:
        raise MediaError(told["error"])
    return PIL.Image.frombytes("RGB", tuple(told["size"]), pixels)


def _why(code: int | None) -> str:
    return f"PDFium's process ended with {code}, as it does when memory runs out or a page is damaged"
