"""From a run folder's shards to `results.json`: merge, aggregate, count, and say what is missing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytest_lmms.config import RunConfig
from pytest_lmms.masks import mask
from pytest_lmms.results.aggregate import TaskAggregate
from pytest_lmms.results.codec import plain
from pytest_lmms.results.efficiency import Efficiency
from pytest_lmms.results.groups import GroupTree, group_results
from pytest_lmms.results.store import SCHEMA_VERSION, RunFolder
from pytest_lmms.scoring.metrics import EVERY_TASK
from pytest_lmms.surroundings import versions
from pytest_lmms.tasks.load import load_from
from pytest_lmms.tasks.render import Task

MAX_ERRORS_LISTED = 100
MAX_ERROR_CHARS = 500


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a run set out to record."""

    documents: Mapping[str, Sequence[int]]
    """Task to the row numbers that were selected."""
    paths: Mapping[str, Path]
    """Task to its YAML."""
    node_ids: Mapping[str, str] = field(default_factory=dict)
    """Task to what stands before `[17]` in the ids of its documents."""
    reason_incomplete: str | None = None
    """Why the selection is no whole benchmark, or the run was cut short: `--lmms-limit 10`, `interrupted`, ..."""


@dataclass
class Finished:
    """A run's results and what to tell about them."""

    results: dict[str, Any]
    complaints: list[str] = field(default_factory=list)
    lost: dict[str, list[int]] = field(default_factory=dict)
    """Task to row numbers that were expected and have no record."""
    num_errors: int = 0
    num_expected: int = 0


