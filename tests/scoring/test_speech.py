from pytest_lmms.scoring.speech import error_rate, num_edits


def test_edits_are_counted_in_tokens_not_in_letters():
    assert num_edits(["the", "cat", "sat"], ["a", "cat"]) == 2


def test_the_rate_weighs_utterances_by_their_length():
    pairs = [(["a"], ["b"]), (["c", "d", "e"], ["c", "d", "e"])]
    assert error_rate(pairs) == 0.25
    assert error_rate([(list("cat"), list("cut"))]) == 1 / 3
    assert error_rate([([], ["x"])]) is None
