import pytest

from pytest_lmms.scoring.captions import bleu, cider, rouge_l, tokenize


def test_tokens_are_lower_case_words_with_contractions_split_and_no_punctuation():
    assert tokenize("The dog's ball, isn't it?") == ["the", "dog", "'s", "ball", "is", "n't", "it"]
    assert tokenize("a black-and-white photo (1990)") == ["a", "black-and-white", "photo", "1990"]


CORPUS = [
    (tokenize("a red bus on the street"), [tokenize("a red bus on the street"), tokenize("bus")]),
    (tokenize("two dogs play in snow"), [tokenize("two dogs play in snow")]),
]


def test_a_caption_equal_to_a_reference_earns_everything():
    assert bleu(CORPUS) == pytest.approx([1.0] * 4)
    assert rouge_l(CORPUS) == pytest.approx(1.0)
    assert cider([*CORPUS[1:], (["x"], [["y"]])]) == pytest.approx(5.0)


def test_an_empty_or_foreign_caption_earns_nothing():
    nothing = [([], [["a", "dog"]]), (["猫"], [["a", "dog"]])]
    assert max(bleu(nothing)) < 1e-3
    assert rouge_l(nothing) == 0.0
    assert cider(nothing) == 0.0


def test_a_short_caption_pays_for_its_brevity():
    [whole, half] = [
        bleu([(tokenize(c), [tokenize("a red bus on the street")])])[0]
        for c in ("a red bus on the street", "a red bus")
    ]
    assert half == pytest.approx(whole * 2.718281828 ** (1 - 2))
