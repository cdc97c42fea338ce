"""Encoded images to upright pixels, in the steps of `datasets`: one image is the same pixels on either way."""

from __future__ import annotations

import io
from typing import Any

import PIL.Image

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media.files import read_whole

ORIENTATION_TAG = 0x0112
"""Of EXIF: how the camera was held."""


def decode(data: bytes | None, path: str | None, where: str) -> PIL.Image.Image:
    """Decode and turn upright.

    The steps are those of `datasets`, so that an image is the same pixels on either way.
    """
    from PIL import ImageOps

    source = data
    try:
        if data is None:
            if path is None:
                raise MediaError(
                    explain(
                        "this image is only a web address",
                        where=where,
                        remedy="download it, or use a model that takes addresses",
                    )
                )
            source = read_file(path)
        opened = PIL.Image.open(io.BytesIO(source or b""))
        if path is not None:
            opened.filename = path
        if opened.format == "EPS":
            raise MediaError(
                explain(
                    "cannot open the image: PostScript is a program, which would be run",
                    where=where,
                    expected="pixels, as in PNG, JPEG or WebP",
                    remedy="convert it where that does no harm",
                )
            )
        opened.load()
        image: PIL.Image.Image = opened
        if image.getexif().get(ORIENTATION_TAG) is not None:
            image = ImageOps.exif_transpose(image)
    except MediaError:
        raise
    except Exception as error:
        raise unreadable(where, error, source) from error
    return image


def read_file(path: str) -> bytes:
    """Read a whole file; `MediaError` when it cannot be read."""
    try:
        return read_whole(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(where: str, error: Exception, source: Any = None) -> MediaError:
    """Say in words why an image cannot be read."""
    if isinstance(error, FileNotFoundError):
        reason = "no such file"
    elif isinstance(error, IsADirectoryError):
        reason = "this is a folder, not an image"
    elif isinstance(error, OSError) and error.errno is not None:
        reason = error.strerror or str(error)
    elif isinstance(source, bytes) and not source:
        reason = "the file is empty (0 bytes)"
    elif isinstance(error, PIL.Image.DecompressionBombError):
        limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0)
        return MediaError(
            explain(
                f"cannot open the image: it is too large: {error}",
                where=where,
                expected=f"at most {limit:,} pixels, so that no small file fills the memory",
                remedy="for images that you trust, raise PIL.Image.MAX_IMAGE_PIXELS in conftest.py",
            )
        )
    elif isinstance(error, PIL.UnidentifiedImageError):
        size = f" ({len(source):,} bytes)" if isinstance(source, bytes) else ""
        reason = f"not an image that PIL can read{size}"
    else:
        reason = f"the image is damaged or truncated: {error}"
    return MediaError(explain(f"cannot open the image: {reason}", where=where))
