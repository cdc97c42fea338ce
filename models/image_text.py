"""Families that differ from the generic adapter in their defaults only.

Each has the checkpoint and the arguments that lmms-eval has for it. Where lmms-eval reads a repository of the
authors' own format and transformers has the same weights in its format, the latter is the default.
"""

from __future__ import annotations

from ._family import family
from .transformers_chat import TransformersChat

_LLAVA = {
    "truncation": "prompts are never truncated",
    "truncate_context": "prompts are never truncated",
    "conv_template": "the checkpoint's chat template is used; pass chat_template=<file> for another",
    "model_name": "the checkpoint says what it is",
    "customized_config": "the checkpoint's own config is used",
    "mm_spatial_pool_stride": "the checkpoint's own pooling is used",
    "mm_spatial_pool_mode": "the checkpoint's own pooling is used",
    "token_strategy": "one placeholder an image, expanded by the processor",
    "video_decode_backend": "set LMMS_VIDEO_DECODE_BACKEND",
}


@family(pretrained="llava-hf/llava-1.5-7b-hf", synonyms={"max_frames_num": "max_num_frames"}, max_new_tokens=1024)
class LlavaHf(TransformersChat):
    """LLaVA 1.5 and LLaVA-NeXT."""


@family(
    pretrained="llava-hf/llava-onevision-qwen2-7b-ov-hf",
    synonyms={"max_frames_num": "max_num_frames"},
    idle=_LLAVA,
    max_new_tokens=1024,
)
class LlavaOneVision(TransformersChat):
    """LLaVA-OneVision."""


@family(
    pretrained="OpenGVLab/InternVL3_5-8B-HF",
    synonyms={
        "num_frames": "max_num_frames",
        "num_frame": "max_num_frames",
        "max_num": "max_patches",
        "use_flash_attn": "use_flash_attention_2",
    },
    image_settings={"min_patches": 1, "max_patches": 12},
    idle={
        "modality": "each request says what it holds",
        "low_cpu_mem_usage": "transformers loads so in any case",
        "total_max_num": "max_patches limits each image",
    },
    max_new_tokens=1024,
)
class InternVLHf(TransformersChat):
    """InternVL 2.5, 3 and 3.5 in transformers' format."""


@family(pretrained="google/gemma-3-27b-it", system_prompt="You are a helpful assistant.", max_new_tokens=1024)
class Gemma3(TransformersChat):
    """Gemma 3."""


@family(
    pretrained="HuggingFaceM4/idefics2-8b",
    dtype="float16",
    max_num_frames=16,
    synonyms={"max_frames_num": "max_num_frames"},
    image_settings={"do_image_splitting": False},
    max_new_tokens=1024,
)
class Idefics2(TransformersChat):
    """Idefics 2."""


@family(pretrained="HuggingFaceM4/Idefics3-8B-Llama3", max_num_frames=16, max_new_tokens=1024)
class Idefics3(TransformersChat):
    """Idefics 3."""


@family(pretrained="HuggingFaceTB/SmolVLM2-2.2B-Instruct", max_num_frames=16, max_new_tokens=1024)
class SmolVLM(TransformersChat):
    """SmolVLM and SmolVLM 2; its processor needs the package num2words."""


@family(pretrained="zai-org/GLM-4.6V-Flash", max_new_tokens=8192)
class Glm4v(TransformersChat):
    """GLM-4.1V, 4.5V and 4.6V."""


@family(
    pretrained="rhymes-ai/Aria",
    max_num_frames=64,
    synonyms={"max_frames_num": "max_num_frames"},
    idle={"specified_eot_token_id": "the checkpoint's own end-of-text tokens are used"},
    max_new_tokens=1024,
)
class Aria(TransformersChat):
    """Aria."""


@family(
    pretrained="meta-llama/Llama-3.2-11B-Vision-Instruct",
    synonyms={"max_frames_num": "max_num_frames"},
    max_new_tokens=1024,
)
class LlamaVision(TransformersChat):
    """Llama 3.2 Vision."""


@family(
    pretrained="meta-llama/Llama-4-Scout-17B-16E-Instruct",
    synonyms={"max_frames_num": "max_num_frames"},
    max_new_tokens=4096,
)
class Llama4Scout(TransformersChat):
    """Llama 4; its image processor needs torchvision."""


@family(pretrained="mistralai/Mistral-Small-3.1-24B-Instruct-2503", max_new_tokens=1024)
class Mistral3(TransformersChat):
    """Mistral Small 3.1 and later, Pixtral's processor; it needs torchvision."""


@family(pretrained="CohereLabs/aya-vision-8b", max_new_tokens=1024)
class AyaVision(TransformersChat):
    """Aya Vision."""


@family(pretrained="thisisiron/Ovis2-2B-hf", max_new_tokens=1024)
class Ovis2(TransformersChat):
    """Ovis 2."""


@family(pretrained="openbmb/MiniCPM-V-4_6", max_new_tokens=1024)
class MiniCPMV(TransformersChat):
    """MiniCPM-V from 4.6 on, which transformers knows; older ones are not supported."""


@family(
    pretrained="microsoft/Phi-4-multimodal-instruct",
    max_num_frames=16,
    synonyms={"max_frames_num": "max_num_frames"},
    max_new_tokens=1024,
)
class Phi4Multimodal(TransformersChat):
    """Phi-4 multimodal: text, images, video as frames, and speech; its image processor needs torchvision."""
