"""What a disturbed and resumed run must have asked, and must have left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.soak.lab import Left, without_times

FILE_BYTES = 4096
"""What a file takes on a small disk beyond what is in it."""


@dataclass
class Undisturbed:
    """What a run gives when it is left in peace."""

    records: list[dict[str, Any]]
    results: dict[str, Any]
    seconds: float
    size_bytes: int
    """Of its folder."""

    @classmethod
    def read(cls, output: Path, seconds: float) -> Undisturbed:
        """The newest run below a folder, which took so long."""
        left = Left(output)
        size = sum(path.stat().st_size + FILE_BYTES for path in left.path.rglob("*"))
        return cls(without_times(left.records()), without_times(left.results()), seconds, size)


def asked_wrongly(asked: Mapping[str, int], num_documents: int, *, admitted: int) -> list[str]:
    """What is wrong with the questions that arrived at the server, over all runs.

    Args:
        asked: How often each arrived.
        num_documents: Their questions are `q0`, `q1` and so on.
        admitted: How many may have arrived twice: those in flight at the disturbance.
    """
    wrong = []
    if missing := sorted({f"q{i}" for i in range(num_documents)} - set(asked)):
        wrong.append(f"never asked: {missing}")
    if often := sorted(question for question, number in asked.items() if number > 2):
        wrong.append(f"asked more than twice: {often}")
    num_twice = sum(number > 1 for number in asked.values())
    if num_twice > admitted:
        wrong.append(f"{num_twice} asked again, at most {admitted} were in flight")
    return wrong


def left_wrongly(output: Path, expected: Undisturbed) -> list[str]:
    """What is wrong with the newest run below a folder: lost, doubled, or not as undisturbed but for times."""
    try:
        left = Left(output)
        records, results = left.records(), left.results()
    except (OSError, ValueError) as e:
        return [f"cannot be read: {e}"]
    wrong = []
    places = Counter(record["doc_id"] for record in records)
    if doubled := sorted(place for place, number in places.items() if number > 1):
        wrong.append(f"records doubled: {doubled}")
    if lost := sorted({record["doc_id"] for record in expected.records} - set(places)):
        wrong.append(f"records lost: {lost}")
    if not wrong and without_times(records) != expected.records:
        wrong.append("records differ from the undisturbed run's")
    if without_times(results) != expected.results:
        wrong.append("results.json differs from the undisturbed run's")
    return wrong
