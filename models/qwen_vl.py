"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL (dense, and mixtures of experts: the checkpoint says which)."""

from __future__ import annotations

from typing import ClassVar

from ._family import family
from ._processing import Batching
from .transformers_chat import TransformersChat

SYSTEM_PROMPT = "You are a helpful assistant."


@family(
    pretrained="Qwen/Qwen2.5-VL-3B-Instruct",
    min_pixels=256 * 28 * 28,
    max_pixels=1605632,
    system_prompt=SYSTEM_PROMPT,
    max_new_tokens=128,
)
class Qwen2_5_VL(TransformersChat):  # noqa: N801 - the family's own spelling
    """Qwen2.5-VL with the defaults that lmms-eval gives it, so that its numbers can be compared."""

    batching: ClassVar[Batching] = "mixed"


@family(
    pretrained="Qwen/Qwen2-VL-7B-Instruct",
    min_pixels=3136,
    max_pixels=602112,
    idle={"max_length": "generation ends at max_new_tokens"},
)
class Qwen2_VL(Qwen2_5_VL):  # noqa: N801
    """Qwen2-VL."""


@family(pretrained="Qwen/Qwen3-VL-4B-Instruct")
class Qwen3_VL(Qwen2_5_VL):  # noqa: N801
    """Qwen3-VL; the chat template gets the frames' times."""


@family(
    pretrained="lmms-lab/LLaVA-OneVision-1.5-8B-Instruct",
    idle={
        "max_length": "generation ends at max_new_tokens",
        "image_first": "media stand where the task puts them",
    },
)
class LlavaOneVision1_5(Qwen2_5_VL):  # noqa: N801
    """LLaVA-OneVision 1.5: Qwen's processor, and code of its own on the hub (`trust_remote_code`)."""
