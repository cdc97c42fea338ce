"""MathVerse: geometry and functions, the same problem with more or less of it in the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.maths import math_equal
from pytest_lmms.scoring.reasoned import THINK_PROMPT, extract_answer, read_reasoned_letter, reasoned_scores
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.prompts import one_turn

Doc = Mapping[str, Any]
COLUMNS = (
    "sample_index", "problem_index", "problem_version", "question", "answer", "question_type", "metadata",
    "query_wo", "query_cot", "question_for_eval",
)  # fmt: skip


def mathverse_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the figure, if the problem has one."""
    return [doc["image"].convert("RGB")] if hasattr(doc["image"], "convert") else []


def mathverse_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the row's query, or hint and question (`shot_type` ``custom-prompt``)."""
    if kwargs["shot_type"] == "custom-prompt":
        return f"{kwargs['hint'][doc['question_type']]}\nQuestion: {doc['question']}"
    return str(doc[kwargs["query_type"]]).strip()


def _is_right(doc: Doc, response: str) -> bool:
    """Compare by rules: the letter of a choice, else text or value of the answer at the end."""
    answer, gold = extract_answer(response) or response.strip(), str(doc["answer"])
    if doc["question_type"] == "multi-choice":
        return read_reasoned_letter(answer) == gold.strip().upper()
    return answer == gold or math_equal(gold, answer) or math_equal(f"${gold}$", f"${answer}$")


def _submitted(doc: Doc, response: str, *, is_right: bool) -> Doc:
    return {**{column: doc[column] for column in COLUMNS}, "prediction": response, "true_false": is_right}


def mathverse_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer by rules, and keep it for a judge."""
    is_right = _is_right(doc, results[0])
    return {"rule_accuracy": float(is_right), "submission": _submitted(doc, results[0], is_right=is_right)}


def mathverse_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score one answer by what a judge said: any 1 in the reply is right."""
    is_right = "1" in reply
    return {"gpt_eval_score": int(is_right), "submission": _submitted(doc, results[0], is_right=is_right)}


mathverse_process_results.judged = mathverse_judged  # type: ignore[attr-defined]


def mathverse_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write all rows with their answers."""
    split = (items[0]["metadata"] or {}).get("split") or "testmini"
    write_submission(f"mathverse_{split}_results.json", list(items), args)


def mathverse_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, and the query."""
    return one_turn(mathverse_doc_to_visual(doc), doc["query_wo"], system=THINK_PROMPT)


def mathverse_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["answer"])
