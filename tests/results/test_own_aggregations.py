"""Metrics that code of a task computes over all documents: two runs compared by resampling, and when not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pytest_lmms.cli import main
from pytest_lmms.results import corpus
from pytest_lmms.results.compare import compare
from pytest_lmms.results.gate import judge
from pytest_lmms.results.rules import parse_regression
from pytest_lmms.results.runs import Metric, read_run
from pytest_lmms.scoring.captions import CAPTION_METRICS
from pytest_lmms.tasks.load import load_from
from tests.results.run_files import write_run

METRIC = Metric("t", "jaccard", "none")
YAML = """
task: t
dataset_path: some/data
test_split: test
output_type: generate_until
doc_to_text: question
process_results: !function utils.keep
metric_list:
  - {metric: jaccard, aggregation: !function utils.total_jaccard, higher_is_better: true}
"""
RATIO = """
def keep(doc, results):
    return {"jaccard": [set(results[0]), set(doc["answer"])]}

def total_jaccard(items):
    items = [(set(a), set(b)) for a, b in items]
    return sum(len(a & b) for a, b in items) / sum(len(a | b) for a, b in items)
"""
COLORS, SHAPES = ("red", "blue", "green", "black"), ("ball", "cube", "cone", "ring")
GOOD = [["abcdef", "abcdef"] for _ in range(60)]
BAD = [["abcxyz" if i % 3 == 0 else "abcdef", "abcdef"] for i in range(60)]
JACCARD_OF_BAD = (40 * 6 + 20 * 3) / (40 * 6 + 20 * 9)


class Task:
    """A task on disk, and runs of it whose documents have no number of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code(RATIO)
        (folder / "t.yaml").write_text(YAML)

    def code(self, text: str) -> None:
        (self.folder / "utils.py").write_text(text)

    def find(self, name: str):
        return load_from(self.folder / "t.yaml", name)

    def run(self, name, items, *, value=None, higher_is_better=True, **config):
        def ratio(a, b):
            return len(set(a) & set(b)), len(set(a) | set(b))

        if value is None:
            value = sum(ratio(*i[:2])[0] for i in items) / sum(ratio(*i[:2])[1] for i in items)
        config = {"metric_list": [{"metric": "jaccard", "aggregation": "!function utils.total_jaccard"}], **config}
        path = self.folder / name
        write_run(
            path, {"t": [0] * len(items)}, metric="jaccard", aggregates={"t": value}, configs=config,
            higher_is_better=higher_is_better,
        )  # fmt: skip
        return read_run(with_items(path / "samples_t.jsonl", "jaccard", items).parent)


