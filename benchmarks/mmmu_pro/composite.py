"""MMMU-Pro's composite images: several questions in one picture, answered one after the other."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.subscores import grouped, over_subjects

Doc = Mapping[str, Any]


def _golds(doc: Doc) -> list[str]:
    """The letters of a picture's questions; a single question's answer is the letter itself."""
    answer = str(doc["answer"])
    return [str(letter) for letter in ast.literal_eval(answer)] if answer.startswith("[") else [answer]


def mmmu_pro_composite_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read the capitals that stand alone, one a question, in their order; what is missing is wrong."""
    golds = _golds(doc)
    read = re.findall(r"\b[A-Z]\b", results[0])[: len(golds)]
    letters = read + [""] * (len(golds) - len(read))
    item = {"id": doc["id"], "subject": doc["subject"], "answer": golds, "parsed_pred": letters}
    item = Item(item, score=_accuracy([item]))
    return {"mmmu_acc": item} if read else Unparsed(mmmu_acc=item)


def _accuracy(items: Sequence[Doc]) -> float:
    pairs = [pair for item in items for pair in zip(item["answer"], item["parsed_pred"], strict=True)]
    return fmean(gold == letter for gold, letter in pairs) if pairs else 0.0


def mmmu_pro_composite_aggregate(items: Sequence[Doc]) -> float | None:
    """Return the share of right questions, 0 to 1: that of each subject, weighted by its pictures, to five digits."""
    subjects = grouped(items, "subject").values()
    return round(sum(_accuracy(own) * len(own) for own in subjects) / len(items), 5) if items else None


mmmu_pro_composite_aggregate.sub_scores = over_subjects("subject", mmmu_pro_composite_aggregate)  # type: ignore[attr-defined]
