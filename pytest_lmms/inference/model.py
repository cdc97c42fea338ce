"""What the engine asks of an adapter: two small protocols, and optional abilities as protocols of their own.

An adapter is a class in `models/` (or anywhere, through the hook `pytest_lmms_register_models`). Its constructor's
keyword arguments are the model arguments that users type; they are checked by name before anything is loaded, so
heavy libraries are imported inside `__init__`, never at the top of the module.

Threads: a batch adapter is built, started, asked and stopped on one thread that belongs to it alone, the model
thread; `prepare` alone runs elsewhere, on preparation threads. An async adapter is started, asked and stopped on
the engine's event loop.

Optional attributes: `honours` (see `HONOURS_ALL`), `num_concurrent` of an async adapter (see `admitted_by`),
`num_parallel` of a batch adapter that may be asked several batches at once (see `asked_in_parallel`), `keeps_time`,
True for one that raises by itself when a batch takes longer than allowed,
`why_no_logprobs`, `draws`, `takes_tools`, True for one that offers a model what `Request.tools` holds and gives back
`Response.tool_calls`, and `is_remote`, True for one that asks a service with chat messages: tasks that give it
`doc_to_visual` and `doc_to_text` where they could say `doc_to_messages` are told so, once each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pytest_lmms.errors import explain
from pytest_lmms.records import Generation, Request, Response


@runtime_checkable
class BatchModel(Protocol):
    """Answers a list of requests at once."""

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answer every request, in order.

        Args:
            requests: 1 to batch-size requests, all with the same generation settings.

        Returns:
            As many responses, in the same order. Text is raw: reasoning tags stay in it.

        Raises:
            OutOfMemoryError: The batch does not fit; the engine asks again with halves.
            Exception: Anything else; the engine asks again request by request, and the one that fails alone
                becomes an error record.
        """
        ...


@runtime_checkable
class AsyncModel(Protocol):
    """Answers one request; many calls are in flight at once."""

    async def generate(self, request: Request) -> Response:
        """Answer one request, or raise."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """Splits the work of a batch: CPU work ahead of time, device work on the model thread."""

    def prepare(self, requests: Sequence[Request]) -> Any:
        """Open media, render the chat template, tokenise. Runs on a preparation thread."""
        ...

    def generate_prepared(self, prepared: Any, requests: Sequence[Request]) -> list[Response]:
        """Answer what `prepare` returned. Same contract as `BatchModel.generate`."""
        ...


@runtime_checkable
class ScoresContinuations(Protocol):
    """Gives log-probabilities of continuations (`Request.continuation`)."""

    def score(self, requests: Sequence[Request]) -> list[Response]:
        """Return responses with `logprob` and `is_greedy` filled."""
        ...


@runtime_checkable
class ScoresWhereItIs(Protocol):
    """An async adapter that gives log-probabilities only where the server behind it does."""

    async def why_not_score(self) -> str | None:
        """Ask the server: after `start`, before any document is asked, and only for tasks that need it.

        Returns:
            Why it cannot; None when it can, or when it cannot be known now.
        """
        ...


class Measured(NamedTuple):
    """How long a request is."""

    input_tokens: int
    """Of its prompt, media included."""
    context_length: int | None
    """Tokens that prompt and answer may have together; None where nobody says."""
    num_frames: int = 0
    """Frames that would be taken from its videos."""


@runtime_checkable
class Measures(Protocol):
    """Tells how long requests are, without weights and without answering: for `--lmms-dry-run`."""

    @classmethod
    def measure(cls, **model_args: Any) -> Callable[[Request], Measured]:
        """Load what counting needs, a tokenizer for instance.

        Args:
            **model_args: As the constructor takes them.

        Returns:
            Measures one request.
        """
        ...


@runtime_checkable
class Identified(Protocol):
    """Says what its text depends on, so that stored responses can be used again by another run."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON values: weights (digest, or size, time and revision), arguments that change text, chat template."""
        ...


@runtime_checkable
class Starts(Protocol):
    """Has something to open on the thread or loop where it will be used, and to close there."""

    def start(self) -> Any:
        """Open; may be a coroutine for an async adapter."""
        ...

    def stop(self) -> Any:
        """Close; may be a coroutine for an async adapter."""
        ...


DEFAULT_NUM_CONCURRENT = 32


