"""Recordings without responses, of the rows of our miniatures: what record.py needs for a task that nobody recorded.

    python tools/compat/unrecorded.py --out FOLDER TASK...
    PYTHONPATH=OLD:. .compat-venv/bin/python tools/compat/record.py --out MADE FOLDER/*.jsonl
    python -m tests.parity.run MADE/*.jsonl

Media become the stand-ins that recordings have for them; a row that cannot be stored is left out, and said.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

ROOT = Path(__file__).resolve().parents[2]


def storable(value: Any) -> Any:
    """A value of a row as a recording holds it."""
    if hasattr(value, "convert") and hasattr(value, "size"):
        return {"$image": [*value.size, 0]}
    if isinstance(value, Mapping) and {"array", "sampling_rate"} <= value.keys():
        return {"$audio": [0.1, value["sampling_rate"], 0]}
    is_file = isinstance(value, Mapping) and "path" in value and value.keys() <= {"path", "bytes"}
    if is_file or type(value).__name__ == "AudioDecoder":
        return {"$audio": [0.1, 16000, 0]}
    if isinstance(value, Mapping):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def main() -> None:
    """Write one file a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="TASK")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    known = index_tasks([ROOT / "benchmarks"]).tasks
    for name in given.tasks:
        task = load_task(known[name])
        if isinstance(task, list) or "round" in task.spec.output_type or "agentic" in task.spec.output_type:
            print(f"{name}: answers come in rounds")
            continue
        rows = task.open_rows("mini")
        lines = [json.dumps({"task": name, "aggregated": {}})]
        for index in range(len(rows)):
            try:
                lines.append(json.dumps({"doc": storable(rows.document(index)), "responses": []}))
            except (TypeError, ValueError) as e:
                print(f"{name}: row {index} left out: {e}")
        (given.out / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
