"""MM-Vet: open questions that need several abilities at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.subscores import with_sub_scores
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]
ABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")


def mmvet_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image, if there is one."""
    return [] if doc["image"] is None else [doc["image"].convert("RGB")]


def mmvet_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"], kwargs)


def share_of_elements(gold: str, response: str) -> float:
    """Return how many of the elements joined by ``<AND>`` a response holds, the best of the ways joined by ``<OR>``."""
    said = response.lower()
    ways = [[element.strip().lower() for element in way.split("<AND>")] for way in gold.split("<OR>")]
    return max(fmean(element in said for element in way) for way in ways)


def mmvet_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer by the words of the gold one."""
    score = share_of_elements(str(doc["answer"]), results[0])
    return {"keyword_score": {"question_id": doc["question_id"], "capability": doc["capability"], "score": score}}


def mmvet_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Doc]:
    """Score one answer by the number from 0 to 1 that a judge's reply begins with; 0 for any other reply."""
    try:
        score = float(reply.strip().split(" ")[0])
    except ValueError:
        score = 0.0
    item = {"question_id": doc["question_id"], "capability": doc["capability"], "answer": results[0]}
    return {"gpt_eval_score": {**item, "score": score if 0 <= score <= 1 else 0.0}}


mmvet_process_results.judged = mmvet_judged  # type: ignore[attr-defined]


def _percent(items: Sequence[Doc]) -> float:
    return 100 * fmean(item["score"] for item in items)


def mmvet_ability_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the mean score, 0 to 100, of the questions that need each ability, and each combination."""
    groups = {ability: [i for i in items if ability in i["capability"]] for ability in ABILITIES}
    for item in items:
        if (combination := "_".join(sorted(item["capability"].split(",")))) not in ABILITIES:
            groups.setdefault(combination, []).append(item)
    return {name: _percent(own) for name, own in groups.items() if own}


@with_sub_scores(mmvet_ability_scores)
def mmvet_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the mean score, 0 to 100."""
    return _percent(items)
