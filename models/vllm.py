"""vLLM's asynchronous engine in this process: every document in flight, batched as the engine likes.

Prompts are rendered with the checkpoint's own chat template and handed over with decoded media; nothing is encoded.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.records import FinishReason, Request, Response, Timing, TokenCounts

from . import _continuations, _conversation, _engine, _loading, _processing
from ._attempt import one_name

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}
_CHANGE_NO_TEXT = frozenset({"gpu_memory_utilization", "disable_log_stats", "max_num_seqs"})


class Prepared(NamedTuple):
    """A request, ready for the engine."""

    text: str
    """Its prompt, with the template's placeholders for media."""
    media: dict[str, list[Any]]
    """See `_engine.multi_modal_data`."""
    continuation: tuple[int, ...] = ()
    """For log-likelihood requests: its tokens."""


class Vllm:
    """Answers through vLLM's `AsyncLLM`, each request with sampling settings of its own.

    `Timing.seconds` is the wall time of a request from when the engine gets it, without opening media. Time to first
    token and time per token are the engine's own figures for the request (source ``engine``): waiting in its queue
    counts into the first. They are absent with `disable_log_stats`.
    """

    honours: ClassVar[frozenset[str]] = frozenset({*_engine.HONOURS, "min_tokens"})

    def __init__(
        self,
        model: str | None = None,
        *,
        pretrained: str | None = None,
        model_version: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        tensor_parallel_size: int = 1,
        data_parallel_size: int = 1,
        gpu_memory_utilization: float = 0.8,
        max_model_len: int | None = None,
        limit_mm_per_prompt: Mapping[str, int] | None = None,
        disable_log_stats: bool = False,
        num_concurrent: int = 256,
        batch_size: int | None = None,
        nframes: int = 32,
        max_frames: int | None = None,
        max_frame_num: int | None = None,
        fps: float | None = None,
        max_pixels: int | None = None,
        min_image_pixels: int = 28,
        chat_template: str | None = None,
        system_prompt: str | None = None,
        interleave_visuals: bool = False,
        image_first: bool = False,
        enable_thinking: bool | None = None,
        trust_remote_code: bool = False,
        max_new_tokens: int = 4096,
        **arguments: Any,
    ) -> None:
        """Start the engine.

        Args:
            model: Folder, or name on the hub.
            pretrained: Another word for `model`.
            model_version: Another word for `model`.
            revision: Branch, tag or commit on the hub.
            dtype: vLLM's: ``auto``, ``float32``, ``bfloat16``, ``float16``.
            tensor_parallel_size: Devices that share one copy of the weights.
            data_parallel_size: Copies of the weights.
            gpu_memory_utilization: Share of each GPU's memory that is taken, above 0 and at most 1.
            max_model_len: Tokens that prompt and answer may have together; None is the checkpoint's.
            limit_mm_per_prompt: The most media of each kind in one prompt, ``{"image": 8, "video": 1}``.
            disable_log_stats: Keep no statistics: there are no times to first token then.
            num_concurrent: The most documents that the engine has at once.
            batch_size: lmms-eval's; without effect, since the engine forms its batches itself.
            nframes: Frames of a video, spread evenly; with `fps` without effect.
            max_frames: The most frames of a video with `fps` (768).
            max_frame_num: Another word for `max_frames`.
            fps: Frames a second of a video, instead of `nframes`.
            max_pixels: Images and frames with more are made smaller.
            min_image_pixels: Sides of images that are shorter are stretched to this, in pixels.
            chat_template: Jinja text, or a file with it; None takes the checkpoint's own.
            system_prompt: Said first, unless the request has a system message of its own.
            interleave_visuals: Put images where the text says ``<image 1>``, ``<image 2>``, ...
            image_first: lmms-eval's; without effect, since media keep the place that the task gives them.
            enable_thinking: Passed to the chat template; None leaves the choice to it.
            trust_remote_code: Run code that comes with the checkpoint.
            max_new_tokens: For requests that do not say how much to generate.
            arguments: Of vLLM's `AsyncEngineArgs`.

        Raises:
            UsageError: No or two different checkpoints, an unknown argument, or an impossible number.
            ModelError: vLLM is missing, or cannot load the checkpoint.
        """
        del batch_size, image_first
        self.pretrained = one_name({"model": model, "pretrained": pretrained, "model_version": model_version})
        if num_concurrent < 1:
            raise UsageError(explain(f"num_concurrent={num_concurrent}", expected="at least 1"))
        self.num_concurrent = num_concurrent
        engine_class, args_class, self._params = _import()
        given = {
            "dtype": dtype,
            "revision": revision,
            "tensor_parallel_size": tensor_parallel_size,
            "data_parallel_size": data_parallel_size,
            "gpu_memory_utilization": gpu_memory_utilization,
            "max_model_len": max_model_len,
            "limit_mm_per_prompt": limit_mm_per_prompt,
            "disable_log_stats": disable_log_stats,
            "trust_remote_code": trust_remote_code,
            **arguments,
        }
        given = {name: value for name, value in given.items() if value is not None}
        _engine.check_names(given, [each.name for each in dataclasses.fields(args_class)], engine="vLLM")
        self._max_new_tokens = max_new_tokens
        most = max_frames or max_frame_num or 768
        self._limits = {"max_side_px": None, "max_frames": most if fps else min(nframes, most), "fps": fps}
        self._sizes: dict[str, Any] = {"min_side_px": min_image_pixels, "max_pixels": max_pixels}
        self._wording = _conversation.Wording(system_prompt=system_prompt, interleave_visuals=interleave_visuals)
        options = {"revision": revision, "trust_remote_code": trust_remote_code}
        with _loading.naming(self.pretrained):
            self._processing = _processing.Processing(
                _loading.load_processor(self.pretrained, options=options, pixels={}),
                where=f"pretrained={self.pretrained}",
                template=chat_template,
                fallback_template=None,
                enable_thinking=enable_thinking,
                batching="single",
            )
            self._engine: Any = engine_class.from_engine_args(args_class(model=self.pretrained, **given))
        self._numbers = itertools.count()
        self.identity: Mapping[str, Any] = {
            "adapter": type(self).__name__,
            "weights": _loading.weights_identity(self.pretrained, revision, None),
            "engine": {name: _plain(value) for name, value in given.items() if name not in _CHANGE_NO_TEXT},
            "limits": {**self._limits, **self._sizes},
            "wording": vars(self._wording),
            "enable_thinking": enable_thinking,
            "max_new_tokens": max_new_tokens,
            "processing": self._processing.describe(),
        }

    def stop(self) -> None:
        """End the engine's processes."""
        self._engine.shutdown()

    async def generate(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            MediaError: Media cannot be read.
            ModelError: The engine refuses the request, or has died.
        """
        prepared = await asyncio.to_thread(self._prepare, request)
        said = _engine.sampling(request, max_new_tokens=self._max_new_tokens)
        if "min_tokens" in request.generation.extra:
            said["min_tokens"] = request.generation.extra["min_tokens"]
        started = time.perf_counter()
        output = await self._ask({"prompt": prepared.text}, prepared, said)
        answer = output.outputs[0]
        tokens = TokenCounts(
            input_tokens=len(output.prompt_token_ids or ()),
            output_tokens=len(answer.token_ids),
            cached_tokens=output.num_cached_tokens,
        )
        return Response(
            text=answer.text,
            finish_reason=_REASONS.get(answer.finish_reason),
            tokens=tokens,
            timing=timing(output.metrics, len(answer.token_ids), time.perf_counter() - started),
        )

    async def score(self, request: Request) -> Response:
        """Give the log-probability of a request's continuation after its rendered prompt.

        Raises:
            MediaError: Media cannot be read.
            ModelError: The engine refuses the request, or has died.
        """
        prepared = await asyncio.to_thread(self._prepare, request)
        started = time.perf_counter()
        tokenizer = self._processing.tokenizer
        before = tokenizer(prepared.text, **self._tokenising(prepared.text))["input_ids"]
        prompt = {"prompt_token_ids": [*before, *prepared.continuation]}
        output = await self._ask(prompt, prepared, {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 1})
        num = len(prepared.continuation)
        found = [at[token] for at, token in zip(output.prompt_logprobs[-num:], prepared.continuation, strict=True)]
        return Response(
            text="",
            tokens=TokenCounts(input_tokens=len(output.prompt_token_ids) - num),
            timing=Timing(seconds=time.perf_counter() - started),
            logprob=float(sum(each.logprob for each in found)),
            is_greedy=all(each.rank == 1 for each in found),
        )

    async def _ask(self, prompt: dict[str, Any], prepared: Prepared, said: Mapping[str, Any]) -> Any:
        """Return the engine's last output for a prompt."""
        from vllm.sampling_params import RequestOutputKind

        if prepared.media:
            prompt["multi_modal_data"] = prepared.media
        last: Any = None
        try:
            params = self._params(**said, output_kind=RequestOutputKind.FINAL_ONLY)
            outputs = self._engine.generate(
                prompt,
                params,
                f"lmms-{next(self._numbers)}",
                tokenization_kwargs=self._tokenising(prepared.text) or None,
            )
            async for output in outputs:
                last = output
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            remedy = "see the engine's own messages above" if self._engine.errored else None
            raise ModelError(explain(f"vLLM gave no answer: {reason}", remedy=remedy)) from error
        if last is None or not last.finished or last.outputs[0].finish_reason not in _REASONS:
            raise ModelError(explain("vLLM broke off a request", remedy="see the engine's own messages above"))
        return last

    # On a thread

    def _prepare(self, request: Request) -> Prepared:
        text, shown = _processing.conversation(self._processing, request, self._wording, self._limits)
        media = _engine.multi_modal_data(shown, rate=self._processing.sampling_rate, **self._sizes)
        if request.continuation is None:
            return Prepared(text, media)
        tokens = _continuations.continuation_tokens(self._processing.tokenizer, text, request.continuation)
        if not tokens:
            raise ModelError(explain("a continuation without tokens", expected="a text that is not empty"))
        return Prepared(text, media, tuple(tokens))

    def _tokenising(self, text: str) -> dict[str, Any]:
        bos = getattr(self._processing.tokenizer, "bos_token", None)
        return {"add_special_tokens": False} if bos and text.startswith(bos) else {}


def timing(metrics: Any, num_tokens: int, seconds: float) -> Timing:
    """Read the engine's figures of a request.

    Args:
        metrics: vLLM's `RequestStateStats`; None where it keeps none.
        num_tokens: Generated tokens.
        seconds: Wall time of the request.
    """
    if metrics is None or not metrics.first_token_latency:
        return Timing(seconds=seconds)
    after_first = metrics.last_token_ts - metrics.first_token_ts
    return Timing(
        seconds=seconds,
        first_token_seconds=metrics.first_token_latency,
        seconds_per_token=after_first / (num_tokens - 1) if num_tokens > 1 else None,
        source="engine",
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, list, dict)) else repr(value)


def _import() -> tuple[Any, Any, Any]:
    try:
        from vllm import AsyncEngineArgs, SamplingParams
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        raise ModelError(
            explain(
                f"vLLM cannot be imported: {error}",
                remedy="pip install 'pytest-lmms[vllm]' (docs/models.md says how on a CPU)",
            )
        ) from error
    return AsyncLLM, AsyncEngineArgs, SamplingParams
