"""Pages of PDF files in a process of their own. The one importer of pypdfium2; `pdf` starts it, and may end it.

PDFium cannot be interrupted, and a page of some kilobytes may have it draw for hours or unpack gigabytes. Orders are
lines of JSON on standard input, answers on standard output, with the pixels after them.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from typing import Any

import pypdfium2

from pytest_lmms.errors import MediaError, explain

POINTS_PER_INCH = 72
MEMORY_BYTES = 4 << 30


def draw(path: str, number: int, dots_per_inch: int, most_pixels: int) -> Any:
    """Draw one page; see `pdf.render_page`.

    Raises:
        MediaError: No such file or page, no PDF, a damaged page, or one of too many pixels.
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except (pypdfium2.PdfiumError, OSError) as e:
        raise MediaError(explain(f"cannot open: {e}", where=path, expected="a PDF file")) from e
    try:
        if not 1 <= number <= len(document):
            raise MediaError(explain(f"no page {number}", where=path, expected=f"1 to {len(document)}"))
        page, scale = document[number - 1], dots_per_inch / POINTS_PER_INCH
        width, height = (side * scale for side in page.get_size())
        if width * height > most_pixels:
            raise MediaError(
                explain(
                    f"page {number} would be {width:,.0f} x {height:,.0f} pixels",
                    where=path,
                    expected=f"at most {most_pixels:,} pixels",
                    remedy="draw it at fewer dots_per_inch",
                )
            )
        return page.render(scale=scale).to_pil().convert("RGB")
    except pypdfium2.PdfiumError as e:
        raise MediaError(explain(f"page {number} cannot be drawn: {e}", where=path)) from e
    finally:
        document.close()


def serve() -> None:
    """Draw pages, as orders on standard input say, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever gives orders is interrupted, and ends this
    with contextlib.suppress(ValueError):  # less is allowed already
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        try:
            page = draw(*json.loads(line))
        except MediaError as e:
            answers.write(json.dumps({"error": str(e)}).encode() + b"\n")
        else:
            answers.write(json.dumps({"size": page.size}).encode() + b"\n" + page.tobytes())
        answers.flush()
