"""The stage "responses to scores" for tasks that generate text: one document at a time, pure.

    text -> without thoughts -> filters of an ensemble -> answers -> process_results or metrics

A `Scorer` is what a task contributes, made once; `score` runs it. Whatever a task's own function
does wrong ends as one `DocumentError` that says where in the task's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_lmms.errors import DocumentError, LmmsError, explain
from pytest_lmms.records import Response, Status, Unparsed
from pytest_lmms.scoring.choices_loglikelihood import score_choices, score_continuation
from pytest_lmms.scoring.filter_steps import Fallback
from pytest_lmms.scoring.filters import DEFAULT_ENSEMBLES, Ensemble
from pytest_lmms.scoring.metrics import MetricUse
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS, Tags, strip_reasoning
from pytest_lmms.scoring.rubric import Rubric
from pytest_lmms.tasks.frames import blamed_frame
from pytest_lmms.tasks.rounds import ROUND_TYPES
from pytest_lmms.tasks.spec import LOGPROB_TYPES


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorer:
    """How one task turns responses into scores; made once per task."""

    where: str
    """The task's file, for errors: ``mme.yaml``."""
    output_type: str = "generate_until"
    """Answers of tasks with one round lose the white space at both ends."""
    ensembles: tuple[Ensemble, ...] = DEFAULT_ENSEMBLES
    reasoning_tags: Tags = DEFAULT_TAGS
    process_results: Callable[..., Mapping[str, Any]] | None = None
    """The task's own scoring of (document, answers); whatever else it takes is bound already, but for `is_filtered`."""
    asks_judges: bool = False
    """Whether `process_results` may ask judges by itself (`lmms_eval.llm_judge`)."""
    sees_filter: bool = False
    """Whether `process_results` takes `is_filtered` as well: whether the provider refused to answer."""
    metrics: tuple[MetricUse, ...] = ()
    """Used when `process_results` is None."""
    doc_to_target: Callable[[Mapping[str, Any]], Any] | None = None
    """The gold answer, or a list of them; needed for `metrics`."""
    doc_to_choice: Callable[[Mapping[str, Any]], Sequence[Any]] | None = None
    """When given, the target is a number (or several) among these choices."""
    logprob_metrics: tuple[str, ...] = ()
    """Of a task that asks for log-probabilities and has no `process_results`: what it wants to know."""
    judged: Callable[..., Mapping[str, Any]] | None = None
    """Scores of (document, answers, reply=what a judge said), where the task has a rubric."""
    rubric: Rubric | None = None
    """What a judge is asked."""

    @property
    def judges_unread(self) -> bool:
        """Whether a judge is asked only about answers that rules cannot read (`judged.only_unread`)."""
        return getattr(self.judged, "only_unread", False)

    @property
    def waits(self) -> bool:
        """Whether scoring mostly waits: it would hold up a thread that has other work."""
        own = self.asks_judges or getattr(self.process_results, "waits", False)
        return own or any(use.waits for use in self.metrics)


class Outcome(NamedTuple):
    """What scoring adds to a record."""

    status: Status
    """`scored`, `unparsed` or `filtered`; errors are raised."""
    filtered_resps: dict[str, list[Any]]
    """Answers by ensemble, as `process_results` saw them."""
    scores: dict[str, dict[str, Any]]
    """By ensemble: metric name -> item."""
    repeat_scores: dict[str, dict[str, list[Any]]]
    """By ensemble: metric name -> item of each repeat alone; empty for one response, and for ensembles whose filters
    need several."""


