"""What the page shows of a run: a summary, and its records, both plain JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_lmms.errors import LmmsError
from pytest_lmms.results.runs import Metric, StoredRun
from pytest_lmms.results.uncertainty import shown_error

MAX_TEXT = 20_000
"""Characters of one text of a record that the page gets; the run folder has all."""
_KNOWN = frozenset({
    "doc_id", "input", "target", "resps", "filtered_resps", "doc_hash", "status", "error", "flags", "timings",
    "token_counts", "num_cached", "rounds", "filter", "repeat_scores", "verdicts", "trajectory",
})  # fmt: skip
"""Keys of a record that are no metrics."""


def summarise(run: StoredRun, key: str) -> dict[str, Any]:
    """A run in a few numbers.

    Args:
        run: As read.
        key: Names it in links.

    Returns:
        `key`, `name`, `model`, `model_args`, `date`, `status`, `counts`, `tokens`, `seconds`, `latency`, `tasks` (each:
        `name`, `node_id`, `is_group`, `counts`, `metrics`, `efficiency`), `gates`, `versions`, `settings`.
    """
    results = run.results
    config = results.get("config") or {}
    efficiency = results.get("efficiency") or {}
    throughput = results.get("throughput") or {}
    return {
        "key": key,
        "name": run.name,
        "path": str(run.path.parent),
        "model": config.get("model") or results.get("model_name") or "model",
        "model_args": config.get("model_args") or {},
        "date": results.get("date"),
        "status": results.get("status", "complete"),
        "incomplete_because": results.get("incomplete_because"),
        "counts": results.get("counts") or {},
        "tokens": (efficiency.get("overall") or {}).get("total_output_tokens"),
        "seconds": throughput.get("total_elapsed_time"),
        "tokens_per_second": throughput.get("avg_speed"),
        "latency": {
            name: throughput.get(f"{name}_seconds") or {}
            for name in ("ttft", "tpot")
            if throughput.get(f"{name}_seconds")
        },
        "tasks": [_task(run, name, efficiency) for name in (*run.groups, *run.tasks)],
        "gates": _gates(results.get("gates")),
        "flags": results.get("flags") or {},
        "versions": results.get("versions_of_packages") or {},
        "settings": {
            k: v
            for k, v in (config.get("resolved_cli_args") or {}).items()
            if k in (config.get("setting_sources") or {}) and v is not None
        },
    }


def _task(run: StoredRun, name: str, efficiency: Mapping[str, Any]) -> dict[str, Any]:
    found = run.results["results"].get(name) or (run.results.get("groups") or {}).get(name) or {}
    metrics = []
    for metric in run.metrics(name):
        value = run.value(metric)
        if value is None:
            continue
        error = _error(found, metric)
        metrics.append(
            {
                "name": metric.name,
                "filter": metric.filter,
                "value": _number(value),
                "stderr": error,
                "higher_is_better": run.higher_is_better(metric),
                "parts": {
                    str(k): _number(v)
                    for k, v in (found.get(f"{metric.name},{metric.filter},sub_scores") or {}).items()
                    if isinstance(v, (int, float))
                },
            }
        )
    return {
        "name": name,
        "is_group": name in run.groups,
        "node_id": (run.results.get("node_ids") or {}).get(name, name),
        "counts": {k: found[k] for k in _COUNTS if k in found},
        "metrics": metrics,
        "efficiency": (efficiency.get("by_task") or {}).get(name),
    }


_COUNTS = ("n_expected", "n_scored", "n_unparsed", "n_filtered", "n_error", "n_unscored", "n_not_run")


def _error(values: Mapping[str, Any], metric: Metric) -> float | None:
    error = shown_error(values, metric.name, metric.filter)
    return None if error is None else float(_number(error) or 0.0)


def _gates(gates: Any) -> list[dict[str, Any]]:
    """Verdicts as written, for a table; whatever shape they have."""
    verdicts = gates.get("verdicts", []) if isinstance(gates, Mapping) else gates
    return [dict(v) for v in verdicts or [] if isinstance(v, Mapping)]


def records(run: StoredRun, task: str) -> Iterator[dict[str, Any]]:
    """The records of a task, small: texts shortened, scores in one place, `score` and `is_right` for lists and plots.

    Raises:
        StoreError: A line of the file cannot be read.
    """
    metrics = list(run.metrics(task))
    directions = {m.name: run.higher_is_better(m) for m in metrics}
    names = [m.name for m in metrics]
    for row in run.rows(task):
        scores = {k: v for k, v in row.items() if k not in _KNOWN and not k.startswith("_")}
        name, score = _main_score(scores, names)
        yield {
            "id": row["doc_id"],
            "status": row.get("status", "scored"),
            "filter": row.get("filter"),
            "input": _short(_text(row.get("input"))),
            "target": _short(_text(row.get("target"))),
            "response": [_short(_text(t)) for t in _listed(row.get("resps", row.get("filtered_resps")))],
            "answer": [_short(_text(t)) for t in _listed(row.get("filtered_resps"))],
            "scores": _bounded(scores),
            "score": score,
            "is_right": is_right(score, higher_is_better=directions.get(name or "")),
            "category": _category(scores.get(name)) if name else None,
            "error": row.get("error"),
            "flags": row.get("flags") or [],
            "tokens": _tokens(row),
            "seconds": _seconds(row),
            "rounds": _bounded(row.get("rounds")),
            "verdicts": _bounded(row.get("verdicts")),
            "num_cached": row.get("num_cached", 0),
        }


def is_right(score: float | None, *, higher_is_better: bool | None) -> bool | None:
    """Whether a document counts as right, for filters: more than half a point, or, where less is better, less."""
    if score is None:
        return None
    return score < 0.5 if higher_is_better is False else score > 0.5


def comparison(run: StoredRun, baseline: StoredRun) -> dict[str, Any]:
    """A run beside a baseline: verdicts and the documents that changed.

    Returns:
        `lines`: metric, both values, difference with interval, p, n; `changed`: task -> document -> `worse` or
        `better`.
    """
    from pytest_lmms.results.compare_table import compare_all

    lines: list[dict[str, Any]] = []
    changed: dict[str, dict[str, str]] = {}
    for line in compare_all([baseline, run]):
        found = line.comparison
        lines.append(
            {
                "task": found.metric.task,
                "metric": found.metric.name,
                "filter": found.metric.filter,
                "value": _number(found.value),
                "baseline": _number(found.baseline),
                "effect": _number(found.effect),
                "mean_difference": _number(found.mean_difference),
                "low": _number(found.low),
                "high": _number(found.high),
                "p_value": _number(found.p_value),
                "p_adjusted": _number(line.p_adjusted),
                "test": found.test,
                "num_pairs": found.num_pairs,
                "higher_is_better": found.higher_is_better,
                "obstacle": found.obstacle,
                "notes": list(found.notes),
            }
        )
        of_task = changed.setdefault(found.metric.task, {})
        of_task.update({str(d): "better" for d in found.better if str(d) not in of_task})
        of_task.update({str(d): "worse" for d in found.worse})
    return {"run": run.name, "baseline": baseline.name, "lines": lines, "changed": changed}


def problem(error: LmmsError) -> str:
    """An error as one paragraph."""
    return " ".join(str(error).split())


def _main_score(scores: Mapping[str, Any], names: list[str]) -> tuple[str | None, float | None]:
    """The first metric of the task that this document has a number for."""
    for name in names:
        value = scores.get(name)
        if isinstance(value, Mapping):
            value = value.get("score")
        if isinstance(value, (bool, int, float)) and math.isfinite(value):
            return name, float(value)
    return None, None


def _category(score: Any) -> str | None:
    if not isinstance(score, Mapping):
        return None
    for key in ("category", "sub_category", "task_type", "type", "domain", "subject", "level-2-category"):
        if isinstance(score.get(key), str):
            return str(score[key])
    return None


def _tokens(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = [c for c in row.get("token_counts") or [] if isinstance(c, Mapping)]
    names = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    sums = {n.removesuffix("_tokens"): [c[n] for c in counts if c.get(n) is not None] for n in names}
    return {name: sum(values) for name, values in sums.items() if values}


def _seconds(row: Mapping[str, Any]) -> dict[str, Any]:
    timings = [t for t in row.get("timings") or [] if isinstance(t, Mapping)]
    if not timings:
        return {}
    first = timings[0]
    return {
        "total": _number(sum(t.get("seconds") or 0 for t in timings)),
        "first_token": _number(first.get("first_token_seconds")),
        "per_token": _number(first.get("seconds_per_token")),
        "source": first.get("source"),
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    import json

    return json.dumps(value, ensure_ascii=False, default=str)


def _short(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}\n... ({len(text):,} characters; the run folder has all of them)"


def _bounded(value: Any, depth: int = 0) -> Any:
    """A copy with short texts, finite numbers and no more depth than anyone reads."""
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, Mapping):
        return "..." if depth > 8 else {str(k): _bounded(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return "..." if depth > 8 else [_bounded(v, depth + 1) for v in value[:2000]]
    return _number(value) if isinstance(value, float) else value


def _number(value: Any) -> Any:
    """A number of at most seven digits; what is no finite number is None."""
    if value is None or isinstance(value, (bool, int)):
        return value
    return float(f"{value:.7g}") if math.isfinite(value) else None
