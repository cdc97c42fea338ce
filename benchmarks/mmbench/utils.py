"""MMBench: multiple-choice questions, each asked again with its options rotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.scoring.subscores import with_sub_scores

from .copies import FIRST_COPY, LETTERS, category_scores, hits, infer_letter

Doc = Mapping[str, Any]
COLUMNS = ("index", "question", "answer", "source", "category", *LETTERS)
HEADER = "There are several options:"


def mmbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["image"].convert("RGB")]


def is_given(value: Any) -> bool:
    """Tell whether a cell holds something; "nan" stands for nothing there."""
    return bool(value) and value != "nan" and value == value  # noqa: PLR0124 (a missing number is not itself)


def question_text(doc: Doc, header: str, hint: Any = None) -> str:
    """Return hint, if there is one, question, header and lettered options."""
    options = [f"{letter}. {doc[letter]}" for letter in LETTERS if letter in doc and is_given(doc[letter])]
    options_text = "\n".join([header, *options]).rstrip("\n")
    return f"{'' if hint is None else f'{hint} '}{doc['question']} {options_text}"


def mmbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return hint, question, lettered options, and after a blank line the instruction; an empty hint leaves a blank."""
    hint = doc["hint"] if "hint" in doc and doc["hint"] != "nan" else None
    return f"{question_text(doc, HEADER, hint)}\n{kwargs['post_prompt']}"


def mmbench_cn_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the same for Chinese rows, where any hint is shown that is not null."""
    return f"{question_text(doc, HEADER, {**doc}.get('hint'))}\n{kwargs['post_prompt']}"


def mmbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep the response with its question; whether it is right depends on the question's copies."""
    return _kept(doc, results, (*COLUMNS, "hint", "split", "L2-category"))


def mmbench_cc_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Do the same for rows about Chinese culture, which have fewer columns."""
    return _kept(doc, results, COLUMNS)


def _kept(doc: Doc, results: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    named = {**doc, "L2-category": doc["l2-category"]} if "l2-category" in doc else doc  # Russian and Korean rows
    item = dict.fromkeys(columns, "nan") | {column: named[column] for column in columns if column in named}
    item["prediction"] = results[0].strip()
    letter = infer_letter(item, item["prediction"])
    scores = {"gpt_eval_score": _scored(item, letter), "submission": item}
    return scores if letter else Unparsed(scores)


def _scored(item: Doc, letter: str | None) -> Item:
    """With what the row scores by itself, and the question that it shares with its copies."""
    question = int(item["index"]) % FIRST_COPY
    return Item(item, score=float(letter == item["answer"]), question_index=question)


def mmbench_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Keep the response with the letter that a judge found in it, "none" without one."""
    return _with_reply(mmbench_process_results(doc, results), reply)


def mmbench_cc_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Do the same for rows about Chinese culture."""
    return _with_reply(mmbench_cc_process_results(doc, results), reply)


def _with_reply(scores: Doc, reply: str) -> dict[str, Any]:
    item = {**scores["gpt_eval_score"], "extracted": reply}
    return {"gpt_eval_score": _scored(item, reply), "submission": item}


for _rule, _judged in ((mmbench_process_results, mmbench_judged), (mmbench_cc_process_results, mmbench_cc_judged)):
    _judged.only_unread = True  # type: ignore[attr-defined]
    _rule.judged = _judged  # type: ignore[attr-defined]


@with_sub_scores(category_scores)
def mmbench_aggregate(items: Sequence[Doc]) -> float | None:
    """Return the share of questions answered right with all their copies, 0 to 100; None without a question."""
    questions = hits(items)
    return 100 * fmean(q["hit"] for q in questions) if questions else None


def mmbench_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write all rows with their responses."""
    write_submission("mmbench_results.json", list(items), args)
