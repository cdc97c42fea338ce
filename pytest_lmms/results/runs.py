"""Runs as they lie on disk, ours or lmms-eval's: aggregates, and what each document scored.

Reads `results.json` and `samples_<task>.jsonl` of a run folder, or `<date>_results.json` and
`<date>_samples_<task>.jsonl` as lmms-eval writes them. Compares nothing (see `compare`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pytest_lmms.errors import StoreError, explain
from pytest_lmms.jsonl import loads
from pytest_lmms.media.files import check_regular
from pytest_lmms.results.codec import decode
from pytest_lmms.results.store import SCHEMA_VERSION, file_name

_FOREIGN = re.compile(r"(?P<date>.*_)results\.json$")
_OF_MAPPINGS = ("results", "configs", "higher_is_better", "groups")
_MAPPINGS = (
    *_OF_MAPPINGS,
    "node_ids",
    "config",
    "efficiency",
    "counts",
    "versions",
    "n-samples",
    "n-shot",
    "group_subtasks",
)
_ERROR_KEYS = ("_stderr", "_stderr_clt", "_stderr_clustered")


class DocumentScore(NamedTuple):
    """One document's number under one metric."""

    value: float
    cluster: Hashable | None
    """The group of documents that it belongs to, where the task has such."""
    doc_hash: str
    """Of the dataset row; empty where the run does not tell."""
    target: str
    prompt: str
    """What was asked, shortened to a digest."""


class DocumentItem(NamedTuple):
    """What one document gives to a metric that is computed over all of them together."""

    item: Any
    doc_hash: str
    """As of `DocumentScore`."""
    target: str
    cluster: Hashable | None = None
    """As of `DocumentScore`."""


class Metric(NamedTuple):
    """A metric of a task, under one filter."""

    task: str
    name: str
    filter: str

    def __str__(self) -> str:
        suffix = "" if self.filter == "none" else f"@{self.filter}"
        return f"{self.task}/{self.name}{suffix}"


