"""Video-MME, LongVideoBench and LVBench with options shuffled, numbered, blanked or left out."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_lmms.catalog import import_file
from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BOATS = {
    "question_id": "1-1", "question": "How many boats?", "answer": "B", "videoID": "v",
    "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
    "duration": "short", "domain": "Knowledge", "sub_category": "Geography", "task_type": "Counting Problem",
}  # fmt: skip


@pytest.fixture(scope="module")
def variants() -> ModuleType:
    return import_file(BENCHMARKS / "videomme" / "variants.py")


@pytest.fixture(scope="module")
def open_ended() -> ModuleType:
    return import_file(BENCHMARKS / "videomme" / "open_ended.py")


def documents(name: str) -> list[dict[str, Any]]:
    task = load_task(index_tasks([BENCHMARKS]).tasks[name])
    rows = task.open_rows("mini")
    return [dict(rows.document(index)) for index in range(len(rows))]


def right_text(name: str, doc: dict[str, Any]) -> str:
    if name.startswith("videomme"):
        return next(option[3:] for option in doc["options"] if option.startswith(doc["answer"]))
    if name.startswith("longvideobench"):
        return str(doc[f"option{doc['correct_choice']}"])
    return next(line[4:] for line in doc["question"].split("\n") if line.startswith(f"({doc['answer']})"))


@pytest.mark.parametrize(
    ("shuffled", "original"),
    [
        ("videomme_random_choice", "videomme"),
        ("longvideobench_random_choice", "longvideobench_val_v"),
        ("lvbench_random_choice", "lvbench"),
    ],
)
def test_shuffling_moves_options_and_keeps_which_one_is_right(shuffled: str, original: str) -> None:
    before, after = documents(original), documents(shuffled)
    assert before != after
    assert [right_text(original, doc) for doc in before] == [right_text(shuffled, doc) for doc in after]


def test_an_unused_option_stays_last() -> None:
    assert [doc["option4"] for doc in documents("longvideobench_random_choice")].count("N/A") == [
        doc["option4"] for doc in documents("longvideobench_val_v")
    ].count("N/A")


def test_the_right_option_reads_none() -> None:
    assert {right_text("videomme_gt_none_option", doc) for doc in documents("videomme_gt_none_option")} == {"None"}


def test_options_are_numbered_from_one() -> None:
    first, *_ = documents("videomme_number_option")
    assert (first["options"][0], first["answer"]) == ("1. red.", "1")


@pytest.mark.parametrize(
    ("said", "read"), [("2. Two", "2"), ("It is (3)", "3"), ("4four", "4"), ("in 12, or 1", "1"), ("B", "")]
)
def test_a_number_is_read(variants: ModuleType, said: str, read: str) -> None:
    scores = variants.videomme_process_results_number({**BOATS, "answer": "2"}, [said])
    assert scores["videomme_perception_score"]["pred_answer"] == read
    assert isinstance(scores, Unparsed) is (not read)


@pytest.mark.parametrize(("said", "score"), [("b", 1), ("Maybe B or C", 1), ("apple", 0), ("C", 0)])
def test_a_guess_is_read_in_any_case(variants: ModuleType, said: str, score: int) -> None:
    assert variants.videomme_process_results_guess(BOATS, [said]) == {"acc_score": score, "format_score": 1}


def test_a_guess_without_letter_has_no_format(variants: ModuleType) -> None:
    scores = variants.videomme_process_results_guess(BOATS, ["1"])
    assert isinstance(scores, Unparsed)
    assert scores == {"acc_score": 0, "format_score": 0}


@pytest.mark.parametrize(("said", "score"), [("There are two.", 1), ("Tw", 1), ("three", 0), ("!", 0), ("", 0)])
def test_an_open_answer_is_compared_with_the_right_text(open_ended: ModuleType, said: str, score: int) -> None:
    assert open_ended.videomme_process_results_text(BOATS, [said]) == {"acc_score": score}


@pytest.mark.parametrize(
    ("said", "score", "is_read"),
    [("I see two boats", 1, True), ("one", 0, True), ("one or two", 0, False), ("", 0, False)],
)
def test_rules_find_an_open_answers_option_by_its_text(
    open_ended: ModuleType,
    said: str,
    score: int,
    is_read: bool,  # noqa: FBT001
) -> None:
    scores = open_ended.videomme_process_results_meant(BOATS, [said])
    assert (scores, isinstance(scores, Unparsed)) == ({"rule_acc_score": score}, not is_read)


@pytest.mark.parametrize(("reply", "accuracy", "match"), [("B", 1, 1), ("C", 0, 1), ("X", 0, 0)])
def test_a_judge_finds_an_open_answers_option(open_ended: ModuleType, reply: str, accuracy: int, match: int) -> None:
    scores = open_ended.videomme_judged(BOATS, ["a pair"], reply)
    assert scores == {"acc_score": accuracy, "llm_match_score": match}
