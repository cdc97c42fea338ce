"""Whisper: sounds in, what was said out. Text of a request is not shown to it: it takes none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.records import Request, Response

from . import _generation, _loading, _media, _weights


class Whisper:
    """Transcribes or translates one sound a request; sounds longer than its window go through it in windows.

    A stop string cuts the text after it is generated; it does not end generation sooner. No more is generated than
    the model's window of text holds, whatever a task allows.

    One process needs no launcher; under ``-n N`` each worker has a replica of its own.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"max_new_tokens", "num_beams", "do_sample", "until", "seed"})
    why_no_logprobs = "Whisper has no text prompt that a continuation could follow"

    def __init__(
        self,
        pretrained: str = "openai/whisper-tiny",
        *,
        revision: str | None = None,
        device: str | None = None,
        device_map: str | None = None,
        dtype: str = "auto",
        batch_size: int | None = None,
        attn_implementation: str | None = None,
        use_cache: bool = True,
        language: str | None = "en",
        task: str = "transcribe",
        trust_remote_code: bool = False,
        max_new_tokens: int = 256,
    ) -> None:
        """Load a checkpoint.

        Args:
            pretrained: Folder, or name on the hub.
            revision: Branch, tag or commit on the hub.
            device: As for the generic adapter.
            device_map: As for the generic adapter.
            dtype: As for the generic adapter.
            batch_size: The largest batch that this model is given; None leaves it to the session.
            attn_implementation: As for the generic adapter.
            use_cache: Keep keys and values of past tokens.
            language: Spoken language, as a code (``en``); None lets the model find out. Checkpoints for one language
                take none.
            task: ``transcribe``, or ``translate`` into English.
            trust_remote_code: Run code that comes with the checkpoint.
            max_new_tokens: For requests that do not say how much to generate.

        Raises:
            UsageError: `task` is none of the two.
            ModelError: The checkpoint cannot be loaded.
        """
        if task not in ("transcribe", "translate"):
            raise UsageError(explain(f"task={task}", expected="transcribe or translate"))
        self.max_batch = batch_size
        self._use_cache = use_cache
        self._max_new_tokens = max_new_tokens
        options = {"revision": revision, "trust_remote_code": trust_remote_code}
        with _loading.naming(pretrained):
            import transformers

            extractors: Any = transformers.AutoFeatureExtractor  # Untyped in transformers.
            self._extractor = extractors.from_pretrained(pretrained, **options)
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(pretrained, **options)
            self._model: Any = _weights.load_weights(
                pretrained,
                find_class=lambda _: transformers.WhisperForConditionalGeneration,
                device=device,
                device_map=device_map,
                dtype=dtype,
                attn_implementation=attn_implementation,
                quantization=None,
                peft=None,
                options=options,
            )
        self._end_tokens = _generation.end_tokens(self._model, self._tokenizer)
        speaks_many = getattr(self._model.generation_config, "is_multilingual", True)
        self._manner = {"language": language, "task": task} if speaks_many else {}
        self._identity = {
            "adapter": type(self).__name__,
            "weights": _loading.weights_identity(
                pretrained, revision, getattr(self._model.config, "_commit_hash", None)
            ),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._model.device.type,
            "manner": self._manner,
            "max_new_tokens": max_new_tokens,
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the text of responses depends on; JSON values."""
        return self._identity

    @property
    def batch_invariant(self) -> bool:
        """Whether a request's text is the same in every batch: every sound is padded to the same window."""
        return self._model.device.type == "cpu" and str(self._model.dtype) == "torch.float32"

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch; see `pytest_lmms.inference.model.BatchModel`."""
        return self.generate_prepared(self.prepare(requests), requests)

    def prepare(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """Open sounds and compute their features: all that fit the window together, each longer one alone.

        Raises:
            MediaError: A sound cannot be read.
            ModelError: A request has no sound, several, or another medium.
        """
        rate = int(self._extractor.sampling_rate)
        sounds = []
        for request in requests:
            kinds = [ref.kind for ref in request.media]
            if kinds != ["audio"]:
                raise ModelError(
                    explain(
                        f"Whisper was given {', '.join(kinds) or 'text alone'}",
                        where=f"document {request.doc_id}",
                        expected="one sound",
                    )
                )
            sounds.append(_media.samples(request.media[0], rate=rate))
        short = [place for place, sound in enumerate(sounds) if len(sound) <= self._extractor.n_samples]
        parts: list[dict[str, Any]] = [{"places": short, "long": False}] if short else []
        parts += [{"places": [place], "long": True} for place in range(len(sounds)) if place not in short]
        for part in parts:
            whole: dict[str, Any] = {"truncation": False, "padding": "longest"} if part["long"] else {}
            part["inputs"] = self._extractor(
                [sounds[place] for place in part["places"]],
                sampling_rate=rate,
                return_tensors="pt",
                return_attention_mask=True,
                **whole,
            )
        return parts

    def generate_prepared(self, prepared: list[dict[str, Any]], requests: Sequence[Request]) -> list[Response]:
        """Answer what `prepare` returned; see `pytest_lmms.inference.model.Prepares`.

        Raises:
            OutOfMemoryError: The batch does not fit.
        """
        settings = requests[0].generation
        # Its window of text holds four tokens of the model's own: start, language, task, timestamps or none.
        most = int(self._model.config.max_target_positions) - 4
        length = min(settings.max_new_tokens or self._max_new_tokens, most)
        asked = replace(requests[0], generation=replace(settings, until=(), max_new_tokens=length))
        started = time.perf_counter()
        found: dict[int, _generation.Row] = {}
        for part in prepared:
            timestamps = {"return_timestamps": True} if part["long"] else {}
            rows = _generation.mapping_memory_errors(
                lambda part=part, timestamps=timestamps: _generation.generate(  # type: ignore[misc]
                    self._model,
                    self._tokenizer,
                    {**part["inputs"], **self._manner, **timestamps},
                    asked,
                    end_tokens=self._end_tokens,
                    max_new_tokens=self._max_new_tokens,
                    use_cache=self._use_cache,
                    started=started,
                    prompt_returned=False,
                ),
                num_requests=len(requests),
            )
            found.update(zip(part["places"], rows, strict=True))
        seconds = time.perf_counter() - started
        responses = []
        for place in range(len(requests)):
            response = found[place].response(None, seconds=seconds, batch_size=len(requests))
            cut = _generation.find_stop(response.text, (stop for stop in settings.until if stop))
            responses.append(response if cut is None else replace(response, text=response.text[:cut]))
        return responses
