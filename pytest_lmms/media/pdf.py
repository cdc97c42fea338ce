"""Pages of PDF files as images. The one importer of pypdfium2 (extra `pdf`)."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pytest_lmms.errors import MediaError, UsageError, explain

if TYPE_CHECKING:
    import PIL.Image

POINTS_PER_INCH = 72
MAX_PIXELS = 1 << 27
"""Of a page: 134 million, half a gigabyte; a sheet of A0 at 144 dots an inch has 32. A damaged page says anything."""
_lock = threading.Lock()
"""PDFium is not made for several threads at once."""


def render_page(path: str | os.PathLike[str], number: int, *, dots_per_inch: int = 144) -> PIL.Image.Image:
    """Draw one page.

    Args:
        path: The PDF file.
        number: The page's number, 1 or more.
        dots_per_inch: Resolution; an A4 page at 144 is 1191 x 1684 pixels.

    Returns:
        The page in RGB.

    Raises:
        MediaError: No such file or page, no PDF, a damaged page, or one of more than `MAX_PIXELS`.
        UsageError: pypdfium2 is not installed.
    """
    try:
        import pypdfium2
    except ImportError as e:
        raise UsageError(
            explain("showing pages of PDF files needs pypdfium2", remedy="pip install 'pytest-lmms[pdf]'")
        ) from e
    with _lock:
        try:
            document = pypdfium2.PdfDocument(os.fspath(path))
        except (pypdfium2.PdfiumError, OSError) as e:
            raise MediaError(explain(f"cannot open: {e}", where=os.fspath(path), expected="a PDF file")) from e
        try:
            if not 1 <= number <= len(document):
                raise MediaError(explain(f"no page {number}", where=os.fspath(path), expected=f"1 to {len(document)}"))
            page, scale = document[number - 1], dots_per_inch / POINTS_PER_INCH
            width, height = (side * scale for side in page.get_size())
            if width * height > MAX_PIXELS:
                raise MediaError(
                    explain(
                        f"page {number} would be {width:,.0f} x {height:,.0f} pixels",
                        where=os.fspath(path),
                        expected=f"at most {MAX_PIXELS:,} pixels",
                        remedy="draw it at fewer dots_per_inch",
                    )
                )
            return page.render(scale=scale).to_pil().convert("RGB")  # type: ignore[no-any-return]
        except pypdfium2.PdfiumError as e:
            raise MediaError(explain(f"page {number} cannot be drawn: {e}", where=os.fspath(path))) from e
        finally:
            document.close()
