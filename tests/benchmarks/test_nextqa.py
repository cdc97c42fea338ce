"""NExT-QA's open questions: what is compared, with WordNet and without."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from pytest_lmms.catalog import import_file, package_for
from pytest_lmms.records import Unparsed

FOLDER = Path(__file__).parents[2] / "benchmarks" / "nextqa"
NEAR = {("dog", "cat"): 0.8, ("run", "walk"): 0.5}


@pytest.fixture(scope="module")
def wups() -> ModuleType:
    return import_file(FOLDER / "wups.py", package=package_for(FOLDER))


@pytest.fixture(scope="module")
def open_ended() -> ModuleType:
    return import_file(FOLDER / "open_ended.py", package=package_for(FOLDER))


def alike(one: str, other: str) -> float:
    return 1.0 if one == other else NEAR.get((one, other), NEAR.get((other, one), 0.0))


@pytest.mark.parametrize(
    ("said", "gold", "threshold", "score"),
    [
        ("dog run", "dog run", 0.9, 1),
        ("dog run", "cat walk", 0, 0.8 * 0.5),
        ("dog run", "cat walk", 0.6, 0.8 * 0.05),
        ("dog run", "dog", 0, 1),
        ("dog", "dog walk", 0, 1),
        ("dog run", "cat run walk", 0, 0.8 * 0.5),
        ("sun", "dog", 0, 0),
        ("", "dog", 0, 0),
    ],
)
def test_wups_is_the_product_of_best_similarities_in_the_worse_direction(
    wups: ModuleType, said: str, gold: str, threshold: float, score: float
) -> None:
    assert wups.wups(said.split(), gold.split(), threshold, alike) == pytest.approx(score)


@pytest.mark.parametrize(
    ("said", "rate"), [("To the left.", 1), ("left", 1), ("it goes left", 1), ("left then right", 0), ("", 0)]
)
def test_the_same_words_are_exact_without_wordnet(open_ended: ModuleType, said: str, rate: int) -> None:
    doc = {"type": "TP", "answer": "left", "additional_ref_answer": "goes left"}
    scores = open_ended.nextqa_process_results(doc, [said])
    assert scores["exact_rate"] == rate
    assert isinstance(scores, Unparsed) is (not said)


def test_wups_is_left_out_without_wordnet(open_ended: ModuleType) -> None:
    scores = open_ended.nextqa_process_results({"type": "CW", "answer": "a", "additional_ref_answer": None}, ["b"])
    assert ("WUPS" in scores) is open_ended.has_wordnet()


def test_kinds_are_sub_scores(open_ended: ModuleType) -> None:
    items = [{"0": 1.0, "0.9": 1.0, "qtype": "CW"}, {"0": 0.5, "0.9": 0.05, "qtype": "TN"}]
    assert open_ended.nextqa_aggregate_results(items) == 75
    assert open_ended.nextqa_kind_scores(items) == {"CW": 100, "TN": 50, "WUPS@0.9": 52.5}
