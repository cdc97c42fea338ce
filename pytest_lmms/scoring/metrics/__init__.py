"""Metrics and aggregations by name: what `metric_list` of a task may say.

Two tables, `METRICS` and `AGGREGATIONS`, hold our own under lmms-eval's names; `register_metric`
and `register_aggregation` add others. A task with `process_results` scores its documents itself and
takes only aggregations from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from pytest_lmms.errors import TaskError, UsageError, did_you_mean, explain
from pytest_lmms.scoring.metrics import aggregations, text
from pytest_lmms.scoring.verifiers import checks
from pytest_lmms.tasks.fields import parameters_of

Aggregation = Callable[[Sequence[Any]], Any]
"""From the items of all documents, at least one, to one number."""

Entry = TypeVar("Entry")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric: how a document is scored, and what its scores become."""

    score: Callable[..., Any] | None
    """``score(references=[...], predictions=[...], **kwargs)`` gives one document's item; with a parameter
    `document`, it is given the dataset row. None: the item does not come from text but from log-probabilities or from
    `process_results`."""
    aggregation: str
    """Name in `AGGREGATIONS`, used when the task names none."""
    higher_is_better: bool
    all_references: bool = False
    """Whether `score` weighs several references itself. Otherwise it is asked for each alone, and
    the document's score is 1.0 when any of them gives something that is not zero."""
    waits: bool = False
    """Whether `score` mostly waits (for a process, say); documents are then scored many at a time."""


class MetricUse(NamedTuple):
    """A metric as one task uses it; made by `use_metric`."""

    name: str
    score: Callable[..., Any]
    """Called with `references`, `predictions` and `kwargs`."""
    kwargs: Mapping[str, Any]
    all_references: bool
    waits: bool = False
    sees_document: bool = False
    """Whether it is called with `document` as well."""


AGGREGATIONS: dict[str, Aggregation] = {
    "acc_all": aggregations.acc_all,
    "bits_per_byte": aggregations.bits_per_byte,
    "bleu": aggregations.bleu,
    "brier_score": aggregations.brier_score,
    "bypass": aggregations.bypass,
    "chrf": aggregations.chrf,
    "f1": aggregations.f1,
    "matthews_corrcoef": aggregations.matthews_corrcoef,
    "mean": aggregations.mean,
    "median": aggregations.median,
    "perplexity": aggregations.perplexity,
    "ter": aggregations.ter,
    "weighted_perplexity": aggregations.weighted_perplexity,
}
"""Aggregation name -> function. Others are added by `register_aggregation`."""


def _not_from_text(aggregation: str, *, higher_is_better: bool) -> Metric:
    return Metric(score=None, aggregation=aggregation, higher_is_better=higher_is_better)


def _over_all(aggregation: str, *, higher_is_better: bool = True) -> Metric:
    return Metric(
        score=text.pair,
        aggregation=aggregation,
        higher_is_better=higher_is_better,
        all_references=True,
    )


METRICS: dict[str, Metric] = {
    "acc": Metric(score=text.accuracy, aggregation="mean", higher_is_better=True),
    "acc_all": _not_from_text("acc_all", higher_is_better=True),
    "acc_mutual_info": _not_from_text("mean", higher_is_better=True),
    "acc_norm": _not_from_text("mean", higher_is_better=True),
    "anls": Metric(score=text.anls, aggregation="mean", higher_is_better=True, all_references=True),
    "bits_per_byte": _not_from_text("bits_per_byte", higher_is_better=False),
    "bleu": _over_all("bleu"),
    "brier_score": _not_from_text("brier_score", higher_is_better=False),
    "bypass": _over_all("bypass"),
    "byte_perplexity": _not_from_text("weighted_perplexity", higher_is_better=False),
    "chrf": _over_all("chrf"),
    "code_passes": Metric(
        score=checks.code_passes, aggregation="mean", higher_is_better=True, all_references=True, waits=True
    ),
    "exact_match": Metric(score=text.exact_match, aggregation="mean", higher_is_better=True),
    "f1": _over_all("f1"),
    "format_matches": Metric(
        score=checks.format_matches, aggregation="mean", higher_is_better=True, all_references=True
    ),
    "math_equals": Metric(score=checks.math_equals, aggregation="mean", higher_is_better=True),
    "mcc": _over_all("matthews_corrcoef"),
    "perplexity": _not_from_text("perplexity", higher_is_better=False),
    "ter": _over_all("ter", higher_is_better=False),
    "word_perplexity": _not_from_text("weighted_perplexity", higher_is_better=False),
}
"""Metric name -> metric. Others are added by `register_metric`."""

DEFAULT_METRICS: Mapping[str, tuple[str, ...]] = {
    "loglikelihood": ("perplexity", "acc"),
    "multiple_choice": ("acc", "acc_norm"),
}
"""Metrics of a task without `metric_list`, by output type; every other gets ``exact_match``."""


