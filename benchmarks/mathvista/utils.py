"""MathVista: mathematical questions about figures, charts and photographs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.reasoned import reasoned_scores
from pytest_lmms.scoring.subscores import Items, over, with_sub_scores
from pytest_lmms.tasks.prompts import letter_of

Doc = Mapping[str, Any]


def extract(doc: Doc, response: str) -> str | None:
    """Return the answer of a response that is nothing else: a choice, an integer or a number; None otherwise."""
    if not response:
        return ""
    if doc["question_type"] == "multi_choice" and response in (doc["choices"] or []):
        return response
    convert = {"integer": int, "float": float}.get(doc["answer_type"])
    try:
        return str(convert(response)) if convert else None
    except ValueError:
        return None


def normalise(doc: Doc, extraction: str) -> str | None:
    """Bring an extracted answer into the gold answer's form: the text of the nearest choice, or digits."""
    if doc["question_type"] == "multi_choice":
        from rapidfuzz.distance import Levenshtein

        choices = [str(choice) for choice in doc["choices"]]
        bracketed = re.search(r"\(([a-zA-Z])\)", extraction)
        said = bracketed.group(1).upper() if bracketed else extraction.strip()
        by_letter = {letter_of(i): choice for i, choice in enumerate(choices)}
        return by_letter[said] if said in by_letter else min(choices, key=lambda c: Levenshtein.distance(said, c))
    try:
        if doc["answer_type"] == "integer":
            return str(int(float(extraction)))
        if doc["answer_type"] == "float":
            return str(round(float(extraction), doc["precision"]))
    except (ValueError, TypeError, OverflowError):
        return None
    return extraction


def mathvista_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    extraction = extract(doc, results[0].strip())
    scores = _scores(doc, extraction)
    return Unparsed(scores) if extraction is None else scores


def mathvista_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Score one answer by what a judge found in it; nothing found is wrong, and no choice is near to it."""
    return _scores(doc, reply.strip() or None)


mathvista_judged.only_unread = True  # type: ignore[attr-defined]
mathvista_process_results.judged = mathvista_judged  # type: ignore[attr-defined]


def _scores(doc: Doc, extraction: str | None) -> dict[str, Any]:
    prediction = None if extraction is None else normalise(doc, extraction)
    answer = doc["answer"]
    is_right = None not in (answer, prediction) and str(prediction).strip() == str(answer).strip()
    columns = ("query", "choices", "answer", "question_type", "answer_type", "precision", "metadata")
    item = {"question_id": doc["pid"], **{column: doc[column] for column in columns}}
    item |= {"extraction": extraction or "", "prediction": prediction, "true_false": is_right}
    return {"llm_as_judge_eval": Item(item, score=float(is_right)), "submission": item}


def _percent(items: Items) -> float:
    return round(100 * fmean(item["true_false"] for item in items), 2)


def mathvista_sub_scores(items: Items) -> dict[str, float]:
    """Return the share of right answers, 0 to 100, by kind of question and answer, and by what the metadata say."""
    keys = ("language", "source", "category", "task", "context", "grade")
    flat = [{**item, **{key: (item["metadata"] or {}).get(key) for key in keys}} for item in items]
    skills = [{**item, "skill": skill} for item in items for skill in (item["metadata"] or {}).get("skills", [])]
    by_column = over("question_type", "answer_type", *keys, aggregation=_percent)(flat)
    return by_column | over("skill", aggregation=_percent)(skills)


@with_sub_scores(mathvista_sub_scores)
def mathvista_aggregate_results(items: Items) -> float:
    """Return the share of right answers, 0 to 100, to two decimals."""
    return _percent(items)


def mathvista_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; a choice is known by its letter."""
    is_choice = doc["question_type"] == "multi_choice"
    return reasoned_scores(results, letter_of(doc["choices"].index(doc["answer"])) if is_choice else doc["answer"])
