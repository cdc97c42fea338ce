import pytest

from pytest_lmms.scoring.numbers import find_integer, find_numbers, relaxed_match


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("5%", "0.05", True), ("5", "5%", False), ("0.0", "0", False), ("0", "0", True), ("1,000", "1000", False),
        ("yes.", "yes", False), ("YES", "yes", True), ("24.67", "23.5", True), ("24.68", "23.5", False),
        ("nan", "3", False),
    ],
)  # fmt: skip
def test_numbers_may_be_5_percent_off_and_words_must_be_equal(answer, gold, expected):
    assert relaxed_match(answer, gold) is expected


def test_numbers_are_found_in_prose():
    assert find_numbers("from -2.5 to 3, in 2 steps") == [-2.5, 3.0, 2.0]
    assert find_integer("7 of 12") == 7
    assert find_integer("7 of 12", last=True) == 12
    assert find_integer("none") is None
    assert find_integer("9" * 100_000) is None
