"""NaturalBench: scores of groups of two questions about two images."""

from __future__ import annotations

import pytest

from pytest_lmms import catalog
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

RIGHT, FIRST_WRONG, ALWAYS_FIRST, UNREAD = (1, 0, 0, 1), (0, 0, 0, 1), (1, 1, 1, 1), (-1, -1, -1, -1)


@pytest.fixture
def aggregations():
    task = load_task(index_tasks([catalog.folder("benchmarks")]).tasks["naturalbench"])
    return {
        entry["metric"].removeprefix("naturalbench_"): entry["aggregation"].resolve() for entry in task.spec.metric_list
    }


def items(*groups):
    return [{"id": 4 * g + n, "score": read} for g, group in enumerate(groups) for n, read in enumerate(group)]


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        ([RIGHT], {"G_ACC": 1.0, "Q_ACC": 1.0, "I_ACC": 1.0, "Acc": 1.0}),
        ([FIRST_WRONG], {"G_ACC": 0.0, "Q_ACC": 0.5, "I_ACC": 0.5, "Acc": 0.75}),
        ([ALWAYS_FIRST], {"G_ACC": 0.0, "Q_ACC": 0.0, "I_ACC": 0.0, "Acc": 0.5}),
        ([UNREAD], {"G_ACC": 0.0, "Q_ACC": 0.0, "I_ACC": 0.0, "Acc": 0.0}),
        ([RIGHT, ALWAYS_FIRST], {"G_ACC": 0.5, "Q_ACC": 0.5, "I_ACC": 0.5, "Acc": 0.75}),
    ],
    ids=["right", "one wrong", "always the first answer", "unread", "two groups"],
)
def test_a_group_counts_by_its_answers_questions_images_and_as_a_whole(aggregations, groups, wanted):
    assert {name: aggregate(items(*groups)) for name, aggregate in aggregations.items()} == wanted


def test_a_group_that_is_not_whole_is_left_out(aggregations):
    assert aggregations["Acc"](items(RIGHT)[:3]) is None
    assert aggregations["Acc"]([*items(RIGHT), {"id": 4, "score": 0}]) == 1.0
