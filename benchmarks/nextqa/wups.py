"""WUPS: how near the words of two short answers are in WordNet, 0 to 1, as the authors of NExT-QA compute it.

NLTK brings the code; its data (`wordnet`, `averaged_perceptron_tagger_eng`) must have been downloaded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

STOP_WORDS = frozenset(Path(__file__).with_name("stop_words.txt").read_text(encoding="utf-8").split())
"""The authors' list: words of place, time and negation count."""
PARTS = {"NN": "n", "JJ": "a", "VB": "v", "RB": "r"}
"""Tags of the Penn Treebank -> parts of speech of WordNet."""
FAR = 0.1
"""What a similarity below the threshold is multiplied by."""
Alike = Callable[[str, str], float]


@functools.cache
def has_wordnet() -> bool:
    """Tell whether NLTK and its data are installed."""
    try:
        return bool(_wordnet().synsets("dog")) and bool(_tags(["dog"]))
    except (ImportError, LookupError):
        return False


def _wordnet() -> Any:
    from nltk.corpus import wordnet

    return wordnet


def _tags(words: Sequence[str]) -> list[tuple[str, str]]:
    from nltk import pos_tag

    return list(pos_tag(words))


def split(text: str) -> list[str]:
    """Return the words and marks of a text, which is taken for one sentence."""
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return list(NLTKWordTokenizer().tokenize(text))


def lemmas(text: str) -> list[str]:
    """Return the words of a text as WordNet spells them, stems where it knows only these, without stop words."""
    tagged = _tags(split(text))
    words = (_lemma(word.lower(), PARTS.get(tag[:2], "")) for word, tag in tagged)
    return [word for word in words if word not in STOP_WORDS]


@functools.lru_cache(maxsize=10_000)
def _lemma(word: str, part: str) -> str:
    from nltk.stem import PorterStemmer, WordNetLemmatizer

    part = part or PARTS.get(_tags([word])[0][1][:2], "n")
    candidates = (WordNetLemmatizer().lemmatize(word, part), PorterStemmer().stem(word))
    return next((str(candidate) for candidate in candidates if _wordnet().synsets(candidate)), word)


@functools.lru_cache(maxsize=10_000)
def alike(one: str, other: str) -> float:
    """Return the Wu-Palmer similarity of the first senses of two words; 0 without any, 1 for the same word."""
    if one == other:
        return 1.0
    senses = [_wordnet().synsets(word)[:1] for word in (one, other)]
    return float(senses[0][0].wup_similarity(senses[1][0]) or 0) if all(senses) else 0.0


def wups(said: Sequence[str], gold: Sequence[str], threshold: float, alike: Alike = alike) -> float:
    """Return how near two lists of words are: the lesser of both directions.

    A direction is the product of each word's best similarity to the other side; words that are like none are
    passed over, and without any other it is 0.

    Args:
        said: Words of the answer.
        gold: Words of the reference.
        threshold: Similarities below it count a tenth.
        alike: Similarity of two words, 0 to 1.
    """

    def near(word: str, other: str) -> float:
        similarity = alike(word, other)
        return similarity * (FAR if similarity < threshold else 1)

    def directed(words: Sequence[str], others: Sequence[str]) -> float:
        best = [max((near(word, other) for other in others), default=0) for word in words]
        return prod(value for value in best if value) if any(best) else 0.0

    return min(directed(said, gold), directed(gold, said))
