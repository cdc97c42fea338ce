"""The nouns that travel along the line: requests, responses, scores, records.

This room holds data and nothing else: it opens no media, knows no task and no model. Everything is frozen, so
that a value handed from one stage to the next cannot change behind its back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

MediaKind = Literal["image", "video", "audio"]
Role = Literal["system", "user", "assistant", "tool"]
Status = Literal["scored", "unparsed", "filtered", "error", "unscored"]
FinishReason = Literal["stop", "length", "filtered"]
TimingSource = Literal["engine", "client", "hook", "wall"]

ANSWER_TRUNCATED = "answer_truncated"
"""Flag of a record: an answer ended at `max_new_tokens` or at the end of the context, not by itself."""
PROMPT_TRUNCATED = "prompt_truncated"
"""Flag of a response: its prompt does not fit into the model's context, and the model did not see all of it."""

STATUSES: tuple[Status, ...] = ("scored", "unparsed", "filtered", "error", "unscored")


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaRef:
    """One image, sound or video, unopened. Exactly one of `path`, `data`, `url`, `content` is set."""

    kind: MediaKind
    path: str | None = None
    """A file on this machine."""
    data: bytes | None = field(default=None, repr=False)
    """The encoded file (PNG, JPEG, WAV, MP4, ...), byte for byte as the dataset stores it."""
    url: str | None = None
    """A web address; only adapters that take addresses can use it."""
    remedy: str | None = field(default=None, compare=False)
    """Of a `url`: how to have a file instead, for the error of adapters that take none."""
    content: Any = field(default=None, repr=False)
    """Something already decoded: a PIL image, a uint8 array (num_frames, height, width, 3), or
    ``{"array": float array (num_samples,), "sampling_rate": Hz}``."""
    mode: str | None = None
    """PIL mode that the task asked for with ``convert`` (``"RGB"``); None leaves the choice to the reader."""
    start_seconds: float | None = None
    """Where the part of a video that is looked at begins; None is its beginning."""
    end_seconds: float | None = None
    """Where that part ends, included; None is the video's end."""


Part = str | MediaRef
"""One piece of a message: text, or one medium."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A tool that a model wants called."""

    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it; nobody has checked it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn: who speaks, and text and media in the order in which a model should see them."""

    role: Role
    content: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant: what it called."""
    call_id: str | None = None
    """Of a tool: the call that it answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """How to generate. None means: not said by the task nor the user, so the adapter's own default."""

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_beams: int | None = None
    do_sample: bool | None = None
    until: tuple[str, ...] = ()
    """Stop strings; generation ends before the first of them. Never invented by the harness."""
    seed: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys that the harness does not know; an adapter may."""

    @property
    def samples(self) -> bool:
        """Whether two runs may differ: a positive temperature, or sampling asked for at an unsaid temperature."""
        if self.temperature is not None:
            return self.temperature > 0 and self.do_sample is not False
        return bool(self.do_sample)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """All that an adapter needs to answer; it never reaches back into a dataset."""

    task: str
    doc_id: int
    """Row number in the task's documents, after `process_docs`, before offset and limit."""
    messages: tuple[Message, ...]
    generation: Generation
    repeat: int = 0
    """Which of the task's `repeats` this is, from 0."""
    continuation: str | None = None
    """For log-likelihood requests: the text whose probability is asked."""
    place: int = 0
    """For log-likelihood requests: which of the document's requests this is, from 0."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """What the model may call: `name`, `description`, and `parameters`, a JSON schema, of each."""

    @property
    def media(self) -> list[MediaRef]:
        """All media, in order of appearance."""
        return [p for m in self.messages for p in m.content if not isinstance(p, str)]

    @property
    def text(self) -> str:
        """All text of all turns, joined by newlines; media leave no trace."""
        return "\n".join(p for m in self.messages for p in m.content if isinstance(p, str))


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenCounts:
    """Numbers of tokens; None where the backend does not tell. Never estimated."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the input tokens, those that the server had read before and kept."""

    @property
    def as_list(self) -> list[int | None]:
        """Input, output, reasoning, and cached tokens where they are known: what stores keep."""
        counts = [self.input_tokens, self.output_tokens, self.reasoning_tokens]
        return counts if self.cached_tokens is None else [*counts, self.cached_tokens]


def token_counts_from(values: Sequence[int | None]) -> TokenCounts:
    """The inverse of `TokenCounts.as_list`; what is not there is None."""
    names = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    return TokenCounts(**dict(zip(names, values, strict=False)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When a response came. Figures of one source are not comparable with those of another."""

    seconds: float
    """Wall time of the request; for a batch, of the batch it was part of."""
    batch_size: int = 1
    """How many requests shared `seconds`."""
    first_token_seconds: float | None = None
    """Time to first token (TTFT)."""
    seconds_per_token: float | None = None
    """Time per output token after the first (TPOT)."""
    source: TimingSource = "wall"
    finished: float | None = None
    """When the response was complete, in seconds since the epoch; set by the engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What a model said."""

    text: str
    finish_reason: FinishReason | None = None
    """`filtered`: the provider refused to answer; `length`: cut by `max_new_tokens` or the context."""
    tokens: TokenCounts = TokenCounts()
    timing: Timing | None = None
    logprob: float | None = None
    """For log-likelihood requests: natural log of the continuation's probability."""
    is_greedy: bool | None = None
    """For log-likelihood requests: whether greedy decoding would have said the continuation."""
    cached: bool = False
    """Read from a response store; keeps its token counts, left out of speed figures."""
    flags: tuple[str, ...] = ()
    """Things worth telling, e.g. ``"prompt_truncated"``."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of a model that was offered `tools`: what it called, in order."""


class Unparsed(dict[str, Any]):
    """What `process_results` returns when it could read no answer in the text.

    The scores inside (zeros, or the item that the aggregation counts as wrong) enter the metric like any others;
    the document's status becomes `unparsed`.
    """


class Item(dict[str, Any]):
    """What a metric collects of a document, with numbers that are no part of it.

    The mapping may hold just what another harness's has. The record on disk holds `numbers` as well: `score`, what the
    document scored by itself, from which standard errors, gates and pages are made, and, where the task has a
    `cluster_key`, what its documents share.
    """

    def __init__(self, item: Mapping[str, Any], **numbers: float | None) -> None:
        super().__init__(item)
        self.numbers = numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Everything about one document, as it goes into the run folder."""

    task: str
    doc_id: int
    status: Status
    doc_hash: str = ""
    """SHA-256 of the row's canonical JSON, media as digests of their bytes."""
    input: str = ""
    """Text of the prompt."""
    target: Any = None
    resps: list[Any] = field(default_factory=list)
    """Raw text of each repeat; of a document of several rounds, the texts of all its rounds; of a document that asks
    for log-probabilities, ``[logprob, is_greedy]`` of each request."""
    filtered_resps: dict[str, Any] = field(default_factory=dict)
    """Answer by filter name, as `process_results` saw it."""
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By filter name: metric name -> what `process_results` returned."""
    repeat_scores: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    """By filter name: metric name -> what it is for each repeat alone; empty for a document asked once."""
    rounds: list[list[dict[str, Any]]] = field(default_factory=list)
    """For documents of several rounds, by repeat: `input`, `output` and `info` of each round."""
    token_counts: list[TokenCounts] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    """Of the responses that were really asked for; a cached one leaves no timing."""
    num_cached: int = 0
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """What judges said: `judge`, `rubric`, `order`, `verdict`, `text`, `attempts` and tokens of each."""
    error: str | None = None
    """For status `error`: what happened, where, and what to do."""
    flags: tuple[str, ...] = ()
