"""MATH-Vision: problems of mathematics competitions with figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.scoring.maths import last_boxed, math_equal
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.prompts import option_lines

Doc = Mapping[str, Any]
REQUEST = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'
CUES = ("final answer is", "answer is", "correct answer is", "answer should be")


def mathvision_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the figure."""
    return [doc["decoded_image"].convert("RGB")]


def mathvision_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return request and question; for a multiple-choice question also choices and, if there is one, instruction."""
    if not doc["options"]:
        return f"{REQUEST}{doc['question']}"
    instruction = f"\n{kwargs['mc_prompt']}" if kwargs else ""
    return f"{REQUEST}{doc['question']}\nChoices: {option_lines(doc['options'])}{instruction}"


def read_final(text: str) -> str:
    """Return what a response concludes: its last box, what follows the last "answer is", or its last line."""
    if (box := last_boxed(text)) is not None:
        return box.strip()
    for cue in CUES:
        if cue in text.lower():
            tail = text[text.lower().rindex(cue) + len(cue) :].strip()
            return tail.split("\n")[0].split(". ")[0].strip(" :.")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1].strip(" .") if lines else ""


def _is_equal(answer: str, gold: str) -> bool:
    simple, simple_gold = ("".join(side.lower().split()).strip("$()") for side in (answer, gold))
    return simple == simple_gold or math_equal(gold, answer) or math_equal(f"${gold}$", f"${answer}$")


def mathvision_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score each response: its final answer is the gold letter or value, or the right choice's text."""
    right = rule_verdicts(doc, results)
    item = {"response": list(results), "scores": right, "subject": doc["subject"], "level": doc["level"]}
    return {"mathvision_standard_eval": Item(item, score=float(right[0]))}


def rule_verdicts(doc: Doc, results: Sequence[str]) -> list[bool]:
    """Tell of each response whether its final answer is the gold letter or value, or the right choice's text."""
    gold, options = str(doc["answer"]), list(doc["options"] or [])
    position = ord(gold) - ord("A") if options and len(gold) == 1 else -1
    golds = [gold, *options[position : position + 1]] if position >= 0 else [gold]
    finals = [read_final(text) for text in results]
    return [bool(final) and any(_is_equal(final, str(g)) for g in golds) for final in finals]


def mathvision_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Doc]:
    """Score the first response by what a judge said."""
    item = {"response": list(results), "scores": [reply == "1"], "subject": doc["subject"], "level": doc["level"]}
    return {"llm_as_judge_eval": Item(item, score=float(reply == "1"))}


mathvision_process_results.judged = mathvision_judged  # type: ignore[attr-defined]


def _percent(items: Sequence[Doc]) -> float:
    return round(100 * fmean(bool(item["scores"][0]) for item in items), 2)


@with_sub_scores(over("subject", "level", aggregation=_percent))
def mathvision_aggregate_results_eval(items: Sequence[Doc]) -> float:
    """Return the share of right first responses, 0 to 100."""
    return _percent(items)