def score(
    scorer: Scorer,
    document: Mapping[str, Any],
    responses: Sequence[Response],
    *,
    doc_id: int | None = None,
    spoken: Sequence[Any] | None = None,
) -> Outcome:
    """Score one document.

    A response that the provider refused (`finish_reason` ``filtered``) is scored as an empty text, whatever it says; a
    `process_results` with a parameter `is_filtered` is told. The document is `filtered` when any of its responses is;
    else `unparsed` when no ensemble could read it, that is when in each `process_results` returned `Unparsed` or a
    filter fell back; else `scored`.

    Args:
        scorer: The task's.
        document: The dataset row.
        responses: One per repeat, raw; for log-probabilities one per request.
        doc_id: The document's number, for errors.
        spoken: For documents of several rounds, what to score instead of each response's text:
            all outputs, which `process_results` gets as one list, or an agent's final payload.

    Raises:
        DocumentError: A function of the task failed, or returned something that is no mapping.
    """
    if scorer.output_type in LOGPROB_TYPES:
        return _score_logprobs(scorer, document, responses, doc_id)
    tags = scorer.reasoning_tags
    is_filtered = any(r.finish_reason == "filtered" for r in responses)
    said: list[Any] = []
    if spoken is not None:
        said = [list(one) if isinstance(one, tuple) else one for one in spoken]
    else:
        for response in responses:
            text = "" if response.finish_reason == "filtered" else response.text
            said.append(strip_reasoning(text, tags) if tags else text)
    filtered_resps: dict[str, list[Any]] = {}
    scores: dict[str, dict[str, Any]] = {}
    repeat_scores: dict[str, dict[str, list[Any]]] = {}
    is_unread = True
    for ensemble in scorer.ensembles:
        answers, fell_back = _answers(scorer, ensemble, said, document, doc_id)
        filtered_resps[ensemble.name] = answers
        result = _result(scorer, document, answers, doc_id, is_filtered=is_filtered)
        is_unread = is_unread and (fell_back or isinstance(result, Unparsed))
        scores[ensemble.name] = dict(result)
        refused = [r.finish_reason == "filtered" for r in responses] if spoken is None else [is_filtered] * len(said)
        if len(said) > 1 and (each := _score_each(scorer, ensemble, said, document, refused)):
            repeat_scores[ensemble.name] = each
    status: Status = "filtered" if is_filtered else "unparsed" if is_unread else "scored"
    return Outcome(status, filtered_resps, scores, repeat_scores)


def _score_each(
    scorer: Scorer, ensemble: Ensemble, said: list[Any], document: Mapping[str, Any], refused: list[bool]
) -> dict[str, list[Any]]:
    """Score each repeat as if it were the only one; nothing for an ensemble that cannot do with one."""
    collected: dict[str, list[Any]] = {}
    for one, is_filtered in zip(said, refused, strict=True):
        try:
            answers, _ = _answers(scorer, ensemble, [one], document, None)
            result = _result(scorer, document, answers, None, is_filtered=is_filtered)
        except LmmsError:
            return {}
        for name, value in result.items():
            collected.setdefault(name, []).append(value)
    return {name: values for name, values in collected.items() if len(values) == len(said)}


def _score_logprobs(
    scorer: Scorer, document: Mapping[str, Any], responses: Sequence[Response], doc_id: int | None
) -> Outcome:
    """Score a document from log-probabilities.

    A task's own `process_results` gets what lmms-eval gives it: a list of (loss, is_greedy), the smaller loss the
    better; the loss is the negative log-probability.
    """
    logprobs = [float("-inf") if r.logprob is None else r.logprob for r in responses]
    is_greedy = [bool(r.is_greedy) for r in responses]
    if scorer.process_results is not None:
        losses = [(-logprob, greedy) for logprob, greedy in zip(logprobs, is_greedy, strict=True)]
        found: Mapping[str, Any] = _result(scorer, document, losses, doc_id)
    elif scorer.output_type == "loglikelihood":
        found = score_continuation(logprobs[0], is_greedy=is_greedy[0])
    else:
        choices = list(scorer.doc_to_choice(document)) if scorer.doc_to_choice else []
        gold = scorer.doc_to_target(document) if scorer.doc_to_target else None
        count = len(choices)
        found = score_choices(
            logprobs[:count],
            [str(c) for c in choices],
            gold,  # type: ignore[arg-type]
            is_greedy=is_greedy[:count],
            unconditional_logprobs=logprobs[count:] or None,
        )
    if scorer.process_results is None:
        found = {name: found[name] for name in scorer.logprob_metrics if name in found}
    shown = [[logprob, greedy] for logprob, greedy in zip(logprobs, is_greedy, strict=True)]
    names = [ensemble.name for ensemble in scorer.ensembles]
    status: Status = "unparsed" if isinstance(found, Unparsed) else "scored"
    return Outcome(status, dict.fromkeys(names, shown), {name: dict(found) for name in names}, {})


