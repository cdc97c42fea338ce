"""DocVQA: questions about pages of documents, answered with words from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.metrics.text import anls
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, extract_answer, format_score
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]


def docvqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the page."""
    return [doc["image"].convert("RGB")]


def docvqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"], kwargs)


def docvqa_test_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep an answer for the server, twice as lmms-eval does."""
    answer = {"questionId": int(doc["questionId"]), "answer": results[0]}
    return {"anls": answer, "submission": answer}


def docvqa_test_results_file(items: Sequence[Doc], args: Any = None) -> None:
    """Write the file that the benchmark's server scores."""
    write_submission("docvqa_test_for_submission.json", list(items), args)


def docvqa_reasoning_messages(doc: Doc, kwargs: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(docvqa_doc_to_visual(doc), docvqa_doc_to_text(doc, kwargs), system=ANALYSIS_PROMPT)


def docvqa_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    scores = [anls(references=doc["answers"], predictions=[extract_answer(text)]) for text in results]
    mean = fmean(scores)
    return {"anls": mean, "anls_acc_score": mean, "anls_format_score": fmean(map(format_score, results))}


def docvqa_test_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep the answer at the end of the reasoning for the server."""
    return {"submission": {"questionId": int(doc["questionId"]), "answer": extract_answer(results[0])}}


def docvqa_test_reasoning_results_file(items: Sequence[Doc], args: Any = None) -> None:
    """Write the file that the benchmark's server scores."""
    write_submission("docvqa_test_reasoning_for_submission.json", list(items), args)
