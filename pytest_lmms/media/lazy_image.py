"""A PIL image that reads nothing until somebody needs its pixels; what task code gets for an image column.

`reference` turns it, or any PIL image, into a `MediaRef`.
"""

from __future__ import annotations

import io
import os
from typing import Any

import PIL.Image

from pytest_lmms.media.decode_image import ORIENTATION_TAG, decode, read_file, unreadable
from pytest_lmms.media.files import check_regular
from pytest_lmms.records import MediaRef

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""

_HEADER_IS_TRUE = frozenset({"JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF"})
"""Formats whose size and mode before loading are those after loading."""

_STATE = ("_im", "_mode", "_size", "palette", "_readonly", "_exif", "im", "readonly", "pyaccess")
"""Attributes in which a PIL image keeps its pixels (the last three: Pillow before 11)."""

_PNG_LATE_CHUNKS = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})


def reference(image: PIL.Image.Image) -> MediaRef:
    """Turn an image into a reference.

    Args:
        image: Any PIL image.

    Returns:
        For a `LazyImage` that nobody has decoded: its bytes or path, with the mode noted by
        ``convert``; nothing is decoded. For every other image, a decoded lazy one included: the
        image itself as `content`, with whatever was painted on it.
    """
    if isinstance(image, LazyImage):
        encoded = image.encoded_reference()
        if encoded is not None:
            return encoded
    return MediaRef(kind="image", content=image)


