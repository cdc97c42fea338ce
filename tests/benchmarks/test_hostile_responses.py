"""Whatever a model says and whatever a row lacks, a document ends as a score or as an error that says where."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
from pytest_lmms.scoring.score import Scorer, score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rounds import AGENTIC, ROUND_TYPES
from pytest_lmms.tasks.spec import LOGPROB_TYPES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LONG, LONG_FOR_MATHS, MANY = 1_000, 40, 12
"""Characters of long responses; those that are read as mathematics take a library quadratic time. Mixed responses."""
PIECES = (
    *("A", "(B)", "yes", "no", " ", "\n", ".", ":", "answer", "The answer is ", "[", "]]", "{", "}", '"', "'", "\\"),
    *("```json", "<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "<submit>", "<|", "\\boxed{", "$", "1"),
    *("1,000", "-2.5e9", "NaN", "x=1;", "#### ", "**", "- ", "\t", "\x00", "é", "答案是B", "الجواب", "Ответ", "😀"),
)


def one_task_a_rule() -> Iterator[tuple[str, Path]]:
    """A task for each function that scores, by its place and name."""
    seen = set()
    for name, path in sorted(index_tasks([BENCHMARKS]).tasks.items()):
        task = load_task(path)
        key = (path.parent, getattr(task.spec.process_results, "dotted", None), repr(task.spec.filter_list))
        if task.spec.output_type not in LOGPROB_TYPES and key not in seen:
            seen.add(key)
            yield name, path


RULES = list(one_task_a_rule())


def responses(seed: str, folder: Path) -> list[str]:
    """Nothing, each piece alone and over and over, and pieces at random."""
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    length = LONG_FOR_MATHS if "scoring.maths" in code or "scoring.reasoned" in code else LONG
    draw = random.Random(seed)
    mixed = ["".join(draw.choices(PIECES, k=draw.randint(1, 60))) for _ in range(MANY)]
    return ["", *PIECES, *(piece * max(1, length // len(piece)) for piece in PIECES), *mixed]


def outcome_of(task: Task, scorer: Scorer, document: Any, text: str) -> Any:
    spoken = None
    if task.spec.output_type in ROUND_TYPES:
        spoken = [text if task.spec.output_type == AGENTIC else (text, text, text)]
    return score(scorer, document, [Response(text=text)], spoken=spoken)


@pytest.mark.parametrize(("name", "path"), RULES, ids=[name for name, _ in RULES])
def test_any_response_is_scored(name: str, path: Path) -> None:
    task = load_task(path)
    scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS, full_docs=lambda: [document])
    rows = task.open_rows("mini")
    document = rows.document(0)
    for text in responses(name, path.parent):
        outcome = outcome_of(task, scorer, document, text)
        assert outcome.status in ("scored", "unparsed"), text[:80]


@pytest.mark.parametrize(("name", "path"), RULES, ids=[name for name, _ in RULES])
def test_a_row_that_lacks_a_value_is_scored_or_an_error_of_its_own(name: str, path: Path) -> None:
    task = load_task(path)
    scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS, full_docs=lambda: [task.open_rows("mini").document(0)])
    document = task.open_rows("mini").document(0)
    for column, value in document.items():
        for broken in (None, [] if isinstance(value, list) else ""):
            with contextlib.suppress(LmmsError):
                outcome_of(task, scorer, document | {column: broken}, "The answer is (A).")
