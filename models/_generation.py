"""Generating with transformers: settings, stop strings, counting, memory. Knows no checkpoint."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_lmms.errors import OutOfMemoryError, explain
from pytest_lmms.records import PROMPT_TRUNCATED, FinishReason, Generation, Request, Response, Timing, TokenCounts

from ._clock import TokenClock

_Result = TypeVar("_Result")
_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a model said to one request of a batch."""

    text: str
    reason: FinishReason
    num_tokens: int
    first_token_seconds: float | None
    seconds_per_token: float | None

    def response(
        self, num_input: int | None, context_length: int | None = None, *, seconds: float, batch_size: int
    ) -> Response:
        """Return it as a response, with what the whole batch shares; flagged where the prompt exceeds the context."""
        timing = Timing(
            seconds=seconds,
            batch_size=batch_size,
            first_token_seconds=self.first_token_seconds,
            seconds_per_token=self.seconds_per_token,
            source="wall" if self.first_token_seconds is None else "hook",
        )
        tokens = TokenCounts(input_tokens=num_input, output_tokens=self.num_tokens)
        cut = context_length is not None and (num_input or 0) > context_length
        flags = (PROMPT_TRUNCATED,) if cut else ()
        return Response(text=self.text, finish_reason=self.reason, tokens=tokens, timing=timing, flags=flags)


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end a text, from the generation config and the tokenizer."""
    ends = model.generation_config.eos_token_id
    found = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    if getattr(tokenizer, "eos_token_id", None) is not None:
        found.append(tokenizer.eos_token_id)
    return frozenset(found)


def on_device(inputs: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Move tensors to a model's device, floating-point ones to its dtype."""

    def moved(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(moved(each) for each in value)
        if not hasattr(value, "to"):
            return value
        return value.to(model.device, dtype=model.dtype if value.is_floating_point() else None)

    return {name: moved(value) for name, value in inputs.items()}


def generate(
    model: Any,
    tokenizer: Any,
    inputs: Mapping[str, Any],
    request: Request,
    *,
    end_tokens: frozenset[int],
    max_new_tokens: int,
    use_cache: bool,
    started: float,
    prompt_returned: bool = True,
) -> list[Row]:
    """Generate for requests that go through the model together.

    Args:
        model: Of transformers.
        tokenizer: Of transformers; decodes, and pads.
        inputs: What ``generate`` takes; `input_ids` (num_requests, num_columns) where there is a text prompt.
        request: Any of the requests: all have the same settings.
        end_tokens: Tokens that end a text.
        max_new_tokens: For requests that say none.
        use_cache: Keep keys and values of past tokens.
        started: `time.perf_counter` when the batch was taken up; times count from here.
        prompt_returned: Whether what ``generate`` returns begins with the prompt.

    Returns:
        A row for each request, in order.
    """
    import torch

    settings = request.generation
    special = set(tokenizer.all_special_tokens)
    stops = tuple(stop for stop in settings.until if stop and stop not in special)
    ends = end_tokens | frozenset(tokenizer.convert_tokens_to_ids(stop) for stop in settings.until if stop in special)
    arguments = generation_arguments(settings, max_new_tokens=max_new_tokens)
    start = inputs["input_ids"].shape[1] if prompt_returned else 0

    def decode(tokens: list[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    clock = TokenClock(started, model.device)
    watcher = None
    if arguments["num_beams"] == 1:
        watcher = StopStrings(stops, decode, start) if stops else None
        arguments["stopping_criteria"] = [clock, *([watcher] if watcher else [])]
    seed = None if settings.seed is None else settings.seed + request.repeat
    with torch.inference_mode(), seeded(seed, model.device):
        output = model.generate(
            **on_device(inputs, model),
            **arguments,
            use_cache=use_cache,
            eos_token_id=None if not ends else sorted(ends) if len(ends) > 1 else min(ends),
            pad_token_id=tokenizer.pad_token_id,
        )
    ended = watcher.ended if watcher is not None else {}
    rows = []
    for place, tokens in enumerate(output[:, start:].tolist()):
        kept, stopped = until_end(tokens[: ended.get(place)], ends)
        first_token_seconds, seconds_per_token = clock.figures(len(kept) + stopped)
        text = decode(kept)
        cut = find_stop(text, stops)
        rows.append(
            Row(
                text=text[:cut],
                reason="stop" if stopped or cut is not None else "length",
                num_tokens=len(kept),
                first_token_seconds=first_token_seconds,
                seconds_per_token=seconds_per_token,
            )
        )
    return rows


def generation_arguments(settings: Generation, *, max_new_tokens: int) -> dict[str, Any]:
    """Translate settings into keyword arguments of ``generate``.

    An unsaid temperature is 0: greedy. What the checkpoint's own generation config says about
    other things, e.g. a repetition penalty, stays in force. Of `settings.extra`, names that
    transformers' GenerationConfig knows are passed on; the rest is not for this adapter.

    Args:
        settings: The request's settings; stop strings are not handled here.
        max_new_tokens: For requests that say none.
    """
    from transformers import GenerationConfig

    make: Any = GenerationConfig  # Untyped in transformers.
    known = make().to_dict()
    arguments = {name: value for name, value in settings.extra.items() if name in known}
    arguments["max_new_tokens"] = settings.max_new_tokens or max_new_tokens
    arguments["num_beams"] = settings.num_beams or 1
    arguments["do_sample"] = settings.samples
    for name in ("temperature", "top_p", "top_k"):
        # None takes back what the checkpoint says: it means nothing without sampling.
        value = getattr(settings, name)
        if not settings.samples or value is not None:
            arguments[name] = value if settings.samples else None
    return arguments


class StopStrings:
    """Stopping criterion of transformers: ends a row as soon as its text holds a stop string."""

    def __init__(self, stops: Sequence[str], decode: Callable[[list[int]], str], start: int) -> None:
        """Watch for `stops` in what comes after position `start`.

        Args:
            stops: Stop strings, none empty.
            decode: Tokens to text, as the final text is decoded.
            start: Number of columns of the prompt.
        """
        self._stops = tuple(stops)
        self._decode = decode
        self._start = start
        # A token stands for at least one byte; a few more, as a character may span tokens.
        self._window = max(len(stop.encode()) for stop in stops) + 8
        self.ended: dict[int, int] = {}
        """Row -> number of tokens it had when its text first held a stop string."""

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        """Return a bool tensor (num_rows,): which rows are done."""
        import torch

        length = input_ids.shape[1] - self._start
        first = max(self._start, input_ids.shape[1] - self._window)
        for row, tokens in enumerate(input_ids[:, first:].tolist()):
            if row not in self.ended and find_stop(self._decode(tokens), self._stops) is not None:
                self.ended[row] = length
        done = [row in self.ended for row in range(input_ids.shape[0])]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)


def find_stop(text: str, stops: Iterable[str]) -> int | None:
    """Return where the first of `stops` begins in `text`, None without one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return min(places, default=None)


def until_end(tokens: list[int], ends: frozenset[int]) -> tuple[list[int], bool]:
    """Cut tokens before the first that ends the text.

    Returns:
        The tokens before it, and whether there was one.
    """
    for place, token in enumerate(tokens):
        if token in ends:
            return tokens[:place], True
    return tokens, False


@contextmanager
def seeded(seed: int | None, device: Any) -> Iterator[None]:
    """Seed torch for one batch, and give the session its own random state back afterwards."""
    import torch

    if seed is None:
        yield
        return
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or on the CPU."""
    import torch

    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _MEMORY_SIGNS)


def mapping_memory_errors(call: Callable[[], _Result], *, num_requests: int) -> _Result:
    """Call, and raise our `OutOfMemoryError` when memory ran out.

    The new error has no cause and no context: a traceback would keep the tensors alive that have
    to go before half of the batch can fit.

    Args:
        call: What may run out of memory.
        num_requests: Size of the batch, for the message.

    Raises:
        OutOfMemoryError: Memory ran out; everything that the call allocated is free again.
    """
    try:
        return call()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        message = (str(error).splitlines() or ["out of memory"])[0][:300]
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        explain(
            f"a batch of {num_requests} does not fit into memory: {message}",
            remedy="use a smaller --lmms-batch-size, or smaller images (max_pixels)",
        )
    )
