"""Tiny checkpoints of families that listen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_families import (
    MOE,
    MROPE,
    QWEN3_VISION,
    QWEN_CHAT,
    QWEN_TOKENS,
    TEXT,
    VISION,
    family,
    ids,
    qwen_pixels,
    save,
    specials,
    template,
    tokenizer,
    video_settings,
)

EARS = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "d_model": 32, "num_mel_bins": 16}
SECONDS = 2


def mel(**more: Any) -> Any:
    """Whisper's features, of two seconds of sound in 16 bands."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=16, chunk_length=SECONDS, **more)


@family("qwen2_audio", kinds=("audio", "audios"))
def qwen2_audio(folder: Path) -> None:
    import transformers

    tok = tokenizer("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    config = transformers.Qwen2AudioConfig(
        audio_config={**EARS, "max_source_positions": 50 * SECONDS},
        text_config={"model_type": "qwen2", **TEXT, **specials(tok)},
        audio_token_index=tok.convert_tokens_to_ids("<|AUDIO|>"),
    )
    save(
        folder,
        "Qwen2AudioForConditionalGeneration",
        config,
        tok,
        "Qwen2AudioProcessor",
        chat=template(audio="<|audio_bos|><|AUDIO|><|audio_eos|>\n"),
        parts={"feature_extractor": mel()},
    )


OMNI_TOKENS = (*QWEN_TOKENS, "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>")
OMNI_NAMED = {
    "image_token": "<|image_pad|>",
    "audio_token": "<|audio_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}


@family("qwen2_5_omni", kinds=("image", "images", "video", "audio", "audios"))
def qwen2_5_omni(folder: Path) -> None:
    import transformers

    tok = tokenizer(named=OMNI_NAMED)
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
    names = {
        "audio_token_index": "<|audio_pad|>",
        "image_token_index": "<|image_pad|>",
        "video_token_index": "<|video_pad|>",
        "audio_start_token_id": "<|audio_start|>",
        "audio_end_token_id": "<|audio_end|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    config = transformers.Qwen2_5OmniThinkerConfig(
        audio_config={**EARS, "n_window": 50, "output_dim": 32, "max_source_positions": 1500},
        vision_config=vision,
        text_config={**TEXT, **specials(tok), "rope_parameters": MROPE},
        **ids(tok, **names),
    )
    parts = {**qwen_pixels(), "feature_extractor": mel()}
    parts["video_processor"] = video_settings("Qwen2VLVideoProcessor", min_pixels=784, max_pixels=7056)
    save(
        folder,
        "Qwen2_5OmniThinkerForConditionalGeneration",
        config,
        tok,
        "Qwen2_5OmniProcessor",
        chat=QWEN_CHAT,
        parts=parts,
    )


@family("qwen3_omni", kinds=("image", "images", "video", "audio", "audios"))
def qwen3_omni(folder: Path) -> None:
    import transformers

    tok = tokenizer(named=OMNI_NAMED)
    names = {
        "audio_token_id": "<|audio_pad|>",
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "audio_start_token_id": "<|audio_start|>",
        "audio_end_token_id": "<|audio_end|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    config = transformers.Qwen3OmniMoeThinkerConfig(
        audio_config={
            **EARS,
            "n_window": 50,
            "output_dim": 32,
            "downsample_hidden_size": 8,
            "max_source_positions": 1500,
        },
        vision_config=QWEN3_VISION,
        text_config={**TEXT, **specials(tok), **MOE, "rope_parameters": {**MROPE, "mrope_interleaved": True}},
        **ids(tok, **names),
    )
    parts = {**qwen_pixels(), "feature_extractor": mel()}
    parts["video_processor"] = video_settings("Qwen2VLVideoProcessor", min_pixels=784, max_pixels=7056)
    save(
        folder,
        "Qwen3OmniMoeThinkerForConditionalGeneration",
        config,
        tok,
        "Qwen3OmniMoeProcessor",
        chat=QWEN_CHAT,
        parts=parts,
    )


@family("audio_flamingo_3", kinds=("audio",))
def audio_flamingo_3(folder: Path) -> None:
    import transformers

    tok = tokenizer("<sound>")
    config = transformers.AudioFlamingo3Config(
        audio_config={
            "num_mel_bins": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "hidden_size": 32,
            "max_source_positions": 50 * SECONDS,
        },
        text_config={"model_type": "qwen2", **TEXT, **specials(tok)},
        audio_token_id=tok.convert_tokens_to_ids("<sound>"),
    )
    save(
        folder,
        "AudioFlamingo3ForConditionalGeneration",
        config,
        tok,
        "AudioFlamingo3Processor",
        chat=template(audio="<sound>"),
        parts={"feature_extractor": mel()},
    )


@family("phi4_multimodal", kinds=("image", "images", "video", "audio"), needs=("torchvision",))
def phi4_multimodal(folder: Path) -> None:
    import transformers

    tok = tokenizer(named={"image_token": "<|image|>", "audio_token": "<|audio|>"})
    config = transformers.Phi4MultimodalConfig(
        **{**TEXT, **specials(tok)},
        vision_config={
            **VISION,
            "crop_size": 448,
            "image_size": 448,
            "image_token_id": tok.image_token_id,
            "feature_layer": -1,
        },
        audio_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_blocks": 1,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 32,
            "depthwise_separable_out_channel": 32,
            "nemo_conv_channels": 8,
            "audio_token_id": tok.audio_token_id,
            "feature_layer": -1,
        },
    )
    image = {"image_processor_type": "Phi4MultimodalImageProcessor", "dynamic_hd": 1}
    save(
        folder,
        "Phi4MultimodalForCausalLM",
        config,
        tok,
        "Phi4MultimodalProcessor",
        chat=template("<|image|>", audio="<|audio|>"),
        parts={"image_processor": image, "audio_processor": transformers.Phi4MultimodalFeatureExtractor()},
    )
