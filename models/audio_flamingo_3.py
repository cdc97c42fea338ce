"""Audio Flamingo 3: text and sounds in, text out."""

from __future__ import annotations

from ._family import family
from .transformers_chat import TransformersChat


@family(pretrained="nvidia/audio-flamingo-3-hf", max_new_tokens=256)
class AudioFlamingo3(TransformersChat):
    """Audio Flamingo 3 in transformers' format; sounds of more than ten minutes are cut by its processor."""
