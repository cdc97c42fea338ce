"""The page of judged benchmarks names every benchmark that a judge's replies can score."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import DocumentError
from pytest_lmms.scoring.rubric import FILE, load_rubric

ROOT = Path(__file__).parents[2]
JUDGED = sorted({p.parent.name for p in (ROOT / "benchmarks").glob("*/rubric*.yaml")})
PAGE = (ROOT / "docs" / "judged.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("benchmark", JUDGED)
def test_a_judged_benchmark_is_in_the_table(benchmark: str) -> None:
    assert re.search(rf"^\| {benchmark} \|", PAGE, re.MULTILINE)


def test_the_table_names_benchmarks_that_are_there() -> None:
    named = set(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE)) - {"Benchmark"}
    assert named <= {p.name for p in (ROOT / "benchmarks").iterdir()}


def extremes(rubric, pick):
    """A verdict with the first or last of everything that its parts allow."""
    found = {}
    for name, part in rubric.verdict.items():
        kind = part["type"]
        if kind == "boolean":
            found[name] = pick is max
        elif "enum" in part:
            found[name] = part["enum"][0 if pick is max else -1]
        elif kind == "string":
            found[name] = "because"
        else:
            found[name] = part["maximum"] if pick is max else part["minimum"]
    return found


@pytest.mark.parametrize("benchmark", JUDGED)
def test_a_judged_benchmark_has_a_rubric_whose_verdicts_its_code_reads(benchmark: str) -> None:
    modules = [catalog.import_file(path) for path in (ROOT / "benchmarks" / benchmark).glob("*.py")]
    judged = {getattr(f, "judged", None) for module in modules for f in vars(module).values()} - {None}
    assert judged
    for file in {getattr(function, "rubric", FILE) for function in judged}:
        rubric = load_rubric(ROOT / "benchmarks" / benchmark / file)
        check_that_verdicts_count(rubric, {f for f in judged if getattr(f, "rubric", FILE) == file})


def check_that_verdicts_count(rubric, judged):
    columns = "question answer question_id capability dim category problem problem_topic canary"
    document = dict.fromkeys(columns.split(), "x") | {"index": "1"}
    scores = []
    for pick in (max, min):
        reply = rubric.as_reply(extremes(rubric, pick))
        replies = [reply, reply] if rubric.swap and rubric.swap.keeps_both else reply
        for function in judged:
            try:
                scores.append(function(document, ["an answer"], reply=replies))
            except (
                KeyError,
                DocumentError,
            ):  # a column that only real documents have: tests/plugin/test_judge.py asks those
                scores.append({"pick": pick.__name__})
    assert scores[0] != scores[len(judged)]
