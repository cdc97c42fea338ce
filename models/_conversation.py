"""A request as turns of a chat template, and the media that they mention in order. Opens nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_lmms.records import MediaRef, Message, Part, Request

_NUMBERED_IMAGE = re.compile(r"<image[ _]?(\d+)>")


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What a user may change about how a request is worded."""

    system_prompt: str | None = None
    interleave_visuals: bool = False
    reasoning_prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The media of one conversation, each list in the order in which the turns mention them."""

    images: list[Any] = field(default_factory=list)
    """PIL images."""
    videos: list[Any] = field(default_factory=list)
    """`pytest_lmms.media.frames.VideoFrames`."""
    audios: list[Any] = field(default_factory=list)
    """float32 arrays (num_samples,), one channel."""


def build(
    request: Request, wording: Wording, show: Callable[[MediaRef, Shown], list[dict[str, Any]]]
) -> tuple[list[dict[str, Any]], Shown]:
    """Translate a request.

    Args:
        request: Its parts keep their order.
        wording: What the user said.
        show: Opens one medium, appends it to `Shown`, and returns the template's entries for it.

    Returns:
        Turns, ``[{"role": ..., "content": [{"type": "text", "text": ...}, {"type": "image"}, ...]}]``, and media.
    """
    messages = list(request.messages)
    if wording.system_prompt and all(message.role != "system" for message in messages):
        messages.insert(0, Message(role="system", content=(wording.system_prompt,)))
    last_user = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    turns, shown = [], Shown()
    for place, message in enumerate(messages):
        parts: Sequence[Part] = message.content
        if wording.interleave_visuals:
            parts = interleave(parts)
        if place == last_user and wording.reasoning_prompt and parts:
            parts = append_text(parts, wording.reasoning_prompt)
        content: list[dict[str, Any]] = []
        for part in parts:
            content.extend([{"type": "text", "text": part}] if isinstance(part, str) else show(part, shown))
        turns.append({"role": message.role, "content": content})
    return turns, shown


def interleave(parts: Sequence[Part]) -> list[Part]:
    """Move images to where the text says ``<image 1>``; those never mentioned stay in front."""
    images = [part for part in parts if not isinstance(part, str)]
    mentioned: set[int] = set()
    placed: list[Part] = []
    for part in parts:
        if not isinstance(part, str):
            continue
        pieces = _NUMBERED_IMAGE.split(part)
        for place, piece in enumerate(pieces):
            if place % 2 == 0:
                placed += [piece] if piece else []
            elif images:
                # A number beyond the last image means the last one, as lmms-eval reads it.
                index = min(max(int(piece), 1), len(images)) - 1
                mentioned.add(index)
                placed.append(images[index])
    rest = [image for index, image in enumerate(images) if index not in mentioned]
    return [*rest, *placed] if mentioned else list(parts)


def append_text(parts: Sequence[Part], text: str) -> list[Part]:
    """Add to the last text part, which loses white space at its ends; without one, add a part."""
    changed = list(parts)
    for place in range(len(changed) - 1, -1, -1):
        part = changed[place]
        if isinstance(part, str):
            changed[place] = part.strip() + text
            return changed
    return [*changed, text]
