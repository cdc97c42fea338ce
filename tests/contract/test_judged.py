"""The page of judged benchmarks names every benchmark that a judge's replies can score."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from pytest_lmms import catalog
from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer, metric_entries
from pytest_lmms.scoring.rubric import FILE, load_rubric
from pytest_lmms.scoring.score import score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

ROOT = Path(__file__).parents[2]
JUDGED = sorted({p.parent.name for p in (ROOT / "benchmarks").glob("*/rubric*.yaml")})
PAGE = (ROOT / "docs" / "judged.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("benchmark", JUDGED)
def test_a_judged_benchmark_is_in_the_table(benchmark: str) -> None:
    assert re.search(rf"^\| {benchmark} \|", PAGE, re.MULTILINE)


def test_the_table_names_benchmarks_that_are_there() -> None:
    named = set(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE)) - {"Benchmark"}
    assert named <= {p.name for p in (ROOT / "benchmarks").iterdir()}


TASKS = {name: path for name, path in index_tasks([ROOT / "benchmarks"]).tasks.items() if path.parent.name in JUDGED}
SUBMISSION = "submission"
"""A file for others to score: no score."""


@functools.cache
def scored_twice(name):
    """Metrics that a task has for its first document without a judge, and with one; None if nobody judges it."""
    task = load_task(TASKS[name])
    scorer, document = build_scorer(task, reasoning_tags=()), task.open_rows("mini").document(0)
    if scorer.rubric is None or scorer.judges_unread:
        return None
    reply = scorer.rubric.as_reply(extremes(scorer.rubric, max))
    keeps_both = scorer.rubric.swap and scorer.rubric.swap.keeps_both
    by_rules = {n for scores in score(scorer, document, [Response(text="A")]).scores.values() for n in scores}
    judged = scorer.judged(document, ["A"], reply=[reply, reply] if keeps_both else reply)
    return by_rules - {SUBMISSION}, set(judged) - {SUBMISSION}, {entry.name for entry in metric_entries(task)}


@pytest.mark.parametrize("name", TASKS)
def test_what_rules_say_has_never_the_name_of_what_a_judge_says(name):
    if (metrics := scored_twice(name)) is None:
        return
    by_rules, judged, declared = metrics
    assert by_rules
    assert not by_rules & judged
    assert judged & declared


@pytest.mark.parametrize("name", TASKS)
def test_the_table_names_the_metrics_of_a_judged_task(name):
    if (metrics := scored_twice(name)) is None:
        return
    (row,) = re.findall(
        rf"^\| {TASKS[name].parent.name} \|.*$", PAGE.partition("In these, a judge only")[0], re.MULTILINE
    )
    _, _, _, by_judges, by_rules, _, _ = row.split("|")
    patterns = [re.escape(word).replace(r"\*", ".*") for word in re.findall(r"`(\S+?)`", by_judges)]
    assert [m for m in metrics[1] if not any(re.fullmatch(p, m) for p in patterns)] == []
    assert metrics[0] & set(re.findall(r"`(\S+?)`", by_rules))


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
