"""What an open answer concludes."""

from __future__ import annotations

import pytest

from pytest_lmms.scoring.conclusions import is_concluded, read_conclusions


@pytest.mark.parametrize(
    ("text", "gold", "is_right"),
    [
        ("The answer is 16 px.", "16", True),
        ("The answer is 16 px.", "6", False),
        ("It adds up to 1,200", "1200.00", True),
        ("A long way.\nSo x = 0.5", "0.5", True),
        ("Therefore the Roman Empire", "roman empire", True),
        ("It is b", "b", True),
        ("It is about", "b", False),
        ("seventeen", "17", False),
    ],
)
def test_a_conclusion_is_the_gold_number_or_contains_the_gold_text(text: str, gold: str, *, is_right: bool) -> None:
    assert is_concluded(gold, read_conclusions(text)) is is_right


def test_a_text_without_cues_is_its_own_conclusion() -> None:
    assert read_conclusions("Paris") == ["paris"]
