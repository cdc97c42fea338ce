"""Pieces of texts between marks: the shortest, left to right, whatever the text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lmms.scoring.spans import balanced, braced, contents, fenced, numbered


def test_the_shortest_pieces_come_left_to_right() -> None:
    assert contents("<a>1</a> x <a>2<a>3</a>", "<a>", "</a>") == ["1", "2<a>3"]


def test_a_mark_that_is_not_closed_gives_nothing() -> None:
    assert contents("<a>1</a><a>2", "<a>", "</a>") == ["1"]


def test_a_fence_loses_its_language() -> None:
    assert fenced("See:\n```json\n[1]\n```\nand ```x```") == ["[1]", ""]


def test_braces_are_kept() -> None:
    assert braced('a {"b": {"c": 1}} d') == ['{"b": {"c": 1}']


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a [1, [2]] b [3]", ["[1, [2]]", "[3]"]),
        ('["]", 1] x', ['["]", 1]']),
        (r'["\"]", 1]', [r'["\"]", 1]']),
        ("] [1", []),
        ('a " [1] ', []),
    ],
)
def test_balanced_pieces_respect_quotes(text: str, pieces: list[str]) -> None:
    assert list(balanced(text, "[", "]")) == pieces


@pytest.mark.parametrize("text", ["[" * 100_000, "[[" * 50_000 + "]", '\\"' * 50_000, "{" * 100_000, "<a>" * 40_000])
def test_long_texts_without_an_end_give_nothing(text: str) -> None:
    assert contents(text, r"\[\s*\[", r"\]\s*\]") == []
    assert contents(text, "<a>", "</a>") == []
    assert braced(text) == []
    assert list(balanced(text, "[", "]")) == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["<1>", "</1>", "<2>", "</2>", "a", "<", "\n", "12>"]), max_size=14).map("".join))
def test_numbered_parts_are_those_of_the_expression_that_backtracks(text):
    expected = [(int(n), part) for n, part in re.findall(r"<(\d{1,9})>(.*?)</\1>", text, re.DOTALL)]
    assert numbered(text) == expected