class LazyImage(PIL.Image.Image):
    """A PIL image that decodes itself when somebody needs its pixels.

    Until then ``size``, ``mode``, ``format`` and ``info`` read the header only, and
    ``convert("RGB")`` returns another lazy image. Everything else decodes once and gives what the
    decoded, upright image gives, as `datasets` would have handed it out.

    It works by absence: PIL keeps an image's pixels in a few attributes, which a new lazy image
    lacks. The first access to one of them arrives in `__getattr__`, which decodes and fills them
    all; from then on PIL's own methods run as on any image.
    """

    _source: bytes | str | None = None
    _wanted_mode: str | None = None
    _decoded: PIL.Image.Image | None = None
    _header: PIL.Image.Image | None = None
    _orientation: int | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> LazyImage:
        """Make a lazy image of an encoded file in memory; nothing is read."""
        image = cls.__new__(cls)
        image._source = data
        return image

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> LazyImage:
        """Make a lazy image of a file; nothing is opened."""
        image = cls.__new__(cls)
        image._source = os.fspath(path)
        return image

    def encoded_reference(self) -> MediaRef | None:
        """Return where the encoded image lies; None once decoded, as it may have been changed."""
        if self._source is None or self._decoded is not None:
            return None
        if isinstance(self._source, bytes):
            return MediaRef(kind="image", data=self._source, mode=self._wanted_mode)
        return MediaRef(kind="image", path=self._source, mode=self._wanted_mode)

    # Looking without decoding

    @property
    def format(self) -> str | None:
        """Name of the file format, None after a conversion or a turn, as on any PIL image."""
        if "_format" in self.__dict__:
            return self.__dict__["_format"]  # type: ignore[no-any-return]
        if self._source is None or self._wanted_mode is not None:
            return None
        if self._decoded is not None:
            return self._decoded.format
        header = self._read_header()
        return None if self._orientation is not None else header.format

    @format.setter
    def format(self, value: str | None) -> None:
        self.__dict__["_format"] = value

    @property
    def format_description(self) -> str | None:  # type: ignore[override]
        """The format in words; decodes."""
        if self._source is None:
            return None
        return self._decode().format_description

    def convert(self, mode: str | None = None, *args: Any, **kwargs: Any) -> PIL.Image.Image:
        """Convert as PIL does; a plain ``convert("RGB")`` before decoding only notes the mode."""
        undecoded = self._source is not None and self._decoded is None
        if mode == "RGB" and undecoded and not args and not kwargs and "_format" not in self.__dict__:
            image = LazyImage.__new__(LazyImage)
            image._source = self._source
            image._wanted_mode = "RGB"
            return image
        return super().convert(mode, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Supply what the instance lacks; PIL finds its state here the first time it looks."""
        if self._source is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name in ("_mode", "_size", "info"):
            self._look(name)
            return self.__dict__[name]
        if name in _STATE:
            self._decode()
            if name in self.__dict__:
                return self.__dict__[name]
        elif not name.startswith("_"):
            return getattr(self._decode(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _look(self, name: str) -> None:
        """Fill `_mode`, `_size` or `info` from the header where it tells the truth, else decode."""
        if self._decoded is not None:
            self._decode()
            return
        header = self._read_header()
        if header.format not in _HEADER_IS_TRUE or (header.format == "PNG" and self._has_late_chunks()):
            self._decode()
        elif name == "_size":
            width, height = header.size
            turned = self._orientation in _TURNED
            self.__dict__["_size"] = (height, width) if turned else (width, height)
        elif name == "_mode":
            self.__dict__["_mode"] = self._wanted_mode or header.mode
        elif self._orientation is None and self._wanted_mode is None and header.format != "WEBP":
            self.__dict__["info"] = dict(header.info)
        else:
            self._decode()

    def _read_header(self) -> PIL.Image.Image:
        if self._header is None:
            where = self._name()
            try:
                source = self._source
                if isinstance(source, str):
                    check_regular(source)
                with PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as header:
                    if header.format in _HEADER_IS_TRUE:
                        # The base method: a PNG's own decodes, to look for EXIF behind the pixels.
                        exif = PIL.Image.Image.getexif(header)
                        self._orientation = exif.get(ORIENTATION_TAG)
                    self._header = header
            except Exception as error:
                raise unreadable(where, error, self._source) from error
        return self._header

    def _has_late_chunks(self) -> bool:
        """Whether a PNG has text or EXIF behind its pixels, where PIL looks only when decoding."""
        data = self._source if isinstance(self._source, bytes) else read_file(str(self._source))
        position, seen_pixels = 8, False
        while position + 8 <= len(data):
            kind = data[position + 4 : position + 8]
            if seen_pixels and kind in _PNG_LATE_CHUNKS:
                return True
            seen_pixels = seen_pixels or kind == b"IDAT"
            position += 12 + int.from_bytes(data[position : position + 4], "big")
        return False

    # Looking at the pixels

    def _decode(self) -> PIL.Image.Image:
        """Decode, once, and take over the decoded image's pixels.

        Returns:
            The decoded image; it shares its pixels with this one.

        Raises:
            MediaError: The image cannot be read.
        """
        decoded = self._decoded
        if decoded is None:
            source = self._source
            data, path = (source, None) if isinstance(source, bytes) else (None, source)
            decoded = decode(data, path, self._name())
            if self._wanted_mode is not None:
                try:
                    decoded = decoded.convert(self._wanted_mode)
                except (OSError, ValueError) as error:
                    raise unreadable(self._name(), error) from error
            self._take(decoded)
        return decoded

    def _take(self, decoded: PIL.Image.Image) -> None:
        """Take over a decoded image in one step: other threads see all of it or nothing."""
        state = {name: decoded.__dict__[name] for name in _STATE if name in decoded.__dict__}
        state["info"] = self.__dict__.get("info", decoded.info)
        state["_decoded"] = decoded
        state["_header"] = None
        self.__dict__.update(state)

    def _name(self) -> str:
        return "image in memory" if isinstance(self._source, bytes) else str(self._source)

    # Frames, closing, copying

    def seek(self, frame: int) -> None:
        """Go to a frame of an animation, as the opened file would; decodes."""
        if self._source is None:
            super().seek(frame)
            return
        decoded = self._decode()
        if frame == decoded.tell():
            return
        decoded.seek(frame)
        decoded.load()
        self.__dict__.pop("info", None)
        self._take(decoded)

    def tell(self) -> int:
        """Number of the current frame."""
        return 0 if self._decoded is None else self._decoded.tell()

    def close(self) -> None:
        """Drop the pixels. An image that was never decoded has nothing to drop."""
        if self._decoded is not None:
            self._decoded.close()
            super().close()

    def __reduce_ex__(self, _protocol: Any) -> Any:
        """Pickle and copy: an undecoded image as its source, a decoded one as a plain image."""
        if self.encoded_reference() is not None and "_format" not in self.__dict__:
            return _rebuild, (self._source, self._wanted_mode)
        return _itself, (PIL.Image.Image.copy(self),)


def _rebuild(source: bytes | str, mode: str | None) -> LazyImage:
    image = LazyImage.__new__(LazyImage)
    image._source = source
    if mode is not None:
        image._wanted_mode = mode
    return image


def _itself(image: PIL.Image.Image) -> PIL.Image.Image:
    return image
