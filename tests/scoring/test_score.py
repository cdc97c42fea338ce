"""Scoring one document: responses in; status, answers and scores out."""

from __future__ import annotations

import functools
import json
import sys
import timeit
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Response, Unparsed
from pytest_lmms.scoring.filters import build_ensembles
from pytest_lmms.scoring.metrics import use_metric
from pytest_lmms.scoring.score import Scorer, score

ROW = {"question": "Is it?", "answer": "Yes"}


def exact(document: Mapping[str, Any], answers: list[Any]) -> dict[str, Any]:
    """Score as plainly as a task can."""
    return {"acc": float(answers[0] == document["answer"])}


def keep(_document: Mapping[str, Any], answers: list[Any]) -> dict[str, Any]:
    """Show what scoring was given."""
    return {"seen": answers}


def says(*texts: str) -> list[Response]:
    """Make responses."""
    return [Response(text=text) for text in texts]


def metric_scorer(*names: str, target: Any = "answer", **kwargs: Any) -> Scorer:
    """Make a scorer that has metrics instead of process_results."""
    return Scorer(
        where="mme.yaml",
        metrics=tuple(use_metric(name, {}, where="mme.yaml") for name in names),
        doc_to_target=lambda document: document[target] if target == "answer" else target,
        **kwargs,
    )


def test_process_results_sees_the_stripped_answer_of_the_first_response() -> None:
    outcome = score(Scorer(where="mme.yaml", process_results=exact), ROW, says(" Yes\n", "No"))
    assert outcome == ("scored", {"none": ["Yes"]}, {"none": {"acc": 1.0}}, {"none": {"acc": [1.0, 0.0]}})


def test_thoughts_are_gone_before_filters_look() -> None:
    numbers = [{"function": "regex", "regex_pattern": r"\d+"}, {"function": "take_first"}]
    scorer = Scorer(
        where="a.yaml",
        process_results=keep,
        ensembles=build_ensembles([{"name": "number", "filter": numbers}], where="a.yaml"),
    )
    outcome = score(scorer, ROW, says("<think>12 or 13</think>13"))
    assert outcome.scores == {"number": {"seen": ["13"]}}


def test_thoughts_stay_when_the_task_has_no_reasoning_tags() -> None:
    scorer = Scorer(where="a.yaml", process_results=keep, reasoning_tags=())
    outcome = score(scorer, ROW, says("<think>a</think>b"))
    assert outcome.filtered_resps == {"none": ["<think>a</think>b"]}


def test_every_ensemble_has_answers_and_scores_of_its_own() -> None:
    ensembles = build_ensembles(
        [
            {"name": "first", "filter": [{"function": "take_first"}]},
            {"name": "all", "filter": [{"function": "take_first_k", "k": 3}]},
        ],
        where="a.yaml",
    )
    scorer = Scorer(where="a.yaml", process_results=keep, ensembles=ensembles)
    outcome = score(scorer, ROW, says("a", "b ", "c"))
    assert outcome.filtered_resps == {"first": ["a"], "all": ["a", "b", "c"]}
    assert outcome.scores["all"] == {"seen": ["a", "b", "c"]}


def test_a_nested_list_is_unwrapped_one_level_and_what_is_no_text_stays() -> None:
    class Nests:
        def apply(self, resps: Any, _docs: Any) -> Any:
            return [[[" a ", 3, None]] for _ in resps]

    ensembles = build_ensembles([{"name": "n", "filter": [{"function": Nests}]}], where="a.yaml")
    scorer = Scorer(where="a.yaml", process_results=keep, ensembles=ensembles)
    assert score(scorer, ROW, says("x")).filtered_resps == {"n": ["a", 3, None]}


def test_answers_of_agentic_tasks_keep_their_white_space() -> None:
    scorer = Scorer(
        where="a.yaml",
        process_results=keep,
        output_type="generate_until_agentic",
        reasoning_tags=(),
    )
    assert score(scorer, ROW, says(" {} ")).filtered_resps == {"none": [" {} "]}


def test_what_process_results_does_to_its_list_does_not_reach_the_record() -> None:
    def eats(_document: Mapping[str, Any], answers: list[Any]) -> dict[str, Any]:
        return {"eaten": answers.pop()}

    outcome = score(Scorer(where="a.yaml", process_results=eats), ROW, says("a"))
    assert outcome.filtered_resps == {"none": ["a"]}


