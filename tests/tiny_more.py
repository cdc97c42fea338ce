"""Tiny checkpoints of models that have an adapter of their own: Whisper and NanoVLM."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tiny_families import TEXT, VISION, randomise, specials, tokenizer

WHISPER_TOKENS = ("<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>")


def save_whisper(folder: Path, *, seconds: int = 2) -> Path:
    """Write a random Whisper that hears `seconds` of sound at once."""
    import transformers

    times = tuple(f"<|{n * 0.02:.2f}|>" for n in range(50 * seconds + 1))
    tok = tokenizer("<|nospeech|>", "<|startofprev|>", *WHISPER_TOKENS, *times)
    start, en, de, transcribe, translate, plain = tok.convert_tokens_to_ids(list(WHISPER_TOKENS))
    config = transformers.WhisperConfig(
        vocab_size=len(tok), num_mel_bins=16, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_source_positions=50 * seconds,
        max_target_positions=64, decoder_start_token_id=start, pad_token_id=tok.pad_token_id,
        bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model: Any = randomise(lambda: transformers.WhisperForConditionalGeneration(config))
    spoken = {
        "_from_model_config": False,
        "is_multilingual": True,
        "lang_to_id": {"<|en|>": en, "<|de|>": de},
        "task_to_id": {"transcribe": transcribe, "translate": translate},
        "no_timestamps_token_id": plain,
        "prev_sot_token_id": tok.convert_tokens_to_ids("<|startofprev|>"),
        "decoder_start_token_id": start,
        "eos_token_id": tok.eos_token_id,
        "pad_token_id": tok.pad_token_id,
        "max_length": 60,
        "max_initial_timestamp_index": 50,
    }
    model.save_pretrained(folder)
    settings = folder / "generation_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), **spoken}))
    tok.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=16, chunk_length=seconds).save_pretrained(folder)
    return folder


def save_nanovlm(folder: Path) -> Path:
    """Write a random NanoVLM of 16 tokens an image."""
    import transformers
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    from pytest_lmms.registry import MODELS

    MODELS.load("nanovlm")
    network = sys.modules["pytest_lmms._models._nanovlm_network"].network()
    tok = tokenizer("<|im_start|>", "<|im_end|>", "<|image_pad|>")
    vision = {key: value for key, value in VISION.items() if key != "image_size"}
    config = network.config_class(
        text_config=transformers.Qwen3Config(**TEXT, **specials(tok)),
        vision_config=transformers.Siglip2VisionConfig(**vision, num_patches=16, vision_use_head=False),
        image_token_id=tok.convert_tokens_to_ids("<|image_pad|>"),
        image_token_count=16,
    )
    model = randomise(lambda: network(config))
    model.generation_config.eos_token_id = tok.eos_token_id
    model.generation_config.pad_token_id = tok.pad_token_id
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=14, max_num_patches=16).save_pretrained(folder)
    return folder
