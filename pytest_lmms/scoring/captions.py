"""Caption metrics over a corpus: BLEU, ROUGE-L, CIDEr, as COCO's evaluation computes them, without Java; METEOR with.

Tokens are split in the manner of the Penn Treebank by a pattern of our own, where COCO's evaluation runs Stanford's
tokenizer: of 3,083 texts made of captions' hard words 10 are split otherwise.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.scoring import meteor
from pytest_lmms.stats import OfTotals

Tokens = list[str]
Corpus = Sequence[tuple[Tokens, Sequence[Tokens]]]
"""For each picture: the caption's tokens, and those of its references."""
MAX_N = 4
_SHORT_FORMS = (
    "mr|mrs|ms|dr|prof|jr|sr|st|ave|blvd|rd|vs|etc|inc|co|corp|ltd|bros|mt|ft|gen|gov|sen|rep|capt|lt|col|sgt|rev"
)
_MONTHS_AND_DAYS = "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thurs?|fri|sat|sun"
_TOKEN = re.compile(
    r"</?[a-z!][^<>\n]*>"  # a tag
    r"|https?://[^\s\"'<>()]+|\b[cf]#(?!#)|\bc\+\+|[#@][a-z_]\w*"
    r"|\b[a-z](?:\.[a-z])+(?!\w)\.?|\bnos?\.(?=\s*\d)"  # U.S., e.g., no. 5
    rf"|\b(?:{_SHORT_FORMS}|{_MONTHS_AND_DAYS})\.|\b[A-Z]\.(?=\s|$)"
    r"|\bcan(?=not\b)|\b(?:gon|wan)(?=na\b)|\b(?:lem|gim)(?=me\b)|\bgot(?=ta\b)|(?<=\b[gG]on)na\b|(?<=\b[wW]an)na\b"
    r"|(?:(?<![\w.)\]])[-+])?(?:\d+(?:[-.,:/]\d+)*|\.\d+)(?:st|nd|rd|th)?(?:-[a-z]\w*(?:-\w+)*)?(?!\w)"
    r"|\w+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m|em)(?!\w)|'n'|(?<=')tis\b|\w+(?='n')"
    r"|\w+(?:[-.,/&']\w+)*"
    r"|\.{2,}|-+|[?!]+|\*+|#+|@+|<+|>+|``|''|[^\w\s]",
    re.IGNORECASE,
)
_ALIKE = str.maketrans({
    "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{EM DASH}": " -- ", "\N{EN DASH}": " -- ", "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{EURO SIGN}": "$", "\N{POUND SIGN}": "#", "\N{VULGAR FRACTION ONE HALF}": "1/2",
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"', "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"',
    "\N{VULGAR FRACTION ONE QUARTER}": "1/4", "\N{VULGAR FRACTION THREE QUARTERS}": "3/4",
})  # fmt: skip
_SPACED = re.compile(r"\b_+|_+\b|__+|[²³¹]")
"""Parts of words that are tokens of their own."""
_UNREAD = re.compile("[\U00010000-\U0010ffff]+|&nbsp;|&quot;")
"""What makes no token: characters beyond 16 bits, emoji among them."""
_ENTITIES = {"&lt;": " < ", "&gt;": " > ", "&amp;": " & "}
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
"""Names that the Treebank gives them; COCO's list of punctuation has them in capitals and so does not drop them."""
_PUNCTUATION = frozenset(("'", "`", "''", "``", ".", "?", "!", ",", ":", "-", "--", "...", ";", '"'))


def tokenize(text: str) -> Tokens:
    """Split a caption into lower-case tokens, without punctuation."""
    tokens: Tokens = []
    text = _SPACED.sub(r" \g<0> ", _UNREAD.sub(" ", text.translate(_ALIKE)))
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    for token in _TOKEN.findall(text):
        low = token.lower()
        stem, apostrophe, ending = low.rpartition("'")
        is_contraction = apostrophe and stem and ending in ("s", "re", "ve", "ll", "d", "m")
        tokens += [stem, f"'{ending}"] if is_contraction else [_BRACKETS.get(low, low)]
    return [token for token in tokens if token not in _PUNCTUATION]