# Status

STRICT = {"name": "strict", "filter": [{"function": "regex"}, {"function": "take_first"}]}
LOOSE = {"name": "loose", "filter": [{"function": "take_first"}]}


def test_unparsed_comes_from_process_results_and_keeps_the_scores() -> None:
    scorer = Scorer(where="a.yaml", process_results=lambda _d, _a: Unparsed(acc=0))
    outcome = score(scorer, ROW, says("?"))
    assert outcome.status == "unparsed"
    assert outcome.scores == {"none": {"acc": 0}}
    assert type(outcome.scores["none"]) is dict


def test_a_filter_that_falls_back_makes_the_document_unparsed() -> None:
    scorer = Scorer(where="a.yaml", process_results=keep, ensembles=build_ensembles([STRICT], where="a.yaml"))
    outcome = score(scorer, ROW, says("no number"))
    assert outcome.status == "unparsed"
    (answer,) = outcome.filtered_resps["strict"]
    assert answer == "[invalid]"
    assert type(answer) is str
    assert score(scorer, ROW, says("#### 4")).status == "scored"


def test_one_ensemble_that_can_read_the_document_is_enough() -> None:
    scorer = Scorer(
        where="a.yaml",
        process_results=keep,
        ensembles=build_ensembles([STRICT, LOOSE], where="a.yaml"),
    )
    assert score(scorer, ROW, says("no number")).status == "scored"


def test_a_refused_response_is_scored_as_empty_and_the_document_filtered() -> None:
    refused = Response(text="Yes", finish_reason="filtered")
    outcome = score(Scorer(where="a.yaml", process_results=exact), ROW, [refused])
    assert outcome == ("filtered", {"none": [""]}, {"none": {"acc": 0.0}}, {})


def test_a_scoring_function_that_asks_hears_of_a_refusal_also_for_each_repeat() -> None:
    def process_results(_document: Any, _answers: Any, *, is_filtered: bool) -> dict[str, float]:
        return {"refused": float(is_filtered)}

    scorer = Scorer(where="a.yaml", process_results=process_results, sees_filter=True)
    responses = [Response(text="a", finish_reason="stop"), Response(text="b", finish_reason="filtered")]
    outcome = score(scorer, ROW, responses)
    assert outcome.scores == {"none": {"refused": 1.0}}
    assert outcome.repeat_scores == {"none": {"refused": [0.0, 1.0]}}


def test_filtered_outranks_unparsed() -> None:
    scorer = Scorer(where="a.yaml", process_results=lambda _d, _a: Unparsed(acc=0))
    refused = Response(text="", finish_reason="filtered")
    assert score(scorer, ROW, [*says("x"), refused]).status == "filtered"


def test_a_response_cut_by_length_is_scored_like_any_other() -> None:
    cut = Response(text="Yes", finish_reason="length")
    assert score(Scorer(where="a.yaml", process_results=exact), ROW, [cut]).status == "scored"


# Metrics


def test_without_process_results_metrics_compare_answer_and_target() -> None:
    outcome = score(metric_scorer("exact_match", "anls"), ROW, says("Yes"))
    assert outcome.scores == {"none": {"exact_match": 1.0, "anls": 1.0}}


@pytest.mark.parametrize(("answer", "match"), [("b", 1.0), ("c", 0.0)])
def test_any_of_several_targets_is_enough(answer: str, match: float) -> None:
    scorer = metric_scorer("exact_match", target=["a", "b"])
    assert score(scorer, ROW, says(answer)).scores == {"none": {"exact_match": match}}


def test_anls_and_bleu_get_all_targets_at_once() -> None:
    scores = score(metric_scorer("anls", "bleu", target=["xxxxx", "hello"]), ROW, says("hallo"))
    assert scores.scores["none"]["anls"] == pytest.approx(0.8)
    assert scores.scores["none"]["bleu"] == (["xxxxx", "hello"], ["hallo"])


def test_a_target_that_is_a_number_names_a_choice_when_there_are_choices() -> None:
    scorer = metric_scorer("exact_match", target=1, doc_to_choice=lambda _d: ["no", "yes"])
    assert score(scorer, ROW, says("yes")).scores["none"] == {"exact_match": 1.0}
    scorer = metric_scorer("exact_match", target=[0, 1], doc_to_choice=lambda _d: ["no", "yes"])
    assert score(scorer, ROW, says("yes")).scores["none"] == {"exact_match": 1.0}


