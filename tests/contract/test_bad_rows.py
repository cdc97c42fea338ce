"""A row that lacks a value, and bad replies within several rounds: a score, or an error of that document alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.records import Response
from pytest_lmms.results.leaving_out import over_those_it_takes
from pytest_lmms.scoring.build import aggregate, build_scorer, metric_entries
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
from pytest_lmms.scoring.score import Scorer, score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.miniature import ListRows, miniature_path, read_miniature
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rounds import AGENTIC, ROUND_TYPES
from pytest_lmms.tasks.rows import DatasetRows, digest_row
from pytest_lmms.tasks.spec import LOGPROB_TYPES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BAD = (
    *("", "\x00", "NaN", "答案是B", "[" * 1000, "{" * 1000),
    *('"' * 999, "<submit>" * 200, "<tool_call>{}</tool_call>", "9" * 5000),
)


def one_task_a_rule() -> Iterator[tuple[str, Path]]:
    """A task for each function that scores, by its place and name."""
    seen = set()
    for name, path in sorted(index_tasks([BENCHMARKS]).tasks.items()):
        task = load_task(path)
        key = (path.parent, str(task.spec.process_results), str(task.spec.filter_list))
        if task.spec.output_type not in LOGPROB_TYPES and key not in seen:
            seen.add(key)
            yield name, path


def one_task_a_selection() -> Iterator[tuple[str, Path]]:
    """A task for each function that makes documents of a dataset, by its place and name."""
    seen = set()
    for name, path in sorted(index_tasks([BENCHMARKS]).tasks.items()):
        function = load_task(path).spec.process_docs
        key = (path.parent, str(function))
        if function is not None and key not in seen:
            seen.add(key)
            yield name, path


RULES = list(one_task_a_rule())
SELECTIONS = list(one_task_a_selection())
ROUNDS = [(name, path) for name, path in RULES if load_task(path).spec.output_type in ROUND_TYPES]


def outcome_of(task: Task, scorer: Scorer, document: Any, text: str) -> Any:
    spoken = None
    if task.spec.output_type in ROUND_TYPES:
        spoken = [text if task.spec.output_type == AGENTIC else (text, text, text)]
    return score(scorer, document, [Response(text=text)], spoken=spoken)


@pytest.mark.parametrize("path", [path for _, path in RULES], ids=[name for name, _ in RULES])
def test_a_row_that_lacks_a_value_is_scored_or_an_error_and_costs_no_metric(path: Path) -> None:
    task = load_task(path)
    document = task.open_rows("mini").document(0)
    scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS, full_docs=lambda: [document])
    items: dict[str, list[Any]] = {}
    spoilt = [{c: broken} for c, v in document.items() for broken in (None, [] if isinstance(v, list) else "")]
    for changes in ({}, *spoilt):
        with contextlib.suppress(LmmsError):
            outcome = outcome_of(task, scorer, document | changes, "The answer is (A).")
            for name, item in next(iter(outcome.scores.values())).items():
                items.setdefault(name, []).append(item)
    for entry in metric_entries(task):
        if own := items.get(entry.name):
            over_those_it_takes(lambda some, entry=entry: aggregate(entry, some), own)  # type: ignore[misc]


@pytest.mark.parametrize("path", [path for _, path in SELECTIONS], ids=[name for name, _ in SELECTIONS])
def test_rows_that_lack_a_value_cost_the_others_nothing(path: Path) -> None:
    task = load_task(path)
    made_up = read_miniature(miniature_path(task.spec, path))
    rows = [made_up.storage(number) for number in range(len(made_up))]
    lacking = [row | {column: None} for row in rows for column in row]
    found = DatasetRows(task.spec.process_docs(ListRows(rows + lacking, made_up.media_columns).to_dataset()))
    expected = task.open_rows("mini")
    digests = {digest_row(found.storage(number)) for number in range(len(found))}
    assert len(found) > len(expected)
    assert {digest_row(expected.storage(number)) for number in range(len(expected))} <= digests
    for number in range(len(found)):
        with contextlib.suppress(LmmsError):
            task.render(found, number)


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize("path", [path for _, path in ROUNDS], ids=[name for name, _ in ROUNDS])
def test_any_reply_in_any_round_is_scored(path: Path, text: str) -> None:
    task = load_task(path)
    document = task.open_rows("mini").document(0)
    scorer = build_scorer(task, reasoning_tags=DEFAULT_TAGS)
    request, turn = task.next_request(document, 0, outputs=[text], round_index=1, info=None)
    assert (request is None) == turn.is_terminal
    assert outcome_of(task, scorer, document, text).status in ("scored", "unparsed")
