"""Qwen2.5-VL. Also runs Qwen2-VL and Qwen3-VL checkpoints, which share its processors' settings."""

from __future__ import annotations

from typing import ClassVar

from ._family import family
from ._processing import Batching
from .transformers_chat import TransformersChat


@family(
    pretrained="Qwen/Qwen2.5-VL-3B-Instruct",
    min_pixels=256 * 28 * 28,
    max_pixels=1605632,
    system_prompt="You are a helpful assistant.",
    max_new_tokens=128,
)
class Qwen2_5_VL(TransformersChat):  # noqa: N801 - the family's own spelling
    """Qwen2.5-VL with the defaults that lmms-eval gives it, so that its numbers can be compared."""

    batching: ClassVar[Batching] = "mixed"
