"""One form for what both sides make, so that it can be compared: messages, media, scores."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def fingerprint(value: Any) -> str:
    """What a medium is, however it is held: pixels, samples, or a path."""
    import PIL.Image

    if isinstance(value, PIL.Image.Image):
        rgb = value.convert("RGB")
        return f"image {rgb.size} {hashlib.sha256(rgb.tobytes()).hexdigest()[:16]}"
    if isinstance(value, Mapping):
        value = {k: v for k, v in dict(value).items() if v is not None}
        return "mapping " + hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
    if isinstance(value, (str, os.PathLike)):
        return f"path {os.fspath(value)}"
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def our_part(part: Any) -> list[str]:
    """One part of our message, in the same form."""
    if isinstance(part, str):
        return ["text", part]
    if part.path is not None or part.url is not None:
        return [part.kind, f"path {part.url if part.path is None else part.path}"]
    if part.kind == "image":
        from pytest_lmms.media.image import open_image

        return ["image", fingerprint(open_image(part))]
    return [part.kind, fingerprint(part.content)]


def our_messages(messages: Sequence[Any]) -> list[Any]:
    """Role and parts of each turn."""
    return [[m.role, [our_part(p) for p in m.content]] for m in messages]


def their_messages(messages: Any) -> list[Any]:
    """Role and parts of each turn."""
    messages = getattr(messages, "messages", messages)
    turns = []
    for message in messages:
        message = message if isinstance(message, Mapping) else dict(message.__dict__)
        content = message["content"]
        if isinstance(content, str):
            turns.append([message["role"], [["text", content]]])
            continue
        parts = [p if isinstance(p, Mapping) else dict(p.__dict__) for p in content]
        turns.append([message["role"], [["text", p["text"]] if p["type"] == "text" else
                                        [p["type"], fingerprint(p["url"])] for p in parts]])  # fmt: skip
    return turns


def canonical(value: Any) -> str:
    """Values as text in which a numpy number is a number and a tuple a list."""

    def plain(v: Any) -> Any:
        if isinstance(v, Mapping):
            return {str(k): plain(x) for k, x in v.items()}
        if isinstance(v, (list, tuple)):
            return [plain(x) for x in v]
        if isinstance(v, np.ndarray):
            return plain(v.tolist())
        if isinstance(v, np.generic):
            v = v.item()
        if isinstance(v, bool):
            return int(v)
        if isinstance(v, float):
            return "nan" if math.isnan(v) else int(v) if v.is_integer() else v
        if v is None or isinstance(v, (str, int)):
            return v
        if hasattr(v, "convert") and hasattr(v, "getbands"):
            return fingerprint(v)
        return re.sub(r" at 0x[0-9a-f]+", "", repr(v))

    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)


def seeded(function: Any, *args: Any) -> Any:
    """Call it with random numbers that start anew: several `process_docs` shuffle."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (what tasks draw from)
    return function(*args)


def attempted(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, str | None]:
    """Its value, or the name of what it raised."""
    try:
        return seeded(lambda: function(*args, **kwargs)), None
    except Exception as e:  # noqa: BLE001
        cause = e.__cause__ or e
        return None, f"{type(cause).__name__}: {str(cause)[:150]}"


def first_difference(ours: str, theirs: str) -> str:
    """The place where two texts part, with what is around it."""
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    start = max(0, place - 40)
    return f"ours ...{ours[start : place + 60]} theirs ...{theirs[start : place + 60]}"
