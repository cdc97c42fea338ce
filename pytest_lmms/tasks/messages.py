"""Chat messages: what `doc_to_messages` returns, or what is built from visuals and text, as `Message`s.

A medium stays a reference. Its kind comes from what it is: a PIL image, an array, a mapping with samples, or a path
or address with a telling extension.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import PurePosixPath
from typing import Any, get_args
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.media.image import reference
from pytest_lmms.media.kinds import kind_of_bytes
from pytest_lmms.media.packs import located
from pytest_lmms.records import MediaKind, MediaRef, Message, Part, Role

IMAGE_EXTENSIONS = frozenset(["jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp"])
AUDIO_EXTENSIONS = frozenset(["wav", "mp3", "m4a", "aac", "flac", "ogg", "opus"])
ROLES = tuple(role for role in get_args(Role) if role != "tool")
"""Who may speak in a task's own messages."""
KINDS = get_args(MediaKind)
_MIN_DIMENSIONS, _FRAMES = 2, 4
"""Of an array: a grey picture's height and width; frames, height, width, channels."""
_LIMITS = (("video_start", "start_time"), ("video_end", "end_time"))
"""Keys that say, in seconds, which part of a video is meant: where it begins and where it ends, included."""


def kind_of_path(path: str) -> MediaKind:
    """Type a path or address by its extension: case-insensitive, a query ignored, anything unknown is a video."""
    name = unquote(urlsplit(path).path) if "://" in path else path
    extension = PurePosixPath(name).suffix.lower().lstrip(".")
    if extension in IMAGE_EXTENSIONS:
        return "image"
    return "audio" if extension in AUDIO_EXTENSIONS else "video"


def media_ref(value: Any, kind: MediaKind | None = None) -> MediaRef:
    """Make a reference from whatever a task's code calls a visual.

    Args:
        value: PIL image, path, address, `data:` URL, bytes, mapping with `array` and `sampling_rate`, with `bytes` and
            `path`, or with `type` and `url`; array of frames; or a `MediaRef`. A mapping of a video may also have
            `video_start` and `video_end`, in seconds.
        kind: What the task said it is; None to tell from the value.

    Raises:
        DocumentError: Nothing known.
    """
    if isinstance(value, MediaRef):
        return value
    if hasattr(value, "getbands") and hasattr(value, "convert"):  # a PIL image, real or lazy
        return reference(value)
    if isinstance(value, str):
        return _located(value, kind)
    if hasattr(value, "__fspath__"):
        return located(MediaRef(kind=kind or kind_of_path(str(value)), path=str(value)))
    if isinstance(value, (bytes, bytearray, memoryview)) and (kind := kind or kind_of_bytes(bytes(value))):
        return MediaRef(kind=kind, data=bytes(value))
    if isinstance(value, Mapping) and (found := _from_mapping(value, kind)) is not None:
        return _part_of(found, value)
    if hasattr(value, "shape") and len(value.shape) >= _MIN_DIMENSIONS:
        return MediaRef(kind=kind or ("video" if len(value.shape) == _FRAMES else "image"), content=value)
    raise DocumentError(
        explain(
            f"a visual is a {type(value).__name__}",
            expected="a PIL image, a path, an address, samples with a sampling rate, or frames",
        )
    )


def _located(text: str, kind: MediaKind | None) -> MediaRef:
    """A path or an address."""
    scheme = text.partition(":")[0].lower()
    if scheme == "data":
        return _from_data_url(text, kind)
    if scheme in ("http", "https"):
        return MediaRef(kind=kind or kind_of_path(text), url=text)
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text).path)
    return located(MediaRef(kind=kind or kind_of_path(text), path=text))


def _from_data_url(text: str, kind: MediaKind | None) -> MediaRef:
    head, comma, data = text[len("data:") :].partition(",")
    head = head.lower()
    named = head.partition("/")[0]
    if kind is None and named not in KINDS:
        raise DocumentError(explain(f"a data: URL of type {named!r}", expected="one of " + ", ".join(KINDS)))
    try:
        decoded = base64.b64decode(data) if head.endswith(";base64") else unquote_to_bytes(data)
    except ValueError as e:
        raise DocumentError(explain(f"a data: URL that cannot be decoded: {e}")) from e
    if not comma or not decoded:
        raise DocumentError(explain("a data: URL without data", expected="data:image/png;base64,..."))
    return MediaRef(kind=kind or named, data=decoded)  # type: ignore[arg-type]


