"""Transcripts in the form in which Whisper's paper compares them: without case, marks, fillers, and ways of spelling.

`whisper-normalizer` does the work, as OpenAI published it; it is imported here alone.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from pytest_lmms.errors import TaskError, explain

ENGLISH, CHINESE = "en", "zh"
MAX_DIGITS = 1000
"""Longer runs of digits are split."""


def spoken_words(text: str, language: str = ENGLISH) -> list[str]:
    """Return the words (in Chinese and Cantonese the characters) of a transcript that count.

    Args:
        text: A transcript; marks such as ``<|en|>`` do not count.
        language: ``en`` uses the English rules and then the basic ones, anything else the basic ones alone.

    Raises:
        TaskError: whisper-normalizer is not installed.
    """
    text = "\n".join(map(_without_marks, text.split("\n")))
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ([!,.?;:])", r"\1", text).lstrip(" ")
    if language == ENGLISH:  # its rules for numbers fail on digits of other scripts, and on numbers beyond Python's
        text = text if text.isascii() else "".join(str(unicodedata.decimal(c, c)) for c in text)
        text = re.sub(rf"(\d{{{MAX_DIGITS}}})(?=\d)", r"\1 ", text)
    text = _without_open(_without_open(text, "<[", ">]"), "(", ")")
    for normalise in _normalisers(language):
        text = normalise(text)
    words = [word for word in text.lower().split() if not all(_is_mark(c) for c in word)]
    return list("".join(words)) if language in (CHINESE, "yue") else words


def _without_marks(line: str) -> str:
    # What follows the last mark is kept out: there, every opening mark would be looked after to the end.
    marked, end, rest = line.rpartition("|>")
    return re.sub(r"<\|.*?\|>", " ", marked + end) + rest


def _without_open(text: str, opening: str, closing: str) -> str:
    """Replace brackets that nothing closes by a mark that counts as little: each was looked after to the text's end."""
    end = max(map(text.rfind, closing)) + 1
    return text[:end] + text[end:].translate(dict.fromkeys(map(ord, opening), "~"))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


@functools.lru_cache(maxsize=8)
def _normalisers(language: str) -> tuple[Callable[[str], Any], ...]:
    try:
        from whisper_normalizer.basic import BasicTextNormalizer
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as e:
        raise TaskError(
            explain(
                f"word error rates of speech need whisper-normalizer ({e})",
                remedy="pip install 'pytest-lmms[metrics]'",
            )
        ) from e
    basic = BasicTextNormalizer()
    return (EnglishTextNormalizer(), basic) if language == ENGLISH else (basic,)
