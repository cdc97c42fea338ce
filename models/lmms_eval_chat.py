"""Chat models written for lmms-eval, as adapters: `models/lmms_eval_chat:package.module.Class`.

Such a class has `generate_until(requests)`. Of each request it reads
`args = (context, doc_to_messages, generation settings, doc_id, task, split)`, and it finds the document, from which
`doc_to_messages` makes messages, in its own `task_dict[task][split][doc_id]`. Here the document is our request.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pytest_lmms.entry_points import simple_style
from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.media.audio import open_audio
from pytest_lmms.media.image import open_image
from pytest_lmms.records import MediaRef, Request, Response, TokenCounts

SPLIT = "test"
"""Name under which such a model finds its documents; they are in no particular split."""


@dataclass
class Instance:
    """A request as lmms-eval has it; the attributes that its models read."""

    request_type: str
    arguments: tuple[Any, ...]
    idx: int
    metadata: dict[str, Any]
    resps: list[Any] = field(default_factory=list)
    filtered_resps: dict[str, Any] = field(default_factory=dict)
    token_counts: list[Any] = field(default_factory=list)
    doc: Any = None

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments."""
        return self.arguments

    @property
    def task_name(self) -> str:
        """Name of the task."""
        return str(self.metadata["task"])

    @property
    def doc_id(self) -> int:
        """Row of the document."""
        return int(self.metadata["doc_id"])

    @property
    def repeats(self) -> int:
        """Always 1: each repeat is a request of its own."""
        return int(self.metadata["repeats"])


class LmmsEvalChat:
    """Asks a chat model of lmms-eval."""

    wrapped: ClassVar[Any] = None
    """The class."""

    def __init__(self, **arguments: Any) -> None:
        """Build the model.

        Args:
            arguments: Of the class's constructor.
        """
        self._model = self.wrapped(**arguments)

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answer a batch; see `pytest_lmms.inference.model.BatchModel`.

        Raises:
            ModelError: The model returned something else than one text a request, or cannot take a medium.
        """
        responses: list[Response | None] = [None] * len(requests)
        waiting = list(enumerate(requests))
        while (
            waiting
        ):  # requests of one document (its repeats) go one after the other: models look documents up by number
            batch: dict[tuple[str, int], tuple[int, Request]] = {}
            for place, request in waiting:
                batch.setdefault((request.task, request.doc_id), (place, request))
            chosen = list(batch.values())
            for (place, _), response in zip(chosen, self._ask([r for _, r in chosen]), strict=True):
                responses[place] = response
            asked = {place for place, _ in chosen}
            waiting = [each for each in waiting if each[0] not in asked]
        return [response for response in responses if response is not None]

    def _ask(self, requests: Sequence[Request]) -> list[Response]:
        documents: dict[str, dict[str, dict[int, Request]]] = {}
        for request in requests:
            documents.setdefault(request.task, {SPLIT: {}})[SPLIT][request.doc_id] = request
        self._model.task_dict = documents
        said = self._model.generate_until([instance(request, place) for place, request in enumerate(requests)])
        if not isinstance(said, list) or len(said) != len(requests):
            found = f"{len(said)} results" if isinstance(said, list) else type(said).__name__
            raise ModelError(
                explain(f"{self.wrapped.__name__}.generate_until returned {found} for {len(requests)} requests")
            )
        return [self._response(each) for each in said]

    def _response(self, said: Any) -> Response:
        """Read a text, a text with token counts (`GenerationResult`), or a pair of a text and its counts."""
        text, counts = said, None
        if hasattr(said, "text"):
            text, counts = said.text, getattr(said, "token_counts", None)
        elif isinstance(said, (tuple, list)) and len(said) == 2:
            text, counts = said
        if not isinstance(text, str):
            raise ModelError(f"{self.wrapped.__name__}.generate_until returned {said!r:.80} where a text was expected")
        return Response(text=text, tokens=_token_counts(counts))


def _token_counts(counts: Any) -> TokenCounts:
    names = ("input_tokens", "output_tokens", "reasoning_tokens")
    if not isinstance(counts, Mapping):
        counts = {name: getattr(counts, name, None) for name in names}
    return TokenCounts(**{name: counts.get(name) for name in names})


def instance(request: Request, place: int) -> Instance:
    """A request in lmms-eval's words."""
    settings = asdict(request.generation)
    extra = dict(settings.pop("extra"))
    generation = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items() if v not in (None, ())}
    arguments = (request.text, messages_of, {**generation, **extra}, request.doc_id, request.task, SPLIT)
    metadata = {"task": request.task, "doc_id": request.doc_id, "repeats": 1, "split": SPLIT}
    return Instance("generate_until", arguments, place, metadata)


def messages_of(request: Request, lmms_eval_specific_kwargs: Any = None) -> list[dict[str, Any]]:
    """Messages as a task's `doc_to_messages` returns them: images open, videos as paths, sounds as samples.

    Args:
        request: The document.
        lmms_eval_specific_kwargs: Not needed: the messages have been made already.
    """
    return [
        {"role": message.role, "content": [_content(part) for part in message.content]} for message in request.messages
    ]


def _content(part: str | MediaRef) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.kind == "image":
        return {"type": "image", "url": open_image(part)}
    if part.kind == "audio":
        samples, rate = open_audio(part, None)
        return {"type": "audio", "url": {"array": samples, "sampling_rate": rate}}
    where = part.path or part.url
    if where is None:
        raise ModelError("chat models of lmms-eval take videos as files; this one lies in memory or inside a dataset")
    times = {"start_time": part.start_seconds, "end_time": part.end_seconds}
    return {"type": "video", "url": where, **{name: value for name, value in times.items() if value is not None}}


def __getattr__(path: str) -> type[LmmsEvalChat]:
    """The adapter for a class, by the class's dotted name."""
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise AttributeError(path)
    wrapped = getattr(importlib.import_module(module_name), name)
    if getattr(wrapped, "is_simple", True) or not hasattr(wrapped, "generate_until"):
        raise UsageError(simple_style(name, path))
    adapter = type(name, (LmmsEvalChat,), {"wrapped": wrapped, "__doc__": wrapped.__doc__})
    adapter.__signature__ = inspect.signature(wrapped)  # type: ignore[attr-defined]
    return adapter
