"""Letters and conclusions read out of free text, by rules whose order and limits are all tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lmms.scoring.choices import label_options, read_conclusion, read_letter, shuffle_options

OPTIONS = label_options(["red fox", "blue whale", "green frog", "grey wolf"])


def test_options_are_named_from_a_in_their_order():
    assert list(OPTIONS.items())[:2] == [("A", "red fox"), ("B", "blue whale")]
    assert list(OPTIONS) == ["A", "B", "C", "D"]
    assert label_options([]) == {}


def test_options_are_shuffled_by_the_seed_and_the_gold_goes_with_them():
    words = ["red", "blue", "green", "grey"]
    orders = {seed: shuffle_options(words, 2, seed) for seed in map(str, range(20))}
    assert orders == {seed: shuffle_options(words, 2, seed) for seed in orders}
    assert len({tuple(options) for options, _ in orders.values()}) > 5
    assert all(sorted(options) == sorted(words) and options[gold] == "green" for options, gold in orders.values())


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(B)", "B"), ("first (A) then (C)", "C"), ("(A) but B ", "A"),  # brackets win over letters
        ("B", "B"), ("it is B or D here", "D"), ("A or B.", "B"), ("A. or B. so", "A"),
        ("C.", "C"), ("B.A.", "A"), ("x B. y D. z", "B"),
        ("b", None), ("", None), ("E", None), (",.!?;:'B':;?!.,", "B"), (" ,B,.", None),
        ("I am sure it must be the blue Whale", "B"),
        ("the red fox or the blue whale then", "B"), ("a blue whale then a red fox there", "A"),
        ("it is the blue whale", None),  # five words are too few for the text of an option
        ("now it is the blue whale", "B"),  # six are enough
    ],
)  # fmt: skip
def test_the_first_rule_that_finds_an_option_decides_and_the_last_mention_in_it(text, letter):
    assert read_letter(text, OPTIONS) == letter


@given(st.text(max_size=80), st.integers(0, 6))
def test_a_letter_is_one_of_the_options_and_mentioned(text, count):
    options = label_options(["x" * 9] * count)
    letter = read_letter(text, options)
    assert letter is None or (letter in options and (letter in text or "x" * 9 in text.lower()))


@given(st.text("abcdefghij ,.", max_size=40), st.sampled_from("ABCD"))
def test_a_letter_in_brackets_is_read_wherever_it_stands(text, letter):
    assert read_letter(f"{text}({letter}){text}", OPTIONS) == letter


@pytest.mark.parametrize(
    ("text", "conclusion"),
    [
        ("", ""), ("24", "24.0"), ("1,234.567", "1234.57"), ("A cat", "a cat"), ("x", " x"), ("The answer is x.", " x"),
        ("so it is red", "red"), ("thus 3\nwhatever = 4", "3.0"), ("nothing\ny = 4", "4.0"),
        ("y = 4\nnothing", "y = 4\nnothing"),
        ("the result could be green", "green"), ("so the final answer is 7", "7.0"), ("is .\ntherefore 5", "5.0"),
        ("red is\nblue", "red is\nblue"),
    ],
)  # fmt: skip
def test_the_shortest_text_after_a_cue_is_the_conclusion(text, conclusion):
    assert read_conclusion(text) == conclusion


@given(st.text(max_size=60))
def test_a_conclusion_is_lower_case_and_part_of_the_text_or_a_number(text):
    conclusion = read_conclusion(text)
    assert conclusion == conclusion.lower()
    try:
        float(conclusion)
    except ValueError:
        assert conclusion.strip() in text.lower()


def test_options_without_a_seed_are_not_put_into_an_order_that_no_other_process_draws():
    with pytest.raises(ValueError, match="the row has no id"):
        shuffle_options(["one", "two"], 0, None)
