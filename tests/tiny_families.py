"""One tiny random checkpoint for each family of `models/`: its own config and processor classes with small numbers."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<|turn|>", "<|end|>")
CORPUS = (
    "system user assistant You are a helpful assistant. What is shown in the image? Listen to the sound.",
    "Answer the question with yes or no. Is there a red square? Which option is right? A B C D",
)
SIDE = 28
"""Pixels of the square that vision towers see, of 2 x 2 patches."""
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 14,
}
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family is expected to do, and how its tiny checkpoint is written."""

    name: str
    """As registered."""
    build: Callable[[Path], None]
    kinds: tuple[str, ...] = ("image", "images", "video")
    """What it can be shown beside text."""
    takes_text: bool = True
    """Answers without any medium."""
    needs: tuple[str, ...] = ()
    """Packages that its processor needs, beyond what local models need."""
    is_monotonous: bool = False
    """Its tiny model says the same whatever it is shown; only its log-probabilities differ."""
    id: str = ""


FAMILIES: list[Family] = []


def family(name: str, **more: Any) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a builder for a family; `more` are fields of `Family`."""

    def register(build: Callable[[Path], None]) -> Callable[[Path], None]:
        FAMILIES.append(Family(name=name, build=build, **{"id": name, **more}))
        return build

    return register


@functools.cache
def _vocabulary(extra: tuple[str, ...]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=[*BASE_TOKENS, *extra],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer.to_str()


def tokenizer(*extra: str, named: dict[str, str] | None = None, **more: Any) -> Any:
    """A byte-level BPE tokenizer; `extra` special tokens, `named` ones also as attributes."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    named = named or {}
    tokens = tuple(dict.fromkeys([*extra, *named.values()]))
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_vocabulary(tokens)),
        **{"bos_token": "<s>", "eos_token": "<|end|>", "pad_token": "<pad>", "unk_token": "<unk>", **more},
        extra_special_tokens=named or list(tokens),
        padding_side="left",
    )


def template(image: str = "", video: str = "", audio: str = "") -> str:
    """A chat template that writes these where media are."""
    return (
        "{% for m in messages %}<|turn|>{{ m.role }}\n{% for p in m.content %}"
        f"{{% if p.type == 'image' %}}{image}{{% elif p.type == 'video' %}}{video}"
        f"{{% elif p.type == 'audio' %}}{audio}{{% else %}}{{{{ p.text }}}}{{% endif %}}"
        "{% endfor %}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
    )


def ids(tok: Any, **names: str) -> dict[str, int]:
    """Token ids by the names that a config has for them."""
    return {name: tok.convert_tokens_to_ids(token) for name, token in names.items()}


def specials(tok: Any) -> dict[str, int]:
    """The ids that every text config has, and the size of the vocabulary."""
    return {
        "vocab_size": len(tok),
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
        "pad_token_id": tok.pad_token_id,
    }


def randomise(make: Callable[[], Any]) -> Any:
    """Make a model with weights large enough for each input to have a say; the same every time."""
    import torch

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = make()
        for name, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.normal_(0, 1.5 * weight[0].numel() ** -0.5)
            elif name.endswith(("gate", "layer_scale", "lambda_1", "lambda_2")):
                weight.fill_(1.0)
    return model


def save(
    folder: Path, model_class: str, config: Any, tok: Any, processor: str, *, chat: str | None, parts: dict[str, Any],
    **settings: Any,
) -> None:  # fmt: skip
    """Write config, random weights, tokenizer and processor settings, as published checkpoints have them."""
    import transformers

    model = randomise(lambda: getattr(transformers, model_class)(config))
    model.generation_config.eos_token_id = tok.eos_token_id
    model.generation_config.pad_token_id = tok.pad_token_id
    model.save_pretrained(folder)
    if chat is not None:
        tok.chat_template = chat
        (folder / "chat_template.jinja").write_text(chat)
    tok.save_pretrained(folder)
    described: dict[str, Any] = {"processor_class": processor, **settings}
    for name, part in parts.items():
        described[name] = part if isinstance(part, dict) else part.to_dict()
    (folder / "processor_config.json").write_text(json.dumps(described, default=str))


