"""Documents of several rounds on the line: their turns share batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.documents import Document
from pytest_lmms.evaluate import Line
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.records import Record, Request
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.tasks.load import load_task
from pytest_lmms.testing import ScriptedModel

UTILS = """
import threading

lock = threading.Lock()
waiting = threading.Event()
ended = []

def text(doc, previous_output=None, round_idx=None, previous_round_info=None):
    if round_idx is None:
        return f"{doc['name']} 1"
    outputs = list(previous_output)
    if round_idx == doc.get("waits_at"):
        assert waiting.wait(20), "nobody else came to an end meanwhile"
    if round_idx == doc["steps"]:
        with lock:
            ended.append(doc["name"])
        if len(ended) == doc.get("others"):
            waiting.set()
        return None, "", True, outputs, {"state": round_idx}
    return None, f"{doc['name']} {round_idx + 1}", False, outputs, {"state": round_idx}

def results(doc, results):
    return {"said": results[0]}
"""

YAML = """
task: talk
dataset_path: json
test_split: train
output_type: generate_until_agentic
doc_to_text: !function utils.text
process_results: !function utils.results
generation_kwargs: {max_agentic_steps: 20}
metric_list: [{metric: said, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., list[Record]]]:
    """Play documents; give their records in order."""
    engines: list[Engine] = []

    def go(rows: Sequence[dict[str, Any]], model: Any, *, batch_size: int = 16) -> list[Record]:
        (tmp_path / "utils.py").write_text(UTILS)
        (tmp_path / "talk.yaml").write_text(YAML)
        (tmp_path / "miniature").mkdir(exist_ok=True)
        (tmp_path / "miniature" / "talk.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        task = load_task(tmp_path / "talk.yaml")
        opened = task.open_rows("mini")
        scorer = build_scorer(task, reasoning_tags=())
        engine = Engine(model, settings=EngineSettings(batch_size=batch_size))
        engine.start()
        engines.append(engine)
        line = Line(engine, record=lambda records: records)
        for start in range(0, len(rows), batch_size):
            members = range(start, min(start + batch_size, len(rows)))
            group: Group[Any] = Group(len(members))
            line.submit([Document(task, opened, scorer, i, i, group) for i in members])
        done = dict(line.take() for _ in rows)
        return [record for _, record in sorted(done.items(), key=lambda d: d[0].index) if record is not None]

    yield go
    for engine in engines:
        engine.close()


def echo(request: Request) -> str:
    return f"heard {request.text}"


def documents(steps: Sequence[int]) -> list[dict[str, Any]]:
    return [{"name": f"d{i}", "steps": n} for i, n in enumerate(steps)]


def test_turns_of_64_documents_share_batches(run: Callable[..., Any]) -> None:
    model = ScriptedModel(echo)
    records = run(documents([8] * 64), model)
    assert [r.status for r in records] == ["scored"] * 64
    assert sum(model.batch_sizes) == 64 * 8
    assert len(model.batch_sizes) <= 41  # 1.3 times 32


def test_every_document_keeps_its_own_conversation(run: Callable[..., Any]) -> None:
    records = run(documents([3, 1, 2] * 7), ScriptedModel(echo), batch_size=4)
    for i, record in enumerate(records):
        steps = (3, 1, 2)[i % 3]
        assert [r["input"] for r in record.rounds[0]] == [f"d{i} {n}" for n in range(1, steps + 1)]
        assert [r["output"] for r in record.rounds[0]] == [f"heard d{i} {n}" for n in range(1, steps + 1)]


def test_documents_of_uneven_length_fill_batches_until_few_are_left(run: Callable[..., Any]) -> None:
    steps = [2 + (7 * i) % 11 for i in range(96)]
    model = ScriptedModel(echo)
    run(documents(steps), model)
    assert sum(model.batch_sizes) == sum(steps)
    assert len(model.batch_sizes) <= 1.3 * max(sum(steps) / 16, *steps)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_tool_that_takes_long_holds_up_no_other_document(run: Callable[..., Any], batch_size: int) -> None:
    """Each of four waits, at its sixth step or its first, until all others have ended."""
    rows = [{**row, "others": 28} for row in documents([9] * 28)]
    rows += [{**row, "waits_at": step} for row, step in zip(documents([9] * 4), (6, 6, 1, 1), strict=True)]
    records = run(rows, ScriptedModel(echo), batch_size=batch_size)
    assert [record.error for record in records] == [None] * 32


def test_turns_of_documents_that_come_together_are_asked_in_the_order_of_documents(run: Callable[..., Any]) -> None:
    model = ScriptedModel(echo)
    run(documents([6] * 16), model)
    assert [doc_id for _, doc_id, _ in model.asked] == list(range(16)) * 6
