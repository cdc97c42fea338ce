"""MMLongBench-Doc: questions about long PDF documents, shown the pages that hold the evidence."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.tasks.mediafiles import MissingMediaError, find_media
from pytest_lmms.tasks.prompts import instructed

from .answers import NOT_ANSWERABLE, clean, score_answer

Doc = Mapping[str, Any]
FOLDER = "mmlongbench_doc"
DOTS_PER_INCH = 144


def evidence_pages(doc: Doc) -> list[int]:
    """Return the numbers of the pages with evidence, each once, in the order of the row."""
    pages = doc["evidence_pages"]
    try:
        pages = ast.literal_eval(pages) if isinstance(pages, str) else pages
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return []
    numbers = [int(page) for page in pages if str(page).isdecimal()] if isinstance(pages, list) else []
    return list(dict.fromkeys(number for number in numbers if number > 0))


def mmlongbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the pages with evidence at 144 dots an inch: drawn before, ``NAME_page_1.png``, or drawn now."""
    return [_page(str(doc["doc_id"]), number) for number in evidence_pages(doc)]


def _page(name: str, number: int) -> Any:
    drawn = f"documents/{name.removesuffix('.pdf')}_page_{number}.png"
    try:
        return find_media(FOLDER, drawn, beside=__file__)
    except MissingMediaError:
        from pytest_lmms.media.pdf import render_page

        pdf = find_media(FOLDER, [f"documents/{name}", name], beside=__file__)
        return render_page(pdf, number, dots_per_inch=DOTS_PER_INCH)


def mmlongbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(str(doc["question"]).strip(), kwargs)


def mmlongbench_doc_to_target(doc: Doc) -> str:
    """Return the right answer."""
    return str(doc["answer"])


def mmlongbench_doc_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer, and say whether gold and answer claim that the document holds one."""
    gold, answer = str(doc["answer"]), results[0].strip()
    score = score_answer(gold, answer, str(doc["answer_format"]))
    claims = {"gt_answerable": clean(gold) != NOT_ANSWERABLE, "pred_answerable": clean(answer) != NOT_ANSWERABLE}
    return {"mmlongbench_doc_acc": {"score": score}, "mmlongbench_doc_f1": {"score": score, **claims}}


def mmlongbench_doc_accuracy(items: Sequence[Doc]) -> float:
    """Return the mean score, 0 to 1."""
    return fmean(item["score"] for item in items)


def mmlongbench_doc_f1(items: Sequence[Doc]) -> float:
    """Return the harmonic mean of the scores of answerable questions and of given answers, 0 to 1."""
    recall, precision = ([i["score"] for i in items if i[key]] for key in ("gt_answerable", "pred_answerable"))
    r, p = (fmean(scores) if scores else 0.0 for scores in (recall, precision))
    return 2 * r * p / (r + p) if r + p else 0.0
