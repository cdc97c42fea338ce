"""Rules of gates, read from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.errors import UsageError
from pytest_lmms.results.rules import DEFAULT_RULE, Rule, Size, gates_of_task, parse_regression, parse_rule, parse_under


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2%", Rule(tolerance=Size(2, "%"))),
        ("0.5pt", Rule(tolerance=Size(0.5, "pt"))),
        ("p<0.05", Rule(alpha=0.05)),
        ("p < .05 and 1pt", Rule(tolerance=Size(1, "pt"), alpha=0.05)),
        ("within 3%", Rule(margin=Size(3, "%"))),
        ("1pt and p<1e-3 and within 5pt", Rule(tolerance=Size(1, "pt"), alpha=1e-3, margin=Size(5, "pt"))),
        ("default", DEFAULT_RULE),
    ],
)
def test_a_rule_is_tolerance_significance_and_margin(text, rule):
    assert parse_rule(text, "here") == rule


@pytest.mark.parametrize("rule", [DEFAULT_RULE, Rule(alpha=0.05), Rule(margin=Size(2, "%"))])
def test_a_rule_reads_as_it_is_written(rule):
    assert parse_rule(str(rule), "here") == rule


@pytest.mark.parametrize(
    "text", ["", "2", "2percent", "p<2", "p<1", "p<1.5", "p<0", "p>0.05", "1pt and 2%", "-1pt", "1pt p<0.05"]
)
def test_a_wrong_rule_is_refused_with_what_was_expected(text):
    with pytest.raises(UsageError, match="here"):
        parse_rule(text, "here")


def test_gates_name_task_metric_and_filter():
    gates = parse_regression("acc:1pt, mme/score@strict: 2% and p<0.05, 3%", "--opt")
    assert [(g.task, g.metric, g.filter) for g in gates] == [
        (None, "acc", None), ("mme", "score", "strict"), (None, None, None)
    ]  # fmt: skip
    assert [str(g.rule) for g in gates] == ["1pt", "2% and p<0.05", "3%"]
    assert all(g.needs_baseline for g in gates)
    assert not any(g.whole_only for g in gates)  # asked for by the user, whatever part of a benchmark was run


def test_least_values_are_read():
    (first, second) = parse_under("mme_perception_score=900,t/acc@f=-0.5", "--opt")
    assert (first.metric, first.rule, first.needs_baseline) == ("mme_perception_score", 900.0, False)
    assert (second.task, second.metric, second.filter, second.rule) == ("t", "acc", "f", -0.5)


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_demand_is_told_with_what_its_option_takes(text):
    with pytest.raises(UsageError, match=r"--opt: nothing is demanded\n  expected: METRIC=VALUE"):
        parse_under(text, "--opt")
    with pytest.raises(UsageError, match=r"--opt: nothing is demanded\n  expected: \[METRIC:\]RULE"):
        parse_regression(text, "--opt")


@pytest.mark.parametrize("text", ["acc=1,,b=2", "acc=1,", ", acc=1"])
def test_a_stray_comma_is_told_as_one(text):
    with pytest.raises(UsageError, match=f"--opt: '{text}' has an empty entry"):
        parse_under(text, "--opt")


def test_a_gate_is_told_with_the_filter_that_it_names():
    told = {str(gate) for text in ("t/acc@f=0.5", "acc=1") for gate in parse_under(text, "--opt")}
    assert told == {"t/acc@f=0.5", "acc=1"}
    assert [str(gate) for gate in parse_regression("acc@f:1pt", "--opt")] == ["acc@f: 1pt"]


@pytest.mark.parametrize("text", ["acc", "acc=", "acc=high", "acc=nan", "=1", "acc=1,,b=2", "a<b=1"])
def test_a_wrong_least_value_is_refused(text):
    with pytest.raises(UsageError, match="--opt"):
        parse_under(text, "--opt")


def test_a_task_says_its_gates_in_its_yaml():
    entries = [{"metric": "acc", "fail_under": 0.8, "fail_on_regression": "1pt"}, {"fail_on_regression": "default"}]
    gates = gates_of_task("t", entries, "t.yaml:9")
    assert [(g.task, g.metric, g.rule) for g in gates] == [
        ("t", "acc", 0.8), ("t", "acc", Rule(tolerance=Size(1, "pt"))), ("t", None, DEFAULT_RULE)
    ]  # fmt: skip
    assert all(g.whole_only for g in gates)


def test_a_gate_of_a_task_may_say_everything_at_once():
    entry = {"metric": "acc", "filter": "strict", "fail_under": 0.8, "fail_on_regression": "1pt"}
    gates = gates_of_task("t", [entry], "t.yaml:9")
    assert [(g.metric, g.filter) for g in gates] == [("acc", "strict")] * 2


@pytest.mark.parametrize(
    "entry",
    ["acc", {"metric": "acc"}, {"fail_under": 1}, {"metric": "a", "fail_under": "x"}, {"metric": "a", "failunder": 1},
     {"metric": "a", "fail_under": True}, {"fail_on_regression": 2}],
)  # fmt: skip
def test_a_wrong_gate_of_a_task_is_refused_where_it_stands(entry):
    with pytest.raises(UsageError, match=r"t\.yaml:9"):
        gates_of_task("t", [entry], "t.yaml:9")


SIZES = st.builds(Size, st.integers(0, 500).map(lambda n: n / 10), st.sampled_from(["%", "pt"]))
LEVELS = st.sampled_from([0.5, 0.05, 0.01, 0.001])
RULES = st.builds(Rule, tolerance=st.none() | SIZES, alpha=st.none() | LEVELS, margin=st.none() | SIZES).filter(str)


@given(RULES)
def test_a_rule_is_read_back_as_it_is_written(rule):
    assert parse_rule(str(rule), "here") == rule


@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_an_error_that_says_where(text):
    for read in (parse_rule, parse_regression, parse_under):
        said = ""
        try:
            read(text, "--here")
        except UsageError as e:
            said = str(e)
        assert not said or said.startswith("--here: ")
