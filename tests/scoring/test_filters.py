"""Filters turn the responses of one document into answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.errors import DocumentError, TaskError, UsageError
from pytest_lmms.scoring import filters
from pytest_lmms.scoring.filter_steps import Fallback
from pytest_lmms.scoring.filters import (
    FILTERS,
    Ensemble,
    build_ensembles,
    build_filter,
    register_filter,
)


def run(name: Any, responses: list[Any], document: Any = None, **kwargs: Any) -> list[Any]:
    """Build a filter and run it on one document."""
    return build_filter(name, kwargs, where="mme.yaml:9")(responses, document or {})


@pytest.mark.parametrize(
    ("name", "kwargs", "responses", "answers"),
    [
        ("take_first", {}, ["a", "b"], ["a"]),
        ("take_first", {}, [], [""]),
        ("take_first_k", {"k": 2}, ["a", "b", "c"], ["a", "b"]),
        ("majority_vote", {}, ["a", "b", "b"], ["b"]),
        ("majority_vote", {}, ["a", "b"], ["a"]),
        ("majority_vote", {}, [], [""]),
        ("remove_whitespace", {}, [" a", "  b", "c ", "\td"], ["a", " b", "c ", "\td"]),
        ("lowercase", {}, ["ÄB"], ["äb"]),
        ("uppercase", {}, ["äb"], ["ÄB"]),
        ("map", {"mapping_dict": {"A": 1}}, ["A", "B"], [1, None]),
        ("map", {"mapping_dict": {"A": 1}, "default_value": 0}, ["B"], [0]),
        ("map", {}, ["B"], [None]),
        ("strip_thinking", {}, ["<think>a</think>b", "c"], ["b", "c"]),
        ("regex", {}, ["so #### 1,234.", "#### -3"], ["1,234.", "-3"]),
        ("regex", {"regex_pattern": r"\d"}, ["1 2 3"], ["1"]),
        ("regex", {"regex_pattern": r"\d", "group_select": -1}, ["1 2 3"], ["3"]),
        ("regex", {"regex_pattern": r"\d", "group_select": 5}, ["1 2 3"], ["[invalid]"]),
        ("regex", {"regex_pattern": r"(x)?(\d)"}, ["7"], ["7"]),
        ("regex", {"regex_pattern": r"(x)?(y)?"}, ["q"], ["[invalid]"]),
        ("regex", {"regex_pattern": r"is(.*)"}, ["it is  B "], ["B"]),
        ("regex", {"regex_pattern": r"x*"}, ["abc"], [""]),
        ("regex", {"fallback": "none"}, ["nothing", None], ["none", "none"]),
        ("regex", {}, [], []),
    ],
)
def test_filters_give_what_their_rule_says(
    name: str, kwargs: dict[str, Any], responses: list[Any], answers: list[Any]
) -> None:
    given_responses = list(responses)
    assert run(name, responses, **kwargs) == answers
    assert responses == given_responses


CATS = {"choices": ["a cat", "Two dogs.", "A bird"]}


@pytest.mark.parametrize(
    ("response", "kwargs", "answer"),
    [
        ("The answer is (C).", {"regex_pattern": r"\([A-Z]\)"}, "(C)"),
        ("I see a cat", {}, "(A)"),
        ("I see A Cat", {}, "[invalid]"),
        ("I see A Cat", {"ignore_case": True}, "(A)"),
        ("Two dogs, maybe", {}, "[invalid]"),
        ("Two dogs, maybe", {"ignore_punctuation": True}, "(B)"),
        ("Two   dogs.", {"regexes_to_ignore": [r"\s+"]}, "(B)"),
        ("a cat, no: A bird", {"group_select": -1}, "(C)"),
        ("Answer: C", {}, "(C)"),
        ("Answer:B", {}, "(B)"),
        ("Answer: D", {}, "[invalid]"),
        ("", {}, "[invalid]"),
    ],
)
def test_multi_choice_regex_tries_pattern_then_choice_text_then_letter_after_a_colon(
    response: str, kwargs: dict[str, Any], answer: str
) -> None:
    answers = run("multi_choice_regex", [response], CATS, **kwargs)
    assert answers == [answer]
    assert isinstance(answers[0], Fallback) == (answer == "[invalid]")


def test_multi_choice_regex_copes_with_more_choices_than_letters() -> None:
    document = {"choices": [f"choice number {i:02}" for i in range(40)]}
    assert run("multi_choice_regex", ["choice number 03"], document) == ["(D)"]
    assert run("multi_choice_regex", ["nothing"], {"choices": []}) == ["[invalid]"]


@pytest.mark.parametrize("document", [{}, {"choices": "A"}, {"choices": [1, 2]}])
def test_multi_choice_regex_needs_the_choices_of_the_document(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="column `choices`"):
        run("multi_choice_regex", ["x"], document)


def test_take_first_k_says_what_to_set_when_there_are_fewer_responses() -> None:
    with pytest.raises(DocumentError, match=r"needs 3 responses and got 1\n.*repeats: 3"):
        run("take_first_k", ["a"], k=3)


def test_a_fallback_is_marked_and_stays_marked_through_later_filters() -> None:
    ensemble = build_ensembles(
        [
            {
                "name": "strict",
                "filter": [
                    {"function": "regex"},
                    {"function": "uppercase"},
                    {"function": "remove_whitespace"},
                    {"function": "map", "mapping_dict": {}, "default_value": "?"},
                    {"function": "majority_vote"},
                ],
            }
        ],
        where="x.yaml",
    )[0]
    (answer,) = ensemble.apply(["no number here"], {})
    assert answer == "?"
    assert isinstance(answer, Fallback)


def test_found_text_equal_to_the_fallback_is_not_marked() -> None:
    (answer,) = run("regex", ["[invalid]"], regex_pattern=r"\[invalid\]")
    assert not isinstance(answer, Fallback)


ALL_FILTERS = [build_filter(name, {"k": 1} if name == "take_first_k" else {}, where="x") for name in FILTERS]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_every_filter_takes_any_text_and_gives_a_list(responses: list[str]) -> None:
    for one in ALL_FILTERS:
        assert isinstance(one(responses, {"choices": ["x", "("]}), list)


# Building


@pytest.mark.parametrize(
    ("function", "kwargs", "message"),
    [
        ("take_frist", {}, r"mme.yaml:9: unknown filter 'take_frist'(.|\n)*mean: take_first\?"),
        ("regex", {"regex_patern": "x"}, r"no argument 'regex_patern'(.|\n)*mean: regex_pattern\?"),
        ("lowercase", {"k": 1}, r"no argument 'k'\n  expected: no arguments"),
        ("take_first_k", {}, "needs the argument 'k'"),
        ("take_first_k", {"k": 0}, "k is 0"),
        ("take_first_k", {"k": "8"}, "k is '8'"),
        ("regex", {"regex_pattern": "("}, "filter regex cannot be made: "),
        ("regex", {"group_select": "0"}, "group_select is '0'"),
        ("multi_choice_regex", {"regexes_to_ignore": ["["]}, "cannot be made: "),
        ("map", {"mapping_dict": [1]}, "not a mapping"),
        (lambda: 3, {}, "expected: an object called with"),
    ],
)
def test_a_filter_that_cannot_be_made_says_where_and_why(function: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        build_filter(function, kwargs, where="mme.yaml:9")
    assert str(caught.value).startswith("mme.yaml:9: ")


class ShoutingFilter:
    """A filter as task authors write them for lmms-eval."""

    def __init__(self, mark: str = "!", fallback: str = "[none]") -> None:
        self.mark = mark
        self.fallback = fallback

    def apply(self, resps: Any, docs: Any) -> Any:
        return map(
            lambda resp, doc: [r + self.mark + doc["id"] if r else self.fallback for r in resp],
            resps,
            docs,
        )


def test_a_filter_class_of_lmms_eval_sees_lists_of_one_document() -> None:
    answers = run(ShoutingFilter, ["a", ""], {"id": "7"}, mark="?")
    assert answers == ["a?7", "[none]"]
    assert [isinstance(answer, Fallback) for answer in answers] == [False, True]


def test_a_filter_of_lmms_eval_may_give_one_answer_instead_of_a_list() -> None:
    class Joins:
        def apply(self, resps: Any, _docs: Any) -> Any:
            return ["+".join(resp) for resp in resps]

    assert run(Joins, ["a", "b"]) == ["a+b"]


def test_a_filter_of_lmms_eval_that_returns_nothing_is_an_error_of_the_document() -> None:
    class Empty:
        def apply(self, _resps: Any, _docs: Any) -> Any:
            return []

    with pytest.raises(DocumentError, match="filter Empty returned nothing"):
        run(Empty, ["a"])


def test_a_filter_class_of_our_own_contract_can_be_given_directly() -> None:
    class Reverse:
        def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
            return [r[::-1] for r in responses]

    assert run(Reverse, ["ab"]) == ["ba"]


def test_a_registered_filter_is_found_by_name_and_cannot_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filters, "FILTERS", dict(FILTERS))
    register_filter("shout", ShoutingFilter)
    register_filter("shout", ShoutingFilter)
    assert run("shout", ["a"], {"id": "1"}) == ["a!1"]
    with pytest.raises(UsageError, match="'take_first' is there already"):
        register_filter("take_first", ShoutingFilter)


# Ensembles


@pytest.mark.parametrize("nothing", [None, []])
def test_a_task_without_filter_list_takes_the_first_response(nothing: Any) -> None:
    (ensemble,) = build_ensembles(nothing, where="x.yaml")
    assert ensemble.name == "none"
    assert ensemble.apply(["a", "b"], {}) == ["a"]


def test_an_ensemble_runs_its_filters_in_order_and_leaves_the_responses_alone() -> None:
    step = {"function": "regex", "regex_pattern": r"[A-Z]"}
    ensemble = build_ensembles([{"name": "letter", "filter": [step, {"function": "lowercase"}]}], where="x.yaml")[0]
    responses = ["is B", "is C"]
    assert ensemble.apply(responses, {}) == ["b", "c"]
    assert responses == ["is B", "is C"]
    assert Ensemble("empty", ()).apply(responses, {}) == responses


@pytest.mark.parametrize(
    ("filter_list", "message"),
    [
        (["take_first"], "an entry of filter_list is 'take_first'"),
        ([{"filter": []}], "expected: {name: some_name"),
        ([{"name": "a", "filter": ["take_first"]}], "a filter is 'take_first'"),
        ([{"name": "a", "filter": []}, {"name": "a", "filter": []}], "names 'a' twice"),
    ],
)
def test_a_malformed_filter_list_says_what_it_should_look_like(filter_list: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        build_ensembles(filter_list, where="x.yaml")