def pil(name: str, **settings: Any) -> Any:
    """An image processor of transformers, on PIL."""
    import importlib

    module = importlib.import_module(
        f"transformers.models.{name.split('.', maxsplit=1)[0]}.image_processing_pil_{name.split('.', maxsplit=1)[0]}"
    )
    return getattr(module, name.split(".")[1])(**settings)


def square() -> dict[str, Any]:
    """Settings of image processors that resize to one size."""
    return {"size": {"height": SIDE, "width": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}


# --- Qwen ------------------------------------------------------------------------------------------------------------

QWEN_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_CHAT = template(
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|vision_start|><|video_pad|><|vision_end|>",
    "<|audio_start|><|audio_pad|><|audio_end|>",
)
QWEN_IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "decoder_sparse_step": 1}
QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "patch_size": 14,
    "out_hidden_size": 32,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
}


def qwen_pixels(patch_size: int = 14) -> dict[str, Any]:
    """Image and video processor settings of Qwen: at most 3 x 3 tokens a picture."""
    side = 2 * patch_size
    image = pil("qwen2_vl.Qwen2VLImageProcessorPil", min_pixels=side**2, max_pixels=9 * side**2, patch_size=patch_size)
    return {"image_processor": image}


def video_settings(kind: str, **settings: Any) -> dict[str, Any]:
    """A video processor as a checkpoint describes it; transformers builds it where torchvision is installed."""
    return {"video_processor_type": kind, **settings}


@family("qwen2_vl")
def qwen2_vl(folder: Path) -> None:
    import transformers

    tok = tokenizer(*QWEN_TOKENS)
    config = transformers.Qwen2VLConfig(
        text_config={**TEXT, **specials(tok), "rope_parameters": MROPE},
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        **ids(tok, **QWEN_IDS),
    )
    parts = qwen_pixels()
    parts["video_processor"] = video_settings("Qwen2VLVideoProcessor", min_pixels=784, max_pixels=7056)
    save(folder, "Qwen2VLForConditionalGeneration", config, tok, "Qwen2VLProcessor", chat=QWEN_CHAT, parts=parts)


@family("qwen2_5_vl")
def qwen2_5_vl(folder: Path) -> None:
    import transformers

    tok = tokenizer(*QWEN_TOKENS)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 14,
        "window_size": 56,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
    }
    config = transformers.Qwen2_5_VLConfig(
        text_config={**TEXT, **specials(tok), "rope_parameters": MROPE}, vision_config=vision, **ids(tok, **QWEN_IDS)
    )
    parts = qwen_pixels()
    parts["video_processor"] = video_settings("Qwen2VLVideoProcessor", min_pixels=784, max_pixels=7056)
    save(folder, "Qwen2_5_VLForConditionalGeneration", config, tok, "Qwen2_5_VLProcessor", chat=QWEN_CHAT, parts=parts)


def _qwen3_vl(folder: Path, *, moe: bool) -> None:
    import transformers

    tok = tokenizer(*QWEN_TOKENS)
    text = {**TEXT, **specials(tok), "rope_parameters": {**MROPE, "mrope_interleaved": True}}
    make = transformers.Qwen3VLMoeConfig if moe else transformers.Qwen3VLConfig
    config = make(text_config={**text, **(MOE if moe else {})}, vision_config=QWEN3_VISION, **ids(tok, **QWEN_IDS))
    parts = qwen_pixels()
    parts["video_processor"] = video_settings(
        "Qwen3VLVideoProcessor", size={"shortest_edge": 784, "longest_edge": 9 * 784 * 4}, patch_size=14, merge_size=2
    )
    model = "Qwen3VLMoeForConditionalGeneration" if moe else "Qwen3VLForConditionalGeneration"
    save(folder, model, config, tok, "Qwen3VLProcessor", chat=QWEN_CHAT, parts=parts)


@family("qwen3_vl")
def qwen3_vl(folder: Path) -> None:
    _qwen3_vl(folder, moe=False)


@family("qwen3_vl", id="qwen3_vl-moe")
def qwen3_vl_moe(folder: Path) -> None:
    _qwen3_vl(folder, moe=True)
