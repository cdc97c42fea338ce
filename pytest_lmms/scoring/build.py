"""From a task's YAML to its `Scorer`: names become functions, once per task, with errors that name file and line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_lmms.errors import TaskError, UsageError, did_you_mean, explain
from pytest_lmms.scoring.choices_loglikelihood import LOGPROB_METRICS
from pytest_lmms.scoring.filter_steps import StripThinking
from pytest_lmms.scoring.filters import build_ensembles
from pytest_lmms.scoring.metrics import (
    DEFAULT_METRICS,
    METRICS,
    Aggregation,
    MetricUse,
    find_aggregation,
    find_metric,
    use_metric,
)
from pytest_lmms.scoring.reasoning import Tags, parse_reasoning_tags
from pytest_lmms.scoring.rubric import FILE, find_rubric
from pytest_lmms.scoring.score import Scorer
from pytest_lmms.tasks.fields import parameters_of, takes
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.spec import LOGPROB_TYPES

_ENTRY_KEYS = frozenset({"metric", "aggregation", "higher_is_better"})


class MetricEntry(NamedTuple):
    """One line of a task's `metric_list`."""

    name: str
    aggregation: Aggregation
    aggregation_name: str
    higher_is_better: bool | None


def metric_entries(task: Task) -> list[MetricEntry]:
    """What a task wants aggregated, and how.

    Raises:
        TaskError: An unknown metric or aggregation, or a metric of the task's own without aggregation.
    """
    where = task.where("metric_list")
    entries = []
    for entry in _metric_list(task):
        metric = entry["metric"]
        name = metric if isinstance(metric, str) else _function_name(metric)
        known = METRICS.get(name)
        aggregation = entry.get("aggregation", known.aggregation if known else None)
        if aggregation is None and task.spec.process_results is None:
            find_metric(name, where=where)
        if aggregation is None:
            raise TaskError(
                explain(f"metric {name!r} has no aggregation", where=where, expected="aggregation: mean, for example")
            )
        better = entry.get("higher_is_better", known.higher_is_better if known else None)
        if isinstance(aggregation, str):
            entries.append(MetricEntry(name, find_aggregation(aggregation, where=where), aggregation, better))
        else:
            entries.append(MetricEntry(name, aggregation, _function_name(aggregation), better))
    return entries


def _metric_list(task: Task) -> list[Mapping[str, Any]]:
    spec = task.spec
    if spec.metric_list is None:
        names = DEFAULT_METRICS.get(spec.output_type, ("exact_match",))
        return [{"metric": name} for name in names]
    for entry in spec.metric_list:
        if "metric" not in entry:
            raise TaskError(
                explain(
                    f"an entry of metric_list is {dict(entry)!r}",
                    where=task.where("metric_list"),
                    expected="{metric: name, aggregation: mean, higher_is_better: true}",
                )
            )
    return list(spec.metric_list)


def _function_name(function: Any) -> str:
    return getattr(function, "dotted", getattr(function, "__name__", type(function).__name__)).rpartition(".")[2]


def build_scorer(
    task: Task, *, reasoning_tags: Tags, full_docs: Callable[[], Sequence[Mapping[str, Any]]] | None = None
) -> Scorer:
    """Build what scores a task's documents.

    Args:
        task: The task.
        reasoning_tags: What the user chose; the task's own `reasoning_tags` win.
        full_docs: Gives all documents of the task, for one that says ``full_docs: true``; called when the first
            document is scored.

    Raises:
        TaskError: An unknown filter, metric or aggregation, or tags of the wrong form.
    """
    spec = task.spec
    if spec.reasoning_tags is not None:
        try:
            reasoning_tags = parse_reasoning_tags(spec.reasoning_tags, where=task.where("reasoning_tags"))
        except UsageError as e:
            raise TaskError(str(e)) from e
    ensembles = build_ensembles(_resolved(spec.filter_list), where=task.where("filter_list"))
    if spec.auto_strip_thinking and spec.reasoning_tags is None:
        ensembles = tuple(e._replace(filters=(StripThinking(), *e.filters)) for e in ensembles)
    entries = metric_entries(task)
    asks_logprobs = spec.output_type in LOGPROB_TYPES
    logprob_metrics: tuple[str, ...] = ()
    if asks_logprobs and spec.process_results is None:
        logprob_metrics = tuple(e.name for e in entries)
        _check_logprob_metrics(task, logprob_metrics)
    uses: tuple[MetricUse, ...] = ()
    if spec.process_results is None and spec.output_type.startswith("generate"):
        where = task.where("metric_list")
        uses = tuple(
            use_metric(
                _resolved(entry["metric"]), {k: v for k, v in entry.items() if k not in _ENTRY_KEYS}, where=where
            )
            for entry in _metric_list(task)
        )
    scoring = _resolved(spec.process_results)
    judged = getattr(scoring, "judged", None)
    return Scorer(
        where=f"{task.path.name}::{task.name}",
        output_type=spec.output_type,
        ensembles=ensembles,
        reasoning_tags=reasoning_tags,
        process_results=_with_full_docs(scoring, full_docs if spec.full_docs else None),
        asks_judges=_asks_judges(scoring),
        sees_filter=scoring is not None and "is_filtered" in parameters_of(scoring),
        metrics=uses,
        doc_to_target=task.gold if asks_logprobs else task.target if spec.doc_to_target is not None else None,
        doc_to_choice=task.choices if spec.doc_to_choice is not None else None,
        logprob_metrics=logprob_metrics,
        judged=judged,
        rubric=find_rubric(task.path, getattr(judged, "rubric", FILE)) if judged is not None else None,
    )


