"""Images as text: base64 for providers that take images inside JSON.

Knows no task, no model and no provider. Bytes that are already a PNG, JPEG or WEBP file are passed on as they are:
encoding a 1080p image anew costs 20 to 400 ms and can only lose. What had to be encoded is kept, by the content of
the image.
"""

from __future__ import annotations

import base64
import io
import math
import mimetypes
import os
from dataclasses import dataclass, field

import PIL.Image

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media import wholeness
from pytest_lmms.media.files import read_whole
from pytest_lmms.media.image import LazyImage, open_image, reference
from pytest_lmms.media.image_format import MIMES, sniff, wanted_format, wanted_quality, whole_number
from pytest_lmms.media.lance_blob import loaded
from pytest_lmms.media.memo import Memo
from pytest_lmms.media.notes import note
from pytest_lmms.media.references import digest
from pytest_lmms.records import MediaRef

CACHE_VARIABLE = "LMMS_IMAGE_PATH_CACHE_MAX_ITEMS"
DEFAULT_CACHED_IMAGES = 256
_CACHE_BYTES = 256 << 20
_PLAIN_MODES = frozenset({"RGB", "L", "1"})
"""Modes that look the same to every reader; others (palette, alpha, CMYK, 16-bit) are drawn out to RGB first."""
_SHRINK = 0.75
"""At least so much smaller with each try to stay below a limit."""
_SMALLEST_SIDE_PX = 64

ImageLike = PIL.Image.Image | MediaRef | str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedImage:
    """An image as it goes into a request."""

    mime: str
    """``image/png``, ``image/jpeg`` or ``image/webp``."""
    text: str = field(repr=False)
    """Base64 of the encoded file."""
    flags: tuple[str, ...] = ()
    """What the limit on size did to it, noted for the record: ``image_reencoded`` (as JPEG, all pixels there), or
    ``image_reduced:WIDTHxHEIGHT->WIDTHxHEIGHT``."""

    @property
    def uri(self) -> str:
        """``data:<mime>;base64,<text>``."""
        return f"data:{self.mime};base64,{self.text}"


def encode_image(
    image: ImageLike,
    *,
    image_format: str | None = None,
    quality: int | None = None,
    default_format: str = "PNG",
    max_bytes: int | None = None,
) -> EncodedImage:
    """Encode an image for a JSON message.

    Args:
        image: A PIL image, a reference or a path.
        image_format: ``PNG``, ``JPEG`` (or ``JPG``) or ``WEBP``, in any case. None: the environment variable
            LMMS_IMAGE_ENCODE_FORMAT, read at each call, else the format that the bytes already have, else
            `default_format`.
        quality: 1 to 100, for JPEG and WEBP. None: LMMS_IMAGE_JPEG_QUALITY, else 85.
        default_format: For images that have no format yet, when nobody names one.
        max_bytes: Of the encoded file, before base64 makes it a third larger. An image above it becomes a JPEG where
            no format was asked for, then smaller until it fits; `flags` say so.

    Returns:
        The file's own bytes when they are whole, upright, in a format and size that will do and of a mode that needs
        no conversion; else what was encoded anew. That is kept, up to LMMS_IMAGE_PATH_CACHE_MAX_ITEMS (256) images
        and 256 MiB, by content: equal images are encoded once, also when they are asked for at the same time.

    Raises:
        MediaError: The image cannot be read, or does not fit with 64 pixels a side.
        UsageError: Unknown format, or a quality or count that is no number in its range.
    """
    ref = _as_reference(image)
    wanted = wanted_format(image_format)
    passed = _pass_through(ref, wanted)
    if passed is not None and (max_bytes is None or len(passed[1]) <= max_bytes):
        return EncodedImage(mime=passed[0], text=base64.b64encode(passed[1]).decode("ascii"))
    settings = (wanted, default_format, wanted_quality(quality), max_bytes)
    count = whole_number(os.environ.get(CACHE_VARIABLE, DEFAULT_CACHED_IMAGES), CACHE_VARIABLE, 0, 1 << 31)
    encoded = _encoded.get((digest(ref), settings), lambda: _encode(ref, *settings), max_items=count)
    for flag in encoded.flags:
        note(flag)
    return encoded


def encode_image_to_base64(
    image: ImageLike,
    *,
    image_format: str | None = None,
    quality: int | None = None,
    default_format: str = "PNG",
    max_bytes: int | None = None,
) -> tuple[str, str]:
    """Encode an image for a JSON message.

    Arguments and errors are those of `encode_image`.

    Returns:
        The mime type (``image/png``) and the base64 text of the encoded file.
    """
    encoded = encode_image(
        image, image_format=image_format, quality=quality, default_format=default_format, max_bytes=max_bytes
    )
    return encoded.mime, encoded.text


