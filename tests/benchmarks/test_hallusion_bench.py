"""HallusionBench: what its errors come from."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from pytest_lmms.catalog import import_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WRONG, UNCLEAR = "Yes.", "Who knows."
CORRECT = "No."


@pytest.fixture(scope="module")
def utils() -> ModuleType:
    return import_file(BENCHMARKS / "hallusion_bench" / "utils.py")


def row(category: str, visual_input: str, figure: str) -> dict[str, str]:
    return {
        "category": category, "subcategory": "map", "visual_input": visual_input, "set_id": "0", "figure_id": figure,
        "question_id": "0", "gt_answer": "0",
    }  # fmt: skip


CASES = [
    ("VD", "1", "0", WRONG, "VI"),
    ("VD", "1", "0", UNCLEAR, "VI"),
    ("VD", "1", "0", CORRECT, None),
    ("VD", "2", "1", WRONG, "Mix"),
    ("VD", "2", "1", UNCLEAR, "VI"),
    ("VS", "0", "0", WRONG, "LH"),
    ("VS", "0", "0", UNCLEAR, None),
    ("VS", "1", "1", WRONG, "Mix"),
    ("VS", "2", "2", UNCLEAR, "VI"),
    ("VS", "1", "1", CORRECT, None),
]


@pytest.mark.parametrize(("category", "visual_input", "figure", "answer", "kind"), CASES)
def test_an_error_is_of_the_memory_of_the_eyes_or_of_both(
    utils: ModuleType, category: str, visual_input: str, figure: str, answer: str, kind: str | None
) -> None:
    doc = row(category, visual_input, figure)
    said = {WRONG: "incorrect", UNCLEAR: "unclear", CORRECT: "correct"}[answer]
    judged = utils.hb_judged(doc | {"image": None}, [answer], reply=said)["aAcc"]
    by_rules = utils.hb_process_results(doc, [answer])["yes_no_aAcc"]
    assert [utils.kind_of_error(item) for item in (judged, by_rules)] == [kind, kind]


def test_errors_are_counted_beside_the_shares_of_categories(utils: ModuleType) -> None:
    items = [utils.hb_process_results(row(c, v, f), [a])["yes_no_aAcc"] for c, v, f, a, _ in CASES]
    found = utils.yes_no_aacc.sub_scores(items)
    assert found == {"VD": 20.0, "VS": 20.0, "map": 20.0, "errors/LH": 1, "errors/VI": 4, "errors/Mix": 2}
