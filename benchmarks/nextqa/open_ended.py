"""NExT-QA's open questions: answers of a few words, compared by WordNet or, without it, for being the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.tasks.prompts import instructed

from .wups import STOP_WORDS, has_wordnet, lemmas, split, wups

Doc = Mapping[str, Any]
MUST_BE_THE_SAME = ("DB", "DC")
"""Kinds of questions that are answered by yes, no or a number."""
THRESHOLDS = {"0": 0.0, "0.9": 0.9}


def nextqa_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question and the request."""
    return instructed(doc["question"].strip(), kwargs)


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[\w']+", text.lower()) if word not in STOP_WORDS]


def nextqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Compare one answer with one or two references; `WUPS` is left out where there is no WordNet."""
    references = [str(text) for text in (doc["answer"], doc["additional_ref_answer"]) if text]
    kind = "TN" if doc["type"] == "TP" else str(doc["type"])
    scores: dict[str, Any] = {"exact_rate": float(_words(results[0]) in map(_words, references))}
    if has_wordnet():
        scores["WUPS"] = _wups_item(results[0], references, kind)
    return scores if results[0].strip() else Unparsed(scores)


def _wups_item(said: str, references: Sequence[str], kind: str) -> Item:
    words, golds = lemmas(said), [lemmas(text) for text in references]
    if kind in MUST_BE_THE_SAME:
        values = dict.fromkeys(THRESHOLDS, float(words in golds))
    else:
        again, *golds = [split(" ".join(text)) for text in (words, *golds)]  # full stops at the end come off now
        values = {name: max(wups(again, gold, threshold) for gold in golds) for name, threshold in THRESHOLDS.items()}
    return Item({**values, "qtype": kind}, score=values["0"])


def nextqa_kind_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return WUPS by kind of question, and over all with similarities below 0.9 counting a tenth, 0 to 100."""
    kinds = dict.fromkeys(item["qtype"] for item in items)
    by_kind = {str(kind): 100 * fmean(i["0"] for i in items if i["qtype"] == kind) for kind in kinds}
    return by_kind | {"WUPS@0.9": 100 * fmean(item["0.9"] for item in items)}


def nextqa_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean WUPS, 0 to 100."""
    return 100 * fmean(item["0"] for item in items) if items else None


nextqa_aggregate_results.sub_scores = nextqa_kind_scores  # type: ignore[attr-defined]
