"""What engines in this process share: media as they take them, and settings of a request. Knows no engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.errors import UsageError, did_you_mean, explain
from pytest_lmms.records import Generation, Request

from . import _media
from ._conversation import Shown

PASSED_ON = frozenset(
    {"frequency_penalty", "ignore_eos", "min_p", "presence_penalty", "repetition_penalty", "stop_token_ids"}
)
"""Generation settings that vLLM and SGLang both have under these names; tasks and users may say them."""
HONOURS = frozenset({"max_new_tokens", "temperature", "top_p", "top_k", "do_sample", "until", "seed", *PASSED_ON})


def check_names(given: Mapping[str, Any], known: Sequence[str], *, engine: str) -> None:
    """Check the names of arguments that are handed to an engine.

    Raises:
        UsageError: The engine has no such argument; the message names the closest one.
    """
    for name in given:
        if name not in known:
            raise UsageError(
                explain(
                    f"{engine} has no argument {name!r}",
                    where="--lmms-model-args",
                    expected=f"an argument of the adapter or of {engine}'s engine",
                    suggestion=did_you_mean(name, known),
                )
            )


def sampling(request: Request, *, max_new_tokens: int) -> dict[str, Any]:
    """Return a request's own sampling settings, under the names that vLLM and SGLang share.

    Args:
        request: One that samples has its seed plus its repeat number.
        max_new_tokens: For requests that do not say.
    """
    settings: Generation = request.generation
    said: dict[str, Any] = {"temperature": 0.0, **{k: v for k, v in settings.extra.items() if k in PASSED_ON}}
    if settings.samples:
        said["temperature"] = 1.0 if settings.temperature is None else settings.temperature
        said |= {} if settings.top_p is None else {"top_p": settings.top_p}
        said |= {} if settings.top_k is None else {"top_k": settings.top_k}
        said |= {} if settings.seed is None else {"seed": settings.seed + request.repeat}
    if settings.until:
        said["stop"] = list(settings.until)
    limit = settings.max_new_tokens
    return {**said, "max_tokens": max_new_tokens if limit is None else limit}


def resized(image: Any, *, min_side_px: int, max_pixels: int | None) -> Any:
    """Return a PIL image with no side below `min_side_px` and, in proportion, an area of at most `max_pixels`."""
    width, height = image.size
    if max_pixels and width * height > max_pixels:
        shrink = (max_pixels / (width * height)) ** 0.5
        width, height = int(width * shrink), int(height * shrink)
    size = max(width, min_side_px, 1), max(height, min_side_px, 1)
    return image if size == image.size else image.resize(size)


def multi_modal_data(shown: Shown, *, rate: int, min_side_px: int, max_pixels: int | None) -> dict[str, list[Any]]:
    """Return the media of a prompt by kind, in the order of its placeholders.

    Args:
        shown: Opened media.
        rate: Samples per second of the sounds.
        min_side_px: See `resized`; of images.
        max_pixels: See `resized`; of images and of each frame.

    Returns:
        ``image``: PIL images; ``video``: (uint8 (num_frames, height, width, 3), what is known of the video);
        ``audio``: (float32 (num_samples,), samples per second). Kinds that are not there have no key.
    """
    import numpy as np
    from PIL import Image

    videos = []
    for clip in shown.videos:
        frames = clip.frames
        if max_pixels and frames.shape[1] * frames.shape[2] > max_pixels:
            shrunk = (resized(Image.fromarray(each), min_side_px=1, max_pixels=max_pixels) for each in frames)
            frames = np.stack([np.asarray(each) for each in shrunk])
        videos.append((frames, {**_media.metadata(clip), "do_sample_frames": False}))
    found: dict[str, list[Any]] = {
        "image": [resized(each, min_side_px=min_side_px, max_pixels=max_pixels) for each in shown.images],
        "video": videos,
        "audio": [(each, rate) for each in shown.audios],
    }
    return {kind: media for kind, media in found.items() if media}
