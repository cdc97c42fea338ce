"""MMLU-Pro: examples show their reasoning, and options are read by letter or text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.catalog import import_file
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.fewshot import Examples
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

FOLDER = Path(__file__).parents[2] / "benchmarks" / "mmlu_pro"
PLANETS = {
    "question_id": 1, "question": "Which is the largest?", "options": ["Mars", "Jupiter.", "Venus"], "answer": "B",
    "answer_index": 1, "cot_content": "", "category": "physics", "src": "made",
}  # fmt: skip
SOLVED = PLANETS | {
    "question": "Which is red?",
    "answer": "A",
    "cot_content": "A: Let's think step by step. Rust is red. The answer is (A).",
}


def physics() -> Task:
    task = load_task(FOLDER / "mmlu_pro_physics.yaml")
    assert isinstance(task, Task)
    return task


def exact_match(text: str) -> dict[str, Any]:
    outcome = score(build_scorer(physics(), reasoning_tags=()), PLANETS, [Response(text=text)])
    return {name: scores["exact_match"] for name, scores in outcome.scores.items()}


def test_an_example_stands_before_the_question_with_its_reasoning() -> None:
    examples = Examples(count=1, sampler="first_n", num_available=1, read=lambda _: SOLVED, asks_same_rows=False)
    [message] = physics().bind(examples=examples).messages(PLANETS, 0)
    text = "".join(str(part) for part in message.content)
    assert text.endswith(
        "where X is the correct letter choice."
        "Question:\nWhich is red?\nOptions:\nA. Mars\nB. Jupiter.\nC. Venus\n"
        "Answer: Let's think step by step. Rust is red. The answer is (A).\n\n"
        "Question:\nWhich is the largest?\nOptions:\nA. Mars\nB. Jupiter.\nC. Venus\nAnswer: Let's think step by step."
    )


def test_the_target_of_a_question_is_its_letter() -> None:
    utils = import_file(FOLDER / "utils.py")
    assert utils.mmlu_pro_doc_to_target(PLANETS) == "B"


@pytest.mark.parametrize(
    ("said", "custom", "strict", "flexible"),
    [
        ("It is big. The answer is (B).", 1, 1, 1),
        ("It is big. The answer is B", 1, 0, 0),
        ("(A) is small, so (B)", 0, 0, 1),
        ("surely JUPITER", 0, 0, 1),
        ("My choice: B", 0, 0, 1),
        ("The answer is (C).", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_three_filters_read_an_answer(said: str, custom: int, strict: int, flexible: int) -> None:
    assert exact_match(said) == {"custom-extract": custom, "strict-match": strict, "flexible-extract": flexible}


def test_a_subject_is_asked_its_own_questions() -> None:
    rows = physics().open_rows("mini")
    assert {rows.document(index)["category"] for index in range(len(rows))} == {"physics"}
    assert len(rows) == 6
