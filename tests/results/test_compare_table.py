"""Several runs in one table."""

from __future__ import annotations

import pytest

from pytest_lmms.results.compare_table import compare_all, markdown_table, rows, text_table, to_json
from pytest_lmms.results.runs import read_run
from tests.results.run_files import write_run


@pytest.fixture
def runs(tmp_path):
    """Three runs of one task; the last answered other documents."""
    values = {"a": [1] * 20, "b": [1] * 10 + [0] * 10, "c": [0] * 20}
    paths = [
        write_run(tmp_path / n, {"t": v}, samples={"doc_hash": "x"} if n == "c" else {}) for n, v in values.items()
    ]
    return [read_run(p) for p in paths]


def test_each_further_run_is_compared_with_the_first(runs):
    lines = compare_all(runs)
    assert [(line.run.name, line.comparison.mean_difference) for line in lines] == [("b", -0.5), ("c", None)]
    assert lines[0].p_adjusted == lines[0].comparison.p_value < 0.01
    assert "another dataset version" in lines[1].comparison.obstacle


def test_a_table_has_a_line_a_run_and_tells_what_cannot_be_compared(runs):
    cells = list(rows(runs[0], compare_all(runs)))
    assert {len(r) for r in cells} == {10}
    text = list(text_table(cells))
    assert text[1].split() == ["t/acc", "a", "↑", "1.0000"]
    assert text[2].split() == ["b", "0.5000", "-0.5000", "[-0.7401,", "-0.2599]", "0.00195*", "20", "10", "0"]
    assert "not comparable: another dataset version: 20 documents" in text[3]
    assert list(markdown_table(cells))[1] == "|" + " --- |" * 10


def test_json_names_the_documents_that_changed(runs):
    first, second = to_json(runs[0], compare_all(runs))["comparisons"]
    assert first["turned_worse"] == [f"tasks/t.yaml::t[{i}]" for i in range(10, 20)]
    assert (first["task"], first["name"], first["filter"], first["num_pairs"]) == ("t", "acc", "none", 20)
    assert second["obstacle"].startswith("another dataset version")


def test_a_metric_that_a_run_lacks_is_told(tmp_path, runs):
    other = read_run(write_run(tmp_path / "d", {"u": [1]}))
    (line,) = compare_all([runs[0], other])
    assert line.comparison.obstacle == "has no t/acc"