def data_uri(
    image: ImageLike,
    *,
    image_format: str | None = None,
    quality: int | None = None,
    default_format: str = "PNG",
    max_bytes: int | None = None,
) -> str:
    """Encode an image as ``data:<mime>;base64,<text>``; arguments and errors are those of `encode_image`."""
    encoded = encode_image(
        image, image_format=image_format, quality=quality, default_format=default_format, max_bytes=max_bytes
    )
    return encoded.uri


def file_uri(ref: MediaRef) -> str:
    """Put a whole file (a video) into ``data:<mime>;base64,<text>``, as it is.

    Raises:
        MediaError: It cannot be read, or is no file but something decoded.
    """
    ref = loaded(ref)
    data = ref.data
    if data is None and ref.path is not None:
        try:
            data = read_whole(ref.path)
        except OSError as error:
            raise MediaError(explain(f"cannot be read: {error.strerror}", where=ref.path)) from error
    if data is None:
        raise MediaError(explain(f"this {ref.kind} has no file that could be sent whole", expected="a path or bytes"))
    mime = mimetypes.guess_type(ref.path or "")[0] or f"{ref.kind}/mp4"
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def forget() -> None:
    """Drop what is kept."""
    _encoded.clear()


_encoded: Memo[EncodedImage] = Memo(max_bytes=_CACHE_BYTES, size_of=lambda encoded: len(encoded.text))


def _as_reference(image: ImageLike) -> MediaRef:
    if isinstance(image, MediaRef):
        content = image.content
        return reference(content) if isinstance(content, LazyImage) else loaded(image)
    if isinstance(image, PIL.Image.Image):
        return reference(image)
    return MediaRef(kind="image", path=os.fspath(image))


# --- passing on


def _pass_through(ref: MediaRef, wanted: str | None) -> tuple[str, bytes] | None:
    """Return mime and bytes of a file that can be sent as it is, else None."""
    data = ref.data
    if data is None and ref.path is not None:
        try:
            data = read_whole(ref.path)
        except OSError:
            return None
    if not data:
        return None
    name = sniff(data)
    if name is None or (wanted is not None and wanted != name):
        return None
    image = LazyImage.from_bytes(data)
    try:
        upright = image.format == name
        plain = image.mode in _PLAIN_MODES
    except MediaError:
        return None
    # What no local model could open is not sent either: drawing it anew says what is wrong with it.
    return (MIMES[name], data) if upright and plain and wholeness.is_whole_image(data) else None


# --- encoding


def _encode(
    ref: MediaRef, wanted: str | None, default_format: str, quality: int, max_bytes: int | None
) -> EncodedImage:
    image = open_image(ref)
    flags: tuple[str, ...] = ()
    name = wanted or default_format
    data = _save(image, name, quality)
    if max_bytes is not None and len(data) > max_bytes:
        name, data, flags = _reduce(image, wanted, quality, max_bytes, ref)
    return EncodedImage(mime=MIMES[name], text=base64.b64encode(data).decode("ascii"), flags=flags)


def _reduce(
    image: PIL.Image.Image, wanted: str | None, quality: int, max_bytes: int, ref: MediaRef
) -> tuple[str, bytes, tuple[str, ...]]:
    """Encode as JPEG unless a format is wanted, then smaller and smaller, until it fits."""
    name = wanted or "JPEG"
    width, height = image.size
    data = _save(image, name, quality)
    if len(data) <= max_bytes:
        return name, data, ("image_reencoded",)
    scale = 1.0
    while min(width, height) * scale > _SMALLEST_SIDE_PX:
        guess = math.sqrt(max_bytes / len(data))
        scale *= min(_SHRINK, guess)
        scale = max(scale, _SMALLEST_SIDE_PX / min(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        data = _save(image.resize(size, PIL.Image.Resampling.LANCZOS), name, quality)
        if len(data) <= max_bytes:
            return name, data, (f"image_reduced:{width}x{height}->{size[0]}x{size[1]}",)
    raise MediaError(
        explain(
            f"an image of {width}x{height} pixels does not fit into {max_bytes:,} bytes",
            where=ref.path,
            remedy="raise the limit on the size of an image, or use JPEG with a lower quality",
        )
    )


def _save(image: PIL.Image.Image, name: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    options = {} if name == "PNG" else {"quality": quality}
    try:
        image.save(buffer, name, **options)
    except (OSError, ValueError) as error:  # a JPEG has at most 65,535 pixels a side, a WEBP 16,383
        width, height = image.size
        raise MediaError(
            explain(f"an image of {width}x{height} pixels cannot be encoded as {name}: {error}", expected="PNG")
        ) from error
    return buffer.getvalue()
