import pytest

from pytest_lmms.scoring import spoken
from pytest_lmms.scoring.spoken import spoken_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|en|>Mr. Smith can't come , at 3:00!", ["mister", "smith", "can", "not", "come", "at", "3", "0"]),
        ("twenty-five", ["25"]),
        ("\N{ARABIC-INDIC DIGIT THREE} cats", ["3", "cats"]),
        ("", []),
    ],
)
def test_words_are_compared_in_whispers_form(text, expected):
    pytest.importorskip("whisper_normalizer")
    assert spoken_words(text) == expected


def test_a_number_of_any_length_is_some_word():
    pytest.importorskip("whisper_normalizer")
    assert spoken_words("9" * 100_000)


def test_chinese_is_compared_by_characters():
    pytest.importorskip("whisper_normalizer")
    assert spoken_words("你好, 世界", "zh") == list("你好世界")


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    "text", ["one <two [three", "a ('b", "x (y) z (w", "[laughs] well <i", "(a [b) c", "no ( more"]
)
def test_brackets_that_nothing_closes_change_no_words(text, language):
    whole = text
    for normalise in spoken._normalisers(language):
        whole = normalise(whole)
    assert spoken_words(text, language) == whole.split()
