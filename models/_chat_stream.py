"""What a chat-completions server sends, streamed or whole, becomes one reply. Knows no client and no request."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_lmms.httpbounds import LONGEST_ANSWER_BYTES as LONGEST_REPLY_BYTES
from pytest_lmms.jsonl import dumps, loads
from pytest_lmms.records import FinishReason, TokenCounts, ToolCall

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop", "length": "length", "max_tokens": "length", "content_filter": "filtered", "safety": "filtered",
}  # fmt: skip
_BROKEN_OFF = frozenset({"error", "abort", "cancelled"})
"""Finish reasons of answers that the server gave up."""


class BrokenReplyError(Exception):
    """What came is no reply; asking again may bring one."""


class RefusedError(Exception):
    """An error came where a reply was expected.

    Args:
        error: An object, or a text.
    """

    def __init__(self, error: Any) -> None:
        known = error if isinstance(error, Mapping) else {}
        super().__init__(str(known.get("message") or known.get("detail") or error))
        self.code = known.get("code") or known.get("type")


@dataclass(kw_only=True)
class PartialCall:
    """What has arrived of a function that the model wants called."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    """JSON, as the model wrote it."""


@dataclass(kw_only=True)
class ChatReply:
    """What has arrived of one completion."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    calls: dict[int, PartialCall] = field(default_factory=dict)
    reason: str | None = None
    usage: Any = None
    """As the server sent it, whatever that is."""

    @property
    def text(self) -> str:
        """All that was said; what the model said in refusing, when it said nothing else."""
        text = "".join(self.texts) or "".join(self.refusals)
        if text.isascii():
            return text
        # Servers that count in UTF-16 may cut a character in two, and send the halves one after the other.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended."""
        if self.refusals and not any(self.texts):
            return "filtered"
        return _REASONS.get(str(self.reason).lower(), "stop")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """What the model wants called, in order; one without an id gets one."""
        return tuple(
            ToolCall(id=call.id or f"call_{place}", name=call.name, arguments=call.arguments)
            for place, call in sorted(self.calls.items())
        )

    @property
    def tokens(self) -> TokenCounts:
        """What the server counted."""
        return token_counts(self.usage)

    def add(self, said: Mapping[str, Any]) -> bool:
        """Take a message or a piece of one.

        Returns:
            Whether it says something: text, a thought, a refusal, a call.
        """
        if spoken := said.get("content"):
            self.texts.append(spoken if isinstance(spoken, str) else _joined(spoken))
        if refused := said.get("refusal"):
            self.refusals.append(str(refused))
        for place, call in enumerate(said.get("tool_calls") or ()):
            self._add_call(call.get("index", place), call)
        thought = said.get("reasoning_content") or said.get("reasoning")
        return bool(spoken or refused or thought or said.get("tool_calls"))

    def _add_call(self, place: Any, call: Mapping[str, Any]) -> None:
        """Take a call or a piece of one."""
        function = call.get("function") or {}
        place = place if isinstance(place, int) else 0
        known = self.calls.get(place)
        if known is not None and function.get("name") and call.get("id") not in (None, "", known.id):
            # Gemini's and older servers count every piece as the first: a name under another id begins a new call.
            place, known = max(self.calls) + 1, None
        known = known or self.calls.setdefault(place, PartialCall())
        known.id = call.get("id") or known.id
        known.name += function.get("name") or ""
        arguments = function.get("arguments") or ""
        # Some servers send an object where its text belongs.
        known.arguments += arguments if isinstance(arguments, str) else dumps(arguments).decode()


def _joined(parts: Any) -> str:
    """The text of a content that came as a list of parts."""
    if not isinstance(parts, list):
        raise TypeError(f"content is {type(parts).__name__}")
    return "".join(part if isinstance(part, str) else part.get("text") or "" for part in parts)


def token_counts(usage: Any) -> TokenCounts:
    """Read `usage`; what is not there, or is no count, stays None."""
    return TokenCounts(
        input_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        reasoning_tokens=_count(usage, "completion_tokens_details", "reasoning_tokens"),
        cached_tokens=_count(usage, "prompt_tokens_details", "cached_tokens"),
    )


