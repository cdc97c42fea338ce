"""The line: a document becomes a record, whatever happens to it on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.documents import Document
from pytest_lmms.evaluate import Line
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.records import Record
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
from pytest_lmms.tasks.load import load_task
from pytest_lmms.testing import ScriptedModel

UTILS = """
from pytest_lmms.errors import DocumentError

def text(doc):
    if doc["q"] == "unrenderable":
        raise KeyError("colour")
    return doc["q"]

def results(doc, results):
    if doc["q"] == "unscorable":
        raise ZeroDivisionError("no")
    if doc["q"] == "unreadable":
        raise DocumentError("the box has three corners")
    return {"right": float(results[0] == doc["a"])}
"""

YAML = """
task: small
dataset_path: json
test_split: train
doc_to_text: !function utils.text
doc_to_target: a
process_results: !function utils.results
metric_list: [{metric: right, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., list[Record | None]]]:
    """Run documents through a line on a scripted model; give records in document order."""
    engines: list[Engine] = []

    def go(questions: list[str], model: Any, *, extra: Any = None, batch_size: int = 4) -> list[Record | None]:
        (tmp_path / "utils.py").write_text(UTILS)
        (tmp_path / "small.yaml").write_text(YAML)
        (tmp_path / "miniature").mkdir(exist_ok=True)
        lines = [json.dumps({"q": q, "a": f"answer to {q}"}) for q in questions]
        (tmp_path / "miniature" / "small.jsonl").write_text("\n".join(lines))
        task = load_task(tmp_path / "small.yaml")
        rows = task.open_rows("mini")
        scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS)
        engine = Engine(model, settings=EngineSettings(batch_size=batch_size))
        engine.start()
        engines.append(engine)
        line = Line(engine, record=write, extra_scores=extra)
        for start in range(0, len(rows), batch_size):
            members = range(start, min(start + batch_size, len(rows)))
            group: Group[Any] = Group(len(members))
            line.submit([Document(task, rows, scorer, i, i, group) for i in members])
        done = dict(line.take() for _ in range(len(rows)))
        assert line.num_outstanding == 0
        return [record for _, record in sorted(done.items(), key=lambda d: d[0].index)]

    recorded: list[Record] = []

    def write(records: Sequence[Record]) -> Sequence[Record]:
        recorded.extend(records)
        return records

    go.recorded = recorded  # type: ignore[attr-defined]
    yield go
    for engine in engines:
        engine.close()


def good(request: Any) -> str:
    return f"<think>hm</think>answer to {request.text}"


def test_a_document_that_goes_well_is_scored_and_keeps_raw_and_stripped_text(run: Callable[..., Any]) -> None:
    (record,) = run(["one"], ScriptedModel(good))
    assert record.status == "scored"
    assert record.resps == ["<think>hm</think>answer to one"]
    assert record.filtered_resps == {"none": ["answer to one"]}
    assert record.scores == {"none": {"right": 1.0}}
    assert record.input == "one"
    assert record.target == "answer to one"
    assert len(record.doc_hash) == 64
    assert record.timings[0].finished is not None


def test_a_document_that_cannot_be_rendered_does_not_hold_up_its_batch(run: Callable[..., Any]) -> None:
    records = run(["one", "unrenderable", "two", "three"], ScriptedModel(good))
    assert [r.status for r in records] == ["scored", "error", "scored", "scored"]
    assert "doc_to_text" in records[1].error or "doc_to_messages" in records[1].error
    assert "colour" in records[1].error
    assert "utils.py:6" in records[1].error
    assert "the document has the columns q, a" in records[1].error


def test_a_document_that_cannot_be_scored_keeps_its_response(run: Callable[..., Any]) -> None:
    records = run(["one", "unscorable"], ScriptedModel(good))
    assert records[1].status == "error"
    assert records[1].resps == ["<think>hm</think>answer to unscorable"]
    assert records[1].scores == {}
    assert records[1].error.startswith("small.yaml::small[1]: results raised ZeroDivisionError: no")
    assert "utils.py:11" in records[1].error


def test_what_a_task_says_of_a_document_is_said_with_its_name(run: Callable[..., Any]) -> None:
    records = run(["one", "unreadable"], ScriptedModel(good))
    assert records[1].error == "small[1]: the box has three corners"


def test_a_request_that_the_model_fails_on_is_an_error_of_that_document_alone(run: Callable[..., Any]) -> None:
    def picky(request: Any) -> str:
        if request.text == "two":
            raise ValueError(f"not that one: {object()}")
        return good(request)

    records = run(["one", "two", "three"], ScriptedModel(picky))
    assert [r.status for r in records] == ["scored", "error", "scored"]
    assert "ValueError: not that one: <object object>\n  at " in records[1].error  # where it lies changes by run
    assert records[1].input == "two"


def test_every_record_is_written_before_anybody_hears_of_it(run: Callable[..., Any]) -> None:
    records = run([f"q{i}" for i in range(20)], ScriptedModel(good))
    assert sorted(r.doc_id for r in run.recorded) == list(range(20))  # type: ignore[attr-defined]
    assert len(records) == 20


def test_scores_of_plugins_join_the_documents_own(run: Callable[..., Any]) -> None:
    def extra(task: str, document: Mapping[str, Any], answers: Any, scores: Any) -> dict[str, Any]:
        return {"length": len(answers["none"][0])}

    (record,) = run(["one"], ScriptedModel(good), extra=extra)
    assert record.scores == {"none": {"right": 1.0, "length": 13}}


def test_a_line_whose_engine_has_ended_says_so_instead_of_waiting(run: Callable[..., Any]) -> None:
    engine = Engine(ScriptedModel(good))
    engine.start()
    line = Line(engine, record=lambda records: records)
    line.num_outstanding = 1
    engine.close()
    with pytest.raises(RuntimeError, match="the engine ended"):
        line.take()


def test_a_disk_that_is_full_is_told_to_every_document_instead_of_hanging(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    def full(records: Sequence[Record]) -> Sequence[Record]:
        raise OSError(28, "No space left on device")

    run(["one"], ScriptedModel(good))
    task = load_task(tmp_path / "small.yaml")
    rows = task.open_rows("mini")
    engine = Engine(ScriptedModel(good))
    engine.start()
    line = Line(engine, record=full)
    line.submit([Document(task, rows, build_scorer(task, reasoning_tags=DEFAULT_TAGS), 0)])
    _, record = line.take()
    engine.close()
    assert record is not None
    assert record.status == "error"
    assert "No space left" in record.error  # type: ignore[operator]
