"""TempCompass: action, direction, speed, order and change of attributes in videos that differ in little else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Item, Unparsed
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]


def tempcompass_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    return [find_media("tempcompass", f"videos/{doc['video_id']}.mp4", beside=__file__)]


def tempcompass_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question, which brings its options, and the request."""
    before, after = ((kwargs or {}).get(key, "") for key in ("pre_prompt", "post_prompt"))
    return f"{before}{doc['question']}{after}"


def item_of(doc: Doc, *, is_right: bool) -> Item:
    """Return what a document adds: its dimension and whether it is right."""
    return Item({"dim": doc["dim"], "rating": int(is_right)}, score=float(is_right))


def _scores(doc: Doc, *, is_right: bool | None) -> dict[str, Any]:
    """None: no rule decides, a judge would have to."""
    scores = {"rule_accuracy": item_of(doc, is_right=bool(is_right))}
    return Unparsed(scores) if is_right is None else scores


def tempcompass_process_results_multi_choice(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score the whole option, its letter, or a text that begins with the letter and ``.`` or ``)``."""
    said, gold = results[0], str(doc["answer"])
    if said == gold:
        return _scores(doc, is_right=True)
    found = re.match(r"([ABCD])(?:$|[.)])", said)
    return _scores(doc, is_right=found[1] == gold[:1] if found else None)


def tempcompass_process_results_yes_no(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score a text that begins with yes or no."""
    found = re.match("yes|no", results[0].lower())
    return _scores(doc, is_right=found[0] == doc["answer"] if found else None)


def _label(option: str) -> str:
    return option.partition(": ")[0]


def tempcompass_process_results_caption_matching(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score an option, its label (such as "Caption A" or "A") or its caption, with or without the label before it."""
    said, answer = results[0], str(doc["answer"])
    read: str | None = None
    for option in str(doc["question"]).split("\n")[1:]:
        label, _, caption = option.partition(": ")
        short = re.sub("Sentence |Option |Caption ", "", label)
        after_bracket = said.split(") ")[1] if ") " in said else said
        if said == option or caption in (said, after_bracket) or {said, said.replace(".", "")} & {label, short}:
            read = option
    return _scores(doc, is_right=None if read is None else _label(read) == _label(answer))


def read_verdict(reply: str) -> int:
    """Return 1 for a judge's "Correct", 0 for "Incorrect".

    Raises:
        DocumentError: The reply says neither.
    """
    if "Correct" not in reply and "Incorrect" not in reply:
        raise DocumentError(f"a judge's reply that cannot be read: {reply[:200]!r}")
    return int(reply.startswith("Correct") or "Incorrect" not in reply)


def tempcompass_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score an answer that no rule decides by what a judge replied."""
    return {"avg_accuracy": item_of(doc, is_right=bool(read_verdict(reply)))}


for _process in (
    tempcompass_process_results_multi_choice,
    tempcompass_process_results_yes_no,
    tempcompass_process_results_caption_matching,
):
    _process.judged = tempcompass_judged  # type: ignore[attr-defined]


def tempcompass_dimension_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the percentage of right answers by dimension."""
    dimensions = dict.fromkeys(item["dim"] for item in items)
    return {str(d): 100 * fmean(item["rating"] for item in items if item["dim"] == d) for d in dimensions}


def tempcompass_aggregate_rating(items: Sequence[Doc]) -> float | None:
    """Return the percentage of right answers, 0 to 100."""
    return 100 * fmean(item["rating"] for item in items) if items else None


tempcompass_aggregate_rating.sub_scores = tempcompass_dimension_scores  # type: ignore[attr-defined]
