"""BrowseComp: questions whose answer takes hours of browsing to find, asked without a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Item

Doc = Mapping[str, Any]
FORMAT = (
    "Your response should be in the following format:\n"
    "Explanation: {your explanation for your final answer}\n"
    "Exact Answer: {your succinct, final answer}\n"
    "Confidence: {your confidence score between 0% and 100% for your answer}"
)
ANSWERS = (r"^[ \t]*exact\s*answer\s*:\s*(.+)$", r"^[ \t]*(?:final\s+)?answer\s*:\s*(.+)$")
"""Lines that hold an answer, best first; a value may begin on the next line."""
CONFIDENCE = r"^[ \t]*confidence\s*:\s*(-?\d+(?:\.\d+)?)[ \t]*%?[ \t]*$"
FLAGS = re.IGNORECASE | re.MULTILINE


def _password(canary: str) -> str:
    """The canary, or what it says when it is base64 of printable text."""
    try:
        decoded = base64.b64decode(canary, validate=True).decode()
    except ValueError:
        return canary
    return decoded if decoded and decoded.isprintable() else canary


def decrypt(doc: Doc, column: str) -> str:
    """Return the plain text of a column: base64, XOR the SHA-256 of the row's password, over and over.

    Raises:
        DocumentError: The column is no base64, or the result no text.
    """
    key = hashlib.sha256(_password(doc["canary"]).encode()).digest()
    try:
        data = base64.b64decode(doc[column])
        return bytes(byte ^ key[i % len(key)] for i, byte in enumerate(data)).decode()
    except ValueError as e:
        raise DocumentError(f"the column {column!r} cannot be decrypted with the row's canary: {e}") from e


def browsecomp_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question and the format of an answer."""
    kwargs = kwargs or {}
    return f"{kwargs.get('pre_prompt', '')}{decrypt(doc, 'problem')}\n\n{FORMAT}{kwargs.get('post_prompt', '')}"


def browsecomp_doc_to_target(doc: Doc) -> str:
    """Return the answer."""
    return decrypt(doc, "answer")


def read_answer(text: str) -> str:
    """Return the first exact answer, else the first (final) answer, else the whole text."""
    found = next((match for pattern in ANSWERS if (match := re.search(pattern, text, FLAGS))), None)
    return (found[1] if found else text).strip()


def read_confidence(text: str) -> float | None:
    """Return the confidence in percent, held between 0 and 100."""
    found = re.search(CONFIDENCE, text, FLAGS)
    return min(max(float(found[1]), 0.0), 100.0) if found else None


def _simple(text: str) -> str:
    return " ".join(text.split()).lower()


def browsecomp_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer by exact match, case and blanks ignored."""
    answer, gold = read_answer(results[0]), browsecomp_doc_to_target(doc)
    item = {
        "question_topic": doc["problem_topic"],
        "prediction": answer,
        "target": gold,
        "confidence": read_confidence(results[0]),
        "correct": float(_simple(answer) == _simple(gold)),
    }
    return {"browsecomp_exact_match": Item(item, score=item["correct"])}


def browsecomp_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score by what a judge said, "correct" or "incorrect"; by exact match where it said neither."""
    item = browsecomp_process_results(doc, results)["browsecomp_exact_match"]
    said = reply.lower()
    verdict = 0.0 if "incorrect" in said else 1.0 if "correct" in said else item["correct"]
    return {"browsecomp_acc": Item(item | {"correct": verdict}, score=verdict)}


browsecomp_process_results.judged = browsecomp_judged  # type: ignore[attr-defined]


def browsecomp_topic_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the share of right answers by topic."""
    topics = dict.fromkeys(item["question_topic"] for item in items)
    return {str(t): fmean(item["correct"] for item in items if item["question_topic"] == t) for t in topics}


def browsecomp_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return fmean(item["correct"] for item in items) if items else None


browsecomp_aggregate_results.sub_scores = browsecomp_topic_scores  # type: ignore[attr-defined]