def with_items(file: Path, metric: str, items) -> Path:
    rows = [json.loads(line) | {metric: i} for line, i in zip(file.read_text().splitlines(), items, strict=True)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def task(tmp_path):
    return Task(tmp_path)


def test_a_tasks_own_metric_has_an_interval_and_a_verdict_from_resampled_documents(task):
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    c = compare(run, baseline, METRIC, find_task=task.find)
    assert (c.test, c.num_pairs, c.points, c.notes) == ("paired bootstrap", 60, 0.01, ())
    assert c.effect == pytest.approx(run.value(METRIC) - 1)
    assert c.low < c.effect < c.high < 0
    gates = parse_regression("jaccard:1pt and p<0.01 and within 5pt", "here")
    assert [v.outcome for v in judge(run, gates, baseline, find_task=task.find)] == ["fail"]
    assert [v.outcome for v in judge(baseline, gates, run, find_task=task.find)] == ["pass"]


def test_where_less_is_better_the_chance_of_being_worse_is_the_other_one(task):
    pairs = [
        (
            task.run(f"run{better}", BAD, higher_is_better=better),
            task.run(f"baseline{better}", GOOD, higher_is_better=better),
        )
        for better in (True, False)
    ]
    more, less = (compare(*pair, METRIC, find_task=task.find) for pair in pairs)
    assert more.p_worse < 0.01
    assert less.p_worse == pytest.approx(1 - more.p_worse)
    gates = parse_regression("jaccard:p<0.01", "here")
    run, baseline = pairs[1]
    assert [v.outcome for v in judge(baseline, gates, run, find_task=task.find)] == ["fail"]


def test_the_deviation_of_a_document_gives_the_width_of_the_interval(task):
    c = compare(task.run("run", BAD), task.run("baseline", GOOD), METRIC, find_task=task.find)
    assert c.std / math.sqrt(c.num_pairs) == pytest.approx((c.high - c.low) / (2 * 1.96), rel=0.2)


def test_a_point_of_a_metric_beyond_1_is_one_whole(task):
    task.code(RATIO.replace("return sum", "return 2 * sum"))
    run, baseline = task.run("run", BAD, value=2 * JACCARD_OF_BAD), task.run("baseline", GOOD, value=2.0)
    assert compare(run, baseline, METRIC, find_task=task.find).points == 1.0


def test_a_point_is_one_whole_as_soon_as_either_run_is_beyond_1(task):
    task.code(RATIO.replace("return sum", "return 1.1 * sum"))
    low, high = task.run("low", BAD, value=1.1 * JACCARD_OF_BAD), task.run("high", GOOD, value=1.1)
    assert [compare(*pair, METRIC, find_task=task.find).points for pair in ((low, high), (high, low))] == [1.0, 1.0]


def test_runs_without_items_are_compared_by_their_aggregates(task):
    run, baseline = (read_run(write_run(task.folder / n, {"t": [None, None]}, metric="jaccard")) for n in ("a", "b"))
    (note,) = compare(run, baseline, METRIC, find_task=task.find).notes
    assert note == (
        "documents have no single number under this metric, and the samples hold no items of it:"
        " only its aggregates are compared"
    )


def test_items_of_other_documents_are_another_version_of_the_dataset(task):
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    file = run.path.parent / "samples_t.jsonl"
    file.write_text(file.read_text().replace('"hash3"', '"another"'))
    c = compare(read_run(run.path.parent), baseline, METRIC, find_task=task.find)
    assert c.obstacle == "another dataset version: 1 document not the same (3)"
    assert (c.test, c.low) == (None, None)


def test_items_that_a_named_aggregation_cannot_take_are_told_with_its_error(task):
    named = {"metric_list": [{"metric": "jaccard", "aggregation": "perplexity"}]}
    runs = [task.run(name, [[["red"], 1], [["red"], 1]], value=0.5, **named) for name in ("run", "baseline")]
    (note,) = compare(*runs, METRIC, find_task=task.find).notes
    assert note.startswith("documents have no single number under this metric, and perplexity of its items failed ")
    assert " failed with TypeError: " in note


def test_a_named_aggregation_that_only_the_run_tells_is_not_computed_anew(task):
    own = [{"metric": "jaccard", "aggregation": "!function utils.total_jaccard"}]
    run, baseline = (
        task.run("run", BAD, metric_list=own),
        task.run("baseline", GOOD, metric_list=[{**own[0], "aggregation": "f1"}]),
    )
    (note,) = compare(run, baseline, METRIC, find_task=task.find).notes
    assert "two functions aggregate it: !function utils.total_jaccard, and f1 in the baseline" in note


@pytest.mark.parametrize("longer", ["run", "baseline"])
@pytest.mark.parametrize("is_changed", [False, True])
def test_only_the_value_of_a_run_whose_documents_are_all_common_is_computed_anew(task, longer, is_changed):
    task.code(RATIO.replace("return sum", "return 0.5 * sum") if is_changed else RATIO)
    items = {"run": BAD[:30], "baseline": BAD[:30]} | {longer: BAD[:30] + GOOD[30:]}
    c = compare(*(task.run(name, items[name]) for name in ("run", "baseline")), METRIC, find_task=task.find)
    if is_changed:
        assert "computed anew from the items it is 0.357143 where the run says 0.714286" in c.notes[0]
    else:
        assert (c.test, c.num_pairs, c.num_unpaired) == ("paired bootstrap", 30, 30)


@pytest.mark.parametrize("without", ["run", "baseline"])
def test_a_value_that_one_run_lacks_leaves_the_other_alone(task, without):
    runs = [task.run(name, GOOD) for name in ("run", "baseline")]
    for run in runs:
        if run.name == without:
            del run.results["results"]["t"]["jaccard,none"]
    c = compare(*runs, METRIC, find_task=task.find)
    assert (c.test, c.low) == (None, None)
    assert c.notes == ("documents have no single number under this metric: only its aggregates are compared",)
    assert (c.value, c.baseline) == ((None, 1.0) if without == "run" else (1.0, None))


def test_the_same_runs_get_the_same_verdict_again(task):
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    first, second = (compare(run, baseline, METRIC, find_task=task.find) for _ in range(2))
    assert first == second


def test_a_task_that_is_not_known_here_leaves_its_aggregates_and_a_gate_of_chance_unjudged(task):
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    c = compare(run, baseline, METRIC)
    assert (c.test, c.low) == (None, None)
    assert "of a task that is not known here" in c.notes[0]
    assert judge(run, parse_regression("jaccard:p<0.01", "here"), baseline)[0].outcome == "unjudged"


def test_the_command_finds_the_task_below_a_folder(task, capsys):
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    words = [str(run.path), "--baseline", str(baseline.path), "--fail-on-regression"]
    assert main(["gate", *words, "--include-path", str(task.folder)]) == 1
    assert "p=" in capsys.readouterr().out
    assert main(["compare", str(baseline.path), str(run.path), "--include-path", str(task.folder)]) == 0
    assert "[-" in capsys.readouterr().out


def test_what_the_code_prints_and_writes_is_not_seen_again(task, capsys, monkeypatch):
    monkeypatch.chdir(task.folder)
    task.code(
        RATIO.replace("(items):\n", "(items, args):\n    print('told')\n    import pathlib\n"
                      "    (pathlib.Path(args.output_path) / 'submission.json').write_text('{}')\n", 1)
    )  # fmt: skip
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    before = sorted(task.folder.rglob("*"))
    assert compare(run, baseline, METRIC, find_task=task.find).test == "paired bootstrap"
    assert capsys.readouterr().out == ""
    assert [p for p in sorted(task.folder.rglob("*")) if "__pycache__" not in p.parts] == before


def test_code_that_may_ask_somebody_is_not_run_again(task):
    task.code("from urllib.request import urlopen\n" + RATIO)
    c = compare(task.run("run", BAD), task.run("baseline", GOOD), METRIC, find_task=task.find)
    assert "total_jaccard aggregates it, whose module may ask somebody through urllib.request" in c.notes[0]
    assert c.low is None


def test_code_that_takes_too_long_is_given_up_by_name(task, monkeypatch):
    monkeypatch.setattr(corpus, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(corpus, "MOST_SECONDS", 0.0)
    run, baseline = task.run("run", BAD), task.run("baseline", GOOD)
    c = compare(run, baseline, METRIC, find_task=task.find)
    assert "total_jaccard takes" in c.notes[0]
    assert "400 times that is more than" in c.notes[0]
    (verdict,) = judge(run, parse_regression("default", "here"), baseline, find_task=task.find)
    assert verdict.outcome == "unjudged"
    assert "total_jaccard takes" in verdict.reason


@pytest.mark.parametrize(
    "code",
    [
        RATIO.replace("return sum", "return 0.5 * sum"),
        RATIO + "\nfixed, calls = total_jaccard, []\ndef total_jaccard(items):\n"
                "    calls.append(1)\n    return fixed(items) + len(calls) / 1000\n",
    ],
    ids=["changed", "never the same"],
)  # fmt: skip
def test_code_that_does_not_give_the_runs_values_judges_nothing(task, code):
    task.code(code)
    c = compare(task.run("run", BAD), task.run("baseline", GOOD), METRIC, find_task=task.find)
    assert "where the run says" in c.notes[0]
    assert c.low is None


def test_another_function_than_the_baselines_judges_nothing(task):
    run = task.run("run", BAD)
    other = [{"metric": "jaccard", "aggregation": "!function utils.mean_jaccard"}]
    c = compare(run, task.run("baseline", GOOD, metric_list=other), METRIC, find_task=task.find)
    assert "two functions aggregate it" in c.notes[0]


def test_documents_of_a_cluster_are_drawn_together(task):
    task.code(RATIO.replace("for a, b in items]", "for a, b in (i['pair'] for i in items)]"))

    def clustered(items):
        return [{"pair": item, "video": i // 12} for i, item in enumerate(items)]

    bad = [["abcxyz" if (i // 12) % 3 == 0 else "abcdef", "abcdef"] for i in range(60)]
    values = {"bad": (36 * 6 + 24 * 3) / (36 * 6 + 24 * 9), "good": 1.0}
    c, alone = (
        compare(
            *(task.run(f"{n}{key}", clustered(i), value=values[n], **key) for n, i in (("bad", bad), ("good", GOOD))),
            METRIC,
            find_task=task.find,
        )
        for key in ({"cluster_key": "video"}, {})
    )
    assert (c.test, alone.test) == ("clustered bootstrap", "paired bootstrap")
    assert c.effect == alone.effect
    assert c.std > 2 * alone.std


def test_cider_is_judged_by_sums_on_its_own_scale(tmp_path, capsys):
    texts = [f"a {c} {s} on the {m} table" for c in COLORS for s in SHAPES for m in ("wooden", "steel", "round")]
    good = [{"pred": text, "answer": [text, text + " top"]} for text in texts]
    bad = [{**item, "pred": "a thing"} if i % 3 == 0 else item for i, item in enumerate(good)]
    runs = [_captions(tmp_path / name, items) for name, items in (("bad", bad), ("good", good))]
    assert main(["gate", str(runs[0]), "--baseline", str(runs[1]), "--fail-on-regression", "--json"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    assert (verdict["outcome"], verdict["test"]) == ("fail", "paired bootstrap")
    assert main(["gate", str(runs[1]), "--baseline", str(runs[1]), "--fail-on-regression"]) == 0


def _captions(folder, items):
    name, task = "coco_CIDEr", "coco2014_cap_val"
    config = {"metric_list": [{"metric": name, "aggregation": "!function utils.coco_cider"}]}
    value = CAPTION_METRICS["CIDEr"](items)
    write_run(folder, {task: [0] * len(items)}, metric=name, configs=config, aggregates={task: value})
    return with_items(folder / f"samples_{task}.jsonl", name, items).parent
