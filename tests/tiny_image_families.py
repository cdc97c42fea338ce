"""Tiny checkpoints of families that take images, and video where their processors do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_families import (
    SIDE,
    TEXT,
    VISION,
    family,
    ids,
    pil,
    save,
    specials,
    template,
    tokenizer,
    video_settings,
)

IMAGE = template("<image>", "<video>")


def llama(tok: Any, kind: str = "llama", **more: Any) -> dict[str, Any]:
    """A text config of the Llama kind."""
    return {"model_type": kind, **TEXT, **specials(tok), **more}


def tower(kind: str, **more: Any) -> dict[str, Any]:
    """A vision config of the CLIP kind."""
    return {"model_type": kind, **VISION, **more}


@family("llava_hf")
def llava(folder: Path) -> None:
    import transformers

    tok = tokenizer("<image>", "<video>")
    config = transformers.LlavaConfig(
        text_config=llama(tok),
        vision_config=tower("clip_vision_model"),
        vision_feature_layer=-1,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
    )
    save(
        folder,
        "LlavaForConditionalGeneration",
        config,
        tok,
        "LlavaProcessor",
        chat=IMAGE,
        parts={
            "image_processor": pil(
                "clip.CLIPImageProcessorPil", size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
            )
        },
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


@family("llava_hf", id="llava_hf-next")
def llava_next(folder: Path) -> None:
    import transformers

    tok = tokenizer("<image>", "<video>")
    grid = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE]]
    config = transformers.LlavaNextConfig(
        text_config=llama(tok),
        vision_config=tower("clip_vision_model"),
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
    )
    image = pil(
        "llava_next.LlavaNextImageProcessorPil",
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=grid,
    )
    save(
        folder,
        "LlavaNextForConditionalGeneration",
        config,
        tok,
        "LlavaNextProcessor",
        chat=IMAGE,
        parts={"image_processor": image},
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


@family("llava_onevision")
def llava_onevision(folder: Path) -> None:
    import transformers

    tok = tokenizer("<image>", "<video>")
    grid = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE]]
    config = transformers.LlavaOnevisionConfig(
        text_config=llama(tok, "qwen2"),
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
        **ids(tok, image_token_index="<image>", video_token_index="<video>"),
    )
    image = pil(
        "llava_onevision.LlavaOnevisionImageProcessorPil",
        size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=grid,
    )
    video = video_settings("LlavaOnevisionVideoProcessor", size={"height": SIDE, "width": SIDE})
    save(
        folder,
        "LlavaOnevisionForConditionalGeneration",
        config,
        tok,
        "LlavaOnevisionProcessor",
        chat=IMAGE,
        parts={"image_processor": image, "video_processor": video},
        num_image_tokens=4,
        vision_feature_select_strategy="full",
    )


@family("internvl_hf")
def internvl(folder: Path) -> None:
    import transformers

    tok = tokenizer(named={
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    })  # fmt: skip
    config = transformers.InternVLConfig(
        text_config=llama(tok, "qwen2"),
        vision_config={**VISION, "image_size": [SIDE, SIDE], "patch_size": [7, 7]},
        image_seq_length=4,
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
    )
    image = pil(
        "got_ocr2.GotOcr2ImageProcessorPil", size={"height": SIDE, "width": SIDE}, crop_to_patches=True, max_patches=2
    )
    video = video_settings("InternVLVideoProcessor", size={"height": SIDE, "width": SIDE})
    save(
        folder,
        "InternVLForConditionalGeneration",
        config,
        tok,
        "InternVLProcessor",
        chat=template("<IMG_CONTEXT>\n", "<video>\n"),
        parts={"image_processor": image, "video_processor": video},
        image_seq_length=4,
    )


@family("gemma3")
def gemma3(folder: Path) -> None:
    import transformers

    tok = tokenizer(
        named={"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    )
    text = {**TEXT, **specials(tok), "layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 8}
    config = transformers.Gemma3Config(
        text_config=text,
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        mm_tokens_per_image=4,
        tie_word_embeddings=False,
        **ids(
            tok,
            boi_token_index="<start_of_image>",
            eoi_token_index="<end_of_image>",
            image_token_index="<image_soft_token>",
        ),
    )
    image = pil("gemma3.Gemma3ImageProcessorPil", size={"height": SIDE, "width": SIDE})
    save(
        folder,
        "Gemma3ForConditionalGeneration",
        config,
        tok,
        "Gemma3Processor",
        chat="{{ bos_token }}" + template("<start_of_image>"),
        parts={"image_processor": image},
        image_seq_length=4,
    )


@family("idefics2")
def idefics2(folder: Path) -> None:
    import transformers

    tok = tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>")
    config = transformers.Idefics2Config(
        text_config=llama(tok, "mistral"),
        vision_config={**VISION, "image_size": 2 * SIDE},
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        image_token_id=tok.convert_tokens_to_ids("<image>"),
    )
    image = pil(
        "idefics2.Idefics2ImageProcessorPil",
        size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE},
        do_image_splitting=False,
    )
    save(
        folder,
        "Idefics2ForConditionalGeneration",
        config,
        tok,
        "Idefics2Processor",
        chat=template("<image>"),
        parts={"image_processor": image},
        image_seq_len=4,
    )


def _idefics3(folder: Path, kind: str) -> None:
    import transformers

    grid = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tok = tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", "<video>", *grid)
    config = getattr(transformers, f"{kind}Config")(
        text_config=llama(tok),
        vision_config=VISION,
        scale_factor=2,
        image_token_id=tok.convert_tokens_to_ids("<image>"),
    )
    sizes = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    image = pil(f"{kind.lower()}.{kind}ImageProcessorPil", **sizes)
    save(
        folder,
        f"{kind}ForConditionalGeneration",
        config,
        tok,
        f"{kind}Processor",
        chat=template("<image>", "<video>"),
        parts={
            "image_processor": image,
            **({} if kind == "Idefics3" else {"video_processor": video_settings("SmolVLMVideoProcessor", **sizes)}),
        },
        image_seq_len=1,
    )


@family("idefics3")
def idefics3(folder: Path) -> None:
    _idefics3(folder, "Idefics3")


@family("smolvlm", needs=("num2words",))
def smolvlm(folder: Path) -> None:
    _idefics3(folder, "SmolVLM")


@family("paligemma", takes_text=False)
def paligemma(folder: Path) -> None:
    import transformers

    tok = tokenizer("<image>")
    config = transformers.PaliGemmaConfig(
        text_config=llama(tok, "gemma"),
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        projection_dim=32,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
    )
    image = pil("siglip.SiglipImageProcessorPil", size={"height": SIDE, "width": SIDE}, image_seq_length=4)
    save(
        folder,
        "PaliGemmaForConditionalGeneration",
        config,
        tok,
        "PaliGemmaProcessor",
        chat=None,
        parts={"image_processor": image},
    )


@family("glm4v")
def glm4v(folder: Path) -> None:
    import transformers

    marks = (
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
        "<|image|>",
        "<|video|>",
    )
    tok = tokenizer(*marks)
    config = transformers.Glm4vConfig(
        text_config={
            **TEXT,
            **specials(tok),
            "rope_parameters": {**MROPE, "mrope_section": [1, 1, 2], "partial_rotary_factor": 1.0},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "image_size": 2 * SIDE,
            "patch_size": 14,
            "out_hidden_size": 32,
            "intermediate_size": 48,
        },
        **ids(
            tok,
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            image_start_token_id="<|begin_of_image|>",
            image_end_token_id="<|end_of_image|>",
            video_start_token_id="<|begin_of_video|>",
            video_end_token_id="<|end_of_video|>",
        ),
    )
    size = {"shortest_edge": 784, "longest_edge": 784 * 9}
    image = pil("glm4v.Glm4vImageProcessorPil", size=size, patch_size=14, merge_size=2)
    video = video_settings(
        "Glm4vVideoProcessor", size={"shortest_edge": 784, "longest_edge": 784 * 36}, patch_size=14, merge_size=2
    )
    save(
        folder,
        "Glm4vForConditionalGeneration",
        config,
        tok,
        "Glm4vProcessor",
        chat=template("<|begin_of_image|><|image|><|end_of_image|>", "<|begin_of_video|><|video|><|end_of_video|>"),
        parts={"image_processor": image, "video_processor": video},
    )


MROPE = {"rope_type": "default", "rope_theta": 10000.0}


@family("aria")
def aria(folder: Path) -> None:
    import transformers

    tok = tokenizer(named={"image_token": "<|img|>"})
    config = transformers.AriaConfig(
        text_config={**TEXT, **specials(tok), "moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1},
        vision_config={"model_type": "idefics3_vision", **VISION, "image_size": 490, "patch_size": 70},
        projector_patch_to_query_dict={49: 4, 196: 8},
        image_token_index=tok.convert_tokens_to_ids("<|img|>"),
    )
    save(
        folder,
        "AriaForConditionalGeneration",
        config,
        tok,
        "AriaProcessor",
        chat=template("<|img|>"),
        parts={"image_processor": pil("aria.AriaImageProcessorPil", max_image_size=490)},
        size_conversion={490: 4, 980: 8},
    )


@family("llama_vision")
def mllama(folder: Path) -> None:
    import transformers

    tok = tokenizer("<|python_tag|>", "<|image|>")
    tok_ids = specials(tok)
    config = transformers.MllamaConfig(
        text_config={
            **TEXT,
            **tok_ids,
            "vocab_size": tok_ids["vocab_size"],
            "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        vision_config={
            **VISION,
            "attention_heads": 2,
            "num_global_layers": 1,
            "max_num_tiles": 2,
            "intermediate_layers_indices": [0],
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
            "vision_output_dim": 64,
        },
        image_token_index=tok.convert_tokens_to_ids("<|image|>"),
    )
    image = pil("mllama.MllamaImageProcessorPil", size={"height": SIDE, "width": SIDE}, max_image_tiles=2)
    save(
        folder,
        "MllamaForConditionalGeneration",
        config,
        tok,
        "MllamaProcessor",
        chat=template("<|image|>"),
        parts={"image_processor": image},
    )


@family("llama4_scout", needs=("torchvision",))
def llama4(folder: Path) -> None:
    import transformers

    tok = tokenizer(
        "<|image|>", "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>", "<|tile_y_separator|>"
    )
    config = transformers.Llama4Config(
        text_config={
            **TEXT,
            **specials(tok),
            "intermediate_size_mlp": 48,
            "num_local_experts": 2,
            "attention_chunk_size": 512,
        },
        vision_config={
            **VISION,
            "patch_size": 7,
            "vision_output_dim": 32,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
            "intermediate_size": 128,
        },
        **ids(tok, boi_token_index="<|image_start|>", eoi_token_index="<|image_end|>", image_token_index="<|patch|>"),
    )
    image = {
        "image_processor_type": "Llama4ImageProcessor",
        "size": {"height": SIDE, "width": SIDE},
        "max_patches": 2,
        "resize_to_max_canvas": False,
    }
    save(
        folder,
        "Llama4ForConditionalGeneration",
        config,
        tok,
        "Llama4Processor",
        chat=template("<|image|>"),
        parts={"image_processor": image},
        patch_size=7,
    )


@family("mistral3", needs=("torchvision",))
def mistral3(folder: Path) -> None:
    import transformers

    tok = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = transformers.Mistral3Config(
        text_config=llama(tok, "mistral"),
        vision_config={"model_type": "pixtral", **VISION, "head_dim": 16, "image_size": 4 * SIDE},
        image_token_index=tok.convert_tokens_to_ids("[IMG]"),
    )
    image = pil(
        "pixtral.PixtralImageProcessorPil", size={"longest_edge": 2 * SIDE}, patch_size={"height": 28, "width": 28}
    )
    save(
        folder,
        "Mistral3ForConditionalGeneration",
        config,
        tok,
        "PixtralProcessor",
        chat=template("[IMG]"),
        parts={"image_processor": image},
        patch_size=14,
        spatial_merge_size=2,
    )


@family("aya_vision")
def aya_vision(folder: Path) -> None:
    import transformers

    marks = (
        "<image>",
        "<|START_OF_IMG|>",
        "<|END_OF_IMG|>",
        "<|IMG_PATCH|>",
        "<|IMG_LINE_BREAK|>",
        "TILE_1",
        "TILE_2",
        "TILE_GLOBAL",
    )
    tok = tokenizer(*marks)
    config = transformers.AyaVisionConfig(
        text_config=llama(tok, "cohere2", layer_types=["sliding_attention", "full_attention"]),
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        image_token_index=tok.convert_tokens_to_ids("<|IMG_PATCH|>"),
    )
    image = pil(
        "got_ocr2.GotOcr2ImageProcessorPil", size={"height": SIDE, "width": SIDE}, crop_to_patches=True, max_patches=2
    )
    save(
        folder,
        "AyaVisionForConditionalGeneration",
        config,
        tok,
        "AyaVisionProcessor",
        chat=template("<image>"),
        parts={"image_processor": image},
        patch_size=14,
        img_size=SIDE,
        downsample_factor=2,
    )


@family("kosmos2_5", kinds=("image",), takes_text=False, is_monotonous=True)
def kosmos2_5(folder: Path) -> None:
    import transformers

    tok = tokenizer("<md>", "<ocr>", named={"image_token": "<s>", "boi_token": "<image>", "eoi_token": "</image>"})
    config = transformers.Kosmos2_5Config(
        text_config={
            "vocab_size": len(tok),
            "embed_dim": 32,
            "layers": 2,
            "ffn_dim": 48,
            "attention_heads": 2,
            "max_position_embeddings": 512,
        },
        vision_config={
            "hidden_size": 32,
            "patch_embed_hidden_size": 48,
            "intermediate_size": 48,
            "head_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_num_patches": 4096,
        },
        latent_query_num=4,
    )
    image = pil("kosmos2_5.Kosmos2_5ImageProcessorPil", patch_size={"height": 4, "width": 4})
    save(
        folder,
        "Kosmos2_5ForConditionalGeneration",
        config,
        tok,
        "Kosmos2_5Processor",
        chat=None,
        parts={"image_processor": image},
        num_image_tokens=4,
    )


@family("video_llava")
def video_llava(folder: Path) -> None:
    import transformers

    tok = tokenizer("<image>", "<video>")
    config = transformers.VideoLlavaConfig(
        text_config=llama(tok),
        vision_config=tower("clip_vision_model"),
        vision_feature_layer=-1,
        image_seq_length=4,
        video_seq_length=40,
        **ids(tok, image_token_index="<image>", video_token_index="<video>"),
    )
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    image = {"image_processor_type": "VideoLlavaImageProcessor", **size}
    save(
        folder,
        "VideoLlavaForConditionalGeneration",
        config,
        tok,
        "VideoLlavaProcessor",
        chat=None,
        parts={"image_processor": image, "video_processor": video_settings("VideoLlavaVideoProcessor", **size)},
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


@family("ovis2")
def ovis2(folder: Path) -> None:
    import transformers

    marks = ("<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>", "<image>")
    tok = tokenizer(*marks)
    config = transformers.Ovis2Config(
        text_config=llama(tok, "qwen2"),
        vision_config={**VISION, "vocab_size": 40, "patch_size": 14, "hidden_stride": 1},
        image_token_id=tok.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=[tok.convert_tokens_to_ids(mark) for mark in marks[1:6]],
        vocab_size=len(tok),
        hidden_size=32,
    )
    image = pil("ovis2.Ovis2ImageProcessorPil", size={"height": SIDE, "width": SIDE})
    save(
        folder,
        "Ovis2ForConditionalGeneration",
        config,
        tok,
        "Ovis2Processor",
        chat=template("<image>"),
        parts={"image_processor": image},
        image_seq_length=4,
    )


@family("instructblip", kinds=("image",), takes_text=False)
def instructblip(folder: Path) -> None:
    import transformers

    tok = tokenizer("<image>")
    qformer = {
        "vocab_size": len(tok),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "encoder_hidden_size": 32,
        "max_position_embeddings": 256,
    }
    config = transformers.InstructBlipConfig(
        text_config=llama(tok),
        vision_config=VISION,
        qformer_config=qformer,
        num_query_tokens=4,
        image_token_index=tok.convert_tokens_to_ids("<image>"),
    )
    image = pil("blip.BlipImageProcessorPil", size={"height": SIDE, "width": SIDE})
    save(
        folder,
        "InstructBlipForConditionalGeneration",
        config,
        tok,
        "InstructBlipProcessor",
        chat=None,
        parts={"image_processor": image},
        num_query_tokens=4,
    )
    tok.save_pretrained(folder / "qformer_tokenizer")


@family("minicpm_v", needs=("torchvision",))
def minicpm_v(folder: Path) -> None:
    import transformers

    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    }
    tok = tokenizer(named=named)
    config = transformers.MiniCPMV4_6Config(
        text_config=llama(tok, "qwen3"),
        vision_config={**VISION, "image_size": 112, "patch_size": 14},
        insert_layer_id=0,
        image_size=112,
        **ids(tok, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    image = pil("minicpmv4_6.MiniCPMV4_6ImageProcessorPil", scale_resolution=112, max_slice_nums=2)
    video = video_settings("MiniCPMV4_6VideoProcessor", scale_resolution=112, max_slice_nums=1)
    save(
        folder,
        "MiniCPMV4_6ForConditionalGeneration",
        config,
        tok,
        "MiniCPMV4_6Processor",
        chat=template("<|image_pad|>", "<|video_pad|>"),
        parts={"image_processor": image, "video_processor": video},
    )


def _sentences_of_fuyu() -> Any:
    """A tokenizer as Fuyu's: image tokens are words like any other, and a blank comes before every prompt."""
    import string

    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    blank = "\N{LOWER ONE EIGHTH BLOCK}"
    words = ["|SPEAKER|", "|NEWLINE|", *(f"<0x0{number}>" for number in range(5))]
    letters = [blank, *string.ascii_letters, *string.digits, *string.punctuation, "\n"]
    vocabulary = [("<unk>", 0.0), ("<s>", 0.0), ("<|end|>", 0.0), *((word, 0.0) for word in words)]
    tokenizer = Tokenizer(models.Unigram([*vocabulary, *((letter, -5.0) for letter in letters)], unk_id=0))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(blank), normalizers.Replace(" ", blank)])
    tokenizer.decoder = decoders.Metaspace(replacement=blank)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="<|end|>", pad_token="<unk>"
    )


@family("fuyu", kinds=("image",), needs=("torchvision",))
def fuyu(folder: Path) -> None:
    import transformers

    tok = _sentences_of_fuyu()
    text = {name: value for name, value in TEXT.items() if name not in ("num_key_value_heads", "head_dim")}
    config = transformers.FuyuConfig(
        text_config={**text, **specials(tok), "model_type": "persimmon"},
        image_size=2 * SIDE,
        patch_size=14,
        image_token_id=tok.convert_tokens_to_ids("|SPEAKER|"),
    )
    size, patches = ({"height": side, "width": side} for side in (2 * SIDE, 14))
    image = pil("fuyu.FuyuImageProcessorPil", size=size, patch_size=patches)
    save(folder, "FuyuForCausalLM", config, tok, "FuyuProcessor", chat=None, parts={"image_processor": image})