def finish_run(
    folder: RunFolder,
    expected: Expected,
    settings: RunConfig,
    *,
    status: str,
    bind: Callable[[Task], Task] = lambda task: task,
    groups: Sequence[GroupTree] = (),
) -> Finished:
    """Merge the shards, aggregate every task, and write `results.json`.

    Args:
        folder: The run.
        expected: What should be there.
        settings: For the config section.
        status: `complete` or `interrupted`; a run that lost documents becomes `incomplete`.
        bind: Binds a freshly loaded task to the model and the settings.
        groups: Groups of these tasks, to be reported as well.
    """
    tasks = {name: bind(load_from(path, name)) for name, path in expected.paths.items()}
    aggregates = {name: TaskAggregate(task, extra_metrics=list(EVERY_TASK)) for name, task in tasks.items()}
    by_task: dict[str, Efficiency] = {name: Efficiency() for name in tasks}
    overall = Efficiency()
    errors: list[dict[str, Any]] = []
    flags: dict[str, Counter[str]] = {}

    def each(task: str, record: dict[str, Any]) -> None:
        if task not in aggregates:
            return
        aggregates[task].add(record)
        if record.get("flags"):
            flags.setdefault(task, Counter()).update(record["flags"])
        if record["status"] == "error" and len(errors) < MAX_ERRORS_LISTED:
            message = (record.get("error") or "").strip().partition("\n")[0]
            errors.append({"task": task, "doc_id": record["doc_id"], "error": message[:MAX_ERROR_CHARS]})
        score_key = tasks[task].spec.score_key
        by_task[task].add(record, score_key)

    index = folder.merge(keep_samples=settings.log_samples, each=each)
    for efficiency in by_task.values():
        overall.absorb(efficiency)
    totals = {n["task"]: n["num_documents"] for n in index.notes if "num_documents" in n}
    finished = Finished({})
    args = SimpleNamespace(**settings.resolved() | {"output_path": str(folder.path)})
    results: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    samples: dict[str, Any] = {}
    for name, collected in aggregates.items():
        chosen = expected.documents.get(name, ())
        values, complaints = collected.result(args)
        counts[name] = collected.counts(len(chosen))
        finished.complaints += map(settings.secrets.hide, complaints)
        finished.num_errors += counts[name]["n_error"]
        finished.num_expected += len(chosen)
        lost = sorted(set(chosen) - index.places.get(name, {}).keys())
        if lost:
            finished.lost[name] = lost
        is_whole = not lost and counts[name]["n_error"] == 0 and not collected.left_out
        results[name] = values | counts[name] | {"complete": is_whole}
        samples[name] = {"original": totals.get(name, len(chosen)), "effective": len(chosen)}
    by_group, members, group_complaints = group_results(groups, results)
    finished.complaints += map(settings.secrets.hide, group_complaints)
    if finished.lost and status == "complete":
        status = "incomplete"
    reason = expected.reason_incomplete or ("documents are missing" if finished.lost else None)
    finished.results = {
        "schema_version": SCHEMA_VERSION,
        "results": results,
        "groups": by_group,
        "group_subtasks": members,
        "configs": {name: _config(task) for name, task in tasks.items()},
        "versions": {name: plain(task.spec.version) for name, task in tasks.items()},
        "n-shot": {name: task.num_fewshot for name, task in tasks.items()},
        "higher_is_better": {
            name: {e.name: e.higher_is_better for e in collected.entries} for name, collected in aggregates.items()
        },
        "n-samples": samples,
        "config": {
            **_model(settings, aggregates, index.notes),
            "batch_size": settings.batch_size,
            "batch_sizes": sorted({n["fitting_batch_size"] for n in index.notes if "fitting_batch_size" in n}),
            "limit": settings.limit,
            "offset": settings.offset,
            "gen_kwargs": mask(dict(settings.gen_kwargs)),
            "seed": settings.seed,
            "resolved_cli_args": settings.resolved(),
            "setting_sources": dict(settings.sources),
            "invocation": folder.info().get("invocation", {}),
        },
        "status": status,
        "complete": status == "complete" and reason is None,
        "incomplete_because": reason,
        "counts": {key: sum(c[key] for c in counts.values()) for key in next(iter(counts.values()), {})},
        "efficiency": {
            "overall": overall.summary(),
            "by_task": {name: e.summary() for name, e in by_task.items()},
        },
        "throughput": overall.throughput(),
        "node_ids": dict(expected.node_ids),
        "flags": flags,
        "error_documents": errors,
        "lost_documents": finished.lost,
        "ignored_settings": {n["task"]: n["ignored_settings"] for n in index.notes if "ignored_settings" in n},
        "unjudged": {
            name: names for name, own in aggregates.items() if not settings.judge and (names := own.unjudged())
        },
        "not_computed": {name: found for name, own in aggregates.items() if (found := own.not_computed())},
        "complaints": finished.complaints,
        "versions_of_packages": versions(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    folder.write_json("results.json", finished.results)
    folder.update(status=status, finished=finished.results["date"])
    if status == "complete" and settings.log_samples and settings.shard is None:
        folder.clear_shards()
        if folder.shards.is_dir() and not any(folder.shards.iterdir()):
            folder.shards.rmdir()
    return finished


def _model(settings: RunConfig, tasks: Iterable[str], notes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Name and arguments of what answered: the model that was named, or those of fixtures in its place."""
    overriding = {n["task"]: n["overriding_model"] for n in notes if "overriding_model" in n}
    names = [f"{name} (lmms_model fixture)" for name in dict.fromkeys(overriding.values())]
    if set(tasks) <= overriding.keys() and names:
        return {"model": ", ".join(names), "model_args": {}}
    all_names = [*filter(None, [settings.model]), *names]
    return {"model": ", ".join(all_names) or None, "model_args": mask(dict(settings.model_args))}


def _config(task: Task) -> dict[str, Any]:
    """A task's fields that differ from their defaults, functions by name."""
    from dataclasses import fields

    shown = {}
    for f in fields(task.spec):
        value = getattr(task.spec, f.name)
        if value not in (None, (), {}, "", f.default):
            shown[f.name] = _plain_config(mask(value) if f.name == "dataset_kwargs" else value)
    return shown


def _plain_config(value: Any) -> Any:
    if hasattr(value, "dotted"):
        return f"!function {value.dotted}"
    if isinstance(value, Mapping):
        return {str(k): _plain_config(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_config(v) for v in value]
    return plain(value)
