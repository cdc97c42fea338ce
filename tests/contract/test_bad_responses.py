"""Whatever a model says, a scorer gives a record: each is shown the responses that break careless code."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.records import Response
from pytest_lmms.scoring.build import aggregate, build_scorer, metric_entries
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BAD = [
    "", "\n\n", "(" * 500, "[" * 500, "{" * 500, "\\boxed{" * 200, "\\boxed{}", "\x00\ud83d", "\u202eabc",
    "答案是A。", "الجواب ب", "½ ² ٣", "nan", "-inf", "1e999", "1/0", "9" * 5000, "<answer>", "</think>",
    "[nan, nan, nan, nan]", "(inf, 1)",
    f"({'9' * 400}, 1)", f"[{'9' * 400}, 0, 1, 1]",
    '{"a": 1}', "None", "Final Answer: ", "answer is ", "\\frac{1}{0}", "= = =",
    "<bbox>1 2 3</bbox>", "<1>x</1><2>", "9^9^9^9", "A" * 100_000,
]  # fmt: skip
PIECES = [*"ABab .,:;()[]{}<>\\$=+-*/%019\n'\"", "answer is ", "\\boxed{", "<answer>", "</answer>", "yes", "猫", "٣"]
NUM_RANDOM = 20


def tasks_by_scorer() -> Iterator[Task]:
    """One task for each way of scoring a text."""
    seen = set()
    for path in sorted(set(index_tasks([BENCHMARKS]).tasks.values())):
        task = load_task(path)
        if isinstance(task, list) or task.spec.output_type != "generate_until":
            continue
        key = (path.parent.name, str(task.spec.process_results), str(task.spec.filter_list))
        if key not in seen:
            seen.add(key)
            yield task


def responses() -> list[str]:
    rng = random.Random(7)
    return BAD + ["".join(rng.choices(PIECES, k=rng.randint(1, 40))) for _ in range(NUM_RANDOM)]


@pytest.mark.parametrize("task", list(tasks_by_scorer()), ids=lambda task: task.name)
def test_no_response_breaks_a_scorer_or_its_aggregations(task: Task) -> None:
    rows = task.open_rows("mini")
    documents = [rows.document(index) for index in range(len(rows))]
    scorer = build_scorer(task, reasoning_tags=(), full_docs=lambda: documents)
    items: dict[str, list[Any]] = {}
    for number, text in enumerate(responses()):
        outcome = score(scorer, documents[number % len(documents)], [Response(text=text)] * task.repeats, doc_id=0)
        for name, item in next(iter(outcome.scores.values())).items():
            items.setdefault(name, []).append(item)
    for entry in metric_entries(task):
        if entry.name in items:
            aggregate(entry, items[entry.name])
