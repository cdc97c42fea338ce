"""Families whose checkpoints come without a chat template: the prompt's layout is theirs, and written here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, explain

from ._family import family
from ._processing import Batching
from .transformers_chat import TransformersChat

_TEXT = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}"
_BETWEEN = "{% if not loop.last %}\n{% endif %}{% endfor %}"
_VICUNA = (
    "{% for m in messages %}{% if m.role == 'assistant' %}ASSISTANT: {% elif m.role == 'user' %}USER: {% endif %}"
    "{% for p in m.content %}{% if p.type == 'image' %}<image>\n{% elif p.type == 'video' %}<video>\n"
    "{% else %}{{ p.text }}{% endif %}{% endfor %} {% endfor %}ASSISTANT:"
)


@family(pretrained="google/paligemma-3b-mix-448", max_new_tokens=256)
class PaliGemma(TransformersChat):
    """PaliGemma: image tokens before the text, whatever their order in the request."""

    batching: ClassVar[Batching] = "counts"
    fallback_template: ClassVar[str | None] = (
        "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% endif %}{% endfor %}"
        "{% endfor %}" + _TEXT + _BETWEEN
    )


@family(pretrained="LanguageBind/Video-LLaVA-7B-hf", max_num_frames=8, synonyms={"num_frames": "max_num_frames"},
        idle={"truncation": "prompts are never truncated", "truncate_context": "prompts are never truncated",
              "conv_template": "pass chat_template=<file> for another"}, max_new_tokens=1024)  # fmt: skip
class VideoLlava(TransformersChat):
    """Video-LLaVA, with Vicuna's turns."""

    fallback_template: ClassVar[str | None] = _VICUNA


@family(pretrained="Salesforce/instructblip-vicuna-7b", max_new_tokens=256)
class InstructBlip(TransformersChat):
    """InstructBLIP: one image a request; its Q-Former reads the instruction too."""

    batching: ClassVar[Batching] = "counts"
    fallback_template: ClassVar[str | None] = _TEXT + _BETWEEN


@family(pretrained="adept/fuyu-8b", max_new_tokens=256)
class Fuyu(TransformersChat):
    """Fuyu: one image a request, pixels straight into the decoder; its image processor needs torchvision."""

    batching: ClassVar[Batching] = "counts"
    fallback_template: ClassVar[str | None] = _TEXT + _BETWEEN

    def _open_processor(self, options: Mapping[str, Any], pixels: Mapping[str, Any]) -> Any:
        """Without torchvision transformers has one that cannot cut an image into patches."""
        if importlib.util.find_spec("torchvision") is None:
            raise ModelError(explain("Fuyu's image processor needs torchvision", remedy="pip install torchvision"))
        return super()._open_processor(options, pixels)


@family(pretrained="microsoft/kosmos-2.5", max_new_tokens=1024)
class Kosmos2_5(TransformersChat):  # noqa: N801 - the family's own spelling
    """Kosmos-2.5: one image a request; the text is the task, ``<md>`` or ``<ocr>``."""

    batching: ClassVar[Batching] = "single"
    fallback_template: ClassVar[str | None] = _TEXT + _BETWEEN
