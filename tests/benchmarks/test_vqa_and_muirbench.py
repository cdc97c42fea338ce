"""OK-VQA, VizWiz-VQA and VQAv2 against ten people's answers; MuirBench's letters."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TEN = ["two"] * 5 + ["2"] * 2 + ["3"] * 3


def task(benchmark: str, name: str) -> Task:
    loaded = load_task(BENCHMARKS / benchmark / f"{name}.yaml")
    assert isinstance(loaded, Task)
    return loaded


def scores(task: Task, doc: dict[str, Any], said: str) -> dict[str, Any]:
    return task.spec.process_results(doc, [said])  # type: ignore[misc, no-any-return]


@pytest.mark.parametrize(("said", "score"), [("Two.", 1), ("the 2", 1), ("3", 0.9), ("four", 0), ("", 0)])
@pytest.mark.parametrize(
    ("benchmark", "name", "people"),
    [
        ("ok_vqa", "ok_vqa_val2014", TEN),
        ("vizwiz_vqa", "vizwiz_vqa_val", TEN),
        (
            "vqav2",
            "vqav2_val",
            [{"answer": said, "answer_id": i, "answer_confidence": "yes"} for i, said in enumerate(TEN)],
        ),
    ],
)
def test_an_answer_earns_a_third_for_each_other_person_who_gave_it(
    benchmark: str, name: str, people: list[Any], said: str, score: float
) -> None:
    doc = {"question_id": "7", "answers": people}
    assert scores(task(benchmark, name), doc, said)["exact_match"] == pytest.approx(score)


def test_a_comma_between_digits_decides_otherwise_in_vqav2() -> None:
    people = ["1000/2"] * 10
    doc = {"question_id": 7, "answers": people}
    spread = {"question_id": 7, "answers": [{"answer": said} for said in people]}
    assert scores(task("ok_vqa", "ok_vqa_val2014"), doc, "1,000/2")["exact_match"] == 1
    assert scores(task("vqav2", "vqav2_val"), spread, "1,000/2")["exact_match"] == 0


def test_vizwiz_shows_its_question_in_lower_case_but_for_its_first_letter() -> None:
    text = task("vizwiz_vqa", "vizwiz_vqa_val").render_text({"question": "what IS this?"})
    assert text.startswith("What is this?\nWhen the provided information is insufficient")


@pytest.mark.parametrize(
    ("benchmark", "name", "kept"),
    [
        ("vizwiz_vqa", "vizwiz_vqa_test", {"image": "7.jpg", "answer": "cat"}),
        ("vqav2", "vqav2_test", {"question_id": "7", "answer": "The cat."}),
    ],
)
def test_answers_of_hidden_splits_go_into_a_dated_file(
    benchmark: str, name: str, kept: dict[str, str], tmp_path: Path
) -> None:
    one = task(benchmark, name)
    item = scores(one, {"question_id": "7", "answers": None}, "The cat.")["submission"]
    assert item == kept
    [metric] = one.spec.metric_list or ()
    metric["aggregation"]([item], SimpleNamespace(output_path=str(tmp_path)))
    [file] = (tmp_path / "submissions").iterdir()
    assert file.name.startswith(f"{benchmark}-test-submission-20")
    assert json.loads(file.read_text("utf-8")) == [kept]


@pytest.mark.parametrize(
    ("said", "score", "is_read"),
    [("B. Two", 1, True), (" b ", 1, True), ("A", 0, True), ("(B)", 0, False), ("E", 0, False), ("", 0, False)],
)
def test_muirbench_reads_a_lone_letter_or_one_before_a_full_stop(said: str, score: int, is_read: bool) -> None:  # noqa: FBT001
    doc = {
        "task": "Counting", "idx": "1", "image_relation": "Counting", "image_type": "Slides", "answer": "B",
        "options": ["One", "Two"],
    }  # fmt: skip
    found = scores(task("muirbench", "muirbench"), doc, said)
    assert found["muirbench_score_overall"].numbers == {"score": score}
    assert isinstance(found, Unparsed) is not is_read
