"""Video-MMMU: what a lecture shows (perception), means (comprehension), and lets one solve (adaptation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.choices import MIN_WORDS_FOR_OPTION_TEXT, TRIMMED_MARKS, label_options
from pytest_lmms.scoring.conclusions import is_concluded, read_conclusions
from pytest_lmms.scoring.subscores import over_subjects
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
CHOICE = "multiple-choice"
NOT_READ, NOT_ANSWERED = "No Answer Found.", "API Error"
"""lmms-eval's words for an answer without an option, and for an empty one."""
FOLDERS = ("Art", "Science", "Humanities", "Engineering", "Medicine", "Business")


def video_mmmu_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's lecture."""
    return [find_media("video_mmmu", [f"{folder}/{doc['id']}.mp4" for folder in FOLDERS], beside=__file__)]


def _question(doc: Doc) -> str:
    options = label_options(doc["options"])
    has_letters = all(option.startswith(f"{letter}.") for letter, option in options.items())
    return f"{doc['question']}\n" + "\n".join(o if has_letters else f"{x}. {o}" for x, o in options.items())


def video_mmmu_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options and request."""
    return f"{_question(doc)}{(kwargs or {}).get('post_prompt', '')}"


def video_mmmu_doc_to_text_adaptation(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the request and the question, with options if it has any."""
    kwargs = kwargs or {}
    if doc["question_type"] == CHOICE:
        return f"{kwargs.get('pre_prompt', '')}{kwargs.get('mcq_prompt', '')}{_question(doc)}"
    return f"{kwargs.get('pre_prompt', '')}{kwargs.get('open_ended_prompt', '')}{doc['question']}"


def read_option(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter before a full stop or colon, else in brackets, else before a blank, else of an option's text.

    Of several the one mentioned last wins, where letters before a blank count between two blanks only.
    """
    for mark in TRIMMED_MARKS:
        text = text.strip(mark)
    text = f" {text} "
    forms = ["{}.", "{}:"] if any(f"{x}." in text for x in options) else ["{}:"]
    if not any(f"{x}:" in text or f"{x}." in text for x in options):
        forms = ["({})"] if any(f"({x})" in text for x in options) else ["{} "]
    if found := [x for x in options if any(form.format(x) in text for form in forms)]:
        shown = " {} " if forms == ["{} "] else forms[0]
        return max(found, key=lambda letter: text.rfind(shown.format(letter)))
    if len(text.split()) < MIN_WORDS_FOR_OPTION_TEXT:
        return None
    lowered = text.lower()
    said = [x for x, option in options.items() if option.lower() in lowered]
    return max(said, key=lambda letter: lowered.rfind(options[letter].lower())) if said else None


def video_mmmu_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read what was answered; the aggregation decides whether it is right."""
    if doc.get("question_type") == CHOICE:
        return question_item(doc, results[0], read_option(results[0], label_options(doc["options"])))
    return question_item(doc, results[0], read_conclusions(results[0]) if results[0].strip() else None)


def question_item(doc: Doc, said: str, read: Any) -> dict[str, Any]:
    """Return what a document adds: where it belongs, and what was read, None when nothing was."""
    subject = doc["id"].partition("_")[2].rpartition("_")[0]
    kind = str(doc.get("question_type", "None"))
    item = {"id": doc["id"], "subdomain": subject, "question_type": kind, "answer": doc["answer"]}
    item["parsed_pred"] = (NOT_READ if said else NOT_ANSWERED) if read is None else read
    item = Item(item, score=float(_is_right(item)))
    return {"mmmu_acc": item} if read is not None else Unparsed(mmmu_acc=item)


def _is_right(item: Doc) -> bool:
    read = item["parsed_pred"]
    return bool(read == item["answer"]) if isinstance(read, str) else is_concluded(str(item["answer"]), read)


def video_mmmu_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1, to five decimals."""
    return round(fmean(map(_is_right, items)), 5) if items else None


video_mmmu_aggregate_results.sub_scores = over_subjects("subdomain", video_mmmu_aggregate_results)  # type: ignore[attr-defined]
