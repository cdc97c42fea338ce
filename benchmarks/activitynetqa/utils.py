"""ActivityNet-QA: short open questions about videos of activities; a judge says whether an answer means the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.scoring.spans import braced
from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
MAX_LITERAL_CHARACTERS = 10_000


def activitynetqa_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    names = [f"all_test/{name}" for name in with_extensions(f"v_{doc['video_name']}", ["mp4", "webm", "mkv"])]
    return [find_media("activitynetqa", names, beside=__file__)]


def activitynetqa_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question, its first letter a capital and all others not, and a question mark, between the prompts."""
    kwargs = kwargs or {}
    return f"{kwargs.get('pre_prompt', '')}{doc['question'].capitalize()}?{kwargs.get('post_prompt', '')}"


def _simple(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def activitynetqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Say whether the answer is the gold one, case and marks ignored; all else takes a judge."""
    return {"exact_rate": float(_simple(results[0]) == _simple(str(doc["answer"])))}


def read_verdict(reply: str) -> tuple[bool, int]:
    """Return whether a judge said yes, and its score from 0 to 5.

    Raises:
        DocumentError: There is no ``{'pred': ..., 'score': ...}`` in the reply.
    """
    try:
        verdict = ast.literal_eval(braced(reply)[0][:MAX_LITERAL_CHARACTERS])
        return "yes" in str(verdict["pred"]).lower(), min(max(int(verdict["score"]), 0), 5)
    except (IndexError, KeyError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError) as e:
        raise DocumentError(f"a judge's reply that cannot be read: {reply[:200]!r}") from e


def activitynetqa_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score one answer by what a judge replied."""
    is_right, points = read_verdict(reply)
    return {"gpt_eval_score": {"score": points}, "gpt_eval_accuracy": {"is_right": is_right}}


activitynetqa_process_results.judged = activitynetqa_judged  # type: ignore[attr-defined]


def activitynetqa_aggregate_score(items: Sequence[Doc]) -> float | None:
    """Return the judge's mean score, 0 to 5."""
    return fmean(item["score"] for item in items) if items else None


def activitynetqa_aggregate_accuracy(items: Sequence[Doc]) -> float | None:
    """Return the percentage of answers that the judge said yes to."""
    return 100 * fmean(item["is_right"] for item in items) if items else None
