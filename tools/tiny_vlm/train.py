"""Train tiny_vlm from nothing and save it as any Qwen2.5-VL checkpoint is saved.

    python tools/tiny_vlm/train.py --out models/tiny_vlm

The saved model is a plain `Qwen2_5_VLForConditionalGeneration`; only the training loop is special, because a tiny model
trained on answers alone ignores its images for a long time:

1. The vision tower learns first. From each of its output tokens (one per 28 x 28 pixels) small heads, thrown away
   later, read whether a shape is centred there, which, of which colour, and where. Colour and shape are read by
   comparing the token with the embeddings of the words "red", "circle", ..., so that the language model finds words
   where it looks.
   Most shapes that it sees then have a colour or a form without a name, lest the tower learn the pairs by heart.
2. Then the tower rests, and the language model learns from the answers to several questions about each image. One of
   its layers is shown, besides, where to look from words like "circle" or "red": at the vision tokens that are meant,
   and for an equal share at <|vision_start|>, so that the shares tell their number. Heads that are thrown away read
   what it should know then.

The common beginning of the prompts is computed once per image; `check` proves that this shortcut gives the logits that
transformers' own forward gives.

Everything is seeded; the number of steps, not the clock, ends the training.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scenes import (
    CELL,
    COLOURS,
    NUMBERS,
    PLURALS,
    SHAPES,
    SIZES,
    SKILLS,
    Kind,
    Question,
    Scene,
    draw,
    make_practice_scene,
    make_question,
    make_scene,
    prompt,
    scene_rng,
)
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, distributed, nn
from torch.nn import functional
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessorPil,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.vision_utils import get_vision_position_ids

PATCH = 14
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] in ('image', 'image_url') or 'image' in part -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif part['type'] == 'video' or 'video' in part -%}
<|vision_start|><|video_pad|><|vision_end|>
{%- elif 'text' in part -%}
{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
KINDS: tuple[Kind, ...] = ("open", *["yes_no"] * 4, *["letter"] * 3)
"""What is asked about each image."""
LOOKING_LAYER, LOOKING_HEADS = 1, 2
"""Which layer of the language model is taught where to look, and how many of its heads."""
ANSWER_CUE = "<|im_end|>\n<|im_start|>assistant\n"
PLACES = ("left", "right", "above", "below", "top", "bottom")
SKILL_WEIGHTS = (3, 4, 4, 2)
NO_LABEL = -100
WORKERS = 2
"""Processes that train together; the result depends on their number, not on the number of cores."""
LINE = re.compile(r"[^\n]*\n+|[^\n]+")
"""A line with all the breaks after it."""
OPTION = re.compile(r"[A-D]\. |\([A-D]\) ")


# --- the files of a checkpoint ---------------------------------------------------------------------------------------


def build_tokenizer() -> Qwen2Tokenizer:
    """Train a byte-level BPE on our own prompts; it can encode every text, our own words as one token."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024 - len(SPECIAL_TOKENS),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(_corpus(), trainer)
    vocab: dict[str, int] = core.get_vocab()
    merges: list[Any] = json.loads(core.to_str())["model"]["merges"]
    tokenizer = Qwen2Tokenizer(
        vocab=vocab,
        merges=[tuple(pair) for pair in merges],
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS[1:]],
        model_max_length=4096,
    )
    tokenizer.padding_side = "left"
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _corpus() -> Iterator[str]:
    """Yield what the tokenizer is trained on: prompts, answers, and the words around them."""
    rng = random.Random("tiny-vlm/tokenizer")
    for seed in range(3000):
        scene = make_scene(scene_rng("train", seed), "train")
        for skill in SKILLS:
            for kind in ("yes_no", "letter", "open"):
                question = make_question(rng, scene, "train", skill, kind)
                if question is not None:
                    yield prompt(question, rng)
    words = ["Yes", "No", "yes", "no", *"ABCDE", "system", "user", "assistant"]
    words += [*NUMBERS, *COLOURS, *SHAPES, *PLACES]
    yield from (form for word in words for form in (word, f" {word}") for _ in range(9))
    yield from ["You are a helpful assistant.", "system\n", "user\n", "assistant\n", "<image 1> <image 2>"] * 9


