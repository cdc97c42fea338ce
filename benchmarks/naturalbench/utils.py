"""NaturalBench: two questions about two images, so that no question has one answer for both images."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed

Doc = Mapping[str, Any]
KINDS = {
    "yes_no": ("yes", "no", " Please answer Yes or No."),
    "multiple_choice": ("A", "B", " Please output the letter corresponding to the correct option."),
}
"""Both answers to a kind of question, and how it is asked."""
METRICS = ("naturalbench_G_ACC", "naturalbench_Q_ACC", "naturalbench_I_ACC", "naturalbench_Acc")
GOLD = (1, 0, 0, 1)
"""Whether the first answer is right: question 0 on images 0 and 1, then question 1 on images 0 and 1."""
NOT_READ = -1


def naturalbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["Image"].convert("RGB")]


def naturalbench_doc_to_text(doc: Doc) -> str:
    """Return the question and how to answer it."""
    return f"{doc['Question']}{KINDS.get(doc['Question_Type'], ('', '', ''))[-1]}"


def read_first(text: str, kind: str) -> int:
    """Return 1 where the first answer of a kind of question is the only or earlier one, 0 the second, -1 neither."""
    places = [re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in KINDS[kind][:2]]
    first, second = (found.start() if found else None for found in places)
    if first is None and second is None:
        return NOT_READ
    return int(second is None or (first is not None and first < second))


def naturalbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep what was read; the aggregations look at four answers together."""
    read = read_first(results[0], doc["Question_Type"])
    number = int(doc["Index"]) % len(GOLD)
    item = Item({"id": doc["Index"], "score": read}, right=float(read == GOLD[number]))
    scores = dict.fromkeys(METRICS, item)
    return Unparsed(scores) if read == NOT_READ else scores


def _aggregation(score: Callable[..., float]) -> Callable[[Sequence[Doc]], float | None]:
    """Return the mean of a score over groups of two questions and two images; a group that is not whole is left out."""

    def aggregate(items: Sequence[Doc]) -> float | None:
        groups: dict[int, dict[int, bool]] = {}
        for item in items:
            group, number = divmod(int(item["id"]), len(GOLD))
            groups.setdefault(group, {})[number] = item["score"] == GOLD[number]
        whole = [[own[number] for number in range(len(GOLD))] for own in groups.values() if len(own) == len(GOLD)]
        return fmean(score(*own) for own in whole) if whole else None

    return aggregate


naturalbench_g_acc = _aggregation(lambda a, b, c, d: float(a and b and c and d))
naturalbench_q_acc = _aggregation(lambda a, b, c, d: ((a and b) + (c and d)) / 2)
naturalbench_i_acc = _aggregation(lambda a, b, c, d: ((a and c) + (b and d)) / 2)
naturalbench_acc = _aggregation(lambda a, b, c, d: (a + b + c + d) / 4)
