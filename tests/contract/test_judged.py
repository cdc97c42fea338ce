"""The page of judged benchmarks names every benchmark that a judge's replies can score."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JUDGED = sorted(p.parent.name for p in (ROOT / "benchmarks").glob("*/*.py") if ".judged = " in p.read_text("utf-8"))
PAGE = (ROOT / "docs" / "judged.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("benchmark", JUDGED)
def test_a_judged_benchmark_is_in_the_table(benchmark: str) -> None:
    assert re.search(rf"^\| {benchmark} \|", PAGE, re.MULTILINE)


def test_the_table_names_benchmarks_that_are_there() -> None:
    named = set(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE)) - {"Benchmark"}
    assert named <= {p.name for p in (ROOT / "benchmarks").iterdir()}
