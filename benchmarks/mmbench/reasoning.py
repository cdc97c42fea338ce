"""MMBench asked with reasoning: every row by itself, copies too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, extract_answer, reasoned_scores
from pytest_lmms.tasks.prompts import one_turn

from .utils import HEADER, is_given, mmbench_doc_to_visual, mmbench_process_results, question_text

Doc = Mapping[str, Any]


def _hint(doc: Doc) -> Any:
    return doc["hint"] if is_given(doc["hint"]) else None


def mmbench_en_reasoning_text(doc: Doc) -> str:
    """Return hint, question and lettered options."""
    return question_text(doc, "", _hint(doc))


def mmbench_cn_reasoning_text(doc: Doc) -> str:
    """Return the same with a header above the options."""
    return question_text(doc, HEADER, _hint(doc))


def mmbench_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; every row by itself."""
    return reasoned_scores(results, doc["answer"])


def mmbench_reasoning_test_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep the response and the answer in it."""
    scores = mmbench_process_results(doc, results)
    return {"submission": {**scores["submission"], "answer": extract_answer(results[0])}}


def mmbench_en_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(mmbench_doc_to_visual(doc), mmbench_en_reasoning_text(doc), system=ANALYSIS_PROMPT)


def mmbench_cn_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the Chinese question."""
    return one_turn(mmbench_doc_to_visual(doc), mmbench_cn_reasoning_text(doc), system=ANALYSIS_PROMPT)
