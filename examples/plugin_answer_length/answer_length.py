"""A metric for every document of every task, and a filter that any task YAML may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_lmms.scoring.metrics import Metric


def pytest_lmms_register_metrics(register: Callable[..., None]) -> None:
    """Declare the metric; `pytest_lmms_score` below gives its values."""
    register("answer_length", ANSWER_LENGTH, every_task=True)


def pytest_lmms_score(answers: Mapping[str, list[Any]]) -> Mapping[str, Any]:
    """Count the words of the first answer. A hook takes only the arguments that it needs."""
    first = next(iter(answers.values()), [""])
    return {"answer_length": float(len(str(first[0] if first else "").split()))}


def pytest_lmms_register_filters(register: Callable[..., None]) -> None:
    """Let task YAMLs say `function: first_line`."""
    register("first_line", FirstLine)


class FirstLine:
    """Keeps the first line of every answer."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `pytest_lmms.scoring.filters.Filter`."""
        return [str(text).partition("\n")[0] for text in responses]


ANSWER_LENGTH = Metric(score=None, aggregation="mean", higher_is_better=False)