def _answers(
    scorer: Scorer,
    ensemble: Ensemble,
    texts: list[str],
    document: Mapping[str, Any],
    doc_id: int | None,
) -> tuple[list[Any], bool]:
    """Return an ensemble's answers as plain values, and whether a filter fell back on any."""
    try:
        answers = ensemble.apply(texts, document)
    except LmmsError:
        raise
    except Exception as error:
        what = f"filter {ensemble.name!r}"
        raise DocumentError(_complaint(scorer, what, error, document, doc_id)) from error
    keeps_rounds = scorer.output_type in ROUND_TYPES and scorer.process_results is not None
    if answers and isinstance(answers[0], list) and not keeps_rounds:
        answers = answers[0]
    fell_back = any(isinstance(answer, Fallback) for answer in answers)
    # The mark has served; what leaves this room is plain text, that any serialiser takes.
    answers = [str(a) if isinstance(a, Fallback) else a for a in answers]
    if not keeps_rounds:
        answers = [a.strip() if isinstance(a, str) else a for a in answers]
    return answers, fell_back


def _result(
    scorer: Scorer, document: Mapping[str, Any], answers: list[Any], doc_id: int | None, *, is_filtered: bool = False
) -> Mapping[str, Any]:
    function = scorer.process_results
    name = "metric_list" if function is None else _name_of(function)
    try:
        if function is None:
            return _compute_metrics(scorer, document, answers)
        told = {"is_filtered": is_filtered} if scorer.sees_filter else {}
        result = function(document, list(answers), **told)
    except LmmsError:
        raise
    except Exception as error:
        raise DocumentError(_complaint(scorer, name, error, document, doc_id)) from error
    if not isinstance(result, Mapping):
        raise DocumentError(
            explain(
                f"{name} returned {_short(result)}",
                where=_locate(scorer, doc_id),
                expected="a mapping: metric name -> score",
            )
        )
    if nameless := [key for key in result if not isinstance(key, str)]:
        raise DocumentError(
            explain(
                f"{name} returned a metric named {_short(nameless[0])}",
                where=_locate(scorer, doc_id),
                expected="a text; does the document lack the value that names it?",
            )
        )
    return result


def _compute_metrics(scorer: Scorer, document: Mapping[str, Any], answers: list[Any]) -> dict[str, Any]:
    gold = scorer.doc_to_target(document) if scorer.doc_to_target else None
    if scorer.doc_to_choice is not None:
        gold = _chosen(gold, scorer.doc_to_choice(document))
    golds = list(gold) if isinstance(gold, (list, tuple)) else None
    return {use.name: _compute_metric(use, document, gold, golds, answers) for use in scorer.metrics}


def _compute_metric(
    use: MetricUse, document: Mapping[str, Any], gold: Any, golds: list[Any] | None, answers: list[Any]
) -> Any:
    if golds is None or use.all_references:
        return _ask(use, document, [gold] if golds is None else golds, answers)
    return 1.0 if any(_ask(use, document, [one], answers) for one in golds) else 0.0


def _ask(use: MetricUse, document: Mapping[str, Any], references: list[Any], answers: list[Any]) -> Any:
    seen = {"document": document} if use.sees_document else {}
    value = use.score(references=references, predictions=answers, **seen, **use.kwargs)
    return value[use.name] if isinstance(value, dict) and use.name in value else value


def _chosen(gold: Any, choices: Sequence[Any]) -> Any:
    if isinstance(gold, (list, tuple)):
        return [_chosen(one, choices) for one in gold]
    return choices[gold] if isinstance(gold, int) else gold


# Errors: everything below runs only when something went wrong


def _complaint(scorer: Scorer, what: str, error: Exception, document: Mapping[str, Any], doc_id: int | None) -> str:
    frame = blamed_frame(error)
    place = f" at {frame.filename}:{frame.lineno} in {frame.name}" if frame else ""
    missing = isinstance(error, KeyError)
    columns = ", ".join(map(str, document))
    return explain(
        f"{what} raised {type(error).__name__}: {_short(error, str)}{place}",
        where=_locate(scorer, doc_id),
        expected=f"names among the document's columns: {columns}" if missing else None,
        remedy=f"    {frame.line}" if frame and frame.line else None,
    )


def _locate(scorer: Scorer, doc_id: int | None) -> str:
    return scorer.where if doc_id is None else f"{scorer.where}[{doc_id}]"


def _name_of(function: Any) -> str:
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return getattr(function, "__qualname__", None) or type(function).__name__


def _short(value: Any, show: Callable[[Any], str] = repr, limit: int = 300) -> str:
    text = show(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
