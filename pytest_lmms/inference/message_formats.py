"""Messages in the words of OpenAI's chat completions, in the variants that families of models want.

A format is one function and one registration:

    def shouted(messages, media):
        return [{"role": m.role, "content": m.text.upper()} for m in messages]

    register_message_format("shouted", shouted)

Formats run on preparation threads: they open, decode and encode media. They know no task and no server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pytest_lmms.errors import UsageError, did_you_mean, explain
from pytest_lmms.records import MediaRef, Message, ToolCall


@dataclass(frozen=True, kw_only=True)
class MediaSettings:
    """How media travel."""

    num_frames: int = 64
    """Frames of a video, spread evenly, when `fps` is None."""
    fps: float | None = None
    """Frames a second of a video, instead of `num_frames`."""
    max_frames: int = 768
    """The most frames of a video, whatever `fps` says."""
    max_pixels: int | None = None
    """Frames with more are made smaller."""
    min_pixels: int | None = None
    """Frames with fewer are made larger."""
    max_side_px: int | None = None
    """Images and frames are made smaller until their longer side is at most this."""
    pass_video_url: bool = False
    """Send videos whole: web addresses as they are, files inside a data URI."""
    image_format: str | None = None
    """PNG, JPEG or WEBP; None: as `encode_image` chooses."""
    image_quality: int | None = None
    """1 to 100, of JPEG and WEBP; None: as `encode_image` chooses."""
    max_bytes: int | None = None
    """Images whose encoded file is larger are sent as smaller JPEG files, and the record says so."""


MessageFormat = Callable[[Sequence[Message], MediaSettings], list[dict[str, Any]]]
"""(messages, how media travel) to the value of `messages` in a request."""


def openai_format(messages: Sequence[Message], media: MediaSettings) -> list[dict[str, Any]]:
    """Images and the frames of videos as `image_url`, sounds as `input_audio`."""
    return _translate(messages, media, lambda frame, seconds: [_image(frame)])


def qwen3_vl_format(messages: Sequence[Message], media: MediaSettings) -> list[dict[str, Any]]:
    """As `openai_format`, with the time of each frame before it: ``<12.5 seconds>``."""
    return _translate(messages, media, lambda frame, seconds: [_text(f"<{seconds:.1f} seconds>"), _image(frame)])


_FORMATS: dict[str, MessageFormat] = {"openai": openai_format, "qwen3_vl": qwen3_vl_format}


def register_message_format(name: str, function: MessageFormat) -> None:
    """Add a format, or replace one of that name."""
    _FORMATS[name] = function


def message_format(name: str) -> MessageFormat:
    """The format of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in _FORMATS:
        raise UsageError(
            explain(
                f"unknown message format {name!r}",
                where="message_format",
                expected=", ".join(sorted(_FORMATS)),
                suggestion=did_you_mean(str(name), _FORMATS),
                remedy="an own one: pytest_lmms.inference.message_formats.register_message_format(name, function)",
            )
        )
    return _FORMATS[name]


FrameWriter = Callable[[str, float], list[dict[str, Any]]]
"""(data URI of a frame, seconds from the video's start) to the parts that stand for it."""


def _translate(messages: Sequence[Message], media: MediaSettings, write_frame: FrameWriter) -> list[dict[str, Any]]:
    translated = []
    for message in messages:
        content: Any = [wire for part in message.content for wire in _parts(part, media, write_frame)]
        if len(message.content) == 1 and isinstance(message.content[0], str):
            content = message.content[0]
        elif not content:
            content = None if message.tool_calls else ""
        translated.append({"role": message.role, "content": content, **_calls(message)})
    return translated


def _calls(message: Message) -> dict[str, Any]:
    """What a message says of calls: those that it makes, or the one that it answers."""
    if message.call_id is not None:
        return {"tool_call_id": message.call_id}
    calls = [call_as_sent(call) for call in message.tool_calls]
    return {"tool_calls": calls} if calls else {}


def call_as_sent(call: ToolCall) -> dict[str, Any]:
    """A call that a model made, as a later request repeats it.

    Arguments that are no JSON object become an empty one: servers that write the conversation with a chat template
    parse them, and refuse the whole request. What was wrong with them stands in the call's result.
    """
    arguments = call.arguments if arguments_of(call) else "{}"
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """What a call says, as an object: an empty one where the model wrote something else."""
    try:
        found = orjson.loads(call.arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parts(part: str | MediaRef, media: MediaSettings, write_frame: FrameWriter) -> Iterator[dict[str, Any]]:
    if isinstance(part, str):
        yield _text(part)
    elif part.kind == "image":
        yield _image(part.url or image_uri(part, media))
    elif part.kind == "audio":
        from pytest_lmms.media.encode_audio import encode_audio_to_base64

        name, data = encode_audio_to_base64(part)
        yield {"type": "input_audio", "input_audio": {"data": data, "format": name}}
    elif media.pass_video_url:
        from pytest_lmms.media.encode import file_uri

        yield {"type": "video_url", "video_url": {"url": part.url or file_uri(part)}}
    else:
        for frame, seconds in video_frames(part, media):
            yield from write_frame(frame, seconds)


def image_uri(ref: MediaRef, media: MediaSettings) -> str:
    """An image inside a data URI.

    Raises:
        MediaError: It cannot be read.
    """
    from pytest_lmms.media.encode import encode_image
    from pytest_lmms.media.image import open_image, shrunk

    shown: Any = ref
    if media.max_side_px:
        opened = open_image(ref)
        small = shrunk(opened, media.max_side_px)
        shown = ref if small is opened else small
    encoded = encode_image(
        shown, image_format=media.image_format, quality=media.image_quality, max_bytes=media.max_bytes
    )
    return encoded.uri


def video_frames(ref: MediaRef, media: MediaSettings) -> Iterator[tuple[str, float]]:
    """The chosen frames of a video, as data URIs, with their seconds from its start.

    They are JPEG files unless LMMS_IMAGE_ENCODE_FORMAT says otherwise: they were compressed before, and 64 of them as
    PNG are more than many servers take.

    Raises:
        MediaError: It cannot be read.
    """
    from PIL import Image

    from pytest_lmms.media.encode import data_uri
    from pytest_lmms.media.video import open_video

    wanted = media.num_frames if media.fps is None else media.max_frames
    num_frames = min(wanted, media.max_frames)
    video = open_video(ref, num_frames=num_frames, fps=media.fps, max_side_px=media.max_side_px)
    for array, seconds in zip(video.frames, video.timestamps_seconds, strict=True):
        frame = Image.fromarray(array)
        frame = _fitted(frame, media)
        uri = data_uri(frame, image_format=media.image_format, quality=media.image_quality, default_format="JPEG")
        yield uri, float(seconds)


def _fitted(frame: Any, media: MediaSettings) -> Any:
    """A frame (a PIL image) within the numbers of pixels that are wanted, in its own shape."""
    num_pixels = frame.width * frame.height
    if media.max_pixels and num_pixels > media.max_pixels:
        factor = (media.max_pixels / num_pixels) ** 0.5
    elif media.min_pixels and num_pixels < media.min_pixels:
        factor = (media.min_pixels / num_pixels) ** 0.5
    else:
        return frame
    return frame.resize((max(1, int(frame.width * factor)), max(1, int(frame.height * factor))))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}
