"""In which format images are sent, and how good: what arguments or the environment ask for, and what a file is in."""

from __future__ import annotations

import os

from pytest_lmms.errors import UsageError, explain

FORMAT_VARIABLE = "LMMS_IMAGE_ENCODE_FORMAT"
QUALITY_VARIABLE = "LMMS_IMAGE_JPEG_QUALITY"
DEFAULT_QUALITY = 85
MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
"""Formats in which images are sent, and their mime types."""


def wanted_format(image_format: str | None) -> str | None:
    """The format that is asked for, by argument or LMMS_IMAGE_ENCODE_FORMAT; None where nobody asks.

    Raises:
        UsageError: It is none of PNG, JPEG (JPG) and WEBP.
    """
    said = image_format or os.environ.get(FORMAT_VARIABLE) or None
    if said is None:
        return None
    name = said.strip().upper()
    name = "JPEG" if name == "JPG" else name
    if name not in MIMES:
        raise UsageError(
            explain(
                f"unknown image format {said!r}",
                where="image_format" if image_format else FORMAT_VARIABLE,
                expected="PNG, JPEG or WEBP",
            )
        )
    return name


def wanted_quality(quality: int | None) -> int:
    """The quality that is asked for, by argument or LMMS_IMAGE_JPEG_QUALITY, else 85.

    Raises:
        UsageError: It is no whole number from 1 to 100.
    """
    if quality is not None:
        return whole_number(quality, "quality", 1, 100)
    return whole_number(os.environ.get(QUALITY_VARIABLE) or DEFAULT_QUALITY, QUALITY_VARIABLE, 1, 100)


def whole_number(said: int | str, where: str, least: int, most: int) -> int:
    """A number that somebody gave.

    Raises:
        UsageError: It is no whole number from `least` to `most`; `where` says who gave it.
    """
    try:
        number = int(said)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise UsageError(
            explain(f"{said!r} cannot be used", where=where, expected=f"a whole number from {least} to {most}")
        )
    return number


def sniff(data: bytes) -> str | None:
    """Name the format by a file's first bytes; None for any other."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None
