"""MMSearch: three rounds on a recorded web, and how they are scored."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_lmms.catalog import import_file, package_for
from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

FOLDER = Path(__file__).parents[2] / "benchmarks" / "mmsearch"


@pytest.fixture(scope="module")
def task() -> Task:
    loaded = load_task(FOLDER / "mmsearch_end2end.yaml")
    assert isinstance(loaded, Task)
    return loaded


@pytest.fixture(scope="module")
def scores() -> ModuleType:
    return import_file(FOLDER / "scores.py", package=package_for(FOLDER))


def rounds(task: Task, index: int, replies: list[str]) -> list[Any]:
    """The requests after each reply; None at the end."""
    document = task.open_rows("mini").document(index)
    return [
        task.next_request(document, index, outputs=replies[:count], round_index=count, info=None)[0]
        for count in range(1, len(replies) + 1)
    ]


@pytest.mark.parametrize(("index", "num_own"), [(0, 0), (1, 2)])
def test_sites_are_shown_after_the_query_and_a_page_after_the_choice(task: Task, index: int, num_own: int) -> None:
    choose, answer, end = rounds(task, index, ["museum", "<Website 2>", "left"])
    images = [part for message in choose.messages for part in message.content if not isinstance(part, str)]
    assert len(images) == num_own + 4
    assert "Website 4 Title" in choose.text
    assert "The blue square moves left." in answer.text
    assert end is None


@pytest.mark.parametrize("choice", ["none", "<Website 9>", "<Website 0>", "<Website 1>,<Website 2>"])
def test_without_one_choice_that_exists_the_first_page_is_shown(task: Task, choice: str) -> None:
    assert "The red square moves right." in rounds(task, 0, ["museum", choice])[1].text


def test_words_count_once_without_case_marks_and_articles(scores: ModuleType) -> None:
    assert scores.f1_score("The Right!", ["left", "right"]) == 1
    assert scores.f1_score("right right", ["right"]) == pytest.approx(2 / 3)
    assert scores.f1_score("", ["right"]) == 0


def test_a_query_is_scored_by_its_words_and_their_order(scores: ModuleType) -> None:
    assert scores.query_score("iphone 16 release date", "iphone 16 release date") == 1
    assert scores.query_score("date release", "release date") == pytest.approx((1 + 0.5) / 2)
    assert scores.query_score("", "release date") == 0
    assert scores.query_score("weather today", "release date") == 0


def test_words_of_a_query_count_once_and_full_stops_end_sentences(scores: ModuleType) -> None:
    assert scores.rouge_l("date date release", "release date") == pytest.approx(2 * 1 / 4)
    assert scores.rouge_l("date. release", "release date") == 1
    assert scores.rouge_l(".", "release date") == 0


@pytest.fixture(scope="module")
def single_rounds() -> ModuleType:
    return import_file(FOLDER / "single_rounds.py", package=package_for(FOLDER))


@pytest.mark.parametrize(
    ("choice", "score"),
    [
        ("<Website 1>", 1),
        ("I take <Website 5>", 0.5),
        ("<Website 2>", 0),
        ("<Website 1>,<Website 5>", 0),
        ("1", 0),
        ("<Website 0>", 0),
    ],
)
def test_a_chosen_page_is_graded(single_rounds: ModuleType, choice: str, score: float) -> None:
    doc = dict.fromkeys(("sample_id", "query", "timestamp", "area", "subfield", "gt_answer", "invalid"), "x")
    scores = single_rounds.mmsearch_rerank_process_results({**doc, "valid": [0], "not_sure": [4]}, [choice])
    assert scores["rek_score"].numbers["score"] == score
    assert single_rounds.mmsearch_mean_choice([scores["rek_score"]]) == score
    assert isinstance(scores, Unparsed) is (choice.count("<") != 1 or "0" in choice)


@pytest.mark.parametrize(("name", "counts"), [("rerank", [8, 10]), ("summarization", [2, 4])])
def test_a_round_alone_shows_as_many_images_as_its_prompt_has_places(name: str, counts: list[int]) -> None:
    loaded = load_task(FOLDER / f"mmsearch_{name}.yaml")
    assert isinstance(loaded, Task)
    rows = loaded.open_rows("mini")
    for index, count in enumerate(counts):
        document = rows.document(index)
        assert len(loaded.visuals(document)) == count
        assert loaded.render_text(document).count("<image>") == count
