import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lmms.scoring.reasoned import extract_answer, format_score, is_right, read_reasoned_letter, score_reasoned


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<answer>\n B </answer> <answer>C</answer>", "B"),
        (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        ("x is 12\nhence 14.5 .\n\nthat is it", "14.5"),
        ("nothing", ""),
    ],
)
def test_the_answer_stands_in_a_tag_a_box_or_at_a_lines_end(text, expected):
    assert extract_answer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: C", "A"), ("Both", "B"), ("the answer is C, not D here", "C"), ("(D)", "D"), ("I think it is C", "C"),
        ("a", None), ("", None), ("'B.'", "B"), ("it is 2. B or so", "B"), ("THE ANSWER IS c", "H"),
        ("xAyBzAz", "B"),
    ],
)  # fmt: skip
def test_the_surest_letter_decides(text, expected):
    assert read_reasoned_letter(text) == expected


def test_a_gold_with_a_capital_is_compared_by_its_letter():
    assert is_right("Blue car", "Blue")
    assert not is_right("blue", "Blue")


def test_a_gold_with_a_capital_may_also_have_the_answers_value():
    pytest.importorskip("math_verify")
    assert is_right("12", "(A) 12")
    assert is_right("120", "120 Days")
    assert not is_right("13", "(A) 12")


def test_other_golds_are_compared_as_text_and_as_values():
    pytest.importorskip("math_verify")
    assert is_right("hello world!", "hello world")
    assert not is_right("hello", "hello world")
    assert is_right("0.5", "1/2")
    assert not is_right("", "7")


def test_form_is_scored_apart_from_accuracy():
    whole = "<think>two\nand two</think>\n<answer>4</answer>"
    assert format_score(whole) == 1.0
    assert format_score(r"\boxed{4}") == 1.0
    assert format_score(r"\boxed{}") == 0.0
    assert format_score("I add two and two, as (2 + 2), and what I get is then 4") == 0.8
    assert score_reasoned([whole, "4"], "4") == (1.0, 0.5)


PARTS = ["<think>", "</think>", "<analysis>", "</analysis>", "<answer>", "</answer>", "a", "\n"]
FULL_FORM = re.compile(r"(?:<think>.*?</think>|<analysis>.*?</analysis>).*?<answer>.*?</answer>", re.DOTALL)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_forms_and_answers_are_those_of_the_expressions_that_backtrack(text):
    assert (format_score(text) == 1.0) == bool(FULL_FORM.fullmatch(text))
    if tagged := re.search(r"<answer>(.*?)</answer>", text, re.DOTALL):
        assert extract_answer(text) == tagged[1].strip()
