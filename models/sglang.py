"""SGLang's engine in this process: every document in flight, answers streamed, so that the first token has a time.

A video is shown as images of its frames, and sounds are refused: the engine reads files of both, not what is decoded.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.records import FinishReason, Request, Response, Timing, TokenCounts

from . import _conversation, _engine, _loading, _processing
from ._attempt import one_name

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}


class SGLang:
    """Answers through SGLang's `Engine.async_generate`, each request with sampling settings of its own.

    Times are taken where the stream is read (source ``client``), from when the engine gets a request.
    """

    honours: ClassVar[frozenset[str]] = _engine.HONOURS
    why_no_logprobs: ClassVar[str] = "this adapter asks SGLang for text only"
    removed_arguments: ClassVar[Mapping[str, str]] = {
        "mcp_server_path": "`sglang serve` and --lmms-model openai, which has mcp_server_path",
        "max_turn": "`sglang serve` and --lmms-model openai, which has max_turns",
        "work_dir": "nothing: no files are written",
        "threads": "--lmms-preparation-threads",
    }

    def __init__(
        self,
        model: str | None = None,
        *,
        pretrained: str | None = None,
        model_version: str | None = None,
        revision: str | None = None,
        tensor_parallel_size: int = 1,
        data_parallel_size: int = 1,
        gpu_memory_utilization: float = 0.8,
        json_model_override_args: str | None = None,
        num_concurrent: int = 256,
        batch_size: int | None = None,
        nframes: int = 32,
        max_frame_num: int = 768,
        fps: float | None = None,
        max_pixels: int | None = None,
        min_pixels: int | None = None,
        chat_template: str | None = None,
        system_prompt: str | None = None,
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
            tensor_parallel_size: Devices that share one copy of the weights.
            data_parallel_size: Copies of the weights.
            gpu_memory_utilization: Share of each GPU's memory for weights and cache, above 0 and below 1.
            json_model_override_args: JSON that changes the checkpoint's configuration.
            num_concurrent: The most documents that the engine has at once.
            batch_size: lmms-eval's; without effect, since the engine forms its batches itself.
            nframes: Frames of a video, spread evenly; with `fps` without effect.
            max_frame_num: The most frames of a video.
            fps: Frames a second of a video, instead of `nframes`.
            max_pixels: Images and frames with more are made smaller.
            min_pixels: lmms-eval's; without effect: the checkpoint's processor has its own.
            chat_template: Jinja text, or a file with it; None takes the checkpoint's own.
            system_prompt: Said first, unless the request has a system message of its own.
            enable_thinking: Passed to the chat template; None leaves the choice to it.
            trust_remote_code: Run code that comes with the checkpoint.
            max_new_tokens: For requests that do not say how much to generate.
            arguments: Of SGLang's `ServerArgs`.

        Raises:
            UsageError: No or two different checkpoints, an unknown argument, or an impossible number.
            ModelError: SGLang is missing, or cannot load the checkpoint.
        """
        del batch_size, min_pixels
        self.pretrained = one_name({"model": model, "pretrained": pretrained, "model_version": model_version})
        for name in sorted(self.removed_arguments.keys() & arguments.keys()):
            raise UsageError(explain(f"sglang has no argument {name!r}", remedy=f"use {self.removed_arguments[name]}"))
        if num_concurrent < 1:
            raise UsageError(explain(f"num_concurrent={num_concurrent}", expected="at least 1"))
        self.num_concurrent = num_concurrent
        engine_class, args_class = _import()
        _engine.check_names(arguments, list(inspect.signature(args_class).parameters), engine="SGLang")
        given = {
            "revision": revision,
            "tp_size": tensor_parallel_size,
            "dp_size": data_parallel_size,
            "mem_fraction_static": gpu_memory_utilization,
            "json_model_override_args": json_model_override_args,
            "trust_remote_code": trust_remote_code,
            **arguments,
        }
        given = {name: value for name, value in given.items() if value is not None}
        self._max_new_tokens = max_new_tokens
        self._limits = {"max_side_px": None, "max_frames": max_frame_num if fps else min(nframes, max_frame_num),
                        "fps": fps}  # fmt: skip
        self._max_pixels = max_pixels
        self._wording = _conversation.Wording(system_prompt=system_prompt)
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
            self._processing.shows_videos = False
            self._engine: Any = engine_class(model_path=self.pretrained, **given)
        self.identity: Mapping[str, Any] = {
            "adapter": type(self).__name__,
            "weights": _loading.weights_identity(self.pretrained, revision, None),
            "engine": {name: repr(value) for name, value in given.items() if name != "mem_fraction_static"},
            "limits": {**self._limits, "max_pixels": max_pixels},
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
            ModelError: The request holds a sound, or the engine refuses it, breaks off, or has died.
        """
        if any(ref.kind == "audio" for ref in request.media):
            raise ModelError(explain("this adapter cannot show sounds to SGLang", remedy="use `openai` with a server"))
        text, images = await asyncio.to_thread(self._prepare, request)
        started = time.perf_counter()
        first: float | None = None
        last: Mapping[str, Any] | None = None
        said = settings(request, max_new_tokens=self._max_new_tokens)
        try:
            stream = await self._engine.async_generate(
                prompt=text, sampling_params=said, image_data=images or None, stream=True
            )
            async for piece in stream:
                last = piece
                first = time.perf_counter() - started if first is None else first
        except Exception as error:
            raise ModelError(explain(f"SGLang gave no answer: {type(error).__name__}: {error}")) from error
        return respond(last, first, time.perf_counter() - started)

    def _prepare(self, request: Request) -> tuple[str, list[Any]]:
        """Return a prompt and its images; on a thread."""
        text, shown = _processing.conversation(self._processing, request, self._wording, self._limits)
        images = [_engine.resized(each, min_side_px=1, max_pixels=self._max_pixels) for each in shown.images]
        return text, images


def settings(request: Request, *, max_new_tokens: int) -> dict[str, Any]:
    """Return a request's sampling settings in SGLang's words."""
    said = _engine.sampling(request, max_new_tokens=max_new_tokens)
    said["max_new_tokens"] = said.pop("max_tokens")
    if "seed" in said:
        said["sampling_seed"] = said.pop("seed")
    return said


def respond(last: Mapping[str, Any] | None, first_token_seconds: float | None, seconds: float) -> Response:
    """Read the last piece of a stream, which holds the whole text.

    Args:
        last: ``{"text": ..., "meta_info": {"finish_reason": {"type": ...}, "completion_tokens": ..., ...}}``.
        first_token_seconds: When the first piece came, from the start.
        seconds: When the last came.

    Raises:
        ModelError: The stream ended without an answer, or the engine gave the request up.
    """
    facts = (last or {}).get("meta_info") or {}
    reason = facts.get("finish_reason") or {}
    if last is None or reason.get("type") not in _REASONS:
        raise ModelError(explain(f"SGLang broke off a request: {reason.get('message') or reason or 'no answer came'}"))
    num_tokens = facts.get("completion_tokens")
    per_token = None
    if first_token_seconds is not None and num_tokens and num_tokens > 1:
        per_token = (seconds - first_token_seconds) / (num_tokens - 1)
    return Response(
        text=last["text"],
        finish_reason=_REASONS[reason["type"]],
        tokens=TokenCounts(
            input_tokens=facts.get("prompt_tokens"),
            output_tokens=num_tokens,
            cached_tokens=facts.get("cached_tokens"),
        ),
        timing=Timing(
            seconds=seconds, first_token_seconds=first_token_seconds, seconds_per_token=per_token, source="client"
        ),
    )


def _import() -> tuple[Any, Any]:
    try:
        from sglang import Engine
        from sglang.srt.server_args import ServerArgs
    except ImportError as error:
        raise ModelError(
            explain(f"SGLang cannot be imported: {error}", remedy="pip install 'pytest-lmms[sglang]'")
        ) from error
    return Engine, ServerArgs
