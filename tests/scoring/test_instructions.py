"""Instructions that a program can check, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lmms.errors import DocumentError
from pytest_lmms.scoring.instructions import follows, loose_variants

FEW, MANY = {"relation": "less than"}, {"relation": "at least"}


@pytest.mark.parametrize(
    ("instruction", "settings", "good", "bad"),
    [
        ("punctuation:no_comma", {}, "No commas here.", "One, two"),
        ("keywords:existence", {"keywords": ["cat", "dog food"]}, "Dog Food for CATS", "cat and dog"),
        ("keywords:frequency", {"keyword": "a", "frequency": 2, **MANY}, "A a", "b"),
        ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "catalogue", "a Cat"),
        ("keywords:letter_frequency", {"letter": "z", "let_frequency": 1, "let_relation": "less than"}, "abc", "Zoo"),
        ("length_constraints:number_words", {"num_words": 3, **FEW}, "two words", "now three words"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n***\n***\nb"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Well"},
            "One.\n\n'Well, two.",
            "Well.\n\nTwo.",
        ),
        ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] and [b]", "[a\nb] [c]"),
        ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\np. s. More", "PS More"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n - b", "** a\n- b"),
        ("detectable_format:constrained_response", {}, "Well: My answer is maybe.", "My answer is maybe"),
        ("detectable_format:number_highlighted_sections", {"num_highlights": 1}, "an *important* point", "a * b"),
        (
            "detectable_format:multiple_sections",
            {"section_spliter": "Part", "num_sections": 2},
            "Part 1 a Part 2",
            "Part one",
        ),
        ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', "{a: 1}"),
        ("detectable_format:title", {}, "<<A title>>\ntext", "<< >> text"),
        ("combination:two_responses", {}, "yes ****** no", "yes ****** yes"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "Say it"}, "say it: now", "I say it"),
        ("startend:end_checker", {"end_phrase": "The end"}, 'So it went. "The END"', "The end?"),
        ("startend:quotation", {}, '"quoted"', '"'),
    ],
)
def test_an_instruction_tells_good_from_bad(instruction: str, settings: dict[str, Any], good: str, bad: str) -> None:
    assert follows(instruction, settings, good)
    assert not follows(instruction, settings, bad)


def test_a_count_of_zero_is_zero() -> None:
    assert follows("length_constraints:number_words", {"num_words": 0, **MANY}, "some words")
    assert not follows("length_constraints:number_words", {"num_words": 0, **FEW}, "some words")


def test_a_blank_text_follows_nothing() -> None:
    assert not follows("punctuation:no_comma", {}, " \n ")


def test_settings_that_are_null_are_missing() -> None:
    with pytest.raises(DocumentError, match="num_words"):
        follows("length_constraints:number_words", {"num_words": None, **MANY}, "text")


def test_an_unknown_instruction_is_named() -> None:
    with pytest.raises(DocumentError, match="no_comma"):
        follows("punctuation:no_coma", {}, "text")


def test_loose_variants_drop_lines_and_asterisks() -> None:
    assert loose_variants("Sure:\n*a*\nBye")[3:5] == ["*a*", "Sure:\na\nBye"]
