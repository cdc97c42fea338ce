"""What is wrong with an adapter, found by asking it a dozen small requests: for authors, before they share it.

Asks texts, pictures, frames and a sound made here, alone and in batches, and compares. Nothing is said about the
quality of answers. `MediaError` and `ModelError` for a kind of media mean that the model takes none, which is no fault.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.model_args import check_model_args
from pytest_lmms.modelprobes import GENERATION, MAX_NEW_TOKENS, TEXTS, Asker, kinds
from pytest_lmms.modelprobes import request as probe
from pytest_lmms.records import FinishReason, Request, Response

UNHEARD_OF = "an_argument_that_no_model_has"
_LEAVE_OUT = "leave it out of `honours`"
_FINISHED: tuple[FinishReason | None, ...] = (None, "stop", "length", "filtered")

Outcome = Response | BaseException


class Findings(NamedTuple):
    """What came of a check."""

    problems: list[str]
    """Each says what was asked, what came and what was expected; empty for an adapter that is fine."""
    refused: dict[str, str]
    """Kinds of requests (`image`, `video`, ...) that the model says it cannot take, and its reason."""
    taken: list[str]
    """Kinds that it answered."""


def check_model(factory: Callable[..., Any], **arguments: Any) -> Findings:
    """Check an adapter.

    Args:
        factory: The adapter's class, or whatever returns an adapter.
        **arguments: Of the factory.

    Returns:
        What is wrong, and what it can be shown.
    """
    findings = Findings([], {}, [])
    try:
        model = factory(**arguments)
    except Exception as error:  # noqa: BLE001  (an author's code)
        findings.problems.append(f"cannot be built: {_said(error)}")
        return findings
    if not callable(getattr(model, "generate", None)):
        findings.problems.append(
            f"{type(model).__name__} has no method generate (see pytest_lmms.inference.model.BatchModel and AsyncModel)"
        )
        return findings
    loop = asyncio.new_event_loop()
    ask = Asker(model, loop)
    try:
        ask.call("start")
        findings.problems.extend(_problems(ask, findings))
        ask.call("stop")
    except Exception as error:  # noqa: BLE001
        findings.problems.append(f"starting, asking and stopping it raises {_said(error)}")
    finally:
        loop.close()
    findings.problems.extend(_about_arguments(factory, arguments))
    findings.problems.extend(_about_identity(model))
    return findings


# --- what is wrong ------------------------------------------------------------------------------------------------


def _problems(ask: Asker, findings: Findings) -> Iterator[str]:
    texts = [probe(text, number=number) for number, text in enumerate(TEXTS)]
    alone: list[Response] = []
    for request in texts:
        answer = yield from _one(ask, request, f"the text {request.text!r}")
        if answer is None:
            return  # a model that answers no text is asked nothing else
        alone.append(answer)
    findings.taken.append("text")
    yield from _about_batches(ask, texts, alone)
    for kind, request in kinds():
        try:
            answers = ask([request])
        except LmmsError as error:
            findings.refused[kind] = str(error)
        except Exception as error:  # noqa: BLE001
            yield f"asked with {kind}, it raises {_said(error)}; expected an answer, or a ModelError that says why not"
        else:
            found = list(_about_answers(answers, [request], kind))
            yield from found
            if not found:
                findings.taken.append(kind)
                alone.append(answers[0])
                texts.append(request)
    if len(texts) > len(TEXTS):
        yield from _about_batches(ask, texts, alone, what="a batch of texts and media")
    yield from _about_settings(ask, texts[1], alone[1])
    yield from _about_scores(ask)


def _one(ask: Asker, request: Request, what: str) -> Generator[str, None, Response | None]:
    """Ask one request, yield what is wrong; returns the response."""
    try:
        answers = ask([request])
    except Exception as error:  # noqa: BLE001
        yield f"asked {what}, it raises {_said(error)}"
        return None
    found = list(_about_answers(answers, [request], what))
    yield from found
    return None if found else answers[0]


def _about_answers(answers: Any, requests: Sequence[Request], what: str) -> Iterator[str]:
    if not isinstance(answers, list) or len(answers) != len(requests):
        found = f"{len(answers)} answers" if isinstance(answers, (list, tuple)) else type(answers).__name__
        yield f"{what}: generate returned {found}; expected a list of {len(requests)}, one Response for each request"
        return
    for answer in answers:
        if not isinstance(answer, Response):
            yield f"{what}: the answer is of type {type(answer).__name__}; expected pytest_lmms.records.Response"
            continue
        if not isinstance(answer.text, str):
            yield f"{what}: the answer's text is of type {type(answer.text).__name__}; expected str"
        if answer.finish_reason not in _FINISHED:
            yield f"{what}: finish_reason is {answer.finish_reason!r}; expected one of {_FINISHED}"
        counts = answer.tokens.as_list
        if any(c is not None and (type(c) is not int or c < 0) for c in counts):
            yield f"{what}: token counts are {counts}; expected whole numbers, or None where they are not known"
        elif (answer.tokens.output_tokens or 0) > MAX_NEW_TOKENS + (answer.tokens.reasoning_tokens or 0):
            yield f"{what}: {answer.tokens.output_tokens} output tokens although max_new_tokens is {MAX_NEW_TOKENS}"


def _about_batches(
    ask: Asker, requests: Sequence[Request], alone: Sequence[Response], what: str = "a batch of texts"
) -> Iterator[str]:
    """Compare a batch, and the same batch backwards, with its requests one by one."""
    for name, order in (("", slice(None)), (" backwards", slice(None, None, -1))):
        try:
            answers = ask(list(requests)[order])
        except Exception as error:  # noqa: BLE001
            yield f"asked {what}{name}, it raises {_said(error)}; each of its requests was answered alone"
            return
        found = list(_about_answers(answers, requests, what + name))
        yield from found
        if found:
            return
        said, expected = [a.text for a in answers], [a.text for a in list(alone)[order]]
        if said == expected:
            continue
        if sorted(said) == sorted(expected):
            yield f"{what}{name}: the answers come in another order than the requests: {said}; expected {expected}"
            return
        if getattr(ask.model, "batch_invariant", None) is False:
            continue  # it says so itself: rounding differs from batch to batch
        pairs = [(s, e) for s, e in zip(said, expected, strict=True) if s != e]
        yield (
            f"{what}{name}: {len(pairs)} answer(s) are not those to the same requests alone, the first is "
            f"{pairs[0][0]!r} instead of {pairs[0][1]!r}; if batches change rounding, say batch_invariant = False"
        )
        return


def _about_settings(ask: Asker, request: Request, answer: Response) -> Iterator[str]:
    """Check the settings that an adapter says it honours."""
    honours = getattr(ask.model, "honours", None)
    text = answer.text
    if (honours is None or "until" in honours) and len(text) > 2:
        stop = text[len(text) // 2]
        changed = replace(request, generation=replace(GENERATION, until=(stop,)))
        stopped = yield from _one(ask, changed, f"to stop at {stop!r}")
        if stopped is not None and stop in stopped.text:
            way = "write `honours = frozenset()`: without it, all count" if honours is None else _LEAVE_OUT
            yield f"asked to stop at {stop!r}, it says {stopped.text!r}; honour `until`, or {way}"
    if (honours is None or "max_new_tokens" in honours) and answer.tokens.output_tokens is not None:
        changed = replace(request, generation=replace(GENERATION, max_new_tokens=1))
        short = yield from _one(ask, changed, "for one token")
        if short is not None and (short.tokens.output_tokens or 0) > 1 + (short.tokens.reasoning_tokens or 0):
            yield f"asked for one token, it counts {short.tokens.output_tokens}: is max_new_tokens passed on?"


def _about_scores(ask: Asker) -> Iterator[str]:
    if not ask.scores():
        return
    requests = [probe("The sky is", number=n, continuation=c, place=n) for n, c in enumerate((" blue", " a fish"))]
    try:
        answers = ask(requests)
    except Exception as error:  # noqa: BLE001
        yield f"score raises {_said(error)}"
        return
    yield from _about_answers(answers, requests, "score")
    for answer in answers:
        logprob = getattr(answer, "logprob", None)
        if not isinstance(logprob, float) or not logprob <= 0 or not isinstance(answer.is_greedy, bool):
            yield (
                f"score returns logprob={logprob!r}, is_greedy={getattr(answer, 'is_greedy', None)!r}; expected a "
                "natural logarithm, at most 0.0, and True or False"
            )


def _about_arguments(factory: Any, arguments: Mapping[str, Any]) -> Iterator[str]:
    """An argument that a user mistypes has to be an error."""
    if not isinstance(factory, type):
        return
    wrong = {**arguments, UNHEARD_OF: 1}
    try:
        check_model_args(factory, wrong, model_name=factory.__name__)
        factory(**wrong)
    except (UsageError, TypeError):
        return
    except Exception as error:  # noqa: BLE001
        yield f"an unknown argument raises {_said(error)}; expected UsageError"
        return
    yield explain(
        f"the constructor takes {UNHEARD_OF}=1 and drops it", expected="an error for arguments it does not know",
        remedy="name the arguments instead of **kwargs, or check them (pytest_lmms.model_args.check_model_args)",
    )  # fmt: skip


def _about_identity(model: Any) -> Iterator[str]:
    identity = getattr(model, "identity", None)
    if identity is None:
        return  # then no run uses what another has been told
    try:
        text = json.dumps(identity, sort_keys=True)
    except (TypeError, ValueError) as error:
        yield f"identity is not JSON: {error}"
        return
    if json.dumps(model.identity, sort_keys=True) != text:
        yield "identity changes from one reading to the next; expected what the text of answers depends on, and no more"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