def _from_mapping(value: Mapping[str, Any], kind: MediaKind | None) -> MediaRef | None:
    """What a dataset stores of a medium, samples, or a part that names its kind; None for anything else."""
    if "array" in value or hasattr(value, "__missing__"):  # samples, perhaps not decoded yet
        return MediaRef(kind=kind or "audio", content=value)
    named = value.get("type")
    kind = kind or (named if named in KINDS else None)
    path = next((value[k] for k in ("url", "path", *KINDS) if isinstance(value.get(k), (str, PathLike))), None)
    data = value.get("bytes")
    if isinstance(data, bytes):
        kind = kind or kind_of_bytes(data)
        if kind is None and path is not None and PurePosixPath(str(path)).suffix:
            kind = kind_of_path(str(path))
        return MediaRef(kind=kind, data=data) if kind is not None else None
    if path is not None:
        return _located(str(path), kind)
    for name in KINDS:  # {"type": "image", "image": PIL image}
        if value.get(name) is not None:
            return media_ref(value[name], kind or name)
    return None


def _part_of(ref: MediaRef, value: Mapping[str, Any]) -> MediaRef:
    """The part of a video between the seconds that a mapping names; the whole where it names none."""
    limits = [_seconds(value, names) for names in _LIMITS]
    if limits == [None, None]:
        return ref
    if ref.kind != "video":
        raise DocumentError(explain(f"a part of an {ref.kind}", expected="a part of a video"))
    start, end = limits
    if end is not None and end < (start or 0.0):
        raise DocumentError(explain(f"a part of a video from {start or 0.0} s to {end} s", expected="an end after it"))
    return replace(ref, start_seconds=start, end_seconds=end)


def _seconds(value: Mapping[str, Any], names: Sequence[str]) -> float | None:
    """The first of some keys that is there, in seconds."""
    name = next((n for n in names if value.get(n) is not None), None)
    if name is None:
        return None
    try:
        seconds = float(value[name])
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise DocumentError(explain(f"{value[name]!r}", where=name, expected="seconds from a video's beginning"))
    return seconds


def auto_messages(visuals: Sequence[Any], text: str) -> tuple[Message, ...]:
    """One user turn: all media in order, then the text."""
    parts: list[Part] = [media_ref(v) for v in visuals if v is not None]
    parts.append(text)
    return (Message(role="user", content=tuple(parts)),)


def to_messages(value: Any) -> tuple[Message, ...]:
    """Check what a `doc_to_messages` returned and convert it.

    Args:
        value: A list of ``{"role", "content"}``; content is a string or a list of ``{"type": "text", "text"}`` and
            ``{"type": "image"|"video"|"audio", "url"}``; a video's `start_time` and `end_time` (or `video_start` and
            `video_end`), in seconds, say which part of it is meant. Objects with these attributes do as well.

    Raises:
        DocumentError: Another shape; the message says where.
    """
    value = getattr(value, "messages", value)
    if not isinstance(value, Iterable) or isinstance(value, (str, Mapping)):
        raise DocumentError(
            explain(f"doc_to_messages returned a {type(value).__name__}", expected="a list of messages")
        )
    return tuple(_message(_plain(m), i) for i, m in enumerate(value))


def _plain(value: Any) -> Mapping[str, Any]:
    """A mapping as it is, or the fields of an object."""
    return value if isinstance(value, Mapping) else getattr(value, "__dict__", {})


def _message(message: Mapping[str, Any], index: int) -> Message:
    where = f"message {index}"
    role: Any = message.get("role")
    if role not in ROLES:
        raise DocumentError(explain(f"role is {role!r}", where=where, expected="|".join(ROLES)))
    content = message.get("content")
    if isinstance(content, str):
        return Message(role=role, content=(content,))
    if not isinstance(content, (list, tuple)):
        raise DocumentError(
            explain(f"content is a {type(content).__name__}", where=where, expected="a string or a list of parts")
        )
    return Message(role=role, content=tuple(_part(_plain(p), where) for p in content))


def _part(part: Mapping[str, Any], where: str) -> Part:
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if (
        kind in KINDS
        and (located := next((part[k] for k in ("url", "path") if part.get(k) is not None), None)) is not None
    ):
        return _part_of(media_ref(located, kind), part)
    raise DocumentError(
        explain(
            f"part {dict(part)!r:.80} is neither text nor a medium",
            where=where,
            expected='{"type": "text", "text": ...} or {"type": "image"|"video"|"audio", "url": ...}',
        )
    )


def without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """All but the system's messages."""
    return tuple(m for m in messages if m.role != "system")


def with_leading(messages: tuple[Message, ...], leading: Sequence[Part]) -> tuple[Message, ...]:
    """Put text and media before the first user turn's own; neighbouring texts become one.

    Text alone goes behind the turn's media and before its text, where lmms-eval has it; with media among it, it all
    goes before.
    """
    place = next((i for i, m in enumerate(messages) if m.role == "user"), None)
    if place is None:
        return (Message(role="user", content=_joined(leading)), *messages)
    content = messages[place].content
    if all(isinstance(p, str) for p in leading):
        first = next((i for i, p in enumerate(content) if isinstance(p, str)), len(content))
        content = (*content[:first], *leading, *content[first:])
    else:
        content = (*leading, *content)
    return (*messages[:place], Message(role="user", content=_joined(content)), *messages[place + 1 :])


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring texts as one."""
    joined: list[Part] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
