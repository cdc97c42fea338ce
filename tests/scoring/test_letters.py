from pytest_lmms.scoring.letters import first_capital, leading_letter, whole_word_letter


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
