"""MME: how prompts are written, answers read, and pairs added up."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_lmms.records import Unparsed

UTILS = Path(__file__).parents[2] / "benchmarks" / "mme" / "utils.py"


def load_utils() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tests_benchmarks_mme_utils", UTILS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mme = load_utils()
QUESTION = "Is there a dog in this image? Please answer yes or no."


def item(category: str, question_id: str, score: float) -> dict[str, Any]:
    return {"question_id": question_id, "category": category, "score": score}


@pytest.mark.parametrize(
    ("kwargs", "prompt"),
    [
        (None, QUESTION),
        ({"pre_prompt": "", "post_prompt": ""}, QUESTION),
        ({"pre_prompt": "", "post_prompt": " Answer:"}, "Is there a dog in this image? Answer:"),
        ({"pre_prompt": "Look. ", "post_prompt": ""}, "Look. Is there a dog in this image?"),
        ({"pre_prompt": "<", "post_prompt": ">"}, "<Is there a dog in this image?>"),
    ],
)
def test_an_instruction_of_ours_replaces_the_one_in_the_dataset(kwargs: dict[str, str] | None, prompt: str) -> None:
    assert mme.mme_doc_to_text({"question": f" {QUESTION}\n"}, kwargs) == prompt


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "yes"),
        ("NO.", "no"),
        ("y", "yes"),
        ("N.", "no"),
        ("Yes, there is.", "yes"),
        ("not sure", "no"),
        ("none", "no"),
        ("yesterday", "yes"),
        (" \n no", "no"),
        ("n o", None),
        ("x", None),
        ("", None),
        ("...", None),
        ("The answer is yes.", None),
        ("I'm not sure", None),
        ("I know", None),
        ("¿no?", "no"),
    ],
)
def test_only_the_first_four_characters_decide(text: str, answer: str | None) -> None:
    assert mme.read_yes_or_no(text) == answer


@pytest.mark.parametrize("gold", ["Yes", "yes.", " YES "])
def test_case_and_full_stops_of_the_gold_answer_do_not_matter(gold: str) -> None:
    doc = {"question_id": "7", "category": "OCR", "answer": gold}
    assert mme.mme_process_results(doc, ["yes"])["mme_perception_score"]["score"] == 1.0
    assert mme.mme_process_results(doc, ["no"])["mme_perception_score"]["score"] == 0.0


def test_an_unreadable_answer_is_unparsed_and_wrong() -> None:
    doc = {"question_id": "7", "category": "OCR", "answer": "No"}
    result = mme.mme_process_results(doc, ["Answer: no"])
    assert isinstance(result, Unparsed)
    assert result == {"mme_perception_score": item("OCR", "7", 0.0)}


@pytest.mark.parametrize(
    ("category", "metric"),
    [
        ("existence", "mme_perception_score"),
        ("OCR", "mme_perception_score"),
        ("code_reasoning", "mme_cognition_score"),
        ("a category that nobody knows", "mme_cognition_score"),
    ],
)
def test_what_is_not_perception_is_cognition(category: str, metric: str) -> None:
    doc = {"question_id": "7", "category": category, "answer": "No"}
    result = mme.mme_process_results(doc, ["no"])
    assert result == {metric: item(category, "7", 1.0)}
    assert not isinstance(result, Unparsed)


@pytest.mark.parametrize(("scores", "total"), [((0, 0), 0), ((1, 0), 50), ((0, 1), 50), ((1, 1), 200)])
def test_a_pair_scores_0_50_or_200(scores: tuple[int, int], total: float) -> None:
    assert mme.mme_aggregate_results([item("count", "1", s) for s in scores]) == total


def test_categories_are_means_of_pairs_and_the_metric_is_their_sum() -> None:
    items = [
        item("count", "1", 1.0),
        item("count", "1", 1.0),
        item("count", "2", 0.0),
        item("count", "2", 1.0),
        item("OCR", "3", 0.0),
        item("OCR", "3", 1.0),
    ]
    assert mme.mme_category_scores(items) == {"count": 125.0, "OCR": 50.0}
    assert mme.mme_aggregate_results(items) == 175.0


def test_the_partners_of_a_pair_need_not_be_neighbours() -> None:
    items = [item("count", "1", 1.0), item("count", "2", 0.0), item("count", "1", 1.0)]
    assert mme.mme_aggregate_results(items) == 200.0


def test_the_same_id_in_two_categories_is_two_questions() -> None:
    assert mme.mme_aggregate_results([item("count", "1", 1.0), item("OCR", "1", 1.0)]) is None


def test_a_question_without_its_partner_is_left_out() -> None:
    items = [item("count", "1", 1.0), item("count", "1", 0.0), item("count", "2", 1.0)]
    assert mme.mme_aggregate_results(items) == 50.0
    items.append(item("OCR", "3", 1.0))
    assert mme.mme_category_scores(items) == {"count": 50.0}


@pytest.mark.parametrize("items", [[], [item("count", "1", 1.0)]])
def test_without_a_complete_pair_there_is_no_score(items: list[dict[str, Any]]) -> None:
    assert mme.mme_aggregate_results(items) is None
    assert mme.mme_category_scores(items) == {}


def test_the_aggregation_names_its_sub_scores() -> None:
    assert mme.mme_aggregate_results.sub_scores is mme.mme_category_scores
