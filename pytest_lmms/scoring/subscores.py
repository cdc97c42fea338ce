"""Sub-scores: the same aggregation over parts of the documents, by a column that items carry.

An aggregation function with an attribute `sub_scores` (from items to name -> number) has them in the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

Items = Sequence[Mapping[str, Any]]
Aggregation = TypeVar("Aggregation", bound=Callable[..., Any])
SUBJECTS_BY_DOMAIN = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": "Basic_Medical_Science Clinical_Medicine"
    " Diagnostics_and_Laboratory_Medicine Pharmacy Public_Health",
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": "Agriculture Architecture_and_Engineering Computer_Science"
    " Electronics Energy_and_Power Materials Mechanical_Engineering",
}
"""MMMU's, which other benchmarks have too."""


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


def over_subjects(key: str, aggregation: Callable[[Items], Any]) -> Callable[[Items], dict[str, Any]]:
    """Return a function that aggregates the items of each of MMMU's domains (``Overall-<domain>``) and each subject.

    Args:
        key: What an item calls its subject; a subject of no domain stands for itself alone.
        aggregation: Of a group's items; a group for which it returns None is left out.
    """

    def sub_scores(items: Items) -> dict[str, Any]:
        subjects = grouped(items, key)
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for domain, names in SUBJECTS_BY_DOMAIN.items():
            own = {name: subjects.pop(name) for name in names.split() if name in subjects}
            groups |= {f"Overall-{domain}": [item for some in own.values() for item in some], **own}
        scores = {name: aggregation(own) for name, own in (groups | subjects).items() if own}
        return {name: score for name, score in scores.items() if score is not None}

    return sub_scores


def with_sub_scores(sub_scores: Callable[[Items], Mapping[str, Any]]) -> Callable[[Aggregation], Aggregation]:
    """Give an aggregation its sub-scores; a decorator."""

    def attach(function: Aggregation) -> Aggregation:
        function.sub_scores = sub_scores  # type: ignore[attr-defined]
        return function

    return attach