def _count(value: Any, *names: str) -> int | None:
    """What stands under names within names, where it is a whole number that is not negative."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if type(value) is int and value >= 0 else None


@contextlib.contextmanager
def of_the_right_shape() -> Iterator[None]:
    """Raise `BrokenReplyError` for JSON with lists, texts or numbers where others belong."""
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError) as e:
        raise BrokenReplyError(f"the server sent JSON that is no completion ({e})") from e


def read_whole(data: bytes) -> ChatReply:
    """Read a completion that came in one piece.

    Raises:
        BrokenReplyError: It is no completion.
        RefusedError: It is an error.
    """
    value = read_object(data)
    with of_the_right_shape():
        choices = value.get("choices")
        if not choices:
            raise BrokenReplyError(f"the server sent no choices: {data[:200]!r}")
        reply = ChatReply(reason=choices[0].get("finish_reason"), usage=value.get("usage"))
        reply.add(choices[0]["message"])
        check_end(reply.reason)
        return reply


def check_end(reason: Any) -> None:
    """Look at a finish reason.

    Raises:
        BrokenReplyError: It says that the server gave the answer up.
    """
    if str(reason).lower() in _BROKEN_OFF:
        raise BrokenReplyError(f"the server gave the answer up (finish_reason {reason!r})")


async def read_stream(chunks: AsyncIterator[bytes], spoke: Callable[[], None]) -> ChatReply:
    """Read a completion from server-sent events.

    Args:
        chunks: The body, as it arrives.
        spoke: Called when a piece says something.

    Raises:
        BrokenReplyError: It ends early, or is no completion.
        RefusedError: An error came among the events.
    """
    reply = ChatReply()
    first: Any = None
    """The number of the choice that is read: the first that comes."""
    num_pieces = 0
    has_spoken = is_done = False
    async for data in events(chunks):
        # What comes after the end, such as the same answer once more, is no part of it.
        is_done = is_done or data == b"[DONE]"
        if is_done:
            continue
        value = read_object(data)
        with of_the_right_shape():
            reply.usage = value.get("usage") or reply.usage
            for choice in value.get("choices") or ():
                place = choice.get("index")
                first = place if first is None else first
                if place not in (None, first):
                    continue
                num_pieces += "delta" in choice or "message" in choice
                if reply.add(choice.get("delta") or choice.get("message") or {}):
                    has_spoken = True
                    spoke()
                reply.reason = choice.get("finish_reason") or reply.reason
    if not num_pieces:
        raise BrokenReplyError("no choices came")
    if reply.reason is None and not (is_done and has_spoken):
        raise BrokenReplyError("the stream ended without a finish reason")
    check_end(reply.reason)
    return reply


async def read_all(chunks: AsyncIterator[bytes]) -> bytes:
    """A whole body.

    Raises:
        BrokenReplyError: It is longer than any answer.
    """
    return b"".join([chunk async for chunk in bounded(chunks)])


async def bounded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body as it arrives, up to `LONGEST_REPLY_BYTES`.

    Raises:
        BrokenReplyError: There is more.
    """
    num_bytes = 0
    async for chunk in chunks:
        num_bytes += len(chunk)
        if num_bytes > LONGEST_REPLY_BYTES:
            raise BrokenReplyError(f"the answer is longer than {LONGEST_REPLY_BYTES // 2**20} MiB")
        yield chunk


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of server-sent events; comments and other fields are passed over."""
    begun: list[bytes] = []  # pieces of a line whose end has not come: joined once, however many there are
    data: list[bytes] = []
    async for chunk in bounded(chunks):
        head, *lines = chunk.split(b"\n")
        begun.append(head)
        if not lines:
            continue
        lines.insert(0, b"".join(begun))
        begun = [lines.pop()]
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].lstrip(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []
    rest = b"".join(begun)
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip())
    if data:
        yield b"\n".join(data)


def read_object(data: bytes) -> Mapping[str, Any]:
    """A JSON object that a server sent.

    Raises:
        BrokenReplyError: It is none.
        RefusedError: It is an error.
    """
    why = None
    try:
        value = loads(data)
    except ValueError as error:
        why = str(error)
    if why is not None:  # raised here, it holds no error that holds all of the text
        raise BrokenReplyError(f"the server sent what is no JSON ({why}): {data[:80]!r}")
    if not isinstance(value, Mapping):
        raise BrokenReplyError(f"the server sent {data[:80]!r} where a completion was expected")
    if refusal := value.get("error"):
        raise RefusedError(refusal)
    if "choices" not in value and any(isinstance(value.get(name), str) for name in ("message", "detail")):
        raise RefusedError(value)  # vLLM's and FastAPI's, which are not inside another
    return value
