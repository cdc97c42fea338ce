"""Any checkpoint of transformers that takes images, video or audio and writes text, through its own chat template.

Families whose checkpoints follow transformers' conventions need no file of their own:
``--lmms-model huggingface --lmms-model-args pretrained=...`` is enough. A family file sets
defaults, or overrides a step.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.inference.model import HONOURS_ALL, Measured
from pytest_lmms.records import Request, Response, Timing

from . import _continuations, _conversation, _generation, _loading, _processing, _weights
from ._prepared import Part, Prepared


class TransformersChat:
    """Answers through transformers' ``generate``, batched and padded on the left.

    Tokens are counted so: input tokens are the prompt's without padding, each image as many as the
    model sees of it; output tokens are those generated before the end-of-text token, or up to the
    one that completed a stop string. The text ends before the first stop string.

    `Timing.seconds` is the wall time of the batch on the device, without preparation. Time to first
    token runs from the same moment to the end of the first step, and is the same for all requests
    that go through the model together; time per token is the mean over the steps in which a request
    was still generating. Both are of source ``hook``, and absent with more than one beam.

    Requests keep the order of their parts. Sampling is seeded once per batch, with the request's
    seed plus its repeat number; without a seed it is not repeatable.
    """

    honours: ClassVar[frozenset[str]] = HONOURS_ALL
    batching: ClassVar[_processing.Batching] = "kinds"
    """Which requests the family's processor takes together."""
    fallback_template: ClassVar[str | None] = None
    """Jinja template for checkpoints of the family that come without one."""
    weight_classes: ClassVar[Sequence[str]] = _weights.AUTO_CLASSES
    """Classes of transformers to load the weights with."""

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
        use_flash_attention_2: bool = False,
        use_cache: bool = True,
        quantization: str | None = None,
        peft: str | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        image_settings: Mapping[str, Any] | None = None,
        max_num_frames: int = 32,
        max_frames: int | None = None,
        fps: float | None = None,
        max_image_size: int | None = None,
        chat_template: str | None = None,
        system_prompt: str | None = None,
        interleave_visuals: bool = False,
        reasoning_prompt: str | None = None,
        enable_thinking: bool | None = None,
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
            use_flash_attention_2: The same as ``attn_implementation=flash_attention_2``.
            use_cache: Keep keys and values of past tokens.
            quantization: ``bnb_4bit`` or ``bnb_8bit``: quantise the weights with bitsandbytes.
            peft: Folder or hub name of a LoRA adapter to put onto the checkpoint.
            min_pixels: Smaller images are enlarged to this area, for image processors that have
                the setting.
            max_pixels: Larger images are shrunk to this area.
            image_settings: Other settings of the image processor, by its own names, e.g.
                ``{"do_image_splitting": false}``.
            max_num_frames: Frames taken from a video at most.
            max_frames: The same as `max_num_frames`; wins over it.
            fps: Frames taken per second of video; None takes `max_num_frames` evenly.
            max_image_size: Images and frames are shrunk, before anything else, until their longer side is
                this many pixels.
            chat_template: Jinja text, or a file with it; None takes the checkpoint's own.
            system_prompt: Said first, unless the request has a system message of its own.
            interleave_visuals: Put images where the text says ``<image 1>``, ``<image 2>``, ...
            reasoning_prompt: Added to the end of the last user turn's text; ``\n`` is a line break.
            enable_thinking: Passed to the chat template; None leaves the choice to it.
            trust_remote_code: Run code that comes with the checkpoint.
            max_new_tokens: For requests that do not say how much to generate.

        Raises:
            UsageError: `pretrained` is missing, or `quantization` is none of the known.
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
        self._max_new_tokens = max_new_tokens
        self._limits = {"max_side_px": max_image_size, "max_frames": max_frames or max_num_frames, "fps": fps}
        self._wording = _conversation.Wording(
            system_prompt=system_prompt,
            interleave_visuals=interleave_visuals,
            reasoning_prompt=(reasoning_prompt or "").replace("\\n", "\n"),
        )
        options = {"revision": revision, "trust_remote_code": trust_remote_code}
        pixels = {"min_pixels": min_pixels, "max_pixels": max_pixels, **(image_settings or {})}
        with _loading.naming(self.pretrained):
            self._processing = _processing.Processing(
                self._open_processor(options, {name: value for name, value in pixels.items() if value is not None}),
                where=f"pretrained={self.pretrained}",
                template=chat_template,
                fallback_template=self.fallback_template,
                enable_thinking=enable_thinking,
                batching=self.batching,
            )
            self._model: Any = _weights.load_weights(
                self.pretrained,
                find_class=self._find_class,
                device=device,
                device_map=device_map,
                dtype=dtype,
                attn_implementation="flash_attention_2" if use_flash_attention_2 else attn_implementation,
                quantization=quantization,
                peft=peft,
                options=options,
            )
            self._device: Any = self._model.device
            self._end_tokens = _generation.end_tokens(self._model, self._processing.tokenizer)
            self._processing.set_padding(self._end_tokens)
        self._identity = {
            "adapter": type(self).__name__,
            **_weights.describe(self._model, self.pretrained, revision=revision, peft=peft, quantization=quantization),
            "limits": self._limits,
            "video": "video" if self._processing.shows_videos else "frames as images",
            "wording": vars(self._wording),
            "enable_thinking": enable_thinking,
            "max_new_tokens": max_new_tokens,
            "processing": self._processing.describe(),
        }

    def _open_processor(self, options: Mapping[str, Any], pixels: Mapping[str, Any]) -> Any:
        """Return the checkpoint's processor; a family that transformers does not know overrides this."""
        return _loading.load_processor(self.pretrained, options=options, pixels=pixels)

    def _find_class(self, options: Mapping[str, Any]) -> Any:
        """Return the class that the weights are loaded with."""
        return _weights.find_class(self.pretrained, self.weight_classes, options)

    @classmethod
    def measure(cls, **model_args: Any) -> Callable[[Request], Measured]:
        """Measure requests without weights; see `pytest_lmms.inference.model.Measures`."""
        with _weights.left_out():
            model = cls(**model_args)
        return model.measured

    @classmethod
    def around(cls, model: Any, **model_args: Any) -> TransformersChat:
        """Make an adapter of a model that is in memory already, for instance because it is being trained.

        Args:
            model: Of transformers, in evaluation mode; it stays where it is.
            model_args: Of the constructor. `pretrained` has the processor and the configuration; its weights are not
                read. Answers are never taken from a cache: the same name may have other weights a moment later.
        """
        with _weights.given(model):
            adapter = cls(**model_args)
        adapter._identity = {**adapter._identity, "weights": {"in_memory": uuid.uuid4().hex}}
        return adapter

    def measured(self, request: Request) -> Measured:
        """Say how long a request is."""
        text, shown = self._prompt(request)
        num_tokens = int(self._tokenise([text], [shown])["attention_mask"].sum())
        as_images = len(shown.images) - sum(ref.kind == "image" for ref in request.media)
        num_frames = as_images + sum(len(clip.frames) for clip in shown.videos)
        return Measured(num_tokens, _weights.context_length(self._model), num_frames)

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
        """Open media, render the chat template, tokenise. Safe on several threads at once.

        Args:
            requests: Any number of requests, with and without media.

        Raises:
            MediaError: A medium cannot be read.
            ModelError: A request holds something that this adapter cannot show to the model.
        """
        return Prepared(parts=tuple(self._parts(requests, *self._rendered(requests))))

    def generate_prepared(self, prepared: Prepared, requests: Sequence[Request]) -> list[Response]:
        """Answer what `prepare` returned; see `pytest_lmms.inference.model.Prepares`.

        Raises:
            OutOfMemoryError: The batch does not fit.
        """
        started = time.perf_counter()
        rows = _generation.mapping_memory_errors(
            lambda: self._generate(prepared, requests, started), num_requests=len(requests)
        )
        seconds = time.perf_counter() - started
        length = _weights.context_length(self._model)
        return [row.response(count, length, seconds=seconds, batch_size=len(requests)) for count, row in rows]

    def score(self, requests: Sequence[Request]) -> list[Response]:
        """Give the log-probability of each request's continuation after its rendered prompt.

        The prompt ends where generation would begin. One forward pass a batch; input tokens are the
        prompt's, and no output tokens are counted, as none is generated.

        Raises:
            OutOfMemoryError: The batch does not fit.
            MediaError: A medium cannot be read.
        """
        started = time.perf_counter()
        rows = _generation.mapping_memory_errors(lambda: self._score(requests), num_requests=len(requests))
        timing = Timing(seconds=time.perf_counter() - started, batch_size=len(requests), source="wall")
        return [row.response(timing) for row in rows]

    def _rendered(self, requests: Sequence[Request]) -> tuple[list[str], list[_conversation.Shown]]:
        """Return each request's prompt and its media; requests that share messages share the work."""
        known: dict[int, tuple[str, _conversation.Shown]] = {}
        for request in requests:
            if id(request.messages) not in known:
                known[id(request.messages)] = self._prompt(request)
        found = [known[id(request.messages)] for request in requests]
        return [text for text, _ in found], [shown for _, shown in found]

    def _parts(
        self, requests: Sequence[Request], texts: Sequence[str], shown: Sequence[_conversation.Shown]
    ) -> Iterator[Part]:
        """Tokenise requests that the processor takes together, group after group."""
        for places in self._processing.alike(requests):
            inputs = self._tokenise([texts[place] for place in places], [shown[place] for place in places])
            counts = inputs["attention_mask"].sum(dim=1).tolist()
            yield Part(places=tuple(places), inputs=inputs, input_tokens=tuple(counts))

    def _prompt(self, request: Request) -> tuple[str, _conversation.Shown]:
        """Return one request's prompt and its opened media; a family may word it otherwise."""
        return _processing.conversation(self._processing, request, self._wording, self._limits)

    def _tokenise(self, texts: Sequence[str], shown: Sequence[_conversation.Shown]) -> dict[str, Any]:
        """Return the model's inputs; a family whose processor is called otherwise overrides this."""
        return self._processing.tokenise(texts, shown)

    def _generate(
        self, prepared: Prepared, requests: Sequence[Request], started: float
    ) -> list[tuple[int, _generation.Row]]:
        """Return the number of each prompt's tokens, and what was said to it."""
        found: dict[int, tuple[int, _generation.Row]] = {}
        for part in prepared.parts:
            rows = _generation.generate(
                self._model,
                self._processing.tokenizer,
                part.inputs,
                requests[part.places[0]],
                end_tokens=self._end_tokens,
                max_new_tokens=self._max_new_tokens,
                use_cache=self._use_cache,
                started=started,
            )
            found.update(zip(part.places, zip(part.input_tokens, rows, strict=True), strict=True))
        return [found[place] for place in range(len(requests))]

    def _score(self, requests: Sequence[Request]) -> list[_continuations.Row]:
        texts, shown = self._rendered(requests)
        parts = self._parts(requests, texts, shown)
        return _continuations.score(self._model, self._processing.tokenizer, requests, texts, parts)
