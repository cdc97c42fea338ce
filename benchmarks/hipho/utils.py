"""HiPhO: problems of physics olympiads."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.subscores import Items, mean_score, over, with_sub_scores

from .answers import is_match, read_answers

Doc = Mapping[str, Any]
ROLE = "You are solving a physics olympiad question."
ORDER = "If the problem has multiple sub-answers, provide them in order."
FORM = "End with a single line in this format: Final Answer: \\boxed{...}."
NOTHING = ("", "none", "null")


def hipho_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the figures, if there are any."""
    found = doc.get("image")
    images = found if isinstance(found, list) else [found]
    return [image.convert("RGB") for image in images if image is not None]


def hipho_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the instructions, context, question, marking scheme and further information, those that there are."""
    marking, information = (doc.get(c) or "" for c in ("marking", "information"))
    context, question = str(doc.get("context") or "").strip(), str(doc["question"] or "").strip()
    sections = [
        kwargs["pre_prompt"], ROLE, ORDER, FORM,
        f"Context:\n{context}" if context else "",
        f"Question: {question}" if question else "",
        f"Marking guideline: {marking}" if marking not in ("", "None", "null") else "",
        f"Additional information: {information}" if information not in ("", "None", "null") else "",
        kwargs["post_prompt"],
    ]  # fmt: skip
    return "\n\n".join(section for section in sections if section)


def hipho_doc_to_target(doc: Doc) -> str:
    """Return the answers as the row has them."""
    return str(doc["answer"])


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if value is None or str(value).strip().lower() in NOTHING:
        return []
    if not isinstance(value, str):
        return [value]
    for parse in (json.loads, ast.literal_eval):
        try:
            parsed = parse(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return parsed if isinstance(parsed, list) else [parsed]
    return [value]


def _weights(points: Any, count: int) -> list[float]:
    """Return what each answer is worth, in sum 1."""
    found = []
    for point in _listed(points):
        try:
            found.append(float(point))
        except (TypeError, ValueError):
            found.append(1.0)
    if len(found) != count or sum(found) <= 0:
        found = [1.0] * count
    return [weight / sum(found) for weight in found]


def hipho_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one response: the worth of the gold answers that are among its answers, each used once."""
    golds = [str(gold) for gold in _listed(doc["answer"])]
    answers, score = read_answers(results[0]) if golds else [], 0.0
    unused = list(answers)
    for gold, weight in zip(golds, _weights(doc.get("points"), len(golds)), strict=True):
        if (hit := next((answer for answer in dict.fromkeys(unused) if is_match(answer, gold)), None)) is not None:
            unused.remove(hit)
            score += weight
    source, field = (str(doc.get(column, "unknown")) for column in ("source", "field"))
    item = {"id": str(doc["id"]), "source": source, "field": field, "score": score, "answers": golds}
    return {"hipho_score": {**item, "parsed_prediction": answers, "prediction": results[0]}}


def _percent(items: Items) -> float:
    return 100 * (mean_score(items) or 0.0)


@with_sub_scores(over("source", "field", aggregation=_percent))
def hipho_aggregate(items: Items) -> float:
    """Return the mean score, 0 to 100."""
    return _percent(items)