def admitted_by(model: Any, *, most: bool = False) -> int:
    """How many requests an async adapter wants to have at once.

    Its optional attribute `num_concurrent` says so (32 without it); one that changes its mind has `admits`, read
    before each request, and `admits_most`, the largest number that it will be. One that lets requests wait inside
    itself has `give_up`, called on the loop when the run is stopped: they are to raise UnansweredError.

    Args:
        model: The adapter.
        most: Return the largest number instead of the present one.
    """
    said = getattr(model, "admits_most" if most else "admits", None)
    if said is None:
        said = getattr(model, "num_concurrent", None)
    return max(1, int(said if said is not None else DEFAULT_NUM_CONCURRENT))


def asked_in_parallel(model: Any) -> int:
    """How many batches a batch adapter may be asked at once, each on a thread of its own.

    Its optional attribute `num_parallel` says so: for one whose work is done elsewhere. 1 without it: everything
    happens on the one model thread.
    """
    return max(1, int(getattr(model, "num_parallel", 1)))


HONOURS_ALL = frozenset({"max_new_tokens", "temperature", "top_p", "top_k", "num_beams", "do_sample", "until", "seed"})
"""Every generation setting that the harness knows. An adapter's optional attribute `honours` names those that it
passes on; a setting outside it that a user typed is an error, one that a task YAML holds is warned about once."""


def ignored_settings(generation: Generation, honours: frozenset[str] | None) -> list[str]:
    """Name the generation settings that an adapter would pass over although they could change its text.

    Args:
        generation: What a task asks for.
        honours: What the adapter passes on; None when it does not say, which is taken as everything.

    Returns:
        ``["until=['Q:']", ...]``; without settings whose value changes nothing: one beam, `top_p` of 1, greedy
        decoding where the adapter samples only on request.
    """
    if honours is None:
        return []
    values: dict[str, Any] = {
        name: getattr(generation, name) for name in sorted(HONOURS_ALL) if getattr(generation, name) is not None
    }
    values |= {k: v for k, v in generation.extra.items() if k not in _ABOUT_PICTURES}
    harmless = {"num_beams": 1, "top_p": 1.0, "do_sample": generation.samples, "until": (), "seed": generation.seed}
    if not generation.samples:
        harmless |= {"temperature": values.get("temperature"), "top_p": values.get("top_p"),
                     "top_k": values.get("top_k")}  # fmt: skip
    return [
        f"{name}={list(value) if isinstance(value, tuple) else value!r}"
        for name, value in values.items()
        if name not in honours and harmless.get(name, _NOTHING) != value
    ]


def no_tools(model: Any) -> str:
    """Say that an adapter cannot offer a model tools of its own."""
    name = model.__name__ if isinstance(model, type) else type(model).__name__
    return explain(
        f"{name} offers models no tools",
        expected="for tool_format=native, an adapter with `takes_tools = True`: openai, azure_openai, async_openai, "
        "litellm, anthropic, gemini",
        remedy="leave tool_format out: models then write tags",
    )


def no_pictures(model: Any) -> str:
    """Say that an adapter cannot run a task whose answers are thought out in pictures."""
    name = model.__name__ if isinstance(model, type) else type(model).__name__
    return explain(
        f"{name} draws no pictures",
        expected="an adapter with `draws = True`, for tasks with output_type generate_visual_cot",
        remedy="choose a task that generates text",
    )


def no_logprobs(model: Any, why: str | None = None) -> str:
    """Say that an adapter cannot run a task that asks for log-probabilities.

    Args:
        model: The adapter.
        why: The reason; None: its optional attribute `why_no_logprobs`, a clause that follows a colon.
    """
    why = why or getattr(model, "why_no_logprobs", None)
    name = model.__name__ if isinstance(model, type) else type(model).__name__
    return explain(
        f"{name} gives no log-probabilities" + (f": {why}" if why else ""),
        expected="an adapter with `score`, for tasks with output_type multiple_choice or loglikelihood",
        remedy="choose a model that runs in this process (huggingface, qwen2_5_vl), openai with a server that gives "
        "them (vLLM), or a task that generates text",
    )


_NOTHING = object()
_ABOUT_PICTURES = frozenset({"image_aspect_ratio"})
"""Keys that tasks written for one family of models hold; they say how pictures are cut, not how text is made."""
