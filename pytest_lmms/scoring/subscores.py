"""Sub-scores: the same aggregation over parts of the documents, by a column that items carry.

An aggregation function with an attribute `sub_scores` (from items to name -> number) has them in the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

Items = Sequence[Mapping[str, Any]]
Aggregation = TypeVar("Aggregation", bound=Callable[..., Any])


def mean_score(items: Items) -> float | None:
    """Return the mean of the items' ``score``; None without items."""
    return fmean(float(item["score"]) for item in items) if items else None


def grouped(items: Items, key: str) -> dict[str, list[Mapping[str, Any]]]:
    """Sort items into lists by what they say under a key, in order of appearance."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        groups.setdefault(str(item[key]), []).append(item)
    return groups


def over(*keys: str, aggregation: Callable[[Items], Any] = mean_score) -> Callable[[Items], dict[str, Any]]:
    """Return a function that aggregates the items of each group, for each key in turn."""

    def sub_scores(items: Items) -> dict[str, Any]:
        return {name: aggregation(own) for key in keys for name, own in grouped(items, key).items()}

    return sub_scores


def with_sub_scores(sub_scores: Callable[[Items], Mapping[str, Any]]) -> Callable[[Aggregation], Aggregation]:
    """Give an aggregation its sub-scores; a decorator."""

    def attach(function: Aggregation) -> Aggregation:
        function.sub_scores = sub_scores  # type: ignore[attr-defined]
        return function

    return attach