@dataclass(frozen=True)
class StoredRun:
    """A finished run."""

    path: Path
    """Its results file."""
    results: Mapping[str, Any]
    """What that file holds."""
    is_foreign: bool = False
    """Written by lmms-eval: its document hashes say nothing, and it dumps more settings."""
    _scores: dict[str, dict[Metric, dict[int, DocumentScore]]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """For tables: the run folder, or the date and model of lmms-eval's file."""
        if self.is_foreign:
            return f"{self.path.parent.name}/{self.path.name.removesuffix('_results.json')}"
        return self.path.parent.name

    @property
    def tasks(self) -> list[str]:
        """Tasks with results of their own; groups are left out."""
        configs = self.results.get("configs") or {}
        return [name for name in self.results.get("results", {}) if name in configs]

    @property
    def groups(self) -> list[str]:
        """Groups with results, which have no documents of their own."""
        return list(self.results.get("groups") or {})

    def metrics(self, task: str) -> Iterator[Metric]:
        """The metrics of a task or group that have a value."""
        for key in self._values(task):
            name, comma, filter_name = key.partition(",")
            if not comma or "," in filter_name or name.endswith(_ERROR_KEYS):
                continue
            if name in self._directions(task):
                yield Metric(task, name, filter_name)

    def value(self, metric: Metric) -> float | None:
        """The aggregate, or None where it is no number."""
        value = self._values(metric.task).get(f"{metric.name},{metric.filter}")
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def higher_is_better(self, metric: Metric) -> bool | None:
        """Which way is up; None where nobody says."""
        better = self._directions(metric.task).get(metric.name)
        return better if isinstance(better, bool) else None

    def _values(self, name: str) -> Mapping[str, Any]:
        found = self.results["results"].get(name) or (self.results.get("groups") or {}).get(name)
        return found or {}

    def _directions(self, name: str) -> Mapping[str, Any]:
        """By metric, which way is up; a group's metrics are those of its tasks."""
        known: Mapping[str, Mapping[str, Any]] = self.results.get("higher_is_better") or {}
        if name not in self.groups:
            return known.get(name) or {}
        return {metric: better for task in known.values() for metric, better in task.items()}

    def node_id(self, task: str, doc_id: int) -> str:
        """What to give pytest to run a document again."""
        prefix = (self.results.get("node_ids") or {}).get(task, task)
        return f"{prefix}[{doc_id}]"

    def samples_path(self, task: str) -> Path:
        """Where the task's documents lie."""
        if self.is_foreign:
            match = _FOREIGN.match(self.path.name)
            date = match["date"] if match else ""
            return self.path.with_name(f"{date}samples_{task.replace('/', '_')}.jsonl")
        return self.path.with_name(f"samples_{file_name(task)}.jsonl")

    def rows(self, task: str) -> Iterator[dict[str, Any]]:
        """The rows of a task's samples file, in its order.

        Raises:
            StoreError: There is none, or a line is no sample.
        """
        path = self.samples_path(task)
        try:
            check_regular(str(path))
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    where = f"{path}:{number}"
                    try:
                        row = loads(line)
                    except ValueError as e:
                        raise StoreError(explain(f"not JSON: {e}", where=where)) from e
                    if not isinstance(row, dict) or not isinstance(row.get("doc_id"), int):
                        raise StoreError(explain("this is no sample", where=where, expected="a mapping with a doc_id"))
                    yield row
        except (OSError, ValueError) as e:  # of odd names
            remedy = "run with --lmms-log-samples (ours) or --log_samples (lmms-eval)"
            raise StoreError(explain(f"no samples of task {task}: {e}", where=str(path), remedy=remedy)) from e

    def scores(self, metric: Metric) -> Mapping[int, DocumentScore]:
        """What each document scored under a metric, by row number; errored documents are left out.

        The samples file is read once for all metrics of a task.

        Raises:
            StoreError: The samples cannot be read.
        """
        if metric.task not in self._scores:
            self._scores[metric.task] = self._read_scores(metric.task)
        return self._scores[metric.task].get(metric, {})

    def items(self, metric: Metric) -> Mapping[int, DocumentItem]:
        """What a metric's aggregation was given for each document, by row number; errored documents are left out.

        Raises:
            StoreError: The samples cannot be read.
        """
        cluster_key = ((self.results.get("configs") or {}).get(metric.task) or {}).get("cluster_key")
        return {
            row["doc_id"]: DocumentItem(
                decode(row[metric.name]),
                self._hash_of(row),
                str(row.get("target", "")),
                _cluster_of(row[metric.name], cluster_key),
            )
            for row in self.rows(metric.task)
            if row.get("status") != "error" and metric.name in row and row.get("filter", metric.filter) == metric.filter
        }

    def _no_filter(self, task: str) -> StoreError:
        text = f"documents of task {task} do not say which of its filters scored them"
        return StoreError(explain(text, where=str(self.samples_path(task)), remedy="run one filter at a time"))

    def _hash_of(self, row: Mapping[str, Any]) -> str:
        return "" if self.is_foreign else row.get("doc_hash", "")

    def _read_scores(self, task: str) -> dict[Metric, dict[int, DocumentScore]]:
        config = (self.results.get("configs") or {}).get(task) or {}
        score_key, cluster_key = config.get("score_key") or "score", config.get("cluster_key")
        metrics = list(self.metrics(task))
        has_filters = len({metric.filter for metric in metrics}) > 1
        found: dict[Metric, dict[int, DocumentScore]] = {metric: {} for metric in metrics}
        for row in self.rows(task):
            if row.get("status") == "error":
                continue
            if has_filters and self.is_foreign and "filter" not in row:
                raise self._no_filter(task)
            doc_hash = self._hash_of(row)
            target, prompt = str(row.get("target", "")), str(hash(row.get("input", "")))
            for metric in metrics:
                if metric.name not in row or row.get("filter", metric.filter) != metric.filter:
                    continue
                item = row[metric.name]
                value = item.get(score_key) if isinstance(item, Mapping) else item
                if not isinstance(value, (int, float)):
                    continue
                cluster = _cluster_of(item, cluster_key)
                found[metric][row["doc_id"]] = DocumentScore(float(value), cluster, doc_hash, target, prompt)
        return found


def _cluster_of(item: Any, cluster_key: str | None) -> Hashable | None:
    cluster = item.get(cluster_key) if cluster_key and isinstance(item, Mapping) else None
    return cluster if cluster is None or isinstance(cluster, (str, int)) else repr(cluster)


def read_run(path: Path) -> StoredRun:
    """Read a finished run.

    Args:
        path: A run folder, its results.json, lmms-eval's `<date>_results.json`, or a folder that holds such: then the
            newest. A samples file stands for the results beside it.

    Raises:
        StoreError: There is none, it does not parse, or it has another schema version.
    """
    file = _results_file(path)
    try:
        check_regular(str(file))
        results = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise StoreError(explain(f"cannot be read: {e}", where=str(file), expected="results of a finished run")) from e
    if not isinstance(results, dict) or not isinstance(results.get("results"), dict):
        raise StoreError(explain("no results of a run", where=str(file), expected="a mapping with `results`"))
    if (part := _misshapen(results)) is not None:
        raise StoreError(explain(f"{part} is no mapping", where=str(file), expected="results of a finished run"))
    is_foreign = "schema_version" not in results and "lmms_eval_version" in results
    version = results.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise StoreError(
            explain(
                f"results of schema version {version}",
                where=str(file),
                expected=f"version {SCHEMA_VERSION}",
                remedy="make them again with this version of pytest-lmms",
            )
        )
    return StoredRun(file, results, is_foreign)


def _misshapen(results: Mapping[str, Any]) -> str | None:
    """The part of a results file, perhaps edited by hand, that should be a mapping and is none."""
    for name in _MAPPINGS:
        part = results.get(name) or {}
        if not isinstance(part, Mapping):
            return f"`{name}`"
        for key, value in part.items():
            if name in _OF_MAPPINGS and not isinstance(value, Mapping):
                return f"`{name}.{key}`"
    return None


def _beside_samples(path: Path) -> Path:
    """The results of a samples file, which lmms-eval takes for a baseline."""
    date, is_samples, _ = path.name.partition("samples_")
    results = path.with_name(f"{date}results.json")
    if not is_samples or not results.is_file():
        raise StoreError(
            explain(
                "documents alone say neither settings nor which metrics there are",
                where=str(path),
                expected=f"{results.name} beside it",
            )
        )
    return results


def _results_file(path: Path) -> Path:
    if path.is_file():
        return _beside_samples(path) if path.suffix == ".jsonl" else path
    if (path / "results.json").is_file():
        return path / "results.json"
    found = [*path.glob("*_results.json")] or [*path.glob("*/*_results.json")] if path.is_dir() else []
    if len(models := sorted({p.parent.name for p in found})) > 1:
        text = explain("results of several models", where=str(path), expected="the folder of one: " + ", ".join(models))
        raise StoreError(text)
    if found:
        return max(found, key=lambda p: p.name)
    if (path / "run.json").is_file():
        raise StoreError(
            explain("this run has no results.json: it did not end", where=str(path), remedy="--lmms-resume ends it")
        )
    raise StoreError(
        explain("no run here", where=str(path), expected="a run folder, a results.json, or lmms-eval's *_results.json")
    )
