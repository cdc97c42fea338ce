"""Responses whose reading once differed from lmms-eval's, though every recorded response agreed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

TASKS = index_tasks([Path(__file__).parents[2] / "benchmarks"]).tasks
VSTAR = {"question_id": "7", "category": "relative_position", "label": "A"}
KANGAROO = {"ground_truth": "A"}
PHYSICS = {"id": "1", "source": "s", "field": "Optics", "answer": '["4", "5"]', "points": None}


def scores_of(task: str, doc: dict[str, Any], text: str) -> dict[str, Any]:
    outcome = score(build_scorer(load_task(TASKS[task]), reasoning_tags=()), doc, [Response(text=text)])
    return dict(next(iter(outcome.scores.values())))


@pytest.mark.parametrize(
    ("text", "letter"),
    [("Unanswerable", None), ("Option B", "B"), ("it is A or else D .", "D"), ("The answer is: C", "C")],
)
def test_vstar_announces_a_letter_after_a_blank_or_colon(text: str, letter: str | None) -> None:
    assert scores_of("vstar_bench", VSTAR, text)["vstar_overall_acc"]["prediction"] == letter


@pytest.mark.parametrize(
    ("text", "is_right"), [("c\n\nOf which A is not it.", False), ("a\n\nOf which C is not it.", True)]
)
def test_a_lone_small_letter_on_a_line_answers_math_kangaroo(text: str, is_right: bool) -> None:  # noqa: FBT001
    assert scores_of("mathkangaroo", KANGAROO, text)["mathkangaroo_accuracy"] == float(is_right)


@pytest.mark.parametrize(
    ("text", "answers"),
    [("\\boxed{1} and \\boxed{}", ["1"]), ("\\boxed{}", [""]), ("\\boxed{4, 5}", ["4", "5"])],
)
def test_an_empty_box_beside_others_is_no_answer_to_a_physics_problem(text: str, answers: list[str]) -> None:
    assert scores_of("hipho_ipho_2024", PHYSICS, text)["hipho_score"]["parsed_prediction"] == answers


@pytest.mark.parametrize(("reply", "choice"), [("(E) fog", "A"), ("(b) a", "bee"), ("fogs", "fog")])
def test_a_letter_beyond_the_choices_of_mathvista_is_the_choice_nearest_to_that_letter(reply: str, choice: str) -> None:
    doc: dict[str, Any] = dict.fromkeys(("query", "pid", "answer_type", "precision", "metadata"))
    doc |= {"question_type": "multi_choice", "choices": ["A", "bee", "fog"], "answer": choice}
    judged = build_scorer(load_task(TASKS["mathvista_testmini_cot"]), reasoning_tags=()).judged
    assert judged is not None
    assert judged(doc, ["I say."], reply=reply)["submission"]["prediction"] == choice
