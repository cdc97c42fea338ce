"""Finished runs, written as files, without running anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_run(
    folder: Path,
    values: Mapping[str, Sequence[Any]],
    *,
    metric: str = "acc",
    higher_is_better: bool | None = True,
    aggregates: Mapping[str, float] | None = None,
    **changes: Any,
) -> Path:
    """Write the folder of a run whose tasks have one metric; document i of a task scores `values[task][i]`.

    Args:
        folder: Made.
        values: By task; None is a document that erred.
        metric: Name of the metric.
        higher_is_better: Of the metric.
        aggregates: By task, where they are not the mean.
        **changes: Further keys of results.json; `configs`, `config` and `samples` (fields of every row) are merged.
    """
    folder.mkdir(parents=True)
    config = changes.pop("configs", {})
    rows = changes.pop("samples", {})
    results: dict[str, Any] = {"schema_version": 1, "status": "complete", "complete": True, "results": {}}
    results |= {"configs": {}, "higher_is_better": {}, "node_ids": {}, "config": {"resolved_cli_args": {}}}
    for task, scores in values.items():
        numbers = [s["score"] if isinstance(s, dict) else s for s in scores if s is not None]
        value = (aggregates or {}).get(task, sum(numbers) / max(1, len(numbers)))
        results["results"][task] = {"alias": task, f"{metric},none": value, f"{metric}_stderr,none": 0.1}
        results["configs"][task] = {"task": task, "dataset_path": "some/data", **config}
        results["higher_is_better"][task] = {metric: higher_is_better}
        results["node_ids"][task] = f"tasks/{task}.yaml::{task}"
        with (folder / f"samples_{task}.jsonl").open("w") as file:
            for i, score in enumerate(scores):
                row = {"doc_id": i, "doc_hash": f"hash{i}", "target": "A", "input": f"question {i}", **rows}
                row |= {"status": "error"} if score is None else {"status": "scored", metric: score}
                file.write(json.dumps(row) + "\n")
    (folder / "results.json").write_text(json.dumps(results | changes))
    return folder