def ngrams(tokens: Tokens, n: int) -> Counter[tuple[str, ...]]:
    """Count the runs of n tokens."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def bleu(corpus: Corpus) -> list[float]:
    """Return corpus BLEU-1 to BLEU-4, 0 to 1, with the reference closest in length for the brevity penalty."""
    return _bleu_of([math.fsum(column) for column in zip(*_bleu_rows(corpus), strict=True)])


def _bleu_rows(corpus: Corpus) -> list[list[float]]:
    """For each caption: its n-grams that a reference has, its n-grams, its tokens, those of the closest reference."""
    rows: list[list[float]] = []
    for tokens, references in corpus:
        matched, proposed = [0] * MAX_N, [0] * MAX_N
        for n in range(1, MAX_N + 1):
            own = ngrams(tokens, n)
            limit: Counter[tuple[str, ...]] = Counter()
            for reference in references:
                limit |= ngrams(reference, n)
            proposed[n - 1] = max(0, len(tokens) - n + 1)
            matched[n - 1] = sum((own & limit).values())
        closest = min((abs(len(r) - len(tokens)), len(r)) for r in references)[1]
        rows.append([*matched, *proposed, len(tokens), closest])
    return rows


def _bleu_of(sums: Sequence[float]) -> list[float]:
    matched, proposed, (length, reference_length) = sums[:MAX_N], sums[MAX_N:-2], sums[-2:]
    ratio = (length + 1e-15) / (reference_length + 1e-9)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for n in range(MAX_N):
        product *= (matched[n] + 1e-15) / (proposed[n] + 1e-9)
        scores.append(product ** (1 / (n + 1)) * penalty)
    return scores


def rouge_l(corpus: Corpus, beta: float = 1.2) -> float:
    """Return the mean F-measure of longest common subsequences, 0 to 1; recall weighs `beta` times precision."""
    from rapidfuzz.distance import LCSseq

    scores = []
    for tokens, references in corpus:
        own = tokens or [""]
        common = [(LCSseq.similarity(r or [""], own), len(r or [""])) for r in references]
        precision = max(c / len(own) for c, _ in common)
        recall = max(c / length for c, length in common)
        total = recall + beta**2 * precision
        scores.append((1 + beta**2) * precision * recall / total if precision and recall else 0.0)
    return fmean(scores)


def cider(corpus: Corpus, sigma: float = 6.0) -> float:
    """Return CIDEr-D, 0 to 10: cosine of n-gram vectors, rarer n-grams weighing more, with a Gaussian over lengths."""
    return fmean(_ciders(corpus, sigma))


def _ciders(corpus: Corpus, sigma: float = 6.0) -> list[float]:
    """CIDEr-D of each caption; how rare an n-gram is, the references of all pictures say."""
    in_pictures: Counter[tuple[str, ...]] = Counter()
    for _, references in corpus:
        in_pictures.update({gram for r in references for n in range(1, MAX_N + 1) for gram in ngrams(r, n)})
    log_num = math.log(len(corpus)) if len(corpus) else 0.0

    def vectors(tokens: Tokens) -> list[dict[tuple[str, ...], float]]:
        counts = [ngrams(tokens, n) for n in range(1, MAX_N + 1)]
        return [{g: c * (log_num - math.log(max(1.0, in_pictures[g]))) for g, c in of_n.items()} for of_n in counts]

    scores = []
    for tokens, references in corpus:
        own, own_pairs = vectors(tokens), max(0, len(tokens) - 1)
        total = 0.0
        for reference in references:
            theirs = vectors(reference)
            shorter = math.exp(-((own_pairs - max(0, len(reference) - 1)) ** 2) / (2 * sigma**2))
            total += fmean(_cosine(a, b) for a, b in zip(own, theirs, strict=True)) * shorter
        scores.append(10 * total / len(references))
    return scores


def _cosine(own: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> float:
    """Cosine, where a component counts at most as much as the reference has it."""
    product = sum(min(weight, other[gram]) * other[gram] for gram, weight in own.items() if gram in other)
    norms = math.hypot(*own.values()) * math.hypot(*other.values())
    return product / norms if norms else product


_tokens = functools.lru_cache(maxsize=1 << 15)(tokenize)
"""Each metric of a task reads the same texts, and so does each of two runs that are compared."""


def _corpus(items: Sequence[Mapping[str, Any]]) -> Corpus:
    """Of items with a caption ``pred`` and its references ``answer``."""
    return [(_tokens(item["pred"]), [_tokens(text) for text in item["answer"]]) for item in items]


def _rouge_l_of(items: Sequence[Mapping[str, Any]]) -> float:
    return rouge_l(_corpus(items))


def _bleu_n(n: int) -> OfTotals:
    return OfTotals(lambda items: _bleu_rows(_corpus(items)), lambda sums: _bleu_of(sums)[n - 1])


def cider_of(corpus_of: Callable[[Sequence[Any]], Corpus]) -> OfTotals:
    """CIDEr-D as a mean over captions; in draws of them, n-grams stay as rare as in all pictures.

    Args:
        corpus_of: From items to what `cider` takes.
    """
    return OfTotals(
        lambda items: [(score, 1.0) for score in _ciders(corpus_of(items))], lambda sums: sums[0] / sums[1], points=0.01
    )


class _Meteor(OfTotals):
    """METEOR, where its program is; `obstacle` tells results where it is not."""

    obstacle = staticmethod(meteor.obstacle)


CAPTION_METRICS: dict[str, Callable[[Sequence[Mapping[str, Any]]], float]] = {
    "Bleu_4": _bleu_n(4),
    "Bleu_3": _bleu_n(3),
    "Bleu_2": _bleu_n(2),
    "Bleu_1": _bleu_n(1),
    "METEOR": _Meteor(lambda items: meteor.counts_of(_corpus(items)), meteor.score_of),
    "ROUGE_L": _rouge_l_of,
    "CIDEr": cider_of(_corpus),
}
"""Metrics over all documents, by the names that COCO's evaluation gives them."""


def caption_items(prefix: str, item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a caption is to each of `CAPTION_METRICS`.

    Args:
        prefix: Of the metrics' names.
        item: With a caption ``pred`` and its references ``answer``.

    Returns:
        The item itself; under ROUGE_L, the only one that is a mean over captions, with the caption's own number.
    """
    own = Item(item, score=CAPTION_METRICS["ROUGE_L"]([item]))
    return {f"{prefix}_{name}": own if name == "ROUGE_L" else item for name in CAPTION_METRICS}
