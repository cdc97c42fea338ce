"""Verdicts on runs."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lmms.results.gate import judge, summary
from pytest_lmms.results.gate_report import markdown, verdict_lines
from pytest_lmms.results.rules import parse_regression, parse_under
from pytest_lmms.results.runs import read_run
from tests.results.run_files import write_run


def scores(num_right, num_documents=1000):
    """So many right answers, in front."""
    return [1] * num_right + [0] * (num_documents - num_right)


@pytest.fixture
def verdicts(tmp_path):
    """`verdicts(rules, here, there)`: what becomes of rules about task t."""

    def verdicts(rules, here, there=None, *, under=False, **more):
        run = read_run(write_run(tmp_path / "run", {"t": here}, **more))
        baseline = read_run(write_run(tmp_path / "baseline", {"t": there}, **more)) if there is not None else None
        return judge(run, (parse_under if under else parse_regression)(rules, "--option"), baseline)

    return verdicts


@pytest.mark.parametrize(
    ("rule", "here", "there", "outcome"),
    [
        ("default", scores(700), scores(700), "pass"),
        ("default", scores(600), scores(700), "fail"),
        ("default", scores(800), scores(700), "pass"),
        ("default", scores(695), scores(700), "pass"),  # 0.5 points are within the tolerance
        ("default", scores(7, 10), scores(8, 10), "inconclusive"),
        ("2%", scores(690), scores(700), "pass"),
        ("2%", scores(680), scores(700), "fail"),
        ("2.9pt", scores(671), scores(700), "pass"),
        ("2.9pt", scores(670), scores(700), "fail"),
        ("p<0.05", scores(690), scores(700), "fail"),
        ("p<0.0001", scores(690), scores(700), "pass"),
        ("p<0.05", scores(710), scores(700), "pass"),
        ("within 2pt", scores(700), scores(700), "pass"),
        ("within 2pt", scores(600), scores(700), "fail"),
        ("within 2pt", scores(685), scores(700), "inconclusive"),
        ("within 5%", scores(685), scores(700), "pass"),
    ],
)
def test_a_drop_is_judged_by_size_significance_and_margin(verdicts, rule, here, there, outcome):
    (verdict,) = verdicts(rule, here, there)
    assert verdict.outcome == outcome, verdict.reason
    assert verdict.is_failure == (outcome == "fail")


def test_what_is_a_number_in_neither_run_is_demanded_by_name_only(tmp_path):
    runs = []
    for name in ("run", "baseline"):
        folder = write_run(tmp_path / name, {"t": [1, 0]})
        results = json.loads((folder / "results.json").read_text())
        results["results"]["t"]["submission,none"] = None
        results["higher_is_better"]["t"]["submission"] = True
        (folder / "results.json").write_text(json.dumps(results))
        runs.append(read_run(folder))
    (verdict,) = judge(runs[0], parse_regression("1pt", "here"), runs[1])
    assert (verdict.metric.name, verdict.outcome) == ("acc", "pass")
    (verdict,) = judge(runs[0], parse_regression("submission:1pt", "here"), runs[1])
    assert verdict.outcome == "unjudged"


def test_a_rise_is_a_drop_where_less_is_better(verdicts):
    (verdict,) = verdicts("1pt", [0.5, 0.5], [0.1, 0.1], higher_is_better=False)
    assert verdict.outcome == "fail"


def test_an_inconclusive_verdict_says_how_many_documents_would_decide(verdicts):
    (verdict,) = verdicts("default", scores(7, 10), scores(8, 10))
    assert verdict.num_needed > 10
    assert f"{verdict.num_needed:,} documents would decide" in verdict.reason


def test_several_gates_are_corrected_by_holm(tmp_path):
    run = read_run(write_run(tmp_path / "run", {n: scores(690) for n in "abc"}))
    baseline = read_run(write_run(tmp_path / "baseline", {n: scores(700) for n in "abc"}))
    (alone,) = judge(run, parse_regression("a/acc:p<0.001", "x"), baseline)
    together = judge(run, parse_regression("p<0.001", "x"), baseline)
    assert alone.outcome == "fail"
    assert [v.outcome for v in together] == ["pass"] * 3
    assert together[0].p_adjusted == pytest.approx(3 * alone.p_adjusted)


def test_the_runs_of_a_list_share_a_level(verdicts, tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": scores(690)}))
    baseline = read_run(write_run(tmp_path / "baseline", {"t": scores(700)}))
    gates = parse_regression("p<0.001", "x")
    found = {n: judge(run, gates, baseline, num_runs=n)[0] for n in (1, 2, 3)}
    assert {n: v.outcome for n, v in found.items()} == {1: "fail", 2: "fail", 3: "pass"}
    assert found[3].p_adjusted == pytest.approx(3 * found[1].p_adjusted)
    assert any("corrected for the number of gates and runs" in line for line in verdict_lines(found[3], run))


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("is_worse", [True, False])
def test_significance_is_that_of_a_drop_also_where_less_is_better(verdicts, higher_is_better, is_worse):
    """Two-sided, 9 documents against 1 would have p=0.02."""
    many, few = [1] * 9 + [0] + [1] * 90, [0] * 9 + [1] + [1] * 90
    pair = (few, many) if is_worse == higher_is_better else (many, few)
    (verdict,) = verdicts("p<0.01", *pair, higher_is_better=higher_is_better)
    assert verdict.outcome == ("fail" if is_worse else "pass")
    assert verdict.comparison.p_worse == pytest.approx(0.00586 if is_worse else 1 - 0.00586, abs=1e-5)


@pytest.mark.parametrize(
    ("rule", "outcome", "reason"),
    [("acc=0.7", "pass", "at least"), ("acc=0.71", "fail", "below"), ("t/acc@none=0.7", "pass", "at least")],
)
def test_a_least_value_is_held_or_not(verdicts, rule, outcome, reason):
    (verdict,) = verdicts(rule, scores(700), under=True)
    assert verdict.outcome == outcome
    assert reason in verdict.reason


def test_a_least_value_is_a_largest_one_where_less_is_better(verdicts):
    (verdict,) = verdicts("acc=0.5", [0.6], under=True, higher_is_better=False)
    assert (verdict.outcome, verdict.reason) == ("fail", "0.6 is above 0.5")


def test_a_least_value_may_be_that_of_a_group(tmp_path):
    groups = {"g": {"alias": "g", "acc,none": 0.5, "acc_stderr,none": 0.1}}
    run = read_run(write_run(tmp_path / "run", {"t": [1, 1]}, groups=groups))
    assert [v.outcome for v in judge(run, parse_under("g/acc=0.6", "x"))] == ["fail"]
    assert [v.outcome for v in judge(run, parse_under("acc=0.6", "x"))] == ["pass"]


@pytest.mark.parametrize("metric", ["refcoco_ACC@0.5", "science & technology", "Motion (Cam.)"])
@pytest.mark.parametrize("spoken", ["{}", "{}@none", "t/{}", "t/{}@none"])
def test_a_metric_of_any_name_can_be_demanded(verdicts, tmp_path, metric, spoken):
    (verdict,) = verdicts(spoken.format(metric) + ":1pt", [1, 0], [1, 1], metric=metric)
    assert (verdict.outcome, verdict.metric.name) == ("fail", metric)
    run = read_run(tmp_path / "run")
    assert [v.outcome for v in judge(run, parse_under(spoken.format(metric) + "=0.5", "x"))] == ["pass"]


@pytest.mark.parametrize("rule", ["acx:1pt", "u/acc:1pt", "acc@strict:1pt"])
def test_a_gate_on_what_does_not_exist_fails_and_names_what_does(verdicts, rule):
    (verdict,) = verdicts(rule, [1], [1])
    assert (verdict.outcome, verdict.is_failure) == ("unjudged", True)
    assert "t/acc" in verdict.reason


def test_a_gate_on_what_nobody_has_says_what_was_looked_for(verdicts, tmp_path):
    misspelt, elsewhere, unfiltered = verdicts("acx:1pt,u/acc:1pt,acc@strict:1pt", [1], [1])
    assert misspelt.reason.startswith("the run has no acx; did you mean acc? It has: t/acc")
    assert elsewhere.reason.startswith("the run has no u/acc. It has: t/acc")
    assert unfiltered.reason.startswith("the run has no acc@strict. It has: t/acc")
    run = read_run(write_run(tmp_path / "undirected", {"t": [1]}, higher_is_better=None))
    (verdict,) = judge(run, parse_regression("1pt", "x"), run)
    assert verdict.reason.startswith("the run has no metric. It has: t/acc")
    assert verdict.to_json(run.node_id)["value"] is None


def test_a_largest_value_may_be_reached(verdicts):
    (verdict,) = verdicts("acc=0.6", [0.6], under=True, higher_is_better=False)
    assert (verdict.outcome, verdict.reason) == ("pass", "0.6 is at most 0.6")


def test_a_least_value_without_a_direction_is_not_judged(verdicts):
    (verdict,) = verdicts("acc=0.6", [0.6], under=True, higher_is_better=None)
    assert verdict.outcome == "unjudged"
    assert "says not whether more is better" in verdict.reason


def test_a_summary_names_the_baseline_and_the_runs_that_share_a_level(tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": [1, 0]}))
    found = summary(judge(run, parse_regression("acc:1pt", "x"), run), run, run)
    assert (found["baseline"], found["failed"], found["num_runs"]) == (str(run.path), 0, 1)
    assert {"task": "t", "name": "acc", "filter": "none", "title": "t/acc: 1pt"}.items() <= found["verdicts"][0].items()
    assert summary([], run, None)["baseline"] is None


def test_a_gate_without_baseline_direction_or_pairs_fails(tmp_path, verdicts):
    (verdict,) = verdicts("1pt", [1, 0])
    assert verdict.is_failure
    assert "baseline" in verdict.reason
    run = read_run(write_run(tmp_path / "a", {"t": [1, 0]}, higher_is_better=None))
    (verdict,) = judge(run, parse_regression("acc:1pt", "x"), run)
    assert verdict.outcome == "unjudged"
    assert "higher_is_better" in verdict.reason
    one = read_run(write_run(tmp_path / "b", {"t": [1]}))
    (verdict,) = judge(one, parse_regression("p<0.05", "x"), one)
    assert verdict.outcome == "unjudged"
    assert "tell nothing about chance" in verdict.reason


def test_runs_that_are_not_comparable_fail(tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": [1, 0]}))
    baseline = read_run(write_run(tmp_path / "baseline", {"t": [1, 0]}, samples={"doc_hash": "x"}))
    (verdict,) = judge(run, parse_regression("50%", "x"), baseline)
    assert verdict.outcome == "unjudged"
    assert "another dataset version" in verdict.reason


def test_missing_samples_fail_the_gate_and_not_the_judging(tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": [1, 0]}))
    baseline = read_run(write_run(tmp_path / "baseline", {"t": [1, 0]}))
    (tmp_path / "baseline" / "samples_t.jsonl").unlink()
    (verdict,) = judge(run, parse_regression("1pt", "x"), baseline)
    assert verdict.outcome == "unjudged"
    assert "no samples of task t" in verdict.reason


def test_a_percentage_of_zero_cannot_be_judged(verdicts):
    (verdict,) = verdicts("2%", [0, 1, 1], [0, 0, 0])
    assert verdict.outcome == "unjudged"


def test_verdicts_are_told_with_documents_as_node_ids(tmp_path):
    run = read_run(write_run(tmp_path / "run", {"t": scores(600)}))
    baseline = read_run(write_run(tmp_path / "baseline", {"t": scores(700)}))
    found = judge(run, parse_regression("default", "--option"), baseline)
    text = "\n".join(verdict_lines(found[0], run))
    assert "100 documents got worse, 0 better" in text
    assert "tasks/t.yaml::t[600]\n" in text
    assert "and 90 more" in text
    told = json.loads(json.dumps(summary(found, run, baseline)))
    (one,) = told["verdicts"]
    assert told["failed"] == 1
    assert (one["outcome"], one["num_pairs"], len(one["turned_worse"])) == ("fail", 1000, 100)
    assert one["low"] < one["mean_difference"] < one["high"] < 0
    page = markdown(found, run, baseline)
    assert page.startswith("### Gates: 1 of 1 failed")
    assert "| ❌ fail | t/acc: 1pt and p&lt;0.01 and within 5pt |" in page


BITS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=60)
SAID = st.sampled_from(["default", "1%", "2pt", "p<0.05", "within 3pt", "1pt and p<0.01", "1pt and within 5pt"])


def judged(rule, here, there):
    with tempfile.TemporaryDirectory() as folder:
        run = read_run(write_run(Path(folder, "run"), {"t": here}))
        baseline = read_run(write_run(Path(folder, "baseline"), {"t": there}))
        (verdict,) = judge(run, parse_regression(rule, "--option"), baseline)
        return verdict


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BITS, SAID)
def test_no_worse_run_never_fails_and_a_worse_one_never_does_better_than_it(pairs, rule):
    here, there = ([p[i] for p in pairs] for i in (0, 1))
    verdict = judged(rule, here, there)
    assert verdict.outcome in ("pass", "fail", "inconclusive", "unjudged")
    if sum(here) >= sum(there) and "within" not in rule:
        assert verdict.outcome != "fail"
    if verdict.outcome == "fail":
        assert sum(here) < sum(there)
    assert judged(rule, there, there).outcome != "fail"