def takes_a_judge(task: Task, metric: str) -> bool:
    """Whether a metric that rules did not give is a judge's: the task has a rubric for more than unread answers."""
    judged = getattr(_resolved(task.spec.process_results), "judged", None)
    if judged is None or getattr(judged, "only_unread", False) or not metric.startswith(getattr(judged, "prefix", "")):
        return False
    return find_rubric(task.path, getattr(judged, "rubric", FILE)) is not None


_JUDGES = ("lmms_eval.llm_judge", "pytest_lmms.llm_judge")


def _asks_judges(function: Any) -> bool:
    """Whether the module of a function has something of lmms-eval's judges among its names."""
    named = getattr(inspect.unwrap(function), "__globals__", {}) if callable(function) else {}
    return any(str(getattr(value, "__module__", "")).startswith(_JUDGES) for value in list(named.values()))


def _with_full_docs(function: Any, full_docs: Callable[[], Sequence[Mapping[str, Any]]] | None) -> Any:
    """Bind all documents to a `process_results` that takes them; they are read once, when first needed."""
    if function is None or full_docs is None or not takes(function, "full_docs"):
        return function
    all_of_them = functools.lru_cache(maxsize=1)(full_docs)

    @functools.wraps(function)
    def process_results(document: Mapping[str, Any], answers: list[Any], **told: Any) -> Any:
        return function(document, answers, full_docs=all_of_them(), **told)

    return process_results


def _check_logprob_metrics(task: Task, names: tuple[str, ...]) -> None:
    """Refuse metrics that log-probabilities do not give, and choices that are not there."""
    output_type = task.spec.output_type
    known = LOGPROB_METRICS[output_type]
    for name in names:
        if name not in known:
            raise TaskError(
                explain(
                    f"metric {name!r} cannot be computed with output_type {output_type}",
                    where=task.where("metric_list"),
                    expected="one of " + ", ".join(known),
                    suggestion=did_you_mean(name, known),
                    remedy="or give the task a process_results",
                )
            )
    if output_type == "multiple_choice" and task.spec.doc_to_choice is None:
        raise TaskError(explain("output_type multiple_choice needs doc_to_choice", where=task.where("output_type")))


def _resolved(value: Any) -> Any:
    """Import every `!function` in a value."""
    if hasattr(value, "resolve"):
        return value.resolve()
    if isinstance(value, Mapping):
        return {k: _resolved(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_resolved(v) for v in value]
    return value


def aggregate(entry: MetricEntry, items: list[Any], args: Any = None) -> Any:
    """Run a metric's aggregation over the items of all documents.

    Args:
        entry: The metric.
        items: What `process_results` returned, in document order.
        args: Given as second argument to an aggregation that takes two; has `output_path`.

    Returns:
        Whatever it returns, mostly a number; None without items.

    Raises:
        TaskError: It failed; the message names metric and function.
    """
    if not items:
        return None
    function = _resolved(entry.aggregation)
    try:
        return _aggregated(function, items, args)
    except Exception as e:
        raise TaskError(
            explain(
                f"aggregation {entry.aggregation_name} of metric {entry.name} failed over {len(items)} documents "
                f"with {type(e).__name__}: {e}"
            )
        ) from e


def _aggregated(function: Callable[..., Any], items: list[Any], args: Any) -> Any:
    """Call it with `args` where it has a parameter of that name, or a second one without default."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(items)
    if "args" in parameters and parameters["args"].kind is not inspect.Parameter.VAR_POSITIONAL:
        return function(items, args=args)
    positional = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) >= 2 and positional[1].default is inspect.Parameter.empty:
        return function(items, args)
    return function(items)