def build_config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    """Return the shape of the model: 4 vision layers and 5 language layers, all 128 wide."""
    ids: dict[str, Any] = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    vision = {
        "depth": 4,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 4,
        "patch_size": PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [0, 1, 2, 3],
        "out_hidden_size": 128,
        "initializer_range": 0.06,
    }
    text = {
        "vocab_size": 1024,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "initializer_range": 0.06,
        "tie_word_embeddings": True,
    }
    beginning: dict[str, Any] = {"initializer_range": 0.06}
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        **beginning,
    )


def save(model: Qwen2_5_VLForConditionalGeneration, tokenizer: Qwen2Tokenizer, out: Path) -> None:
    """Write the checkpoint, weights as bfloat16, with an image processor that brings every image near 112 x 112."""
    out.mkdir(parents=True, exist_ok=True)
    ids = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=ids, pad_token_id=ids[1], max_new_tokens=16
    )
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.to(torch.bfloat16).save_pretrained(out)
    model.float().load_state_dict(state)
    tokenizer.save_pretrained(out)
    area = SIZES[0][0] * SIZES[0][1]
    Qwen2VLImageProcessorPil(size={"shortest_edge": area, "longest_edge": area}).save_pretrained(out)


# --- data ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Segment:
    """One question as token ids, from after the image to the answer."""

    ids: list[int]
    answer: int
    """Where the answer is in `ids`."""
    name: str
    """Kind and skill."""
    options: list[int]
    """Where each option of a letter question ends in `ids`."""
    right: int
    """Which option is right."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Questions of one kind for a batch of images, right-padded."""

    ids: Tensor
    """Token ids of question and answer, (num_images * questions_per_image, length)."""
    at: Tensor
    """The places whose next token counts, (num_images * questions_per_image, 2): before and after the answer."""
    labels: Tensor
    """What comes next there, same shape: the answer, then <|im_end|>."""
    names: tuple[str, ...]
    """Kind and skill of each question, for the log."""
    nouns: Tensor
    """Where a colour or a shape is named: row and place, (num_nouns, 2)."""
    looks: Tensor
    """Where the language model should look from there: a share for each vision token and, last, for
    <|vision_start|>, (num_nouns, num_tokens + 1). Shares are equal, so that the last one tells how many are meant."""
    facts: Tensor
    """What it should know then: how many shapes are meant, and if it is one, its entry of `Batch.cells`; and a layer
    later: whether the one named before is further left (0), level (1) or further right (2), above (0), level (1) or
    below (2). (num_nouns, 7)"""
    options: Tensor
    """Where the options of letter questions end: row and place, (num_options, 2)."""
    rights: Tensor
    """Whether each option is right, 0.0 or 1.0, (num_options,)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the language model made of a batch, one tensor for each group of questions."""

    logits: list[Tensor]
    """At `Segments.at`, (num_segments, 2, vocab_size)."""
    sights: list[Tensor]
    """Log-share of attention from `Segments.nouns` to what `Segments.looks` lists, mean over `LOOKING_HEADS` heads of
    layer `LOOKING_LAYER`, (num_nouns, num_tokens + 1)."""
    known: list[Tensor]
    """State of the nouns after that layer, (num_nouns, hidden)."""
    related: list[Tensor]
    """State of the nouns a layer later, (num_nouns, hidden)."""
    options: list[Tensor]
    """State at `Segments.options` two layers later, (num_options, hidden)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of one size and questions about them."""

    pixels: Tensor
    """Normalised patches in the order of the image processor, (num_images, num_patches, 3 * 14 * 14)."""
    size: tuple[int, int]
    """Width and height of the images in pixels."""
    cells: Tensor
    """For each vision token: colour number, shape number (0 is none), x and y of the centre as eighths of the
    canvas; `NO_LABEL` where there is none or it has no name, (num_images, num_tokens, 4)."""
    prefix: Tensor
    """Token ids that all prompts begin with, up to <|vision_end|>, (prefix_length,)."""
    plain_positions: bool
    """Whether vision tokens are numbered like words (what transformers does without `mm_token_type_ids`)."""
    groups: tuple[Segments, ...]


