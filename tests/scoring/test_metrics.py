"""Metrics and aggregations: fixed numbers, worked out by hand."""

from __future__ import annotations

import math
import statistics
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.errors import DocumentError, LmmsError, TaskError, UsageError
from pytest_lmms.scoring import metrics
from pytest_lmms.scoring.choices_loglikelihood import score_choices, score_continuation
from pytest_lmms.scoring.metrics import AGGREGATIONS, METRICS, Metric, use_metric


def measure(name: str, references: list[Any], predictions: list[Any], **kwargs: Any) -> Any:
    """Score one document by a metric's name."""
    score = METRICS[name].score
    assert score is not None
    return score(references=references, predictions=predictions, **kwargs)


# Text


@pytest.mark.parametrize(
    ("reference", "prediction", "kwargs", "score"),
    [
        ("Paris", "Paris", {}, 1.0),
        ("Paris", "paris", {}, 0.0),
        ("Paris", "paris", {"ignore_case": True}, 1.0),
        ("Paris!", "Paris", {"ignore_punctuation": True}, 1.0),
        ("Paris 1", "Paris 2", {"ignore_numbers": True}, 1.0),
        ("the Paris", "Paris", {"regexes_to_ignore": [r"\bthe "]}, 1.0),
        # patterns run before case is ignored
        ("The Paris", "paris", {"regexes_to_ignore": [r"the "], "ignore_case": True}, 0.0),
        (3, "3", {}, 1.0),
    ],
)
def test_exact_match_compares_what_is_left_after_removal(
    reference: Any, prediction: str, kwargs: dict[str, Any], score: float
) -> None:
    assert measure("exact_match", [reference], [prediction], **kwargs) == score


def test_exact_match_with_several_references_needs_one_of_them() -> None:
    assert measure("exact_match", ["a", "b"], ["b"]) == 1.0
    assert measure("exact_match", ["a", "b"], ["c"]) == 0.0


def test_exact_match_of_several_repeats_is_their_mean() -> None:
    assert measure("exact_match", ["a"], ["a", "b", "a", "a"]) == 0.75
    assert measure("exact_match", ["a"], []) == 0.0


def test_acc_of_text_is_equality() -> None:
    assert measure("acc", [4], ["4"]) == 1.0
    assert measure("acc", ["4"], ["4 "]) == 0.0


@pytest.mark.parametrize(
    ("references", "prediction", "score"),
    [
        (["Hello"], "hello", 1.0),
        (["hello"], "hallo", 0.8),
        (["hello", "hallo"], "hallo", 1.0),
        (["abcd"], "abxy", 0.5),
        (["abcde"], "abxyz", 0.0),
        (["a  b"], "a b", 1.0),
        # the distance is of "a b" and "a c", the length that of "a   c"
        (["a b"], "a   c", 0.8),
        ([""], "", 1.0),
        (["x"], "", 0.0),
        ([], "x", 0.0),
    ],
)
def test_anls_is_one_minus_distance_over_length_and_zero_below_the_threshold(
    references: list[str], prediction: str, score: float
) -> None:
    assert measure("anls", references, [prediction]) == pytest.approx(score)


def test_anls_takes_its_threshold_from_the_yaml() -> None:
    assert measure("anls", ["abcde"], ["abxyz"], thresh_hold=0.3) == pytest.approx(0.4)
    assert measure("anls", ["hello"], ["hallo"], thresh_hold=0.9) == 0.0


@given(st.text(max_size=12), st.text(max_size=12))
def test_anls_stays_between_zero_and_one(reference: str, prediction: str) -> None:
    assert 0 <= measure("anls", [reference], [prediction], thresh_hold=0) <= 1


# Aggregations