def test_a_metric_function_may_return_a_mapping_of_its_own_name() -> None:
    def half(references: list[str], predictions: list[str]) -> dict[str, float]:
        return {"half": 0.5 * (references == predictions)}

    scorer = Scorer(
        where="a.yaml",
        metrics=(use_metric(half, {}, where="a.yaml"),),
        doc_to_target=lambda d: d["answer"],
    )
    assert score(scorer, ROW, says("Yes")).scores["none"] == {"half": 0.5}


# Errors

UTILS = """
import json

def helper(document):
    return document["anwser"]

def process_results(document, results, full_docs=None):
    return {"acc": results[0] == helper(document)}

def reads_json(document, results):
    return {"acc": json.loads(results[0])}
"""


@pytest.fixture
def utils(tmp_path: Path) -> dict[str, Any]:
    """Run a task's utils.py from a file of its own."""
    path = tmp_path / "utils.py"
    path.write_text(UTILS)
    namespace: dict[str, Any] = {}
    exec(compile(UTILS, str(path), "exec"), namespace)
    return namespace


def test_a_failing_process_results_is_named_with_file_line_and_document(utils: dict[str, Any], tmp_path: Path) -> None:
    bound = functools.partial(utils["process_results"], full_docs=[])
    with pytest.raises(DocumentError) as caught:
        score(Scorer(where="mme.yaml", process_results=bound), ROW, says("x"), doc_id=17)
    message = str(caught.value)
    assert message.startswith("mme.yaml[17]: process_results raised KeyError: 'anwser'")
    assert f"{tmp_path / 'utils.py'}:5 in helper" in message
    assert "columns: question, answer" in message
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_line_named_is_the_tasks_own_even_when_a_library_raised(utils: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        score(Scorer(where="a.yaml", process_results=utils["reads_json"]), ROW, says("{"))
    assert f"{tmp_path / 'utils.py'}:11 in reads_json" in str(caught.value)
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)


@pytest.mark.parametrize("returned", [None, 1.0, ["acc"], "x" * 10_000])
def test_process_results_must_return_a_mapping(returned: Any) -> None:
    def wrong(_document: Any, _answers: Any) -> Any:
        return returned

    with pytest.raises(DocumentError, match=r"wrong returned (.|\n)*expected: a mapping") as caught:
        score(Scorer(where="a.yaml", process_results=wrong), ROW, says("x"))
    assert len(str(caught.value)) < 1000


def test_a_metric_is_named_by_a_text() -> None:
    def wrong(document: Any, _answers: Any) -> Any:
        return {document.get("category"): 1.0, "average": 1.0}

    with pytest.raises(DocumentError, match="wrong returned a metric named None"):
        score(Scorer(where="a.yaml", process_results=wrong), ROW, says("x"))


def test_a_failing_filter_is_named_by_its_ensemble() -> None:
    class Breaks:
        def apply(self, _resps: Any, _docs: Any) -> Any:
            return [[1 // 0]]

    ensembles = build_ensembles([{"name": "b", "filter": [{"function": Breaks}]}], where="a.yaml")
    scorer = Scorer(where="a.yaml", process_results=keep, ensembles=ensembles)
    with pytest.raises(DocumentError, match="filter 'b' raised ZeroDivisionError"):
        score(scorer, ROW, says("x"))


def test_a_failing_target_is_an_error_of_the_document() -> None:
    scorer = metric_scorer("exact_match")
    with pytest.raises(DocumentError, match="metric_list raised KeyError: 'answer'"):
        score(scorer, {"question": "?"}, says("x"))


def test_an_error_of_ours_raised_by_a_task_passes_unchanged() -> None:
    mine = DocumentError("the box has three corners")

    def fails(_document: Any, _answers: Any) -> Any:
        raise mine

    with pytest.raises(DocumentError) as caught:
        score(Scorer(where="a.yaml", process_results=fails), ROW, says("x"))
    assert caught.value is mine


# Cost


@pytest.mark.skipif(sys.gettrace() is not None, reason="tracing slows every line")
def test_scoring_a_plain_document_costs_some_microseconds() -> None:
    scorer = Scorer(where="mme.yaml", process_results=exact)
    responses = says("Yes")
    seconds = min(timeit.repeat(lambda: score(scorer, ROW, responses), number=500, repeat=5))
    assert seconds / 500 < 100e-6