def register_metric(name: str, metric: Metric) -> None:
    """Add a metric to `METRICS`.

    Raises:
        UsageError: The name belongs to a different metric.
    """
    _register(METRICS, "metric", name, metric)


def register_aggregation(name: str, aggregation: Aggregation) -> None:
    """Add an aggregation to `AGGREGATIONS`.

    Raises:
        UsageError: The name belongs to a different aggregation.
    """
    _register(AGGREGATIONS, "aggregation", name, aggregation)


def find_metric(name: str, *, where: str) -> Metric:
    """Return the metric of that name.

    Raises:
        TaskError: There is none; the message names the closest.
    """
    return _find(METRICS, "metric", name, where)


def find_aggregation(name: str, *, where: str) -> Aggregation:
    """Return the aggregation of that name.

    Raises:
        TaskError: There is none; the message names the closest.
    """
    return _find(AGGREGATIONS, "aggregation", name, where)


def use_metric(metric: str | Callable[..., Any], kwargs: Mapping[str, Any], *, where: str) -> MetricUse:
    """Prepare a metric for a task that has no `process_results`.

    Args:
        metric: A name in `METRICS`, or the function that ``!function`` gave. A function is called
            with the keywords `references` and `predictions`, or, when it has no such parameters,
            with one list of both.
        kwargs: The keys of the `metric_list` entry that are arguments of the metric.
        where: `file:line` for errors.

    Raises:
        TaskError: The metric is unknown or cannot be computed from text, or has no such argument.
    """
    if callable(metric):
        name = getattr(metric, "__name__", type(metric).__name__)
        score, all_references, waits = metric, False, False
        if not _takes(metric, "references", "predictions"):
            score = _called_with_one_list(metric)
    else:
        found = find_metric(metric, where=where)
        if found.score is None:
            raise TaskError(
                explain(
                    f"metric {metric} cannot be computed from a text",
                    where=where,
                    expected="a task with process_results, or with log-probabilities "
                    "(output_type multiple_choice or loglikelihood)",
                )
            )
        name, score, all_references, waits = metric, found.score, found.all_references, found.waits
    for key in kwargs:
        if not _takes(score, key):
            known = [k for k in inspect.signature(score).parameters if k not in _INPUTS]
            raise TaskError(
                explain(
                    f"metric {name} has no argument {key!r}",
                    where=where,
                    expected=f"one of {', '.join(known)}" if known else "no arguments",
                    suggestion=did_you_mean(str(key), known),
                )
            )
    sees_document = "document" in parameters_of(score)
    return MetricUse(name, score, dict(kwargs), all_references, waits=waits, sees_document=sees_document)


_INPUTS = ("references", "predictions", "document")


def _called_with_one_list(function: Callable[..., Any]) -> Callable[..., Any]:
    def score(*, references: list[Any], predictions: list[Any]) -> Any:
        return function([references, predictions])

    return score


def _takes(function: Callable[..., Any], *names: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some builtins have no signature
        return True
    return any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or all(name in parameters for name in names)


def _register(table: dict[str, Entry], kind: str, name: str, entry: Entry) -> None:
    if table.setdefault(name, entry) != entry:
        article = "an" if kind[0] in "aeiou" else "a"
        raise UsageError(explain(f"{article} {kind} named {name!r} is there already", remedy="Choose another name."))


def _find(table: Mapping[str, Entry], kind: str, name: str, where: str) -> Entry:
    try:
        return table[name]
    except KeyError:
        raise TaskError(
            explain(
                f"unknown {kind} {name!r}",
                where=where,
                expected=f"one of {', '.join(sorted(table))}, or !function module.name",
                suggestion=did_you_mean(name, table),
            )
        ) from None


EVERY_TASK: dict[str, None] = {}
"""Names of metrics that plugins compute for every document; see the hook `pytest_lmms_score`."""


def register_hooked(
    name: str,
    metric: Metric | None = None,
    *,
    aggregation: Aggregation | None = None,
    every_task: bool = False,
) -> None:
    """What the hook `pytest_lmms_register_metrics` hands to plugins.

    Args:
        name: Metric's or aggregation's name.
        metric: The metric.
        aggregation: An aggregation, instead of a metric.
        every_task: Whether the metric's values come from `pytest_lmms_score`, for every task.

    Raises:
        UsageError: Neither or both of metric and aggregation, or a name that is taken.
    """
    if (metric is None) == (aggregation is None):
        raise UsageError(
            explain(
                f"registering {name!r}: a metric or an aggregation is expected, one of both",
                remedy="register(name, Metric(...)) or register(name, aggregation=function)",
            )
        )
    if metric is not None:
        register_metric(name, metric)
        if every_task:
            EVERY_TASK[name] = None
    elif aggregation is not None:
        register_aggregation(name, aggregation)
