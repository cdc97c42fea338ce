"""TempCompass's descriptions: what rules and a judge make of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from pytest_lmms.catalog import import_file, package_for
from pytest_lmms.records import Unparsed

FOLDER = Path(__file__).parents[2] / "benchmarks" / "tempcompass"
DOC = {
    "mc_question": "How does it fly?\nA. upward\nB. downward\nC. not at all",
    "mc_answer": "B. downward",
    "dim": "direction",
}


@pytest.fixture(scope="module")
def captioning() -> ModuleType:
    return import_file(FOLDER / "captioning.py", package=package_for(FOLDER))


@pytest.mark.parametrize(
    ("said", "rating", "is_read"),
    [
        ("A bird flies Downward.", 1, True),
        ("It goes upward", 0, True),
        ("It goes upward, then downward", 0, False),
        ("A bird", 0, False),
        ("downwards", 0, False),
    ],
)
def test_a_description_counts_when_it_holds_the_right_option_alone(
    captioning: ModuleType,
    said: str,
    rating: int,
    is_read: bool,  # noqa: FBT001
) -> None:
    scores = captioning.tempcompass_process_results_captioning(DOC, [said])
    assert scores["rule_accuracy"]["rating"] == rating
    assert isinstance(scores, Unparsed) is not is_read


@pytest.mark.parametrize(("reply", "rating"), [("B", 1), ("A", 0), ("none", 0)])
def test_a_judge_chooses_an_option_by_the_description(captioning: ModuleType, reply: str, rating: int) -> None:
    item = captioning.tempcompass_captioning_judged(DOC, ["It sinks"], reply)["avg_accuracy"]
    assert item == {"dim": "direction", "rating": rating}
