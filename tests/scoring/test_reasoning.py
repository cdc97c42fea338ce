"""Thoughts are taken out of responses."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.errors import UsageError
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS, parse_reasoning_tags, strip_reasoning

THINK = (("<think>", "</think>"),)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think>b", "b"),
        ("<think>a", "<think>a"),
        ("a</think>b", "b"),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("</think>x<think>y", "</think>x<think>y"),
        ("<think>1</think>x<think>2</think>y", "xy"),
        ("<Think>a</Think>b", "<Think>a</Think>b"),
        ("use <think> and </think> tags", "use  tags"),
        ("1</think>2</think> 3", "3"),
        ("<think>a</think>", ""),
        ("  nothing to do \n", "nothing to do"),
        ("", ""),
    ],
)
def test_blocks_of_thoughts_are_removed(text: str, answer: str) -> None:
    assert strip_reasoning(text, THINK) == answer


def test_each_pair_works_on_what_the_pair_before_it_left() -> None:
    text = "<analysis>x<think>y</think>z</analysis>42"
    assert strip_reasoning(text, DEFAULT_TAGS) == "42"


def test_without_pairs_only_white_space_at_the_ends_goes() -> None:
    assert strip_reasoning(" <think>a</think>b ", ()) == "<think>a</think>b"


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 150_000,
        "</think>" * 130_000,
        "<think>" * 70_000 + "</think>" * 60_000,
        "</think>" * 60_000 + "<think>" * 70_000,
        "<think></think>" * 70_000,
        "<" * 1_000_000 + "</think>",
        "</think" * 150_000 + "</think>",
    ],
    ids=["openers", "closers", "nested", "reversed", "pairs", "angles", "nearly"],
)
def test_a_megabyte_of_hostile_text_takes_no_time(text: str) -> None:
    start = time.perf_counter()
    strip_reasoning(text, DEFAULT_TAGS)
    assert time.perf_counter() - start < 1.0


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "a", " ", "<"]), max_size=12)


@given(PIECES)
def test_what_is_left_holds_a_closing_tag_only_if_it_holds_an_opening_one(
    pieces: list[str],
) -> None:
    left = strip_reasoning("".join(pieces), THINK)
    assert "</think>" not in left or "<think>" in left


@given(PIECES)
def test_text_without_closing_tag_loses_nothing_but_white_space(pieces: list[str]) -> None:
    text = "".join(pieces).replace("</think>", "")
    assert strip_reasoning(text, THINK) == text.strip()


@pytest.mark.parametrize("value", [None, False, "none", "None", " NONE ", "null", "false", [], "[]"])
def test_nothing_is_taken_out_when_the_setting_says_none(value: object) -> None:
    assert parse_reasoning_tags(value, where="mme.yaml") == ()


@pytest.mark.parametrize(
    "value",
    [
        [["<a>", "</a>"], ["<b>", "</b>"]],
        (("<a>", "</a>"), ("<b>", "</b>")),
        '[["<a>", "</a>"], ["<b>", "</b>"]]',
    ],
)
def test_pairs_come_from_yaml_or_as_json_text(value: object) -> None:
    assert parse_reasoning_tags(value, where="x") == (("<a>", "</a>"), ("<b>", "</b>"))


@pytest.mark.parametrize(
    "value",
    [
        True,
        7,
        "<think>",
        '{"a": 1}',
        "[[",
        "[" * 100_000,
        ["<a>", "</a>"],
        [["<a>"]],
        [["<a>", "</a>", "x"]],
        [["", "</a>"]],
        [["<a>", None]],
    ],
)
def test_anything_else_is_an_error_that_says_where_and_shows_the_form(value: object) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reasoning_tags(value, where="--lmms-reasoning-tags")
    message = str(caught.value)
    assert message.startswith("--lmms-reasoning-tags: reasoning_tags is ")
    assert '[["<think>", "</think>"]]' in message
