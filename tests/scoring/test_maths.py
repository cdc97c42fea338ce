import pytest

from pytest_lmms.scoring.maths import last_boxed, math_equal


def test_the_last_complete_box_counts_with_the_braces_inside():
    assert last_boxed(r"\boxed{1}, then \boxed{\frac{1}{2}}") == r"\frac{1}{2}"
    assert last_boxed(r"\boxed{1} \boxed{2") == "1"
    assert last_boxed(r"\boxed{1 \boxed{2}") == "2"
    assert last_boxed("1") is None
    assert last_boxed(r"\boxed{" * 100_000) is None


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("1/2", "0.5", True),
        ("$x^2+y^2+z^2$", "$z^2+y^2+x^2$", True),
        ("12", r"$\frac{24}{2}$", True),
        ("3", "4", False),
        ("3", "", False),
        ("3", "猫", False),
    ],
)
def test_values_are_compared_not_spellings(gold, answer, expected):
    pytest.importorskip("math_verify")
    assert math_equal(gold, answer) is expected


def test_bare_numbers_are_no_latex():
    pytest.importorskip("math_verify")
    assert math_equal("5", r"\boxed{5}", only_latex=True)
    assert math_equal("$5$", "so $5$", only_latex=True)
    assert not math_equal("5", "5", only_latex=True)


@pytest.mark.parametrize(
    "costly",
    [
        "9^{9^{9^{9}}}",
        "9**9**9",
        "99999!",
        "(9!)!",
        "$(x+y+z)^{200}$",
        r"$\\sum_{i=1}^{999999} i!$",
        "2**99999999",
        "$" + "9" * 100_000 + "$",
    ],
)
def test_what_would_take_ages_equals_nothing(costly):
    pytest.importorskip("math_verify")
    assert not math_equal("3", costly)
