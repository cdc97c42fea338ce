"""HallusionBench: questions about pictures and their changed twins, to be answered with yes or no, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
COLUMNS = ("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id", "gt_answer")


def hb_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the picture."""
    return [doc["image"].convert("RGB")]


def hb_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"], kwargs)


def read_first_yes_or_no(text: str) -> str | None:
    """Return "1" for the word "yes", "0" for "no", whichever comes first; None without either."""
    found = re.search(r"\b(yes|no)\b", text.lower())
    return {"yes": "1", "no": "0"}[found.group(1)] if found else None


def hb_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer by its first yes or no."""
    answer = read_first_yes_or_no(results[0])
    is_right = answer == str(doc["gt_answer"])
    said = "unclear" if answer is None else "correct" if is_right else "incorrect"
    item = {**{column: str(doc[column]) for column in COLUMNS}, "said": said, "correct": is_right}
    item = Item(item, score=float(is_right))
    scores = {"yes_no_aAcc": item, "yes_no_qAcc": item, "yes_no_fAcc": item}
    return Unparsed(scores) if answer is None else scores


def hb_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score one answer by what a judge said: correct, incorrect or unclear; unclear is right without a figure."""
    said = "incorrect" if "incorrect" in reply.lower() else "correct" if "correct" in reply.lower() else "unclear"
    is_without_figure = doc["category"] == "VS" and str(doc["figure_id"]) == "0"
    item = {column: value for column, value in doc.items() if column != "image"}
    item |= {"model_prediction": results[0], "said": said}
    item["correct"] = said == "correct" or (said == "unclear" and is_without_figure)
    item = Item(item, score=float(item["correct"]))
    return {"aAcc": item, "qAcc": item, "fAcc": item}


hb_process_results.judged = hb_judged  # type: ignore[attr-defined]


def _percent(items: Sequence[Doc]) -> float:
    return round(100 * fmean(item["correct"] for item in items), 4)


def kind_of_error(item: Doc) -> str | None:
    """Return what a wrong answer comes from: LH (memory), VI (misreading the figure) or Mix; None for all others."""
    is_unclear = item["said"] == "unclear"
    if item["said"] == "correct":
        return None
    if item["category"] == "VD":
        return "VI" if is_unclear or str(item["figure_id"]) == "0" else "Mix"
    if str(item["visual_input"]) == "0":
        return None if is_unclear else "LH"
    return "VI" if is_unclear else "Mix"


def aacc_sub_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the share of right answers by category and subcategory, and how many errors are of each kind."""
    kinds = [kind_of_error(item) for item in items]
    shares = over("category", "subcategory", aggregation=_percent)(items)
    return shares | {f"errors/{kind}": kinds.count(kind) for kind in ("LH", "VI", "Mix")}


@with_sub_scores(aacc_sub_scores)
def yes_no_aacc(items: Sequence[Doc]) -> float:
    """Return the share of right answers, 0 to 100."""
    return _percent(items)


def _percent_of_groups(items: Sequence[Doc], last: str) -> float | None:
    """Return the share of groups that are right throughout."""
    groups: dict[tuple[str, ...], bool] = {}
    for item in items:
        key = tuple(item[column] for column in ("category", "subcategory", "set_id", last))
        groups[key] = groups.get(key, True) and item["correct"]
    return round(100 * fmean(groups.values()), 4) if groups else None


def yes_no_qacc(items: Sequence[Doc]) -> float | None:
    """Return the share of questions answered right about all their figures, 0 to 100."""
    return _percent_of_groups(items, "question_id")


def yes_no_facc(items: Sequence[Doc]) -> float | None:
    """Return the share of figures all of whose questions are answered right, 0 to 100."""
    with_figure = [i for i in items if i["category"] != "VS" or i["figure_id"] != "0"]
    return _percent_of_groups(with_figure, "figure_id")
