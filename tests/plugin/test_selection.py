"""Subsets, shards, and the run that shards make together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lmms.cli import main

ROWS = [{"question": f"q{i}", "answer": "A" if i % 3 else "B", "category": "xyz"[i % 3]} for i in range(30)]


@pytest.fixture
def task(pytester, write_task):
    """Thirty documents in three categories."""
    return write_task(pytester.path / "tasks", "t", ROWS)


@pytest.fixture
def shards(task, run, run_folder):
    """`shards(2)`: the run folders of both halves."""

    def shards(number, *arguments):
        found = []
        for k in range(1, number + 1):
            assert run(task, "--lmms-shard", f"{k}/{number}", *arguments).ret == 0
            found.append(run_folder())
        return found

    return shards


def results(path):
    return json.loads((Path(path) / "results.json").read_text())


def test_a_subset_is_stratified_and_makes_the_run_incomplete(task, run, records_of, results_of):
    result = run(task, "--lmms-subset", 6)
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["Not a complete benchmark: a subset of 6 documents of each task."])
    rows = [r["doc_id"] for r in records_of("t")]
    assert sorted(i % 3 for i in rows) == [0, 0, 1, 1, 2, 2]
    assert results_of()["results"]["t"]["exact_match,none"] == pytest.approx(2 / 3)


def test_a_gate_against_another_subset_compares_common_documents_and_says_how_many(
    task, run, run_folder, records_of, results_of
):
    assert run(task, "--lmms-subset", 6).ret == 0
    other = next(i for i in range(30) if i not in {r["doc_id"] for r in records_of("t")})
    gate = ["--lmms-baseline", run_folder(), "--lmms-fail-on-regression", "exact_match:2%"]
    result = run(task, "--lmms-subset", 12, *gate)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["PASS*t/exact_match: 2%*n=6 (6 more in one run only)"])
    (verdict,) = results_of()["gates"]["verdicts"]
    assert (verdict["num_pairs"], verdict["num_unpaired"]) == (6, 6)
    result = run(task, "--lmms-offset", other, "--lmms-limit", 1, *gate)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["NOT JUDGED*t/exact_match: 2%*no common documents"])


def test_settings_that_leave_no_document_are_named(task, run):
    result = run(task, "--lmms-offset", 100, "--lmms-limit", 3)
    assert result.ret == 5
    result.stdout.fnmatch_lines(["lmms: nothing is left by --lmms-offset, --lmms-limit: t has 30 documents"])


def test_merged_shards_are_the_run_that_was_divided(pytester, task, run, run_folder, shards, capsys):
    run(task)
    whole = run_folder()
    parts = shards(3)
    assert [results(p)["n-samples"]["t"]["effective"] for p in parts] == [10, 10, 10]
    assert "shard 2 of 3" in results(parts[1])["incomplete_because"]
    merged = pytester.path / "merged"
    assert main(["merge", *map(str, [parts[2], parts[0], parts[1]]), "--output", str(merged)]) == 0
    assert "Run folder:" in capsys.readouterr().out
    told, expected = results(merged), results(whole)
    for key in ("results", "groups", "n-samples", "counts", "complete", "status", "configs", "node_ids"):
        assert told[key] == expected[key], key

    def samples(path):
        rows = [json.loads(line) for line in (path / "samples_t.jsonl").read_text().splitlines()]
        return [{k: v for k, v in r.items() if k != "timings"} for r in rows]

    assert samples(merged) == samples(whole)
    assert main(["gate", str(merged), "--baseline", str(whole), "--fail-on-regression"]) == 0


def test_what_was_left_out_of_every_shard_stays_told(pytester, shards):
    parts = shards(2, "--lmms-limit", 10)
    merged = pytester.path / "merged"
    assert main(["merge", *map(str, parts), "--output", str(merged)]) == 0
    assert results(merged)["incomplete_because"] == "limit 10, offset 0"
    assert results(merged)["n-samples"]["t"] == {"original": 30, "effective": 10}


def test_groups_are_reported_for_merged_shards(pytester, write_task, run, run_folder):
    for name in ("one", "two"):
        write_task(pytester.path / "tasks", name, ROWS, tag="all")
    (pytester.path / "tasks" / "both.yaml").write_text(
        "group: both\ntask: [one, two]\naggregate_metric_list:\n  - metric: exact_match\n"
    )
    parts = []
    for k in (1, 2):
        run(pytester.path / "tasks", "--lmms-shard", f"{k}/2")
        parts.append(str(run_folder()))
    merged = pytester.path / "merged"
    assert main(["merge", *parts, "--output", str(merged), "--include-path", str(pytester.path / "tasks")]) == 0
    assert results(merged)["groups"]["both"]["exact_match,none"] == pytest.approx(2 / 3)


def test_shards_that_are_missing_double_or_alien_are_refused(pytester, task, run, run_folder, shards, capsys):
    first, second = map(str, shards(2))
    run(task)
    whole = str(run_folder())
    run(task, "--lmms-shard", "2/2", "--lmms-seed", 5)
    other = str(run_folder())
    for runs, message in (
        ([first], "no run of shard 2/2"),
        ([first, first], "shard 1/2 again"),
        ([first, whole], "this run is no shard"),
        ([first, other], "--lmms-seed is 5"),
        ([first, str(pytester.path)], "run.json is missing"),
    ):
        assert main(["merge", *runs, "--output", str(pytester.path / "merged")]) == 4
        assert message in capsys.readouterr().err
    assert not (pytester.path / "merged").exists()
    assert main(["merge", first, second, "--output", whole]) == 4
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/0", "a/b", "-1/2"])
def test_a_wrong_shard_is_a_usage_error(task, run, text):
    result = run(task, f"--lmms-shard={text}")
    assert result.ret == 4


def test_gates_wait_for_the_merged_run(task, run):
    result = run(task, "--lmms-shard", "1/2", "--lmms-fail-under", "exact_match=0.1")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*a shard is no whole run*", "*pytest-lmms merge*"])
