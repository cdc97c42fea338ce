"""Images as text: base64 for providers that take images inside JSON.

Knows no task, no model and no provider. Bytes that are already a PNG, JPEG or WEBP file are passed
on as they are: encoding a 1080p image anew costs 20 to 400 ms and can only lose.
"""

from __future__ import annotations

import base64
import io
import mimetypes
import os

import PIL.Image

from pytest_lmms.errors import MediaError, UsageError, explain
from pytest_lmms.media.image import LazyImage, open_image, reference
from pytest_lmms.records import MediaRef

FORMAT_VARIABLE = "LMMS_IMAGE_ENCODE_FORMAT"
QUALITY_VARIABLE = "LMMS_IMAGE_JPEG_QUALITY"
DEFAULT_QUALITY = 85
_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_PLAIN_MODES = frozenset({"RGB", "L", "1"})
"""Modes that look the same to every reader; others (palette, alpha, CMYK, 16-bit) are drawn out to
RGB first.
"""


def encode_image_to_base64(
    image: PIL.Image.Image | MediaRef | str | os.PathLike[str],
    *,
    image_format: str | None = None,
    quality: int | None = None,
    default_format: str = "PNG",
) -> tuple[str, str]:
    """Encode an image for a JSON message.

    Args:
        image: A PIL image, a reference or a path.
        image_format: ``PNG``, ``JPEG`` (or ``JPG``) or ``WEBP``, in any case. None: the
            environment variable LMMS_IMAGE_ENCODE_FORMAT, read at each call, else the format that
            the bytes already have, else `default_format`.
        quality: 1 to 100, for JPEG and WEBP. None: LMMS_IMAGE_JPEG_QUALITY, else 85.
        default_format: For images that have no format yet, when nobody names one.

    Returns:
        The mime type (``image/png``) and the base64 text of the encoded file. The file's own bytes
        are used when they are in a format that will do, upright, and of a mode that needs no
        conversion.

    Raises:
        MediaError: The image cannot be read.
        UsageError: Unknown format, or a quality that is no number from 1 to 100.
    """
    ref = _as_reference(image)
    wanted = _wanted_format(image_format)
    passed = _pass_through(ref, wanted)
    if passed is not None:
        mime, data = passed
    else:
        mime, data = _encode(open_image(ref), wanted or default_format, _wanted_quality(quality))
    return mime, base64.b64encode(data).decode("ascii")


def data_uri(
    image: PIL.Image.Image | MediaRef | str | os.PathLike[str],
    *,
    image_format: str | None = None,
    quality: int | None = None,
    default_format: str = "PNG",
) -> str:
    """Encode an image as ``data:<mime>;base64,<text>``.

    Arguments and errors are those of `encode_image_to_base64`.
    """
    mime, text = encode_image_to_base64(
        image, image_format=image_format, quality=quality, default_format=default_format
    )
    return f"data:{mime};base64,{text}"


def fitting_data_uri(ref: MediaRef, max_bytes: int | None) -> str:
    """As `data_uri`, for servers that take only files up to a size.

    Args:
        ref: An image.
        max_bytes: Of the encoded file. A larger one is encoded as JPEG, at half the width and height until it fits.

    Raises:
        MediaError: The image cannot be read.
    """
    uri = data_uri(ref)
    if max_bytes is None or _decoded_size(uri) <= max_bytes:
        return uri
    image = open_image(ref)
    while True:
        uri = data_uri(image, image_format="JPEG")
        if _decoded_size(uri) <= max_bytes or min(image.size) < 2:
            return uri
        image = image.resize((image.width // 2, image.height // 2))


def file_uri(ref: MediaRef) -> str:
    """Put a whole file (a video) into ``data:<mime>;base64,<text>``, as it is.

    Raises:
        MediaError: It cannot be read, or is no file but something decoded.
    """
    data = ref.data
    if data is None and ref.path is not None:
        try:
            with open(ref.path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise MediaError(explain(f"cannot be read: {error.strerror}", where=ref.path)) from error
    if data is None:
        raise MediaError(explain(f"this {ref.kind} has no file that could be sent whole", expected="a path or bytes"))
    mime = mimetypes.guess_type(ref.path or "")[0] or f"{ref.kind}/mp4"
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _decoded_size(uri: str) -> int:
    """Bytes of the file inside a data URI."""
    return (len(uri) - uri.index(",") - 1) * 3 // 4


def _as_reference(image: PIL.Image.Image | MediaRef | str | os.PathLike[str]) -> MediaRef:
    if isinstance(image, MediaRef):
        content = image.content
        return reference(content) if isinstance(content, LazyImage) else image
    if isinstance(image, PIL.Image.Image):
        return reference(image)
    return MediaRef(kind="image", path=os.fspath(image))


def _wanted_format(image_format: str | None) -> str | None:
    said = image_format or os.environ.get(FORMAT_VARIABLE) or None
    if said is None:
        return None
    name = said.strip().upper()
    name = "JPEG" if name == "JPG" else name
    if name not in _MIMES:
        raise UsageError(
            explain(
                f"unknown image format {said!r}",
                where="image_format" if image_format else FORMAT_VARIABLE,
                expected="PNG, JPEG or WEBP",
            )
        )
    return name


def _wanted_quality(quality: int | None) -> int:
    said: int | str = quality if quality is not None else os.environ.get(QUALITY_VARIABLE, "")
    if said == "":
        return DEFAULT_QUALITY
    try:
        number = int(said)
    except ValueError:
        number = 0
    if not 1 <= number <= 100:
        raise UsageError(
            explain(
                f"an image quality of {said!r}",
                where="quality" if quality is not None else QUALITY_VARIABLE,
                expected="a whole number from 1 to 100",
            )
        )
    return number


def _pass_through(ref: MediaRef, wanted: str | None) -> tuple[str, bytes] | None:
    """Return mime and bytes of a file that can be sent as it is, else None."""
    data = ref.data
    if data is None and ref.path is not None:
        try:
            with open(ref.path, "rb") as file:
                data = file.read()
        except OSError:
            return None
    if not data:
        return None
    name = _sniff(data)
    if name is None or (wanted is not None and wanted != name):
        return None
    image = LazyImage.from_bytes(data)
    try:
        upright = image.format == name
        plain = image.mode in _PLAIN_MODES
    except MediaError:
        return None
    return (_MIMES[name], data) if upright and plain else None


def _sniff(data: bytes) -> str | None:
    """Name the format by the file's first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def _encode(image: PIL.Image.Image, name: str, quality: int) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    if name == "PNG":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, name, quality=quality)
    return _MIMES[name], buffer.getvalue()
