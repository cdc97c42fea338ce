"""Metrics over all documents together: two runs compared by resampling their documents."""

from __future__ import annotations

import json

import pytest

from pytest_lmms import stats
from pytest_lmms.cli import main
from pytest_lmms.results.compare import compare
from pytest_lmms.results.gate import judge
from pytest_lmms.results.rules import parse_regression
from pytest_lmms.results.runs import Metric, read_run
from pytest_lmms.scoring.metrics import AGGREGATIONS
from pytest_lmms.scoring.metrics.aggregations import totals_of
from tests.results.run_files import write_run

GOLD = [f"a red bird number {i} sits on the old stone wall" for i in range(40)]
RIGHT = [[[text], text] for text in GOLD]
WRONG = [[[text], "no bird is here at all"] if i % 2 else [[text], text] for i, text in enumerate(GOLD)]


class Runs:
    """A run and its baseline, with items that only their aggregation understands."""

    def __init__(self, folder, aggregation, **more):
        self.folder, self.aggregation, self.more = folder, aggregation, more

    def written(self, name, items):
        """Write a run of these items; `write_run` averages numbers only."""
        config = {"metric_list": [{"metric": "corpus", "aggregation": self.aggregation}]}
        function = AGGREGATIONS.get(self.aggregation, AGGREGATIONS["bleu"])
        path = self.folder / name
        write_run(path, {"t": [0] * len(items)}, metric="corpus", aggregates={"t": float(function(items))},
                  configs=config, **self.more)  # fmt: skip
        return read_run(_with_items(path, items))


def _with_items(path, items):
    file = path / "samples_t.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**row, "corpus": item}) + "\n" for row, item in zip(rows, items, strict=True)))
    return path


METRIC = Metric("t", "corpus", "none")


def test_bleu_has_an_interval_and_a_verdict_from_resampled_documents(tmp_path):
    pytest.importorskip("sacrebleu")
    runs = Runs(tmp_path, "bleu")
    run, baseline = runs.written("run", WRONG), runs.written("baseline", RIGHT)
    c = compare(run, baseline, METRIC)
    assert c.test == "paired bootstrap"
    assert c.effect == pytest.approx(run.value(METRIC) - 100)
    assert c.low < c.effect < c.high < 0
    assert (c.num_pairs, c.points) == (40, 1.0)
    gates = parse_regression("corpus:5pt and p<0.01", "here")
    assert [v.outcome for v in judge(run, gates, baseline)] == ["fail"]
    assert [v.outcome for v in judge(baseline, gates, run)] == ["pass"]
    assert [v.outcome for v in judge(baseline, gates, baseline)] == ["pass"]


def test_the_table_says_what_its_differences_are_of(tmp_path, capsys):
    pytest.importorskip("sacrebleu")
    runs = Runs(tmp_path, "bleu")
    paths = [str(runs.written(name, items).path) for name, items in (("a", RIGHT), ("b", WRONG))]
    assert main(["compare", *paths]) == 0
    said = capsys.readouterr().out
    assert "or of a metric over all of them together" in said
    assert "[-" in said


def test_less_is_better_turns_the_bootstrap_around(tmp_path):
    pytest.importorskip("sacrebleu")
    runs = Runs(tmp_path, "ter", higher_is_better=False)
    c = compare(runs.written("run", WRONG), runs.written("baseline", RIGHT), METRIC)
    assert c.effect > 0
    assert c.p_worse < 0.01


def test_bleu_of_five_thousand_documents_reads_each_text_once(tmp_path, monkeypatch):
    sacrebleu = pytest.importorskip("sacrebleu")
    read = []
    extract = sacrebleu.metrics.BLEU._extract_corpus_statistics
    monkeypatch.setattr(
        sacrebleu.metrics.BLEU,
        "_extract_corpus_statistics",
        lambda self, texts, references: read.append(len(texts)) or extract(self, texts, references),
    )
    totals = totals_of("bleu")
    found = stats.bootstrap_difference(WRONG, RIGHT, totals, iterations=100, seed=1)
    assert read == [40, 40, 40, 40]  # once for what was seen, once for all draws
    slow = stats.bootstrap_difference(WRONG, RIGHT, AGGREGATIONS["bleu"], iterations=100, seed=1)
    assert found == pytest.approx(slow)


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_sums_over_documents_give_what_sacrebleu_gives_over_all_of_them(name):
    pytest.importorskip("sacrebleu")
    items = [*WRONG, [["another", "a second one"], "a second one"]]
    assert totals_of(name)(items) == pytest.approx(AGGREGATIONS[name](items))


def test_the_same_documents_are_drawn_for_both_so_that_what_they_share_cancels():
    a = [float(i) for i in range(50)]
    b = [x + 1 for x in a]
    found = stats.bootstrap_difference(a, b, lambda items: sum(items) / len(items), iterations=100, seed=1)
    assert found.mean == pytest.approx(-1)
    assert found.standard_error == pytest.approx(0, abs=1e-9)


def test_the_bootstrap_of_a_mean_has_the_error_of_the_t_test():
    a = [float(i * 7 % 11) for i in range(200)]
    b = [float(i * 5 % 13) for i in range(200)]
    expected = stats.paired_difference(a, b)
    found = stats.bootstrap_difference(a, b, lambda items: sum(items) / len(items), iterations=2000, seed=1)
    assert found.mean == pytest.approx(expected.mean)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=0.06)
    assert found.p_less == pytest.approx(expected.p_less, abs=0.03)
