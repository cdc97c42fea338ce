"""What kind of medium some encoded bytes are, told by how they begin."""

from __future__ import annotations

from typing import Literal

Kind = Literal["image", "video", "audio"]

_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"BM", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
    (b"\xff\xfb", "audio"),
    (b"\xff\xf3", "audio"),
    (b"\xff\xf2", "audio"),
    (b"\xff\xf1", "audio"),
    (b"\xff\xf9", "audio"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"FLV", "video"),
)
_EXTENSIONS = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"\x1aE\xdf\xa3", "mkv"),
)
_RIFF: dict[bytes, Kind] = {b"WEBP": "image", b"WAVE": "audio", b"AVI ": "video"}
_BRANDS: dict[bytes, Kind] = {b"avif": "image", b"heic": "image", b"mif1": "image", b"M4A ": "audio", b"M4B ": "audio"}


def kind_of_bytes(data: bytes) -> Kind | None:
    """Tell an encoded file's kind; None for what is not known.

    Args:
        data: The file, or its first 16 bytes.
    """
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video")
    return next((kind for beginning, kind in _BEGINNINGS if data.startswith(beginning)), None)


def extension_of(data: bytes) -> str | None:
    """The usual extension of an encoded file, without the dot; None for what is not known."""
    for beginning, extension in _EXTENSIONS:
        if data.startswith(beginning):
            return extension
    if data[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return {"image": "avif", "audio": "m4a"}.get(_BRANDS.get(data[8:12], "video"), "mp4")
    return None


def is_indexed_video(data: bytes) -> bool:
    """Whether a file begins as MP4, Matroska (WebM) or AVI do: containers that say themselves where packets lie.

    Args:
        data: The file, or its first 12 bytes.
    """
    return extension_of(data) in ("mp4", "mkv", "avi") or data[4:8] in (b"moov", b"mdat", b"free", b"wide", b"skip")


def is_mpeg_audio(data: bytes) -> bool:
    """Whether a file begins as an MP3 does: with a tag, or with the header of a frame.

    Args:
        data: The file, or its first 3 bytes.
    """
    return data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2)
