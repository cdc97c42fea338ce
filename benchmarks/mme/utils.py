"""MME: pairs of yes/no questions about an image, on perception and on cognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Unparsed

Item = Mapping[str, Any]
"""What one document adds to its metric: ``question_id``, ``category``, ``score`` (0.0 or 1.0)."""

DATASET_SUFFIX = " Please answer yes or no."
PERCEPTION_CATEGORIES = frozenset(
    {"existence", "count", "position", "color", "posters"} | {"celebrity", "scene", "landmark", "artwork", "OCR"}
)
QUESTIONS_PER_PAIR = 2


def mme_doc_to_visual(doc: Mapping[str, Any]) -> list[Any]:
    """Return the row's one image."""
    return [doc["image"].convert("RGB")]


def mme_doc_to_text(doc: Mapping[str, Any], kwargs: Mapping[str, Any] | None = None) -> str:
    """Return the question between `pre_prompt` and `post_prompt`.

    Either of them, when not empty, replaces the dataset's own request for a yes or a no.
    """
    pre_prompt = (kwargs or {}).get("pre_prompt") or ""
    post_prompt = (kwargs or {}).get("post_prompt") or ""
    question = doc["question"].strip()
    if pre_prompt or post_prompt:
        question = question.replace(DATASET_SUFFIX, "")
    return f"{pre_prompt}{question}{post_prompt}"


def read_yes_or_no(text: str) -> str | None:
    """Return ``"yes"``, ``"no"``, or None when the text begins with neither.

    Case and full stops do not count. A lone ``y`` or ``n`` will do; of anything longer only the
    first four characters are looked at, and "yes" within them goes before "no".
    """
    text = text.lower().strip().replace(".", "")
    if len(text) == 1:
        return {"y": "yes", "n": "no"}.get(text)
    beginning = text[:4]
    return next((word for word in ("yes", "no") if word in beginning), None)


def mme_process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Item]:
    """Score one answer under the metric that its category belongs to."""
    answer = read_yes_or_no(results[0])
    gold = doc["answer"].lower().strip().replace(".", "")
    item = {
        "question_id": doc["question_id"],
        "category": doc["category"],
        "score": 1.0 if answer is not None and answer == gold else 0.0,
    }
    is_perception = doc["category"] in PERCEPTION_CATEGORIES
    metric = "mme_perception_score" if is_perception else "mme_cognition_score"
    return Unparsed({metric: item}) if answer is None else {metric: item}


def mme_category_scores(items: Sequence[Item]) -> dict[str, float]:
    """Score each category from its complete pairs.

    A pair gives the percentage of its questions answered right, plus 100 when both are; a category
    gives the mean of its pairs, 0 to 200. A question whose partner was not asked is left out, and
    so is a category without any pair.

    Returns:
        Category -> score, in the order in which categories appear.
    """
    by_category: dict[str, dict[str, list[float]]] = {}
    for item in items:
        questions = by_category.setdefault(item["category"], {})
        questions.setdefault(item["question_id"], []).append(item["score"])
    category_scores = {}
    for category, questions in by_category.items():
        pairs = [scores for scores in questions.values() if len(scores) == QUESTIONS_PER_PAIR]
        if pairs:
            category_scores[category] = fmean(
                fmean(pair) * 100 + (100 if all(score == 1 for score in pair) else 0) for pair in pairs
            )
    return category_scores


def mme_aggregate_results(items: Sequence[Item]) -> float | None:
    """Return the sum of the category scores, or None when no pair is complete."""
    category_scores = mme_category_scores(items)
    return sum(category_scores.values()) if category_scores else None


mme_aggregate_results.sub_scores = mme_category_scores  # type: ignore[attr-defined]
