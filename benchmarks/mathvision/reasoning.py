"""MATH-Vision as lmms-eval's collections of reasoning tasks ask it: scored by a judge, or with thoughts in tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.reasoned import THINK_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import one_turn

from .utils import mathvision_doc_to_text, mathvision_doc_to_visual, rule_verdicts

Doc = Mapping[str, Any]


def mathvision_reason_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the responses by rules: the share of right ones."""
    return {"rule_accuracy": fmean(rule_verdicts(doc, results))}


def mathvision_reason_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, float]:
    """Score the first response by what a judge said."""
    return {"llm_as_judge_eval": float(reply == "1")}


mathvision_reason_results.judged = mathvision_reason_judged  # type: ignore[attr-defined]


def mathvision_tagged_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, the figure and the question."""
    return one_turn(mathvision_doc_to_visual(doc), mathvision_doc_to_text(doc), system=THINK_PROMPT)


def mathvision_tagged_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, str(doc["answer"]))
