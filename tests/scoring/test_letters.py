from pytest_lmms.scoring.letters import (
    first_capital,
    initial_letter,
    leading_letter,
    letter_by_text,
    lone_letter,
    whole_word_letter,
)


def test_the_first_capital_counts_once_announcements_are_gone():
    assert first_capital("The best answer is C", "ABCD") == "C"
    assert first_capital("Answer: B", "ABCD") == "A"
    assert first_capital("no idea", "ABCD") is None


def test_a_letter_inside_a_word_is_no_whole_word():
    assert whole_word_letter("Band B or C", "ABC") == "B"
    assert whole_word_letter("Band B or C", "ABC", last=True) == "C"
    assert whole_word_letter("Band", "ABC") is None


def test_a_leading_letter_has_a_full_stop():
    assert leading_letter(" C. joyful") == "C"
    assert leading_letter("C joyful") is None


def test_a_lone_letter_is_the_only_one_and_no_article():
    assert lone_letter("Option B", "ABCD") == "B"
    assert lone_letter("A cat A", "ABCD") == "A"
    assert lone_letter("I see A cat here", "ABCD") is None
    assert lone_letter("A cat or so: (B)", "ABCD") == "B"
    assert lone_letter("B or C", "ABCD") is None


def test_the_text_of_an_option_stands_for_its_letter():
    assert letter_by_text("I think: Jupiter!", "A. Mars\nC. Jupiter") == "B"
    assert letter_by_text("jupiter!", "A. Mars\nB. Jupiter") == "jupiter"
    assert letter_by_text("St. John's", "A. St. John's") == "St Johns"
    assert letter_by_text("(7)", "How many?") == "7"


def test_an_initial_letter_may_be_in_brackets_or_begin_a_word():
    assert initial_letter(" (b) two") == "B"
    assert initial_letter("because") == "B"
    assert initial_letter("**B**") == ""
    assert initial_letter("") == ""
