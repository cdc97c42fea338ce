"""Reading finished runs, ours and lmms-eval's."""

from __future__ import annotations

import json

import pytest

from pytest_lmms.errors import StoreError
from pytest_lmms.results.runs import Metric, read_run
from tests.results.run_files import write_run


def test_a_run_tells_values_directions_and_documents(tmp_path):
    write_run(tmp_path / "run", {"t": [1, 0, None, 1]})
    for path in (tmp_path / "run", tmp_path / "run" / "results.json"):
        run = read_run(path)
        (metric,) = run.metrics("t")
        assert metric == Metric("t", "acc", "none")
        assert run.value(metric) == pytest.approx(2 / 3)
        assert run.higher_is_better(metric) is True
        assert {i: s.value for i, s in run.scores(metric).items()} == {0: 1, 1: 0, 3: 1}
        assert run.node_id("t", 3) == "tasks/t.yaml::t[3]"
        assert run.name == "run"


def test_scores_inside_mappings_and_their_clusters_are_found(tmp_path):
    values = [{"right": 1, "score": 1, "video": "a"}, {"right": 0, "score": 0, "video": "b"}]
    write_run(tmp_path / "run", {"t": values}, configs={"score_key": "right", "cluster_key": "video"})
    scores = read_run(tmp_path / "run").scores(Metric("t", "acc", "none"))
    assert [(s.value, s.cluster) for s in scores.values()] == [(1, "a"), (0, "b")]


def test_rows_of_another_filter_are_left_out(tmp_path):
    path = write_run(tmp_path / "run", {"t": [1, 0]}, samples={"filter": "strict"}) / "results.json"
    results = json.loads(path.read_text())
    results["results"]["t"] |= {"acc,strict": 0.5, "acc,loose": 0.5}
    path.write_text(json.dumps(results))
    run = read_run(path)
    assert not run.scores(Metric("t", "acc", "loose"))
    assert len(run.scores(Metric("t", "acc", "strict"))) == 2


def test_lmms_eval_results_are_read_with_their_samples(tmp_path):
    folder = tmp_path / "org__model"
    folder.mkdir()
    results = {
        "results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": "N/A"}},
        "configs": {"t": {"task": "t"}}, "higher_is_better": {"t": {"acc": True}}, "lmms_eval_version": "main@x",
    }  # fmt: skip
    for date in ("20260101_000000", "20260102_000000"):
        (folder / f"{date}_results.json").write_text(json.dumps(results))
        rows = [{"doc_id": i, "doc_hash": "74234e98", "target": "A", "acc": float(i)} for i in range(2)]
        text = "\n".join(map(json.dumps, rows))
        (folder / f"{date}_samples_t.jsonl").write_text(text)
    run = read_run(folder)
    assert run.is_foreign
    assert run.name == "org__model/20260102_000000"
    assert [(s.value, s.doc_hash) for s in run.scores(Metric("t", "acc", "none")).values()] == [(0, ""), (1, "")]


def foreign_run(folder, rows, **values):
    folder.mkdir(parents=True)
    results = {"results": {"t": values}, "configs": {"t": {"task": "t"}}, "higher_is_better": {"t": {"acc": True}}}
    path = folder / "20260101_000000_results.json"
    path.write_text(json.dumps(results | {"lmms_eval_version": "main@x"}))
    path.with_name("20260101_000000_samples_t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_samples_file_of_lmms_eval_stands_for_the_results_beside_it(tmp_path):
    path = foreign_run(tmp_path / "m", [{"doc_id": 0, "acc": 1.0}], **{"acc,none": 1.0})
    samples = path.with_name("20260101_000000_samples_t.jsonl")
    assert read_run(samples).path == path
    path.unlink()
    with pytest.raises(StoreError, match=r"20260101_000000_results\.json beside it"):
        read_run(samples)


def test_lmms_evals_output_path_is_enough_where_one_model_ran(tmp_path):
    path = foreign_run(tmp_path / "out" / "org__a", [], **{"acc,none": 1.0})
    assert read_run(tmp_path / "out").path == path
    foreign_run(tmp_path / "out" / "org__b", [], **{"acc,none": 1.0})
    with pytest.raises(StoreError, match="the folder of one: org__a, org__b"):
        read_run(tmp_path / "out")


def test_documents_of_two_filters_that_are_not_told_apart_are_not_compared(tmp_path):
    rows = [
        {"doc_id": 0, "acc": 1.0},
        {"doc_id": 0, "acc": 0.0},
    ]  # as lmms-eval writes them: first one filter, then the other
    run = read_run(foreign_run(tmp_path / "m", rows, **{"acc,strict": 1.0, "acc,loose": 0.0}))
    with pytest.raises(StoreError, match="which of its filters"):
        run.scores(Metric("t", "acc", "strict"))


def test_another_schema_version_is_refused(tmp_path):
    path = write_run(tmp_path / "run", {"t": [1]}, schema_version=99)
    with pytest.raises(StoreError, match="schema version 99"):
        read_run(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": 1}', "\x00"])
def test_a_file_that_holds_no_results_is_refused_by_name(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"results\.json"):
        read_run(path)


def test_a_run_that_did_not_end_says_so(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(StoreError, match="did not end"):
        read_run(tmp_path)
    with pytest.raises(StoreError, match="no run here"):
        read_run(tmp_path / "elsewhere")


def test_missing_and_broken_samples_are_named(tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": [1]}))
    path = tmp_path / "run" / "samples_t.jsonl"
    path.write_text('{"doc_id": 0, "acc": 1}\n{"doc_id"')
    with pytest.raises(StoreError, match=r"samples_t\.jsonl:2"):
        run.scores(Metric("t", "acc", "none"))
    path.unlink()
    with pytest.raises(StoreError, match="no samples of task t"):
        run.scores(Metric("t", "acc", "none"))


@pytest.mark.parametrize(
    "line", ["[" * 100_000, "[]", '"text"', "3", "{}", '{"doc_id": [1], "acc": 1}', '{"doc_id": "0", "acc": 1}', "{"]
)
def test_a_line_that_is_no_sample_is_named(tmp_path, line):
    path = write_run(tmp_path / "run", {"t": [1, 0]})
    with (path / "samples_t.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StoreError, match=r"samples_t\.jsonl:3: "):
        list(read_run(path).rows("t"))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"results": {"t": 5}}, "`results.t`"),
        ({"configs": ["t"]}, "`configs`"),
        ({"configs": {"t": "x"}}, "`configs.t`"),
        ({"higher_is_better": {"t": True}}, "`higher_is_better.t`"),
        ({"groups": ["g"]}, "`groups`"),
        ({"node_ids": 5}, "`node_ids`"),
        ({"config": "x"}, "`config`"),
    ],
)
def test_a_part_of_the_results_that_is_no_mapping_is_named(tmp_path, changes, part):
    path = write_run(tmp_path / "run", {"t": [1, 0]}) / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(StoreError, match=f"{part} is no mapping"):
        read_run(path)
