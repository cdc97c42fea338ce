import pytest

from pytest_lmms.scoring.vqa import normalise_answer, vqa_accuracy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Dog", "dog"), ("two", "2"), ("a", ""), ("dont", "don't"), ("1,000", "1000"), ("1.5", "1.5"),
        ("it's", "it 's"), ("St. Paul.", "st paul"), ("a-b", "b"), ("3:00", "3:00"), ("u.s.a.", "usa"), ("none", "0"),
        ("A. B. C", "b c"), ("twas\tcold", "'twas cold"),
    ],
)  # fmt: skip
def test_a_short_answer_is_compared_in_the_form_of_the_vqa_challenge(text, expected):
    assert normalise_answer(text) == expected


def test_three_other_people_make_an_answer_right():
    assert vqa_accuracy("a dog", ["dog"] * 10) == 1.0
    assert vqa_accuracy("dog", ["dog"] * 3 + ["cat"] * 7) == pytest.approx(0.9)
    assert vqa_accuracy("dog", ["dog"]) == 0.0
    assert vqa_accuracy("dog", []) == 0.0
