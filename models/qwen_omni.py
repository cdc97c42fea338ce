"""Qwen models that listen: Qwen2-Audio, Qwen2.5-Omni, Qwen3-Omni. They write; speech is not generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ._family import family
from .transformers_chat import TransformersChat

SYSTEM_PROMPT = (
    "You are Qwen, a virtual human developed by the Qwen Team, Alibaba Group, capable of perceiving auditory and "
    "visual inputs, as well as generating text and speech."
)


@family(
    pretrained="Qwen/Qwen2.5-Omni-7B",
    max_num_frames=768,
    system_prompt=SYSTEM_PROMPT,
    idle={"use_custom_video_loader": "videos are always read here"},
    max_new_tokens=4096,
)
class Qwen2_5_Omni(TransformersChat):  # noqa: N801 - the family's own spelling
    """Qwen2.5-Omni's thinker, the part that writes."""

    weight_classes: ClassVar[Sequence[str]] = ("Qwen2_5OmniThinkerForConditionalGeneration",)


@family(pretrained="Qwen/Qwen3-Omni-30B-A3B-Instruct", max_num_frames=128, system_prompt=SYSTEM_PROMPT)
class Qwen3_Omni(TransformersChat):  # noqa: N801
    """Qwen3-Omni's thinker, a mixture of experts."""

    weight_classes: ClassVar[Sequence[str]] = ("Qwen3OmniMoeThinkerForConditionalGeneration",)


@family(
    pretrained="Qwen/Qwen2-Audio-7B-Instruct",
    idle={
        "add_generation_prompt": "the model is always asked to speak next",
        "add_system_prompt": "pass system_prompt; the checkpoint's template has one of its own",
        "simple_prompt": "pass chat_template=<file> for another layout",
    },
    max_new_tokens=256,
)
class Qwen2_Audio(TransformersChat):  # noqa: N801
    """Qwen2-Audio: text and sounds."""
