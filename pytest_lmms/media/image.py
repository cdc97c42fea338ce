"""Images as models want them: upright and RGB.

`open_image` is what adapters call; `LazyImage` is what task code gets in place of a decoded image column. Knows no
task and no model.
"""

from __future__ import annotations

from typing import Any

import PIL.Image

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media.decode_image import decode, unreadable
from pytest_lmms.media.lance_blob import loaded
from pytest_lmms.media.lazy_image import LazyImage, reference
from pytest_lmms.records import MediaRef

__all__ = ["LazyImage", "open_image", "reference"]


def open_image(ref: MediaRef) -> PIL.Image.Image:
    """Open an image as models want it: decoded, upright, RGB.

    Args:
        ref: An image by path, by encoded bytes, or as an object (PIL image, uint8 array (height,
            width), (height, width, 3) or (height, width, 4), or the ``{"bytes", "path"}`` mapping
            of `datasets`).

    Returns:
        A PIL image of mode RGB. Other modes are converted as PIL's plain ``convert`` does (alpha is dropped, not
        composited), but for greys of more than 8 bits, which PIL would cut off at 255: they keep their upper 8 bits.
        An EXIF orientation is applied to encoded images and not to objects, which are taken as they are.

    Raises:
        MediaError: Missing, a folder, empty, truncated, not an image, too large, or only a web
            address; the message names the file and the reason.
    """
    ref = loaded(ref)
    where = _where(ref)
    if ref.content is not None:
        image = _from_object(ref.content, where)
    else:
        image = decode(ref.data, ref.path, where)
    try:
        image = _of_eight_bits(image)
        if ref.mode is not None and ref.mode != image.mode:
            image = image.convert(ref.mode)
        return image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, ValueError) as error:
        raise unreadable(where, error) from error


def shrunk(image: PIL.Image.Image, max_side_px: int) -> PIL.Image.Image:
    """Return the image itself, or a copy, in its proportions, whose longer side is `max_side_px` pixels."""
    if max(image.size) <= max_side_px:
        return image
    small = image.copy()
    small.thumbnail((max_side_px, max_side_px))
    return small


def _from_object(content: Any, where: str) -> PIL.Image.Image:
    if isinstance(content, PIL.Image.Image):
        return content
    if isinstance(content, dict) and ("bytes" in content or "path" in content):
        return decode(content.get("bytes"), content.get("path"), where)
    if hasattr(content, "__array_interface__"):
        try:
            return PIL.Image.fromarray(content)
        except (TypeError, ValueError) as error:
            form = f"{getattr(content, 'dtype', '?')} {getattr(content, 'shape', '?')}"
            raise MediaError(
                explain(
                    f"an array of {form} is no image",
                    where=where,
                    expected="uint8 of (height, width), (height, width, 3) or (height, width, 4)",
                )
            ) from error
    raise MediaError(
        explain(
            f"an object of type {type(content).__name__} is no image",
            where=where,
            expected="a PIL image or a uint8 array; encoded bytes are `data=`, not `content=`",
        )
    )


def _where(ref: MediaRef) -> str:
    if ref.path is not None:
        return ref.path
    if ref.url is not None:
        return ref.url
    return "image in memory"


def _of_eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale greys of 16 bits down and fractions up; every other image as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    import numpy as np

    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values)
        is_fraction = values.min() >= 0 and values.max() <= 1
        return PIL.Image.fromarray(np.rint(np.clip(values * (255 if is_fraction else 1), 0, 255)).astype(np.uint8))
    if image.mode == "I" and not 255 < values.max() <= 65535:
        return image  # 8 bits in a wide mode, or no brightness at all
    return PIL.Image.fromarray((values >> 8).astype(np.uint8))
