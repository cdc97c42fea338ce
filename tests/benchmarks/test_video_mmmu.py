"""Video-MMMU: open answers conclude numbers as MMMU reads them; variants change options and what is seen."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_lmms.catalog import import_file, package_for
from pytest_lmms.records import Unparsed
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

FOLDER = Path(__file__).parents[2] / "benchmarks" / "video_mmmu"
TRACKS = ("perception", "comprehension", "adaptation")
FRUIT = {
    "id": "validation_Biology_1",
    "question": "Which fruit?",
    "options": ["A. apple", "B. pear", "C. fig"],
    "answer": "C",
    "question_type": "multiple-choice",
}
OPEN = FRUIT | {"options": [], "answer": "16", "question_type": "open"}


@pytest.fixture(scope="module")
def variants() -> ModuleType:
    return import_file(FOLDER / "variants.py", package=package_for(FOLDER))


def task(name: str) -> Task:
    loaded = load_task(FOLDER / f"video_mmmu_{name}.yaml")
    assert isinstance(loaded, Task)
    return loaded


def documents(name: str) -> list[dict[str, Any]]:
    rows = task(name).open_rows("mini")
    return [dict(rows.document(index)) for index in range(len(rows))]


def right_text(doc: dict[str, Any]) -> str:
    return str(doc["options"]["ABCD".index(doc["answer"])]) if doc["options"] else str(doc["answer"])


def score(name: str, doc: dict[str, Any], said: str) -> tuple[Any, float, bool]:
    scores = task(name).spec.process_results(doc, [said])  # type: ignore[misc]
    item = scores["mmmu_acc"]
    return item["parsed_pred"], item.numbers["score"], isinstance(scores, Unparsed)


@pytest.mark.parametrize(("said", "right"), [("It is 16.", 1), ("It is 16, I think", 0), ("1.6e1", 1), ("= 16 cm", 1)])
def test_an_open_answers_number_counts_unless_a_comma_follows(said: str, right: int) -> None:
    assert score("adaptation", OPEN, said)[1] == right


@pytest.mark.parametrize("track", TRACKS)
def test_shuffling_moves_options_and_keeps_which_one_is_right(track: str) -> None:
    before, after = documents(track), documents(f"{track}_random_choice")
    assert before != after
    assert [right_text(doc) for doc in before] == [right_text(doc) for doc in after]


@pytest.mark.parametrize("track", TRACKS)
def test_the_right_option_reads_none(track: str) -> None:
    before, after = documents(track), documents(f"{track}_gt_none_option")
    assert {right_text(doc) for doc in after if doc["options"]} == {"None"}
    assert [doc["answer"] for doc in before] == [doc["answer"] for doc in after]


def test_letters_before_options_are_not_doubled(variants: ModuleType) -> None:
    assert variants._without_right_text(FRUIT) == {"options": ["apple", "pear", "None"]}
    assert variants._numbered(FRUIT) == {"options": ["apple", "pear", "fig"], "answer": "3"}


@pytest.mark.parametrize("row", [OPEN, FRUIT | {"answer": "D"}, FRUIT | {"options": None}, FRUIT | {"answer": ""}])
def test_a_row_without_a_right_option_stays_as_it_is(variants: ModuleType, row: dict[str, Any]) -> None:
    changes = (variants._shuffled, variants._without_right_text, variants._numbered)
    assert [change(row) for change in changes] == [{}, {}, {}]


def test_numbered_options_are_asked_for_and_read_by_number() -> None:
    doc = FRUIT | {"options": ["apple", "pear", "fig"], "answer": "3"}
    text = task("adaptation_number_option").render_text(doc)
    assert text.endswith("with the option number (1, 2, 3, etc.).\nWhich fruit?\n1. apple\n2. pear\n3. fig")
    assert score("adaptation_number_option", doc, "Option 3, the fig") == ("3", 1.0, False)
    assert score("adaptation_number_option", doc, "C") == ("No Answer Found.", 0.0, True)
    assert score("adaptation_number_option", OPEN, "It is 16.")[1] == 1.0


def test_nothing_or_the_picture_alone_is_shown() -> None:
    doc = documents("adaptation")[0]
    assert list(task("adaptation_no_visual").visuals(doc)) == []
    [path] = task("adaptation_question_only").visuals(doc)
    assert Path(path).name == f"{doc['id']}_image.mp4"
    assert task("adaptation_question_only").render_text(OPEN) == "Which fruit?\n"