class Batches:
    """Makes batches from the training side, scene after scene.

    Args:
        tokenizer: Encodes the prompts.
        seed: Where the stream of scenes begins; streams of different seeds share no scene.
    """

    def __init__(self, tokenizer: Qwen2Tokenizer, seed: int) -> None:
        self.next_seed = seed * 10_000_000
        self.rng = random.Random(f"tiny-vlm/batches/{seed}")
        encode = functools.partial(tokenizer.encode, add_special_tokens=False)
        self.encode_line = functools.lru_cache(100_000)(lambda line: tuple(encode(line)))
        self.cue = encode(ANSWER_CUE)
        self.end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.pad = tokenizer.pad_token_id
        self.image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.starts = {
            system: encode(f"{SYSTEM if system else ''}<|im_start|>user\n<|vision_start|>") for system in (True, False)
        }
        self.vision_end = encode("<|vision_end|>")
        self.colours, self.shapes = list(COLOURS), list(SHAPES)
        self.colour_of = self.number_words(encode, [[name] for name in COLOURS])
        self.shape_of = self.number_words(encode, [["shape", "shapes", "object"], *([s, PLURALS[s]] for s in SHAPES)])

    @staticmethod
    def number_words(encode: Callable[[str], list[int]], words: Sequence[Sequence[str]]) -> dict[int, int]:
        """Return token id -> place of its group in `words`, for the words that are one token."""
        numbers = {}
        for number, forms in enumerate(words):
            for form in forms:
                for ids in (encode(form), encode(f" {form}")):
                    if len(ids) == 1:
                        numbers[ids[0]] = number
        return numbers

    def encode(self, text: str) -> list[int]:
        """Encode line by line, which gives the ids of the whole because no token crosses from a break to a line."""
        return [token for line in LINE.findall(text) for token in self.encode_line(line)]

    def make(self, num_images: int, kinds: Sequence[Kind], *, practice: bool = False) -> Batch:
        """Return the next batch.

        Args:
            num_images: Images in it, all of one size.
            kinds: What to ask about each image.
            practice: Make five in six of the scenes for the vision tower alone.
        """
        rng = self.rng
        size = SIZES[0] if rng.random() < 0.6 else rng.choice(SIZES[1:])
        columns, rows = size[0] // CELL, size[1] // CELL
        images = np.empty((num_images, size[1], size[0], 3), dtype=np.uint8)
        cells = np.zeros((num_images, rows * columns, 4), dtype=np.int64)
        cells[:, :, 2:] = NO_LABEL
        short: list[Segment] = []
        long: list[Segment] = []
        for index in range(num_images):
            scene_source = scene_rng("train", self.next_seed)
            self.next_seed += 1
            if practice and index % 6:
                scene = make_practice_scene(scene_source, size)
            else:
                scene = make_scene(scene_source, "train", size)
            images[index] = np.asarray(draw(scene))
            for item in scene.items:
                cells[index, item.y // CELL * columns + item.x // CELL] = (
                    1 + self.colours.index(item.colour) if item.colour else NO_LABEL,
                    1 + self.shapes.index(item.shape) if item.shape else NO_LABEL,
                    item.x * 8 // size[0],
                    item.y * 8 // size[1],
                )
            for kind in kinds:
                (long if kind == "letter" else short).append(self.ask(scene_source, scene, kind))
        starts = self.starts[rng.random() < 0.5]
        prefix = [*starts, *[self.image] * (rows * columns), *self.vision_end]
        groups = tuple(self.pack(segments, cells) for segments in (short, long) if segments)
        return Batch(patches(images), size, torch.from_numpy(cells), torch.tensor(prefix), rng.random() < 0.15, groups)

    def ask(self, rng: random.Random, scene: Scene, kind: Kind) -> Segment:
        """Return a prompt's ids after the image, answer included, and where the answer is."""
        question: Question | None = None
        while question is None:
            skill = rng.choices(SKILLS, SKILL_WEIGHTS)[0]
            question = make_question(rng, scene, "train", skill, kind)
        ids: list[int] = []
        options: list[int] = []
        for line in LINE.findall(prompt(question, rng)):
            ids += self.encode_line(line)
            if kind == "letter" and OPTION.match(line):
                options.append(len(ids) - (2 if line.endswith("\n") else 1))
        answer = self.encode_line(question.answer)
        if len(answer) != 1:
            raise ValueError(f"answer {question.answer!r} is {len(answer)} tokens; the trainer expects one")
        ids += self.cue
        right = "ABCD".find(question.answer)
        return Segment([*ids, *answer], len(ids), f"{kind}/{question.skill}", options, right)

    def pack(self, segments: Sequence[Segment], cells: np.ndarray[Any, Any]) -> Segments:
        """Pad segments to one length, and note what their words mean in their images (`cells` as in `Batch`)."""
        length = max(len(segment.ids) for segment in segments)
        padded = torch.tensor([segment.ids + [self.pad] * (length - len(segment.ids)) for segment in segments])
        at = torch.tensor([[segment.answer - 1, segment.answer] for segment in segments])
        labels = torch.tensor([[segment.ids[segment.answer], self.end] for segment in segments])
        nouns, looks, facts, options, rights = [], [], [], [], []
        each = len(segments) // len(cells)
        for row, segment in enumerate(segments):
            image, ids = cells[row // each], segment.ids
            before: np.ndarray[Any, Any] | None = None
            for place in range(segment.answer):
                colour, shape = self.colour_of.get(ids[place]), self.shape_of.get(ids[place])
                if colour is None and shape is None:
                    continue
                if shape is not None and place > 0:
                    colour = self.colour_of.get(ids[place - 1])
                meant = image[:, 0] > 0
                if colour is not None:
                    meant = meant & (image[:, 0] == 1 + colour)
                if shape:
                    meant = meant & (image[:, 1] == shape)
                count = int(meant.sum())
                nouns.append((row, place))
                looks.append(np.append(meant, True) / (count + 1))
                fact = np.full(7, NO_LABEL)
                fact[0] = count
                if count == 1:
                    fact[1:5] = image[int(meant.argmax())]
                    if shape is not None:
                        if before is not None:
                            fact[5:] = 1 + np.sign(before - fact[3:5])
                        before = fact[3:5]
                facts.append(fact)
            for number, place in enumerate(segment.options):
                options.append((row, place))
                rights.append(float(number == segment.right))
        return Segments(
            padded,
            at,
            labels,
            tuple(segment.name for segment in segments),
            torch.tensor(nouns),
            torch.from_numpy(np.stack(looks)).float(),
            torch.from_numpy(np.stack(facts)),
            torch.tensor(options, dtype=torch.long).view(-1, 2),
            torch.tensor(rights),
        )


def patches(images: np.ndarray[Any, Any]) -> Tensor:
    """Normalise and cut images as the image processor does, without the doubling in time.

    Args:
        images: uint8, (num_images, height, width, 3), sides multiples of 28.

    Returns:
        float32, (num_images, num_patches, 3 * 14 * 14), patches in blocks of 2 by 2.
    """
    scaled = torch.from_numpy(images).float() / 255
    normal = (scaled - torch.tensor(MEAN)) / torch.tensor(STD)
    count, height, width, _ = normal.shape
    blocks = normal.view(count, height // CELL, 2, PATCH, width // CELL, 2, PATCH, 3)
    return blocks.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(count, -1, 3 * PATCH * PATCH)


# --- fast forward ----------------------------------------------------------------------------------------------------


def _norm(x: Tensor, layer: nn.Module) -> Tensor:
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return functional.rms_norm(x, (x.shape[-1],), weight, layer.variance_epsilon)  # type: ignore[arg-type]


def _mlp(x: Tensor, mlp: Any) -> Tensor:
    out: Tensor = mlp.down_proj(functional.silu(mlp.gate_proj(x)) * mlp.up_proj(x))
    return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn (..., length, head_dim) by angles of (length, head_dim)."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def see(visual: Any, pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Run the vision tower on images of one size at once.

    Args:
        visual: The tower of a Qwen2.5-VL model.
        pixels: As in `Batch.pixels`.
        size: Width and height in pixels.

    Returns:
        (num_images, num_tokens, hidden): what replaces the <|image_pad|> tokens.
    """
    grid = torch.tensor([[1, size[1] // PATCH, size[0] // PATCH]])
    cos, sin = visual.rotary_pos_emb(pixels, get_vision_position_ids(grid, 2))
    weight = visual.patch_embed.proj.weight.sum(2).flatten(1)
    x = functional.linear(pixels, weight)
    count, length, hidden = x.shape
    for block in visual.blocks:
        heads = block.attn.num_heads
        qkv = block.attn.qkv(_norm(x, block.norm1)).view(count, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = _rotate(qkv[0], cos, sin), _rotate(qkv[1], cos, sin), qkv[2]
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + block.attn.proj(mixed.transpose(1, 2).reshape(count, length, hidden))
        x = x + _mlp(_norm(x, block.norm2), block.mlp)
    merged: Tensor = visual.merger.mlp(_norm(x, visual.merger.ln_q).view(count, length // 4, -1))
    return merged


def read(model: Qwen2_5_VLForConditionalGeneration, batch: Batch, vision: Tensor) -> Reading:
    """Run the language model on every question of a batch, the shared beginning once per image.

    Args:
        model: The model whose weights to use.
        batch: Images and questions.
        vision: What `see` gave for the batch.

    Returns:
        Logits, and what the training teaches besides.
    """
    sights: list[Tensor] = []
    known: list[Tensor] = []
    related: list[Tensor] = []
    options: list[Tensor] = []
    language = model.model.language_model
    embed = language.embed_tokens
    num_images, num_tokens, hidden = vision.shape
    start = embed(batch.prefix)
    first = int((batch.prefix == model.config.image_token_id).nonzero()[0])
    rows, columns = batch.size[1] // CELL, batch.size[0] // CELL
    before, after = start[:first], start[first + num_tokens :]
    prefix = torch.cat(
        [before.expand(num_images, -1, -1), vision, after.expand(num_images, -1, -1)], dim=1
    )  # (num_images, prefix_length, hidden)
    prefix_length = prefix.shape[1]
    positions = torch.arange(prefix_length).repeat(3, 1)
    end = prefix_length
    if not batch.plain_positions:
        across = torch.arange(num_tokens)
        positions[:, first : first + num_tokens] = first + torch.stack(
            [torch.zeros_like(across), across // columns, across % columns]
        )
        step = first + max(rows, columns)
        positions[:, first + num_tokens :] = torch.arange(prefix_length - first - num_tokens) + step
        end = step + prefix_length - first - num_tokens
    angles = [language.rotary_emb(prefix, positions[:, None])]
    states = [prefix]
    masks: list[Tensor] = []
    for group in batch.groups:
        length = group.ids.shape[1]
        angles.append(language.rotary_emb(prefix, (end + torch.arange(length)).repeat(3, 1)[:, None]))
        states.append(embed(group.ids))
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        masks.append(torch.cat([torch.ones(length, prefix_length, dtype=torch.bool), causal], dim=1))
    turns = [(cos[0], sin[0]) for cos, sin in angles]
    last = len(language.layers) - 1
    for number, layer in enumerate(language.layers):
        attention = layer.self_attn
        normal = [_norm(x, layer.input_layernorm) for x in states]
        keys, values = [], []
        for x, (cos, sin) in zip(normal, turns, strict=True):
            keys.append(_rotate(_heads(attention.k_proj(x), attention), cos, sin))
            values.append(_heads(attention.v_proj(x), attention))
        new_states = []
        if number < last:
            q = _rotate(_heads(attention.q_proj(normal[0]), attention), *turns[0])
            mixed = functional.scaled_dot_product_attention(q, keys[0], values[0], is_causal=True)
            new_states.append(states[0] + attention.o_proj(mixed.transpose(1, 2).flatten(2)))
        for index, (group, mask) in enumerate(zip(batch.groups, masks, strict=True), start=1):
            each = group.ids.shape[0] // num_images
            k = torch.cat([keys[0].repeat_interleave(each, 0), keys[index]], dim=2)
            v = torch.cat([values[0].repeat_interleave(each, 0), values[index]], dim=2)
            q = _rotate(_heads(attention.q_proj(normal[index]), attention), *turns[index])
            state = states[index]
            if number == LOOKING_LAYER:
                row, place = group.nouns.T
                q_noun = q[row, :LOOKING_HEADS, place][:, :, None]
                score = (q_noun @ k[row, :LOOKING_HEADS].transpose(2, 3))[:, :, 0] * attention.scaling
                share = score.masked_fill(~mask[place][:, None], -1e9).log_softmax(-1).mean(1)
                sights.append(torch.cat([share[:, first : first + num_tokens], share[:, first - 1 : first]], dim=1))
            if number == last:
                at = group.at[:, None, :, None].expand(-1, q.shape[1], -1, q.shape[3])
                q = q.gather(2, at)
                state = state.gather(1, group.at[:, :, None].expand(-1, -1, hidden))
            seen = mask[group.at][:, None] if number == last else mask
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
            new_states.append(state + attention.o_proj(mixed.transpose(1, 2).flatten(2)))
        states = [x + _mlp(_norm(x, layer.post_attention_layernorm), layer.mlp) for x in new_states]
        asked = zip(states[1:], batch.groups, strict=True)
        if number == LOOKING_LAYER:
            known = [x[tuple(group.nouns.T)] for x, group in asked]
        elif number == LOOKING_LAYER + 1:
            related = [x[tuple(group.nouns.T)] for x, group in asked]
        elif number == LOOKING_LAYER + 2:
            options = [x[tuple(group.options.T)] for x, group in asked]
    logits = [functional.linear(_norm(x, language.norm), embed.weight) for x in states]
    return Reading(logits, sights, known, related, options)


def _heads(x: Tensor, attention: Any) -> Tensor:
    """Split (count, length, hidden) into (count, heads, length, head_dim)."""
    return x.view(x.shape[0], x.shape[1], -1, attention.head_dim).transpose(1, 2)


# --- training --------------------------------------------------------------------------------------------------------


class CellHeads(nn.Module):
    """Reads colour, shape and place of the shape centred in a vision token's cell; used in training only."""

    def __init__(self, tokenizer: Qwen2Tokenizer, hidden: int) -> None:
        super().__init__()
        self.words: list[Tensor] = []
        for names in (COLOURS, SHAPES):
            ids = [tokenizer.encode(f" {name}", add_special_tokens=False) for name in names]
            if any(len(word) != 1 for word in ids):
                raise ValueError("a colour or shape is more than one token")
            self.words.append(torch.tensor(ids).flatten())
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.none = nn.Parameter(torch.randn(2, hidden) * 0.06)
        self.place = nn.Linear(hidden, 16)

    def forward(self, vision: Tensor, embedding: Tensor, cells: Tensor) -> tuple[Tensor, list[float]]:
        """Return the loss and the share of cells (with a shape) whose colour, shape, x and y are read rightly.

        Args:
            vision: (num_images, num_tokens, hidden).
            embedding: (vocab_size, hidden).
            cells: As in `Batch.cells`.
        """
        logits = []
        for kind, words in enumerate(self.words):
            table = torch.cat([self.none[kind : kind + 1], embedding[words]])
            logits.append(self.scale * functional.linear(vision, table))
        place = self.place(vision)
        logits += [place[..., :8], place[..., 8:]]
        loss = vision.new_zeros(())
        scores = []
        full = cells[..., 2] != NO_LABEL
        for index, logit in enumerate(logits):
            label = cells[..., index]
            loss = loss + functional.cross_entropy(logit.flatten(0, 1), label.flatten(), ignore_index=NO_LABEL)
            scores.append((logit.argmax(-1) == label)[full & (label != NO_LABEL)].float().mean().item())
        return loss, scores


class WordHeads(nn.Module):
    """Reads from the states of nouns and options what the answer needs to know; used in training only."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.sizes = (6, 1 + len(COLOURS), 1 + len(SHAPES), 8, 8)
        self.read = nn.Linear(hidden, sum(self.sizes))
        self.relate = nn.Linear(hidden, 6)
        self.judge = nn.Linear(hidden, 1)

    def forward(self, reading: Reading, batch: Batch) -> tuple[Tensor, list[float]]:
        """Return the loss and the share read rightly of each of `Segments.facts` and of the options' rightness."""
        facts = torch.cat([group.facts for group in batch.groups])
        logits = [
            *self.read(torch.cat(reading.known)).split(self.sizes, dim=-1),
            *self.relate(torch.cat(reading.related)).split(3, dim=-1),
        ]
        judged = self.judge(torch.cat(reading.options))[:, 0]
        rights = torch.cat([group.rights for group in batch.groups])
        loss = 4 * functional.binary_cross_entropy_with_logits(judged, rights)
        scores = []
        for index, logit in enumerate(logits):
            label = facts[:, index]
            total = functional.cross_entropy(logit, label, ignore_index=NO_LABEL, reduction="sum")
            loss = loss + total / (label != NO_LABEL).sum().clamp_min(1)
            scores.append((logit.argmax(-1) == label)[label != NO_LABEL].float().mean().item())
        scores.append(((judged > 0) == (rights > 0)).float().mean().item())
        return loss, scores


def schedule(step: int, total: int, peak: float, warm: int = 60) -> float:
    """Return the learning rate at a step: linear rise, cosine fall to a fiftieth of the peak."""
    if step < warm:
        return peak * (step + 1) / warm
    share = (step - warm) / max(1, total - warm)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def train(
    out: Path,
    seed: int,
    vision_steps: int,
    steps: int,
    vision_images: int = 48,
    num_images: int = 16,
) -> None:
    """Train and save, in `WORKERS` processes of one thread each that share out every batch.

    Args:
        out: Folder of the checkpoint.
        seed: Seeds weights and scenes.
        vision_steps: Steps of the vision tower alone.
        steps: Steps of the language model.
        vision_images: Images per step of the vision tower alone.
        num_images: Images per step of the language model.
    """
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        settings = (meeting, out, seed, vision_steps, steps, vision_images // WORKERS, num_images // WORKERS)
        torch.multiprocessing.spawn(_work, settings, nprocs=WORKERS)


def _work(
    rank: int, meeting: str, out: Path, seed: int, vision_steps: int, steps: int, vision_images: int, num_images: int
) -> None:
    """Do one worker's share (arguments as for `train`, images per worker); the first worker reports and saves."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORKERS)
    torch.manual_seed(seed)
    began = time.monotonic()

    def report(text: str) -> None:
        if rank == 0:
            print(f"{time.monotonic() - began:5.0f} s  {text}", flush=True)

    tokenizer = build_tokenizer()
    model = Qwen2_5_VLForConditionalGeneration(build_config(tokenizer)).train()
    heads = CellHeads(tokenizer, 128)
    word_heads = WordHeads(128)
    batches = Batches(tokenizer, WORKERS * seed + rank)
    check(model, batches)
    report(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")

    for layer in model.model.language_model.layers:  # attention begins by looking for tokens like the one that looks
        layer.self_attn.k_proj.weight.data.copy_(layer.self_attn.q_proj.weight.data)
    modules = (model.model.visual, model.model.language_model, heads, word_heads)
    parameters = [p for module in modules for p in module.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
        fused=True,
    )
    embedding = model.model.language_model.embed_tokens.weight

    def advance(loss: Tensor, rate: float) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        shared = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(shared)
        shared /= WORKERS
        for gradient, mean in zip(gradients, shared.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for part in optimizer.param_groups:
            part["lr"] = rate
        optimizer.step()

    for step in range(vision_steps):
        batch = batches.make(vision_images, (), practice=True)
        loss, scores = heads(see(model.model.visual, batch.pixels, batch.size), embedding, batch.cells)
        advance(loss, schedule(step, vision_steps, 1.5e-3))
        if step % 50 == 0 or step == vision_steps - 1:
            report(f"vision {step} loss {loss.item():.3f} cells {_shares(scores)}")

    right: dict[str, float] = {}
    for step in range(steps):
        batch = batches.make(num_images, KINDS)
        with torch.no_grad():
            vision = see(model.model.visual, batch.pixels, batch.size)
        reading = read(model, batch, vision)
        answers = torch.cat([logit.flatten(0, 1) for logit in reading.logits])
        labels = torch.cat([group.labels.flatten() for group in batch.groups])
        looks = torch.cat([group.looks for group in batch.groups])
        look_loss = (
            -(looks * torch.cat(reading.sights)).sum(1).mean() + (looks * looks.clamp_min(1e-9).log()).sum(1).mean()
        )
        word_loss, facts = word_heads(reading, batch)
        answer_loss = 2 * functional.cross_entropy(answers, labels)
        loss = 2 * answer_loss + 0.5 * look_loss + 0.1 * word_loss
        advance(loss, schedule(step, steps, 1.5e-3))
        for logit, group in zip(reading.logits, batch.groups, strict=True):
            hits = logit[:, 0].argmax(-1) == group.labels[:, 0]
            for name in set(group.names):
                chosen = torch.tensor([name == other for other in group.names])
                share = hits[chosen].float().mean().item()
                right[name] = right.get(name, share) * 0.95 + share * 0.05
        if step % 50 == 0 or step == steps - 1:
            report(f"step {step} answers {answer_loss.item():.3f} look {look_loss.item():.3f} words {_shares(facts)}")
            report("  ".join(f"{name} {share:.2f}" for name, share in sorted(right.items())))
        if rank == 0 and step % 200 == 199:
            save(model, tokenizer, out)
    if rank == 0:
        model.eval()
        check(model, batches)
        save(model, tokenizer, out)
        report(f"saved to {out}")
    distributed.barrier()
    distributed.destroy_process_group()


def _shares(shares: Sequence[float]) -> str:
    return " ".join(f"{share:.3f}" for share in shares)


@torch.no_grad()
def check(model: Qwen2_5_VLForConditionalGeneration, batches: Batches) -> None:
    """Compare the shortcuts of this file with the image processor and forward pass of transformers.

    Raises:
        AssertionError: They differ by more than rounding.
    """
    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": 12544, "longest_edge": 12544})
    scene = make_scene(random.Random(0), "held_out")
    image = draw(scene)
    real = processor(image, return_tensors="pt")
    ours = patches(np.array(image)[None])[0].view(-1, 3, 1, PATCH, PATCH).expand(-1, -1, 2, -1, -1).flatten(1)
    assert torch.allclose(real["pixel_values"], ours, atol=1e-5), "patches differ from the image processor's"
    for _ in range(3):
        batch = batches.make(2, ("yes_no", "open", "letter", "letter"))
        reading = read(model, batch, see(model.model.visual, batch.pixels, batch.size))
        for group, logit in zip(batch.groups, reading.logits, strict=True):
            each = group.ids.shape[0] // 2
            for row in range(2 * each):
                length = int(group.at[row, 1]) + 1
                ids = torch.cat([batch.prefix, group.ids[row, :length]])[None]
                pixels = batch.pixels[row // each].view(-1, 3, 1, PATCH, PATCH).expand(-1, -1, 2, -1, -1).flatten(1)
                kinds = None if batch.plain_positions else (ids == model.config.image_token_id).int()
                model.model.rope_deltas = None
                expected = model(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    pixel_values=pixels,
                    image_grid_thw=torch.tensor([[1, batch.size[1] // PATCH, batch.size[0] // PATCH]]),
                    mm_token_type_ids=kinds,
                ).logits[0, -2:]
                gap = (expected - logit[row]).abs().max().item()
                assert gap < 1e-3, f"logits differ from those of transformers by {gap}"
    model.model.rope_deltas = None
    core = batches.encode(text := "Is it?\nA. red\n(B) blue\n\nAnswer with the option's letter.\n<image 1> Which?")
    assert core == list(batches.encode_line(text)), "encoding line by line differs"


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train tiny_vlm.")
    parser.add_argument("--out", type=Path, default=Path("models/tiny_vlm"), help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vision-steps", type=int, default=1500, help="steps of the vision tower alone")
    parser.add_argument("--steps", type=int, default=2000, help="steps of the language model")
    args = parser.parse_args()
    train(args.out, args.seed, args.vision_steps, args.steps)


if __name__ == "__main__":
    main()
