"""The arithmetic of verdicts, on differences written by hand: each limit from both sides, in each unit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_lmms.results.compare import pair
from pytest_lmms.results.comparison import Comparison
from pytest_lmms.results.decide import decide
from pytest_lmms.results.rules import Gate, parse_rule
from pytest_lmms.results.runs import DocumentScore, Metric
from pytest_lmms.results.verdict import Verdict

METRIC = Metric("t", "acc", "none")
Z = 1.959964  # of 95%


def decided(rule, **numbers):
    """The verdict of a rule on a comparison; without numbers nothing differs, at 0.8, over 100 documents."""
    usual = {
        "metric": METRIC, "higher_is_better": True, "value": 0.8, "baseline": 0.8, "effect": 0.0, "effect_from": 0.8,
        "num_pairs": 100, "mean_difference": 0.0, "low": -0.01, "high": 0.01, "p_worse": 0.5, "std": 0.1,
    }  # fmt: skip
    gate = Gate(rule=parse_rule(rule, "here"), metric="acc")
    verdict = Verdict(gate=gate, metric=METRIC, outcome="unjudged", reason="", comparison=Comparison(**usual | numbers))
    return decide([verdict])[0]


def change(size, **more):
    """Numbers of a change of so much in the metric and in its documents, known to 0.01."""
    return {"effect": size, "mean_difference": size, "low": size - 0.01, "high": size + 0.01, **more}


@pytest.mark.parametrize(
    ("rule", "numbers", "outcome"),
    [
        # a tolerance in points: a hundredth of a score from 0 to 1
        ("2pt", change(-0.02), "pass"),
        ("2pt", change(-0.0201), "fail"),
        ("2pt", change(-1.5, points=1.0), "pass"),
        ("2pt", change(-2.5, points=1.0), "fail"),
        ("0pt", change(0.0), "pass"),
        # a margin of nothing, and no doubt
        ("within 0pt", change(0.0) | {"low": 0.0, "high": 0.0}, "pass"),
        ("within 0pt", change(0.0) | {"low": -0.02, "high": -0.01}, "fail"),
        # in percent of the baseline
        ("10%", change(-0.08), "pass"),
        ("10%", change(-0.0808), "fail"),
        ("10%", change(0.5), "pass"),
        ("10%", change(0.0, effect_from=0.0), "pass"),
        ("10%", change(-0.01, effect=0.0, effect_from=0.8), "pass"),
        ("10%", change(0.01, effect=0.0, effect_from=0.8, higher_is_better=False), "pass"),
        # a metric that is no mean over documents has an effect alone
        ("10%", change(-0.1, mean_difference=None), "fail"),
        ("10%", change(-0.05, mean_difference=None), "pass"),
        ("5pt", change(-0.1, mean_difference=None), "fail"),
        # documents that differ although the metric has no effect that could be told
        ("5pt", change(-0.1, effect=None), "fail"),
        ("5pt", change(-0.01, effect=None), "pass"),
        # significance: below the level, not at it
        ("p<0.05", change(-0.2, p_worse=0.049), "fail"),
        ("p<0.05", change(-0.2, p_worse=0.05), "inconclusive"),
        ("p<0.05", change(0.2, p_worse=0.01), "pass"),
        ("p<0.05", change(0.0, p_worse=0.01), "pass"),
        # both
        ("1pt and p<0.05", change(-0.005, p_worse=0.01, low=-0.009), "pass"),
        ("1pt and p<0.05", change(-0.2, p_worse=0.01), "fail"),
        # a drop that p does not show is ruled out by the tolerance, else by 5 points
        ("1pt and p<0.05", change(-0.2, p_worse=0.2), "inconclusive"),
        ("30pt and p<0.05", change(-0.2, p_worse=0.2), "pass"),
        ("p<0.05", change(-0.035, p_worse=0.2), "pass"),
        ("p<0.05", change(-0.045, p_worse=0.2), "inconclusive"),
        # a margin: all of the interval on this side, none of it, some of it
        ("within 5pt", change(-0.04), "pass"),
        ("within 5pt", change(-0.0401), "inconclusive"),
        ("within 5pt", change(-0.0601), "fail"),
        ("within 5pt", change(-0.0599), "inconclusive"),
        ("within 5pt", change(0.0401, higher_is_better=False), "inconclusive"),
        ("within 5pt", change(0.0399, higher_is_better=False), "pass"),
        ("within 5pt", change(0.0601, higher_is_better=False), "fail"),
        # a margin in percent, where documents are scored in another unit than the metric
        ("within 10%", change(-0.04, mean_difference=-4.0, low=-7.99, high=-0.1), "pass"),
        ("within 10%", change(-0.04, mean_difference=-4.0, low=-8.1, high=0.1), "inconclusive"),
        ("within 10%", change(-0.04, mean_difference=-4.0, low=-12.0, high=-8.1), "fail"),
        ("within 10%", change(0.0, low=-0.0799, high=0.079), "pass"),
        ("within 10%", change(0.0, low=-0.081, high=0.081), "inconclusive"),
        ("within 10%", change(0.1, mean_difference=0.0, low=-0.079, high=0.079), "pass"),
        ("within 10%", change(0.0, effect_from=0.0), "inconclusive"),
    ],
)  # fmt: skip
def test_a_limit_is_held_up_to_itself(rule, numbers, outcome):
    verdict = decided(rule, **numbers)
    assert verdict.outcome == outcome, verdict.reason


@pytest.mark.parametrize(
    ("rule", "numbers", "said"),
    [
        ("1pt", {"mean_difference": None, "effect": None}, "no number in one of the runs"),
        ("p<0.05", {"mean_difference": None}, "only a rule of size"),
        ("within 1pt", {"mean_difference": None}, "only a rule of size"),
        ("p<0.05", {"low": None}, "nothing about chance"),
        ("within 1pt", {"low": None}, "nothing about chance"),
        ("1%", {"effect": None}, "no mean over them"),
        ("1%", {"effect_from": None}, "no mean over them"),
        ("1%", {"effect": 0.1, "effect_from": 0.0}, "the baseline is 0"),
        ("1pt and within 1%", {"effect": 0.1, "effect_from": 0.0}, "the baseline is 0"),
        ("1% and within 1pt", {"effect": 0.1, "effect_from": 0.0}, "the baseline is 0"),
        ("1pt", {"higher_is_better": None}, "higher_is_better"),
    ],
)
def test_what_cannot_be_judged_says_why(rule, numbers, said):
    verdict = decided(rule, **numbers)
    assert verdict.outcome == "unjudged"
    assert said in verdict.reason


@pytest.mark.parametrize("rule", ["1pt", "1%"])
def test_a_rule_of_size_needs_no_interval(rule):
    assert decided(rule, low=None, high=None, p_worse=None, std=None).outcome == "pass"


def test_as_many_documents_are_needed_as_make_the_interval_fit_into_the_room():
    verdict = decided("within 5pt", **change(-0.045), std=0.1)
    assert verdict.num_needed == max(101, math.ceil((Z * 0.1 / 0.005) ** 2)) == 1537


def test_a_drop_beyond_the_margin_needs_as_many_as_make_it_significant():
    verdict = decided("1pt and p<0.05", **change(-0.02, p_worse=0.2), std=0.2)
    assert verdict.num_needed == math.ceil((1.644854 * 0.2 / 0.02) ** 2) == 271
    margin = decided("within 5pt", **change(-0.06), std=0.5)
    assert margin.num_needed == math.ceil((Z * 0.5 / 0.01) ** 2) == 9604


def test_the_nearer_of_passing_and_failing_decides():
    verdict = decided("1pt and p<0.01 and within 5pt", **change(-0.03, p_worse=0.2, low=-0.08), std=0.5)
    assert verdict.num_needed == math.ceil((2.326348 * 0.5 / 0.03) ** 2) == 1504  # to fail; 2401 to pass
    among_four = replace(verdict, p_adjusted=None, num_needed=None)
    others = [replace(among_four, comparison=replace(verdict.comparison, p_worse=0.24)) for _ in range(3)]
    assert decide([among_four, *others])[0].num_needed == math.ceil((2.807034 * 0.5 / 0.03) ** 2)  # at 0.01 / 4


@pytest.mark.parametrize(
    "rule", ["1pt and p<0.01 and within 5pt", "p<0.05", "within 5pt", "5pt and p<0.01 and within 4pt"]
)
@pytest.mark.parametrize("drop", [0.02, 0.03, 0.045, 0.06])
def test_with_as_many_documents_as_are_said_to_decide_the_same_difference_is_decided(rule, drop):
    """Documents are repeated, so that neither the difference nor its deviation changes."""

    def verdict(times):
        baseline = [0.5, 0.75, 0.25, 1.0] * 25 * times
        moved = [0.2 - drop, -0.2 - drop, 0.4 - drop, -0.4 - drop] * 25 * times
        scores = [
            {i: DocumentScore(float(v), None, "", "", "") for i, v in enumerate(values)}
            for values in ([b + m for b, m in zip(baseline, moved, strict=True)], baseline)
        ]
        comparison = pair(*scores, metric=METRIC, higher_is_better=True, value=0.625 - drop, baseline=0.625)
        gate = Gate(rule=parse_rule(rule, "here"), metric="acc")
        asked = Verdict(
            gate=gate, metric=METRIC, outcome="unjudged", reason="", comparison=replace(comparison, points=0.01)
        )
        return decide([asked])[0]

    first = verdict(1)
    if first.num_needed is None:
        assert first.outcome != "inconclusive" or rule.startswith("5pt")
        return
    assert verdict(math.ceil(first.num_needed * 1.02 / 100)).outcome in ("pass", "fail")
    if (fewer := int(first.num_needed * 0.95 / 100)) > 1:
        assert verdict(fewer).outcome == "inconclusive"


def test_a_p_value_that_is_adjusted_to_1_is_not_scaled_by():
    one = decided("p<0.05", **change(-0.03, p_worse=0.3, low=-0.08), std=0.5)
    (among_four, *_) = decide([replace(one, p_adjusted=None, num_needed=None)] * 4)
    assert among_four.p_adjusted == 1.0
    assert among_four.num_needed == one.num_needed == math.ceil((1.644854 * 0.5 / 0.03) ** 2) == 752


def test_one_document_more_is_the_fewest_that_decide():
    assert decided("within 1pt", **change(0.0, low=-0.02, high=0.02), std=0.001).num_needed == 101


def test_where_no_number_of_documents_would_decide_that_is_said():
    verdict = decided("within 5pt", **change(-0.05), std=0.1)
    assert verdict.num_needed is None
    assert "no number of documents would decide" in verdict.reason
    assert decided("within 0pt", **change(0.0), std=0.5).num_needed is None


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (change(-0.02), "0.8 -> 0.78 (-0.02) -2.00pt [-3.00, -1.00], p=0.5, n=100"),
        (change(-2.0, points=1.0, effect_from=80), "80 -> 78 (-2) -2.00 [-2.01, -1.99], p=0.5, n=100"),
        (change(-0.02, effect=None), "-2.00pt [-3.00, -1.00], p=0.5, n=100"),
        (change(-0.02, effect_from=None), "-2.00pt [-3.00, -1.00], p=0.5, n=100"),
        (change(-0.02, mean_difference=None), "0.8 -> 0.78 (-0.02)"),
        (change(-0.02, low=None), "0.8 -> 0.78 (-0.02) -2.00pt, p=0.5, n=100"),
        (change(-0.02, high=None), "0.8 -> 0.78 (-0.02) -2.00pt, p=0.5, n=100"),
        (change(-0.02, p_worse=None), "0.8 -> 0.78 (-0.02) -2.00pt [-3.00, -1.00]"),
        (
            change(-0.02, p_worse=None, num_unpaired=1234),
            "0.8 -> 0.78 (-0.02) -2.00pt [-3.00, -1.00] (1,234 more in one run only)",
        ),
    ],
)
def test_a_difference_is_told_with_what_is_known_of_it(numbers, said):
    assert decided("50pt", **numbers).reason == said


def test_a_verdict_is_written_with_what_it_rests_on():
    verdict = decided("within 5pt", **change(-0.045), worse=(3, 7), better=(4,), notes=("seen twice",))
    found = verdict.to_json(lambda task, row: f"{task}[{row}]")
    assert (found["title"], found["outcome"]) == ("t/acc: within 5pt", "inconclusive")
    assert {name: found[name] for name in METRIC._fields} == METRIC._asdict()
    assert (found["effect"], found["low"], found["high"], found["num_pairs"]) == (
        -0.045,
        -0.055,
        pytest.approx(-0.035),
        100,
    )
    assert (found["turned_worse"], found["turned_better"], found["notes"]) == (
        ["t[3]", "t[7]"],
        ["t[4]"],
        ["seen twice"],
    )
    assert found["num_needed"] == verdict.num_needed
    unknown = replace(verdict, metric=None, comparison=None).to_json(str)
    assert unknown["name"] == str(verdict.gate)
    assert not {"task", "effect", "notes"} & set(unknown)


def test_a_difference_of_0_needs_documents_for_the_margin_alone():
    assert decided("within 1pt", **change(0.0, low=-0.02, high=0.02)).num_needed == math.ceil((Z * 0.1 / 0.01) ** 2)


def test_a_p_value_adjusted_for_many_runs_is_at_most_1():
    gate = Gate(rule=parse_rule("p<0.05", "here"), metric="acc")
    verdict = decided("p<0.05", **change(-0.01, p_worse=0.9))
    assert decide([replace(verdict, gate=gate)], num_runs=4)[0].p_adjusted == 1.0
