"""GSM8K with written examples: their endings are those that filters read, and many responses have a majority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.catalog import import_file, package_for
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task

FOLDER = Path(__file__).parents[2] / "benchmarks" / "gsm8k"
EXAMPLES = import_file(FOLDER / "examples.py", package=package_for(FOLDER))
NUMBERS = ("6", "5", "39", "8", "9", "29", "33", "8")


def exact_match(task: str, number: str, texts: list[str]) -> dict[str, Any]:
    loaded = load_task(FOLDER / f"{task}.yaml")
    assert isinstance(loaded, Task)
    scorer = build_scorer(loaded, reasoning_tags=())
    doc = {"question": "How many?", "answer": f"Counted.\n#### {number}"}
    outcome = score(scorer, doc, [Response(text=text) for text in texts])
    return {name: scores["exact_match"] for name, scores in outcome.scores.items()}


@pytest.mark.parametrize(("task", "examples"), [("gsm8k_cot", "solved"), ("gsm8k_cot_llama", "solved_for_llama")])
def test_a_written_example_is_a_right_answer_to_its_own_problem_and_to_no_other(task: str, examples: str) -> None:
    for number, example in zip(NUMBERS, getattr(EXAMPLES, examples)(), strict=True):
        assert exact_match(task, number, [example["target"]]) == {"strict-match": 1.0, "flexible-extract": 1.0}
        assert exact_match(task, "7", [example["target"]]) == {"strict-match": 0.0, "flexible-extract": 0.0}


def test_most_of_8_and_most_of_64_may_differ_from_each_other_and_from_the_first() -> None:
    wrong, other, right = (f"Counted. The answer is {number}." for number in ("1", "2", "3"))
    texts = [wrong, *[other] * 5, right, right, *[right] * 56]
    assert exact_match("gsm8k_cot_self_consistency", "3", texts) == {"score-first": 0.0, "maj@64": 1.0, "maj@8": 0.0}
    assert exact_match("gsm8k_cot_self_consistency", "2", texts) == {"score-first": 0.0, "maj@64": 0.0, "maj@8": 1.0}
    assert exact_match("gsm8k_cot_self_consistency", "1", texts) == {"score-first": 1.0, "maj@64": 0.0, "maj@8": 0.0}