@pytest.mark.parametrize(
    ("name", "items", "expected"),
    [
        ("bypass", [["a"], None], 999),
        ("mean", [1, 0, 1, 1], 0.75),
        ("mean", [True, False], 0.5),
        ("median", [9, 1, 5], 5),
        ("median", [9, 1, 5, 7], 6),
        ("perplexity", [-1.0, -3.0], math.exp(2)),
        ("weighted_perplexity", [(-6.0, 2), (-2.0, 2)], math.exp(2)),
        ("bits_per_byte", [(-6.0, 2), (-2.0, 2)], 2 / math.log(2)),
        # TP 2, FP 1, FN 1
        ("f1", [(1, 1), (1, 1), (0, 1), (1, 0), (0, 0)], 2 / 3),
        ("f1", [([1], [1])], 1.0),
        ("f1", [(0, 0)], 0.0),
        # TP 2, TN 1, FP 1, FN 1: (2*1 - 1*1) / sqrt(3*3*2*2)
        ("matthews_corrcoef", [(1, 1), (1, 1), (0, 1), (1, 0), (0, 0)], 1 / 6),
        ("matthews_corrcoef", [(1, 1), (0, 1)], 0.0),
        ("matthews_corrcoef", [("a", "a"), ("b", "b"), ("c", "c")], 1.0),
        # twice .3 squared and twice .4 squared, over two documents
        ("brier_score", [(0, [0.7, 0.3]), (1, [0.4, 0.6])], 0.25),
    ],
)
def test_aggregations_give_the_number_worked_out_by_hand(name: str, items: list[Any], expected: float) -> None:
    assert AGGREGATIONS[name](items) == pytest.approx(expected)


def test_mcc_of_three_classes_is_gorodkins() -> None:
    gold, predicted = [0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0]
    # c = 4, s = 6; sum p t = 2*2 + 2*3 + 2*1 = 12; sum p**2 = 4 + 9 + 1; sum t**2 = 12
    expected = (4 * 6 - 12) / math.sqrt((36 - 14) * (36 - 12))
    items = list(zip(gold, predicted, strict=True))
    assert AGGREGATIONS["matthews_corrcoef"](items) == pytest.approx(expected)


def test_acc_all_needs_every_answer_of_a_question() -> None:
    def document(question: int, label: int) -> dict[str, Any]:
        return {"idx": {"paragraph": 0, "question": question}, "label": label}

    items = [
        (True, document(0, 1)),
        (False, document(0, 0)),
        (True, document(1, 1)),
        (True, document(1, 0)),
    ]
    assert AGGREGATIONS["acc_all"](items) == 0.5


