"""Log-probabilities of given texts with transformers: packing rows, reading logits. Knows no checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmms.records import Request, Response, Timing, TokenCounts

from ._generation import on_device
from ._prepared import Part


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a model gives to the continuation of one request."""

    num_input: int
    """Tokens of the prompt."""
    logprob: float
    """Natural log of the continuation's probability."""
    is_greedy: bool
    """Whether each of its tokens is the most likely at its place."""

    def response(self, timing: Timing) -> Response:
        """Return it as a response; `timing` is the batch's."""
        tokens = TokenCounts(input_tokens=self.num_input)
        return Response(text="", tokens=tokens, timing=timing, logprob=self.logprob, is_greedy=self.is_greedy)


def score(
    model: Any, tokenizer: Any, requests: Sequence[Request], texts: Sequence[str], parts: Iterable[Part]
) -> list[Row]:
    """Score the continuations of a batch, one forward pass a part.

    Args:
        model: Of transformers.
        tokenizer: Of transformers; pads.
        requests: With continuations.
        texts: The rendered prompt of each.
        parts: Their inputs; each is asked for after the one before was scored.

    Returns:
        A row for each request, in order.
    """
    import torch

    found: dict[int, Row] = {}
    for part in parts:
        continuations = [
            continuation_tokens(tokenizer, texts[place], requests[place].continuation or "") for place in part.places
        ]
        packed = pack(part.inputs, continuations, pad_token_id=tokenizer.pad_token_id)
        with torch.inference_mode():
            rows = logprobs(model, packed, on_device(packed.inputs, model))
        for place, start, (logprob, is_greedy) in zip(part.places, packed.starts, rows, strict=True):
            found[place] = Row(num_input=start, logprob=logprob, is_greedy=is_greedy)
    return [found[place] for place in range(len(requests))]


def continuation_tokens(tokenizer: Any, context: str, continuation: str) -> list[int]:
    """Tokenise a text as what follows another.

    Both are tokenised together and the context's tokens taken away, so that a tokenizer that marks the beginning of
    a text does not mark the continuation. Where a token would span the boundary, the continuation is tokenised
    alone: while generating, the model has the context's own tokens before it.

    Args:
        tokenizer: Of transformers.
        context: The rendered prompt, placeholders of media as the template writes them.
        continuation: What follows.
    """
    before: list[int] = tokenizer(context, add_special_tokens=False)["input_ids"]
    both: list[int] = tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
    if both[: len(before)] == before:
        return both[len(before) :]
    return list(tokenizer(continuation, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A batch of contexts with their continuations, all beginning in column 0."""

    inputs: Mapping[str, Any]
    """What the model's forward takes; `input_ids` int64 (num_rows, num_columns), padded on the right."""
    starts: tuple[int, ...]
    """Column of each row's first continuation token, which is the number of its context's tokens."""
    continuations: tuple[Sequence[int], ...]


def pack(inputs: Mapping[str, Any], continuations: Sequence[Sequence[int]], *, pad_token_id: int) -> Packed:
    """Put continuations behind contexts, and padding behind both.

    Padding on the right keeps every row's positions those of the row alone, whether the model counts columns or
    reads the attention mask; no real token sees the padding that follows it.

    Args:
        inputs: From a processor, contexts padded on either side; integer tensors of the shape of `input_ids` are
            moved along with it, and say of continuations what they say of text (zero); those with more dimensions
            (a mask of cross-attention) say what they say of the last token; others stay as they are.
        continuations: Tokens of each row.
        pad_token_id: For `input_ids`.
    """
    import torch

    ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
    starts = [int(n) for n in mask.sum(dim=1)]
    num_columns = max(start + len(tokens) for start, tokens in zip(starts, continuations, strict=True))
    packed: dict[str, Any] = {}
    for name, value in inputs.items():
        if not hasattr(value, "shape") or value.shape[:2] != ids.shape or value.is_floating_point():
            packed[name] = value
            continue
        size = (len(starts), num_columns, *value.shape[2:])
        filled = value.new_full(size, pad_token_id if name == "input_ids" else 0)
        for row, (start, tokens) in enumerate(zip(starts, continuations, strict=True)):
            filled[row, :start] = value[row, mask[row]]
            if name == "input_ids":
                filled[row, start : start + len(tokens)] = torch.tensor(list(tokens), dtype=filled.dtype)
            elif name == "attention_mask":
                filled[row, start : start + len(tokens)] = 1
            elif value.ndim > 2:
                filled[row, start : start + len(tokens)] = value[row, mask[row]][-1]
        packed[name] = filled
    return Packed(inputs=packed, starts=tuple(starts), continuations=tuple(continuations))


def logprobs(model: Any, packed: Packed, inputs: Mapping[str, Any]) -> list[tuple[float, bool]]:
    """Run a model once and read what it gives to every continuation.

    Args:
        model: Of transformers; called with gradients off by the caller.
        packed: What `pack` returned.
        inputs: `packed.inputs` on the model's device.

    Returns:
        For each row, the natural log of the continuation's probability, summed in float32 over its tokens (0 for an
        empty one), and whether each of its tokens is the most likely at its place.
    """
    import torch

    first = min(packed.starts) - 1  # the token before a continuation predicts its first
    arguments: dict[str, Any] = {"use_cache": False}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        columns = packed.inputs["input_ids"].shape[1]
        arguments["logits_to_keep"] = torch.arange(first, columns, device=inputs["input_ids"].device)
        offset = first
    else:
        offset = 0
    logits = model(**inputs, **arguments).logits
    found: list[tuple[float, bool]] = []
    for row, (start, tokens) in enumerate(zip(packed.starts, packed.continuations, strict=True)):
        place = start - 1 - offset
        scores = logits[row, place : place + len(tokens)].float().log_softmax(dim=-1)
        wanted = torch.tensor(list(tokens), dtype=torch.int64, device=scores.device)
        total = scores.gather(1, wanted[:, None]).sum()
        found.append((float(total), bool((scores.argmax(dim=-1) == wanted).all())))
    return found
