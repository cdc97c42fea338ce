"""MME-RealWorld: hard questions about large photographs of real scenes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.letters import first_capital
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.prompts import one_turn

Doc = Mapping[str, Any]
LETTERS = "ABCDE"
ANNOUNCEMENTS = (
    "The best answer is", "The correct answer is", "The answer is", "The answer",
    "The best option isThe correct option is", "Best answer:Best option:",
)  # fmt: skip
"""What is deleted before a letter is looked for. The last two are as they are in the official code, which lacks commas
there, so they delete nothing that anybody writes."""


def mme_realworld_doc_to_visual(doc: Doc) -> list[bytes]:
    """Return the photograph, which the row holds as base64 text."""
    return [base64.b64decode(doc["bytes"])]


def _asked(doc: Doc, header: str, instruction: str) -> str:
    options = "\n".join(doc["multi-choice options"])
    return f"{doc['question']} {header}\n{options}\n{instruction}"


def mme_realworld_doc_to_text(doc: Doc) -> str:
    """Return question, options and instruction."""
    instruction = (
        "Select the best answer to the above multiple-choice question based on the image."
        " Respond with only the letter (A, B, C, D, or E) of the correct option.\nThe best answer is: "
    )
    return _asked(doc, "The choices are listed below:", instruction)


def mme_realworld_cn_doc_to_text(doc: Doc) -> str:
    """Return question, options and instruction in Chinese."""
    instruction = "根据图像选择上述多项选择题的最佳答案。只需回答正确选项的字母（A, B, C, D 或 E）。\n最佳答案为： "  # noqa: RUF001
    return _asked(doc, "选项如下所示:", instruction)


def _read(response: str) -> str | None:
    """Return the first capital A to E; without one, the option whose ``(a)`` holds the whole response."""
    if letter := first_capital(response, LETTERS, announcements=ANNOUNCEMENTS):
        return letter
    rest = response.strip().lower()
    return next((letter for letter in LETTERS if rest and rest in f"({letter})".lower()), None)


def mme_realworld_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    letter, parts = _read(results[0]), doc["category"].split("/")
    item = {
        "question_id": doc["index"],
        "category": "Perception" if "perception" in doc["category"].lower() else "Reasoning",
        "sub_category": parts[-1],
        "task_category": doc["l2-category"],
        "pred_answer": letter or "",
        "answer": doc["answer"],
    }
    item = Item(item, score=_accuracy([item]))
    return {"mme_realworld_score": item} if letter else Unparsed(mme_realworld_score=item)


def _accuracy(items: Sequence[Doc]) -> float:
    return float(sum(item["pred_answer"].lower() == item["answer"].lower() for item in items) / len(items))


def mme_realworld_sub_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the share of right letters by ability, by ability and domain, and by these and the finer category.

    For the first two, how many answers were "E", which says that no option fits, as well.
    """
    named = [{**i, "domain": f"{i['category']}/{i['sub_category']}"} for i in items]
    finer = [{**i, "finer": f"{i['domain']}/{i['task_category'].lower()}"} for i in named]
    shares = over("category", "domain", "finer", aggregation=_accuracy)(finer)
    num_unfit = over("category", "domain", aggregation=lambda own: sum(item["pred_answer"] == "E" for item in own))
    return shares | {f"{name}: answered E": number for name, number in num_unfit(named).items()}


@with_sub_scores(mme_realworld_sub_scores)
def mme_realworld_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right letters over all questions, 0 to 1."""
    return _accuracy(items)


def mme_realworld_reasoning_text(doc: Doc) -> str:
    """Return question, options and the instruction of the reasoning variant."""
    instruction = "Select best answer to above multiple-choice question based on image."
    return _asked(doc, "The choices are listed below:", instruction)


def mme_realworld_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(mme_realworld_doc_to_visual(doc), mme_realworld_reasoning_text(doc), system=ANALYSIS_PROMPT)


def mme_realworld_cn_reasoning_text(doc: Doc) -> str:
    """Return question, options and the instruction of the reasoning variant in Chinese."""
    return _asked(doc, "选项如下所示:", "根据图像选择上述多项选择题的最佳答案。")


def mme_realworld_cn_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the Chinese question."""
    return one_turn(mme_realworld_doc_to_visual(doc), mme_realworld_cn_reasoning_text(doc), system=ANALYSIS_PROMPT)


def mme_realworld_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["answer"])