def test_f1_says_that_it_needs_two_classes() -> None:
    with pytest.raises(TaskError, match="the label 'yes'"):
        AGGREGATIONS["f1"]([("yes", "no")])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_median_does_not_depend_on_the_order(items: list[float]) -> None:
    assert AGGREGATIONS["median"](items) == AGGREGATIONS["median"](sorted(items))
    assert AGGREGATIONS["median"](items) == statistics.median(items)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_mcc_lies_between_minus_one_and_one(items: list[tuple[int, int]]) -> None:
    assert -1 - 1e-9 <= AGGREGATIONS["matthews_corrcoef"](items) <= 1 + 1e-9


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_without_sacrebleu_the_error_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(LmmsError, match=rf"{name} needs sacrebleu\n  pip install sacrebleu"):
        AGGREGATIONS[name]([("a", "a")])


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_sacrebleu_gets_one_stream_of_references_per_position(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def corpus(predictions: list[str], streams: list[list[str | None]]) -> SimpleNamespace:
        seen.extend([predictions, streams])
        return SimpleNamespace(score=12.5)

    module = SimpleNamespace(**{f"corpus_{name}": corpus})
    monkeypatch.setitem(sys.modules, "sacrebleu", module)
    items = [("one", "eins"), (["two", "deux"], ["zwei"])]
    assert AGGREGATIONS[name](items) == 12.5
    assert seen == [["eins", "zwei"], [["one", "two"], [None, "deux"]]]


def test_real_bleu_of_equal_texts_is_one_hundred() -> None:
    pytest.importorskip("sacrebleu")
    items = [(["the cat sat on the mat"], ["the cat sat on the mat"])] * 2
    assert AGGREGATIONS["bleu"](items) == pytest.approx(100)
    assert AGGREGATIONS["ter"]([*items, (["a b", "a c d"], "a c d")]) == pytest.approx(0)


# Log-probabilities


def test_choices_are_scored_by_probability_and_by_probability_per_character() -> None:
    scores = score_choices([-4.0, -3.0, -9.0], ["a long one", "b", "c"], 0)
    assert scores["acc"] == 0.0
    assert scores["acc_norm"] == 1.0
    assert scores["f1"] == scores["mcc"] == (0, 1)
    gold, probabilities = scores["brier_score"]
    assert gold == 0
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities[1] / probabilities[0] == pytest.approx(math.e)
    assert "exact_match" not in scores
    assert "acc_mutual_info" not in scores


def test_mutual_information_takes_the_choice_that_gains_most() -> None:
    scores = score_choices([-4.0, -3.0], ["x", "y"], "x", is_greedy=[False, True], unconditional_logprobs=[-9.0, -3.5])
    assert scores["acc_mutual_info"] == 1.0
    assert scores["acc"] == scores["exact_match"] == 0.0


def test_several_gold_choices_are_right_each_and_unknown_ones_never() -> None:
    assert score_choices([-1.0, -2.0], ["x", "y"], [0, 1])["acc"] == 1.0
    unknown: list[Any] = [7, -1, "z", []]
    for gold in unknown:
        scores = score_choices([-1.0, -2.0], ["x", "y"], gold, is_greedy=[True, True])
        assert scores["acc"] == scores["acc_norm"] == scores["exact_match"] == 0.0


def test_ties_go_to_the_first_choice_and_an_empty_choice_divides_by_nothing() -> None:
    assert score_choices([-1.0, -1.0], ["x", ""], 0)["acc"] == 1.0
    assert score_choices([-math.inf] * 2, ["x", "y"], 0)["brier_score"] == (0, [0.5, 0.5])


@pytest.mark.parametrize(("logprobs", "choices"), [([], []), ([-1.0], ["a", "b"])])
def test_choices_and_numbers_must_match(logprobs: list[float], choices: list[str]) -> None:
    with pytest.raises(DocumentError, match=rf"{len(logprobs)} log-probabilities for"):
        score_choices(logprobs, choices, 0)


@pytest.mark.parametrize("gold", [None, [0, None]])
def test_a_gold_choice_that_is_null_is_said_to_be(gold: Any) -> None:
    with pytest.raises(DocumentError, match="the gold answer is null"):
        score_choices([-1.0, -2.0], ["x", "y"], gold)


def test_a_continuation_gives_perplexity_and_greedy_accuracy() -> None:
    assert score_continuation(-2.5, is_greedy=True) == {"perplexity": -2.5, "acc": 1.0}


# Names


def test_every_metric_names_an_aggregation_that_exists() -> None:
    assert {metric.aggregation for metric in METRICS.values()} <= set(AGGREGATIONS)


def test_a_misspelt_name_says_where_and_what_was_meant() -> None:
    with pytest.raises(TaskError, match=r"^a.yaml: unknown metric 'exact_macth'") as caught:
        metrics.find_metric("exact_macth", where="a.yaml")
    assert "did you mean: exact_match?" in str(caught.value)
    with pytest.raises(TaskError, match=r"did you mean: median\?"):
        metrics.find_aggregation("medain", where="a.yaml")
    assert metrics.find_aggregation("mean", where="a.yaml")([1]) == 1


def test_a_registered_name_can_be_registered_again_only_with_the_same_thing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "METRICS", dict(METRICS))
    monkeypatch.setattr(metrics, "AGGREGATIONS", dict(AGGREGATIONS))
    metric = Metric(score=None, aggregation="mean", higher_is_better=True)
    metrics.register_metric("wer", metric)
    metrics.register_metric("wer", metric)
    metrics.register_aggregation("total", sum)
    assert metrics.find_metric("wer", where="x") is metric
    with pytest.raises(UsageError, match="a metric named 'anls' is there already"):
        metrics.register_metric("anls", metric)
    with pytest.raises(UsageError, match="an aggregation named 'mean' is there already"):
        metrics.register_aggregation("mean", sum)


def test_a_metric_of_log_probabilities_cannot_score_text() -> None:
    with pytest.raises(TaskError, match="acc_norm cannot be computed from a text"):
        use_metric("acc_norm", {}, where="a.yaml")


def test_an_argument_that_a_metric_does_not_have_is_an_error() -> None:
    with pytest.raises(TaskError, match=r"no argument 'ignorecase'(.|\n)*mean: ignore_case\?"):
        use_metric("exact_match", {"ignorecase": True}, where="a.yaml")


def test_functions_of_either_calling_form_can_be_metrics() -> None:
    def with_names(references: list[str], predictions: list[str], bonus: int = 0) -> float:
        return float(references[0] == predictions[0]) + bonus

    def with_one_list(items: list[Any]) -> Any:
        return items

    use = use_metric(with_names, {"bonus": 1}, where="a.yaml")
    assert use.name == "with_names"
    assert use.score(references=["a"], predictions=["a"], **use.kwargs) == 2.0
    use = use_metric(with_one_list, {}, where="a.yaml")
    assert use.score(references=["a"], predictions=["b"]) == [["a"], ["b"]]
