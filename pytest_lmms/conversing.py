"""Documents of several rounds: asked, answered by their callback, asked again, until it ends them or steps run out."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from pytest_lmms.documents import Document, current_document
from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.inference.engine import Engine
from pytest_lmms.records import Request, Response
from pytest_lmms.scoring.reasoning import strip_reasoning
from pytest_lmms.tasks.agents import new_text, round_of, tagged, with_trace
from pytest_lmms.tasks.render import Rendered
from pytest_lmms.tasks.rounds import Turn, final_output


@dataclass(frozen=True, slots=True)
class Conversation:
    """One repeat of a document of several rounds."""

    responses: list[Response]
    """Of each round."""
    spoken: Any
    """What is scored: the tuple of all outputs, or an agent's final payload."""
    rounds: list[dict[str, Any]]
    """`input` (of a conversation, what is new in it), `output` and `info` of each round."""


async def converse(document: Document, engine: Engine, rendered: Rendered, first: Response) -> Conversation:
    """Go on with a document from its first response, until its callback ends it or its rounds run out."""
    task, tags = document.task, document.scorer.reasoning_tags
    (request,), response = rendered.requests, first
    asked = rendered.input
    responses: list[Response] = []
    outputs: list[Any] = []
    rounds: list[dict[str, Any]] = []
    trace: list[dict[str, Any]] = []
    info: Any = None

    def conversation(spoken: Any) -> Conversation:
        if task.agent.agentic_trace_mode == "full":
            spoken = with_trace(spoken, trace)
        return Conversation(responses, spoken, rounds)

    for round_index in range(1, task.max_rounds + 1):
        responses.append(response)
        reply = replace(response, text=strip_reasoning(response.text, tags)) if tags else response
        outputs = [*outputs, tagged(reply.text, reply.tool_calls)]
        said = {"outputs": outputs, "round_index": round_index, "info": info, "asked": request, "reply": reply}
        with engine.between_rounds():
            following, turn, keys = await engine.aside(_next_round, document, engine, rendered.document, said)
        outputs, info = turn.outputs, turn.info
        kept = _frozen(info)
        rounds.append({"input": asked, "output": tagged(response.text, response.tool_calls), "info": kept})
        next_asked = new_text(following, request) if following is not None else None
        trace.append(round_of(asked, response, kept, next_asked, is_terminal=turn.is_terminal))
        if following is None:
            return conversation(
                final_output(outputs, info, is_terminal=turn.is_terminal) if task.is_agentic else tuple(outputs)
            )
        if round_index < task.max_rounds:
            request, asked = following, next_asked or ""
            (response,) = await engine.answer([request], keys, position=document.position)
    if task.is_agentic:
        return conversation(final_output(outputs, info, is_terminal=turn.is_terminal))
    raise DocumentError(
        explain(
            f"no end after {task.max_rounds} rounds",
            where=document.name,
            expected="a callback that at some point returns a terminal signal",
        )
    )


def _next_round(
    document: Document, engine: Engine, row: Any, said: dict[str, Any]
) -> tuple[Request | None, Turn, list[str]]:
    current_document.set(document.name)
    request, turn = document.task.next_request(row, document.index, **said)
    return request, turn, engine.keys([request]) if request is not None else []


def _frozen(info: Any) -> Any:
    """A copy: callbacks mostly go on changing the same mapping."""
    try:
        return copy.deepcopy(info)
    except Exception:  # noqa: BLE001  (whatever a task keeps there)
        return repr(info)
