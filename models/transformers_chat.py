"""Any image-text-to-text checkpoint of transformers, through its own chat template.

Families whose checkpoints follow transformers' conventions need no file of their own:
``--lmms-model huggingface --lmms-model-args pretrained=...`` is enough. A family file sets
defaults, or overrides a step.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.media.image import open_image
from pytest_lmms.records import (
    FinishReason,
    MediaRef,
    Message,
    Part,
    Request,
    Response,
    Timing,
    TokenCounts,
)

from . import _continuations, _generation, _loading

_NUMBERED_IMAGE = re.compile(r"<image[ _]?(\d+)>")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A batch, ready for the device."""

    inputs: Mapping[str, Any]
    """What the model's ``generate`` takes, as CPU tensors; `input_ids` and `attention_mask` are
    int64 (num_requests, num_columns), padded on the left."""
    input_tokens: tuple[int, ...]
    """For each request, its prompt's tokens: image placeholders expanded, padding left out."""


class TransformersChat:
    """Answers through ``AutoModelForImageTextToText``, batched and padded on the left.

    Tokens are counted so: input tokens are the prompt's without padding, each image as many as the
    model sees of it; output tokens are those generated before the end-of-text token, or up to the
    one that completed a stop string. The text ends before the first stop string. `Timing.seconds`
    is the wall time of the batch on the device, without preparation.

    Requests keep the order of their parts. Sampling is seeded once per batch, with the request's
    seed plus its repeat number; without a seed it is not repeatable.
    """

    honours: ClassVar[frozenset[str]] = HONOURS_ALL

    def __init__(
        self,
        pretrained: str | None = None,
        *,
        revision: str | None = None,
        device: str | None = None,
        device_map: str | None = None,
        dtype: str = "auto",
        batch_size: int | None = None,
        attn_implementation: str | None = None,
        use_cache: bool = True,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        max_num_frames: int = 32,
        fps: float | None = None,
        max_image_size: int | None = None,
        system_prompt: str | None = None,
        interleave_visuals: bool = False,
        reasoning_prompt: str | None = None,
        trust_remote_code: bool = False,
        max_new_tokens: int = 4096,
    ) -> None:
        r"""Load a checkpoint.

        Args:
            pretrained: Folder, or name on the hub.
            revision: Branch, tag or commit on the hub.
            device: ``cuda``, ``cuda:1``, ``cpu``; None takes CUDA where there is one.
            device_map: Hands placement to accelerate (``auto``); `device` is then not used.
            dtype: ``auto`` (the checkpoint's own; float32 on a CPU), ``float32``, ``bfloat16``,
                ``float16``.
            batch_size: The largest batch that this model is given; None leaves it to the session.
            attn_implementation: ``sdpa``, ``eager`` or ``flash_attention_2``; None lets
                transformers choose.
            use_cache: Keep keys and values of past tokens.
            min_pixels: Smaller images are enlarged to this area, for image processors that have
                the setting.
            max_pixels: Larger images are shrunk to this area.
            max_num_frames: Frames taken from a video at most.
            fps: Frames taken per second of video; None takes `max_num_frames` evenly.
            max_image_size: Images are shrunk, before anything else, until their longer side is
                this many pixels.
            system_prompt: Said first, unless the request has a system message of its own.
            interleave_visuals: Put images where the text says ``<image 1>``, ``<image 2>``, ...
            reasoning_prompt: Added to the end of the last user turn's text; ``\n`` is a line break.
            trust_remote_code: Run code that comes with the checkpoint.
            max_new_tokens: For requests that do not say how much to generate.

        Raises:
            UsageError: `pretrained` is missing.
            ModelError: The checkpoint cannot be loaded; the message names it, the cause and a
                remedy.
        """
        if not pretrained:
            raise UsageError(
                explain(
                    "this model needs a checkpoint",
                    where="pretrained",
                    remedy="add: --lmms-model-args pretrained=<folder or hub name>",
                )
            )
        self.pretrained = str(pretrained)
        self.max_batch = batch_size
        self._use_cache = use_cache
        self._max_image_size = max_image_size
        self._system_prompt = system_prompt
        self._interleave_visuals = interleave_visuals
        self._reasoning_prompt = (reasoning_prompt or "").replace("\\n", "\n")
        self._max_new_tokens = max_new_tokens
        with _loading.naming(self.pretrained):
            self._load(
                options={"revision": revision, "trust_remote_code": trust_remote_code},
                device=device,
                device_map=device_map,
                dtype=dtype,
                attn_implementation=attn_implementation,
                pixels={
                    name: value
                    for name, value in (("min_pixels", min_pixels), ("max_pixels", max_pixels))
                    if value is not None
                },
            )
        self._identity = {
            "adapter": type(self).__name__,
            "weights": _loading.weights_identity(self.pretrained, revision, self._commit()),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._device.type,
            "attn_implementation": getattr(self._model.config, "_attn_implementation", None),
            "image_processor": self._describe_image_processor(),
            "max_image_size": max_image_size,
            "max_num_frames": max_num_frames,
            "fps": fps,
            "system_prompt": self._system_prompt,
            "interleave_visuals": interleave_visuals,
            "reasoning_prompt": self._reasoning_prompt,
            "max_new_tokens": max_new_tokens,
            "chat_template": self._digest_chat_template(),
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the text of responses depends on; JSON values."""
        return self._identity

    @property
    def batch_invariant(self) -> bool:
        """Whether a request's text is the same in every batch.

        True for greedy float32 on a CPU, where padding is masked exactly and sums differ in their
        last bits only; a test asks mixed batches in many compositions. In half precision and on
        GPUs those last bits are large enough to turn the choice between two close tokens.
        """
        return self._device.type == "cpu" and str(self._model.dtype) == "torch.float32"

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch; see `pytest_lmms.inference.model.BatchModel`."""
        prepared = _generation.mapping_memory_errors(lambda: self.prepare(requests), num_requests=len(requests))
        return self.generate_prepared(prepared, requests)

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """Open images, render the chat template, tokenise. Safe on several threads at once.

        Args:
            requests: Any number of requests, with and without images.

        Raises:
            MediaError: An image cannot be read.
            ModelError: A request holds something that this adapter cannot show to the model.
        """
        texts, images = self._rendered(requests)
        inputs = self._tokenise(texts, images)
        counts = inputs["attention_mask"].sum(dim=1).tolist()
        return Prepared(inputs=inputs, input_tokens=tuple(counts))

    def generate_prepared(self, prepared: Prepared, requests: Sequence[Request]) -> list[Response]:
        """Answer what `prepare` returned; see `pytest_lmms.inference.model.Prepares`.

        Raises:
            OutOfMemoryError: The batch does not fit.
        """
        started = time.perf_counter()
        rows = _generation.mapping_memory_errors(
            lambda: self._generate(prepared, requests[0]), num_requests=len(requests)
        )
        seconds = time.perf_counter() - started
        timing = Timing(seconds=seconds, batch_size=len(requests), source="wall")
        return [
            Response(
                text=text,
                finish_reason=reason,
                tokens=TokenCounts(input_tokens=num_input, output_tokens=num_output),
                timing=timing,
            )
            for num_input, (text, reason, num_output) in zip(prepared.input_tokens, rows, strict=True)
        ]

    def score(self, requests: Sequence[Request]) -> list[Response]:
        """Give the log-probability of each request's continuation after its rendered prompt.

        The prompt ends where generation would begin. One forward pass a batch; input tokens are the
        prompt's, and no output tokens are counted, as none is generated.

        Raises:
            OutOfMemoryError: The batch does not fit.
            MediaError: An image cannot be read.
        """
        started = time.perf_counter()
        packed, rows = _generation.mapping_memory_errors(lambda: self._score(requests), num_requests=len(requests))
        timing = Timing(seconds=time.perf_counter() - started, batch_size=len(requests), source="wall")
        return [
            Response(
                text="",
                tokens=TokenCounts(input_tokens=num_input),
                timing=timing,
                logprob=logprob,
                is_greedy=is_greedy,
            )
            for num_input, (logprob, is_greedy) in zip(packed.starts, rows, strict=True)
        ]

    # Loading

    def _load(
        self,
        *,
        options: Mapping[str, Any],
        device: str | None,
        device_map: str | None,
        dtype: str,
        attn_implementation: str | None,
        pixels: Mapping[str, int],
    ) -> None:
        import torch
        from transformers import AutoModelForImageTextToText

        name = _loading.resolve_device(device)
        arguments: dict[str, Any] = {
            **options,
            "dtype": _loading.resolve_dtype(dtype, "cuda" if device_map else name),
        }
        if attn_implementation:
            arguments["attn_implementation"] = attn_implementation
        if device_map:
            arguments["device_map"] = device_map
        self._processor = _loading.load_processor(self.pretrained, options=options, pixels=pixels)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        model: Any = AutoModelForImageTextToText.from_pretrained(self.pretrained, **arguments)
        model = model.eval()
        self._model: Any = model if device_map else model.to(torch.device(name))
        self._device: Any = self._model.device
        self._prepare_tokenizer()

    def _prepare_tokenizer(self) -> None:
        """Set padding once: threads may share a fast tokenizer only while nobody changes it."""
        tokenizer = self._tokenizer
        tokenizer.padding_side = "left"
        config = self._model.generation_config
        ends = config.eos_token_id
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        if tokenizer.eos_token_id is not None:
            ends.append(tokenizer.eos_token_id)
        self._end_tokens = frozenset(ends)
        if tokenizer.pad_token_id is None:
            if not self._end_tokens:
                raise ModelError(
                    explain(
                        "the tokenizer has neither a padding nor an end-of-text token",
                        where=f"pretrained={self.pretrained}",
                    )
                )
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(min(self._end_tokens))
        if not self._chat_template():
            raise ModelError(
                explain(
                    "the checkpoint has no chat template",
                    where=f"pretrained={self.pretrained}",
                    expected="chat_template.jinja, or chat_template in tokenizer_config.json",
                )
            )
        self._tokenise(["one", "and two"], [[], []])

    def _chat_template(self) -> Any:
        processors = (self._processor, self._tokenizer)
        found = (getattr(each, "chat_template", None) for each in processors)
        return next((template for template in found if template), None)

    def _digest_chat_template(self) -> str:
        return hashlib.sha256(str(self._chat_template()).encode()).hexdigest()

    def _describe_image_processor(self) -> dict[str, Any]:
        image_processor = getattr(self._processor, "image_processor", None)
        if image_processor is None:
            return {}
        settings = repr(sorted(image_processor.to_dict().items(), key=lambda item: item[0]))
        return {
            "class": type(image_processor).__name__,
            "settings": hashlib.sha256(settings.encode()).hexdigest(),
        }

    def _commit(self) -> str | None:
        return getattr(self._model.config, "_commit_hash", None)

    # Preparing

    def _rendered(self, requests: Sequence[Request]) -> tuple[list[str], list[list[Any]]]:
        """Return each request's prompt and its images; requests that share messages share the work."""
        known: dict[int, tuple[str, list[Any]]] = {}
        for request in requests:
            if id(request.messages) not in known:
                conversation, pictures = self._conversation(request)
                known[id(request.messages)] = self._render(conversation), pictures
        found = [known[id(request.messages)] for request in requests]
        return [text for text, _ in found], [pictures for _, pictures in found]

    def _conversation(self, request: Request) -> tuple[list[dict[str, Any]], list[Any]]:
        """Translate a request into chat-template turns and the images they mention, in order."""
        messages = list(request.messages)
        if self._system_prompt and all(message.role != "system" for message in messages):
            messages.insert(0, Message(role="system", content=(self._system_prompt,)))
        last_user = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
        turns, images = [], []
        for place, message in enumerate(messages):
            parts: Sequence[Part] = message.content
            if self._interleave_visuals:
                parts = _interleave(parts)
            if place == last_user and self._reasoning_prompt and parts:
                parts = _append_text(parts, self._reasoning_prompt)
            content: list[dict[str, Any]] = []
            for part in parts:
                if isinstance(part, str):
                    content.append({"type": "text", "text": part})
                else:
                    images.append(self._open(part))
                    content.append({"type": "image"})
            turns.append({"role": message.role, "content": content})
        return turns, images

    def _open(self, ref: MediaRef) -> Any:
        if ref.kind != "image":
            raise ModelError(
                explain(
                    f"this adapter cannot show {ref.kind} to {self.pretrained}",
                    expected="text and images",
                )
            )
        image = open_image(ref)
        limit = self._max_image_size
        if limit and max(image.size) > limit:
            image = image.copy()
            image.thumbnail((limit, limit))
        return image

    def _render(self, conversation: list[dict[str, Any]]) -> str:
        text = self._processor.apply_chat_template(
            conversation,
            chat_template=self._chat_template(),
            tokenize=False,
            add_generation_prompt=True,
        )
        return str(text)

    def _tokenise(self, texts: list[str], images: list[list[Any]]) -> Mapping[str, Any]:
        arguments: dict[str, Any] = {"text": texts, "padding": True, "return_tensors": "pt"}
        if all(images):
            arguments["images"] = images
        elif any(images):
            # Processors look into the first list to learn how images are nested: none may be empty.
            arguments["images"] = [image for pictures in images for image in pictures]
        return dict(self._processor(**arguments))

    # Scoring

    def _score(self, requests: Sequence[Request]) -> tuple[_continuations.Packed, list[tuple[float, bool]]]:
        import torch

        texts, images = self._rendered(requests)
        continuations = [
            _continuations.continuation_tokens(self._tokenizer, text, request.continuation or "")
            for text, request in zip(texts, requests, strict=True)
        ]
        packed = _continuations.pack(
            self._tokenise(texts, images), continuations, pad_token_id=self._tokenizer.pad_token_id
        )
        with torch.inference_mode():
            inputs = {name: self._to_device(value) for name, value in packed.inputs.items()}
            return packed, _continuations.logprobs(self._model, packed, inputs)

    # Generating

    def _generate(self, prepared: Prepared, request: Request) -> list[tuple[str, FinishReason, int]]:
        """Generate for one batch; return text, reason and number of tokens of each request."""
        import torch

        settings = request.generation
        special = set(self._tokenizer.all_special_tokens)
        stops = tuple(stop for stop in settings.until if stop and stop not in special)
        ends = self._end_tokens | frozenset(
            self._tokenizer.convert_tokens_to_ids(stop) for stop in settings.until if stop in special
        )
        arguments = _generation.generation_arguments(settings, max_new_tokens=self._max_new_tokens)
        num_columns = prepared.inputs["input_ids"].shape[1]
        watcher = None
        if stops and arguments["num_beams"] == 1:
            watcher = _generation.StopStrings(stops, self._decode, num_columns)
            arguments["stopping_criteria"] = [watcher]
        seed = None if settings.seed is None else settings.seed + request.repeat
        with torch.inference_mode(), _generation.seeded(seed, self._device):
            inputs = {name: self._to_device(value) for name, value in prepared.inputs.items()}
            output = self._model.generate(
                **inputs,
                **arguments,
                use_cache=self._use_cache,
                eos_token_id=sorted(ends) or None,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        ended = watcher.ended if watcher is not None else {}
        return [
            self._finish(tokens[: ended.get(row)], ends, stops)
            for row, tokens in enumerate(output[:, num_columns:].tolist())
        ]

    def _to_device(self, value: Any) -> Any:
        if not hasattr(value, "to"):
            return value
        if value.is_floating_point():
            return value.to(self._device, dtype=self._model.dtype)
        return value.to(self._device)

    def _finish(self, tokens: list[int], ends: frozenset[int], stops: Sequence[str]) -> tuple[str, FinishReason, int]:
        tokens, stopped = _generation.until_end(tokens, ends)
        text = self._decode(tokens)
        place = _generation.find_stop(text, stops)
        if place is not None:
            text, stopped = text[:place], True
        return text, "stop" if stopped else "length", len(tokens)

    def _decode(self, tokens: list[int]) -> str:
        text = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)


def _interleave(parts: Sequence[Part]) -> list[Part]:
    """Move images to where the text says ``<image 1>``; those never mentioned stay in front."""
    images = [part for part in parts if not isinstance(part, str)]
    mentioned: set[int] = set()
    placed: list[Part] = []
    for part in parts:
        if not isinstance(part, str):
            continue
        pieces = _NUMBERED_IMAGE.split(part)
        for place, piece in enumerate(pieces):
            if place % 2 == 0:
                placed += [piece] if piece else []
            elif images:
                # A number beyond the last image means the last one, as lmms-eval reads it.
                index = min(max(int(piece), 1), len(images)) - 1
                mentioned.add(index)
                placed.append(images[index])
    rest = [image for index, image in enumerate(images) if index not in mentioned]
    return [*rest, *placed] if mentioned else list(parts)


def _append_text(parts: Sequence[Part], text: str) -> list[Part]:
    """Add to the last text part, which loses white space at its ends; without one, add a part."""
    changed = list(parts)
    for place in range(len(changed) - 1, -1, -1):
        part = changed[place]
        if isinstance(part, str):
            changed[place] = part.strip() + text
            return changed
    return [*changed, text]
