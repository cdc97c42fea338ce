"""A finished run in the schema of Every Eval Ever (version 0.3.0), one record a task.

https://github.com/evaleval/every_eval_ever collects results of all frameworks; records lie in
``data/<benchmark>/<developer>/<model>/<uuid>.json``. Only what the run knows is said: no score range is guessed, and a
metric that does not say whether more is better is left out, because the schema demands it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_lmms.results.runs import Metric, StoredRun
from pytest_lmms.results.store import file_name

SCHEMA = "0.3.0"
Relationship = Literal["first_party", "third_party", "collaborative", "other"]
RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")
_ERRORS = {"stderr_clustered": "clustered", "stderr": "analytic or bootstrap", "stderr_clt": "central limit theorem"}
_NAMED_BY = ("pretrained", "model", "model_version", "model_name", "model_id")


class Exported(NamedTuple):
    """One record, and where it belongs."""

    path: str
    """Relative to the repository of records."""
    record: dict[str, Any]


def export(run: StoredRun, *, organization: str, relationship: Relationship, now: float) -> Iterator[Exported]:
    """Make a record of each task that has a metric with a direction.

    Args:
        run: Finished.
        organization: Who evaluated.
        relationship: Between who evaluated and who made the model.
        now: Seconds since the epoch: when the record is made.
    """
    model = _model(run)
    for task in run.tasks:
        results = [r for m in run.metrics(task) if (r := _result(run, m)) is not None]
        if not results:
            continue
        record = {
            "schema_version": SCHEMA,
            "evaluation_id": f"{task}/{model['id']}/{now:.0f}",
            "retrieved_timestamp": f"{now:.0f}",
            "source_metadata": {
                "source_name": "pytest-lmms",
                "source_type": "evaluation_run",
                "source_organization_name": organization,
                "evaluator_relationship": relationship,
            },
            "eval_library": _library(run),
            "model_info": model,
            "evaluation_results": results,
        }
        if (when := _timestamp(run)) is not None:
            record["evaluation_timestamp"] = when
        developer, _, name = model["id"].rpartition("/")
        digest = hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=16).digest()
        folder = "/".join(file_name(part) for part in (task, developer, name))
        yield Exported(f"data/{folder}/{uuid.UUID(bytes=digest, version=4)}.json", record)


def write_export(exported: Iterator[Exported], folder: Path) -> list[Path]:
    """Write records below a folder; returns their files."""
    paths = []
    for path, record in exported:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(target)
    return paths


def _model(run: StoredRun) -> dict[str, Any]:
    config = run.results.get("config") or {}
    arguments = config.get("model_args") or {}
    arguments = arguments if isinstance(arguments, Mapping) else {}
    named = next((str(arguments[k]) for k in _NAMED_BY if arguments.get(k)), str(config.get("model") or "unknown"))
    parts = [p for p in named.split("/") if p not in ("", ".", "..", "~")]
    is_path = named.startswith(("/", ".", "~")) or len(parts) != 2
    developer, name = ("unknown", parts[-1] if parts else "unknown") if is_path else parts
    is_local = "pretrained" in arguments
    return {
        "name": name,
        "id": f"{developer}/{name}",
        "developer": developer,
        "additional_details": {
            "deployment_type": "self_deployed" if is_local else "unknown",
            "model_availability": "unknown",
            "adapter": str(config.get("model")),
            **{f"model_args.{k}": _text(v) for k, v in arguments.items()},
        },
    }


def _library(run: StoredRun) -> dict[str, Any]:
    versions = run.results.get("versions_of_packages") or {}
    if run.is_foreign:
        return {"name": "lmms-eval", "version": str(run.results.get("lmms_eval_version", "unknown"))}
    details = {k: str(v) for k, v in versions.items() if k != "pytest-lmms"}
    return {
        "name": "pytest-lmms",
        "version": str(versions.get("pytest-lmms", "unknown")),
        "additional_details": details,
    }


def _result(run: StoredRun, metric: Metric) -> dict[str, Any] | None:
    value, better = run.value(metric), run.higher_is_better(metric)
    if value is None or better is None:
        return None
    values = run.results["results"][metric.task]
    uncertainty: dict[str, Any] = {}
    for kind, method in _ERRORS.items():
        error = values.get(f"{metric.name}_{kind},{metric.filter}")
        if isinstance(error, (int, float)):
            uncertainty["standard_error"] = {"value": float(error), "method": method}
            break
    counted = [values.get(f"n_{status}") for status in ("scored", "unparsed", "filtered")]
    if all(isinstance(n, int) for n in counted):
        uncertainty["num_samples"] = sum(n for n in counted if n is not None)
    complete = run.results.get("incomplete_because")
    return {
        "evaluation_result_id": str(metric),
        "evaluation_name": metric.task,
        "source_data": _source(run, metric.task),
        "metric_config": {
            "metric_id": f"{metric.task}.{metric.name}" if "/" not in metric.name else metric.name,
            "metric_name": metric.name,
            "lower_is_better": not better,
            "additional_details": {"filter": metric.filter},
        },
        "score_details": {
            "score": value,
            "uncertainty": uncertainty,
            "details": {"complete": "yes" if not complete else f"no: {complete}"},
        },
        "generation_config": _generation(run, metric.task),
    }


def _source(run: StoredRun, task: str) -> dict[str, Any]:
    config = (run.results.get("configs") or {}).get(task) or {}
    path = str(config.get("dataset_path") or task)
    details = {k: str(config[k]) for k in ("dataset_name", "metadata") if config.get(k)}
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        return {"dataset_name": path, "source_type": "other", "additional_details": details}
    count = (run.results.get("n-samples") or {}).get(task, {}).get("effective")
    found: dict[str, Any] = {"dataset_name": path, "source_type": "hf_dataset", "hf_repo": path}
    if split := config.get("test_split") or config.get("validation_split"):
        found["hf_split"] = str(split)
    if isinstance(count, int):
        found["samples_number"] = count
    return found | {"additional_details": details}


def _generation(run: StoredRun, task: str) -> dict[str, Any]:
    config = (run.results.get("configs") or {}).get(task) or {}
    said = {**(config.get("generation_kwargs") or {}), **((run.results.get("config") or {}).get("gen_kwargs") or {})}
    arguments = {k: said[k] for k in ("temperature", "top_p", "top_k") if isinstance(said.get(k), (int, float))}
    most = said.get("max_new_tokens")
    if isinstance(most, int) and most > 0:
        arguments["max_tokens"] = most
    rest = {k: _text(v) for k, v in said.items() if k not in (*arguments, "max_new_tokens")}
    shots = (run.results.get("n-shot") or {}).get(task)
    if shots is not None:
        rest["num_fewshot"] = str(shots)
    return {"generation_args": arguments, "additional_details": rest}


def _timestamp(run: StoredRun) -> str | None:
    try:
        return datetime.strptime(str(run.results.get("date")), "%Y-%m-%dT%H:%M:%S%z").isoformat()
    except ValueError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
