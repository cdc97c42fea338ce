"""For authors of tasks and models: a model whose answers are written down beforehand; checks of tasks and adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import ModelError, did_you_mean, explain
from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.lint import check_task
from pytest_lmms.modelcheck import Findings, check_model
from pytest_lmms.records import Request, Response

__all__ = ["Answer", "Findings", "ScriptedModel", "check_model", "check_task", "score_text"]

Answer = str | Response | Mapping[str, Any] | Sequence[Any]
"""A text; a whole response; ``{"text": ..., "finish_reason": ...}``; ``{"raise": message}``; or a
list of these, one for each repeat."""

_UNLIKELY_LOGPROB = -10.0


class ScriptedModel:
    """Answers what it was told to answer.

    Example:
        >>> model = ScriptedModel({"mme[0]": "Yes", "mme[1]": {"raise": "lost"}}, default="No")
        >>> model = ScriptedModel(lambda request: request.text[-1])
    """

    honours = HONOURS_ALL
    batch_invariant = True
    takes_tools = True

    def __init__(
        self,
        answers: Callable[[Request], Answer] | Mapping[str, Answer] | Sequence[Answer] = (),
        *,
        default: Answer | None = None,
        max_batch: int | None = None,
    ) -> None:
        """Make a scripted model.

        Args:
            answers: A function of the request; or a mapping with keys ``task[doc_id]`` (one
                document) and ``task`` (all other documents of a task); or a list, indexed by
                `doc_id`.
            default: For documents that `answers` does not hold; None makes them an error.
            max_batch: The largest batch that this model is given.
        """
        self._answers = answers
        self._default = default
        self.max_batch = max_batch
        self.asked: list[tuple[str, int, int]] = []
        """(task, doc_id, repeat) of every request so far, in the order of asking."""
        self.batch_sizes: list[int] = []
        """Number of requests in every call so far."""

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answer every request; the first that is scripted to raise, raises.

        Raises:
            ModelError: Scripted with ``{"raise": message}``, or nothing is scripted for a request.
        """
        self.batch_sizes.append(len(requests))
        self.asked += [(request.task, request.doc_id, request.repeat) for request in requests]
        return [self._respond(request) for request in requests]

    def score(self, requests: Sequence[Request]) -> list[Response]:
        """Score continuations: the scripted text is certain, every other continuation unlikely.

        A scripted `Response` with a `logprob` is returned as it is.
        """
        return [score_text(said, request) for said, request in zip(self.generate(requests), requests, strict=True)]

    def _respond(self, request: Request) -> Response:
        where = f"{request.task}[{request.doc_id}]"
        answer = self._find(request, where)
        if isinstance(answer, (list, tuple)):
            if request.repeat >= len(answer):
                raise ModelError(
                    explain(
                        f"{len(answer)} answers are scripted, and repeat {request.repeat} is asked",
                        where=where,
                    )
                )
            answer = answer[request.repeat]
        if isinstance(answer, Mapping):
            if "raise" in answer:
                raise ModelError(explain(str(answer["raise"]), where=where))
            if "text" not in answer:
                raise ModelError(
                    explain(
                        f"an answer with {', '.join(map(repr, answer)) or 'nothing'}",
                        where=where,
                        expected='a text, {"text": ...} or {"raise": ...}',
                        remedy=f"the answer of one document has the key {where!r}",
                    )
                )
            return Response(text=str(answer["text"]), finish_reason=answer.get("finish_reason", "stop"))
        if isinstance(answer, Response):
            return answer
        return Response(text=str(answer), finish_reason="stop")

    def _find(self, request: Request, where: str) -> Answer:
        answers = self._answers
        if callable(answers):
            return answers(request)
        found: Answer | None = self._default
        if isinstance(answers, Mapping):
            found = answers.get(where, answers.get(request.task, self._default))
        elif request.doc_id < len(answers):
            found = answers[request.doc_id]
        if found is None:
            known = [str(key) for key in answers] if isinstance(answers, Mapping) else []
            raise ModelError(
                explain(
                    "no answer is scripted for this document",
                    where=where,
                    suggestion=did_you_mean(where, known),
                    remedy=f"add the key {where!r}, or a default",
                )
            )
        return found


def score_text(response: Response, request: Request) -> Response:
    """Turn what a model says into what it thinks of a continuation: certain of its own text, no friend of others.

    A response with a `logprob` is returned as it is.
    """
    if response.logprob is not None:
        return response
    said = response.text.strip() == (request.continuation or "").strip()
    return Response(
        text=response.text,
        finish_reason=response.finish_reason,
        tokens=response.tokens,
        timing=response.timing,
        logprob=0.0 if said else _UNLIKELY_LOGPROB,
        is_greedy=said,
    )
