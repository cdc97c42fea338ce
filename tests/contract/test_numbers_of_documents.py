"""Gates pair documents: under every metric that is a number, each document has one of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_lmms.records import Item, Response
from pytest_lmms.scoring.build import aggregate, build_scorer, metric_entries
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OF_ALL_DOCUMENTS = re.compile(
    r"\w+_(Bleu_[1-4]|METEOR|CIDEr)"  # of a corpus: n-grams and matches count over all captions
    r"|inst_level_(strict|loose)_acc"  # over instructions, of which a document has several
    r"|submission"  # a file
    r"|(non_)?demographic_refusal_rate"  # over the documents of one kind
)
"""Metrics that exist for many documents only."""


def texts():
    """One task for each way of scoring a text."""
    seen = set()
    for path in sorted(set(index_tasks([BENCHMARKS]).tasks.values())):
        task = load_task(path)
        if isinstance(task, list) or task.spec.output_type != "generate_until":
            continue
        metrics = sorted(m["metric"] for m in task.spec.metric_list)
        key = (path.parent.name, str(task.spec.process_results), str(task.spec.filter_list), *metrics)
        if key not in seen:
            seen.add(key)
            yield task


def number(item, score_key):
    if isinstance(item, Item):
        item = {**item, **item.numbers}
    value = item.get(score_key) if isinstance(item, Mapping) else item
    return value if isinstance(value, (int, float)) else None


@pytest.mark.parametrize("task", list(texts()), ids=lambda task: task.name)
def test_every_document_has_a_number_under_every_metric(task):
    rows = task.open_rows("mini")
    documents = [rows.document(i) for i in range(len(rows))]
    scorer = build_scorer(task, reasoning_tags=(), full_docs=lambda: documents)
    items = {}
    for document in documents:
        outcome = score(scorer, document, [Response(text="A")] * task.repeats, doc_id=0)
        for name, item in next(iter(outcome.scores.values())).items():
            items.setdefault(name, []).append(item)
    for entry in metric_entries(task):
        own = items.get(entry.name, [])
        if not own or OF_ALL_DOCUMENTS.fullmatch(entry.name) or aggregate(entry, own) is None:
            continue
        assert [number(item, task.spec.score_key) for item in own].count(None) == 0, entry.name
