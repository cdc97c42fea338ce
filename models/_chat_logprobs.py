"""Log-probabilities of given texts from servers: how they are asked for, and read. Knows no client.

Chat completions have no word for them. vLLM adds one: a chat whose last message the model continues, and the
log-probabilities of all its tokens. Older completions echo their prompt. Neither says where the continuation begins,
so the prompt is asked for alone, once, and its tokens are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_lmms.errors import ModelError, explain
from pytest_lmms.records import Message, TokenCounts

from ._chat_stream import BrokenReplyError, of_the_right_shape, read_object, token_counts

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""In the text of a token that is a part of a character."""


class NoLogprobsError(Exception):
    """A reply without the log-probabilities that were asked for.

    Args:
        what: What is wrong with it.
        remedy: What the user can do.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


class Token(NamedTuple):
    """One token of a prompt."""

    text: str
    logprob: float | None
    """Natural log of its probability after those before it; None for the first."""
    is_best: bool
    """Whether none is more likely at its place."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a server tells of a prompt."""

    counts: TokenCounts
    num_prompt_tokens: int
    tokens: Sequence[Token] | None
    """None where it tells no log-probabilities."""


Written = Callable[[tuple[Message, ...]], list[dict[str, Any]]]
Body = dict[str, Any]


class Wording(NamedTuple):
    """One way to ask."""

    path: str
    """After the base URL."""
    write: Callable[[tuple[Message, ...], str, Written], tuple[Body, Body]]
    """(messages, continuation, how messages are written) to what asks for the prompt alone, and for both."""


def _chat(messages: tuple[Message, ...], continuation: str, written: Written) -> tuple[Body, Body]:
    asked = written(messages)
    answered = [*asked, {"role": "assistant", "content": continuation}]
    whole = {"continue_final_message": True, "add_generation_prompt": False, "prompt_logprobs": 0}
    return {"messages": asked}, {"messages": answered, **whole}


def _completions(messages: tuple[Message, ...], continuation: str, _: Written) -> tuple[Body, Body]:
    parts = [part for message in messages for part in message.content]
    texts = [part for part in parts if isinstance(part, str)]
    text = "\n".join(texts)
    prompt = text.rstrip()  # a blank belongs to the token that follows it
    if len(texts) < len(parts) or not prompt:
        what = "no media" if len(texts) < len(parts) else "no empty prompt"
        raise ModelError(explain(f"/completions takes {what}", where="logprobs_from=completions",
                                 remedy="leave logprobs_from out, for a server that gives those of chats"))  # fmt: skip
    return {"prompt": prompt}, {"prompt": text + continuation, "echo": True, "logprobs": 1}


WORDINGS = {"chat": Wording("/chat/completions", _chat), "completions": Wording("/completions", _completions)}


def read_scored(data: bytes) -> Scored:
    """Read a whole reply, of a chat or of a completion.

    Raises:
        BrokenReplyError: It is neither, or counts no tokens.
        RefusedError: It is an error.
    """
    value = read_object(data)
    with of_the_right_shape():
        counts = token_counts(value.get("usage"))
        if counts.input_tokens is None:
            raise BrokenReplyError("the server does not count the tokens of prompts (usage.prompt_tokens)")
        said = value.get("prompt_logprobs")
        tokens = [_of_chat(entry) for entry in said] if said else _of_echo(value, counts.input_tokens)
        return Scored(counts=counts, num_prompt_tokens=counts.input_tokens, tokens=tokens)


def _of_chat(entry: Mapping[str, Any] | None) -> Token:
    """One place of vLLM's `prompt_logprobs`, whose first entry is the token that is there."""
    if not entry:
        return Token("", None, is_best=False)
    said = next(iter(entry.values()))
    return Token(said.get("decoded_token") or "", float(said["logprob"]), is_best=said.get("rank") == 1)


def _of_echo(value: Mapping[str, Any], num_tokens: int) -> list[Token] | None:
    choices: Sequence[Mapping[str, Any]] = value.get("choices") or ({},)
    said = choices[0].get("logprobs") or {}
    texts, found, best = said.get("tokens"), said.get("token_logprobs"), said.get("top_logprobs")
    if not texts or not found or len(texts) < num_tokens:
        return None
    tops = best or [None] * len(texts)
    return [
        Token(text, number, is_best=number is not None and number >= max((top or {}).values(), default=0.0))
        for text, number, top in zip(texts[:num_tokens], found, tops, strict=False)
    ]


def sum_of(tokens: Sequence[Token] | None, num_before: int, continuation: str) -> tuple[float, bool]:
    """The log-probability of a continuation.

    Args:
        tokens: Of the prompt and the continuation.
        num_before: How many of them are the prompt's.
        continuation: Compared with what the tokens after the prompt say.

    Returns:
        The sum over its tokens, and whether each is the most likely at its place.

    Raises:
        NoLogprobsError: There are none, or the tokens after the prompt are others.
    """
    if tokens is None:
        raise NoLogprobsError(
            "the server tells no log-probabilities of prompts",
            "serve the model with vLLM, or try logprobs_from=completions (no chat template, no media)",
        )
    own = tokens[num_before:]
    text = "".join(token.text for token in own)
    if not own or (_UNFINISHED not in text and "".join(text.split()) != "".join(continuation.split())):
        raise NoLogprobsError(
            f"behind the prompt stands {text!r:.80}, and not {continuation!r:.80}: the chat template writes an answer "
            "otherwise than it asks for one",
            "try enable_thinking=false, or a chat template that only adds the answer",
        )
    numbers = [token.logprob for token in own if token.logprob is not None]
    if len(numbers) < len(own):
        raise NoLogprobsError("a token of the continuation has no log-probability", "ask with a prompt before it")
    return float(sum(numbers)), all(token.is_best for token in own)
