"""CharXiv: charts of scientific papers, described and reasoned about."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.scoring.numbers import parse_float
from pytest_lmms.scoring.subscores import Items, mean_score, over, with_sub_scores
from pytest_lmms.tasks.prompts import one_turn

Doc = Mapping[str, Any]
NUM_QUESTIONS = 4


@functools.cache
def forms(name: str) -> dict[int, str]:
    """Return the 19 descriptive questions, or the four forms of a reasoning question, by their numbers."""
    stored = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return {int(number): form for number, form in stored.items()}


def charxiv_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the chart."""
    return [doc["image"].convert("RGB")]


def charxiv_reasoning_text(doc: Doc) -> str:
    """Return the question with the instruction of its kind."""
    kind, question = doc["reasoning_q_source"], doc["reasoning_q"]
    _, point, decimals = str(doc["reasoning_a"]).partition(".")
    number = f"a number with {len(decimals)} decimal places" if point else "an exact integer"
    return forms("reasoning_forms.json")[kind].format(question, f"* Your final answer must be {number}.")


def charxiv_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return one user turn, the chart before the question."""
    return one_turn(charxiv_doc_to_visual(doc), charxiv_reasoning_text(doc))


def charxiv_descriptive_rows(dataset: Any) -> Any:
    """Make of each chart four rows, one a descriptive question; images are not decoded."""
    copies = [row for row in range(len(dataset)) for _ in range(NUM_QUESTIONS)]
    repeated = dataset.select(copies)
    which = [1 + position % NUM_QUESTIONS for position in range(len(copies))]
    return repeated.add_column("which", which)


def charxiv_descriptive_text(doc: Doc) -> str:
    """Return the row's descriptive question, about the plot or subplot that the row names."""
    place = doc["subplot_loc"] or [doc["subplot_row"], doc["subplot_col"]]
    where = f"For {place}, " if isinstance(place, str) else f"For the subplot at row {place[0]} and column {place[1]}, "
    is_whole = not isinstance(place, str) and not place[0]
    form = forms("descriptive_questions.json")[doc[f"descriptive_q{doc['which']}"]]
    return form.format("For the current plot, " if is_whole else where)


def charxiv_descriptive_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return one user turn, the chart before the descriptive question."""
    return one_turn(charxiv_doc_to_visual(doc), charxiv_descriptive_text(doc))


def charxiv_descriptive_target(doc: Doc) -> str:
    """Return the right answer to the row's descriptive question."""
    return str(doc[f"descriptive_a{doc['which']}"])


def _is_right(response: str, gold: str) -> bool:
    """Compare the last line, after a colon or "is" if it has one: the same number, or the same text but for case."""
    last = response.strip().split("\n")[-1].strip()
    candidates = (last, last.rpartition(": ")[2], last.rpartition(" is ")[2])
    simple = {text.strip(" .*\"'$").lower() for text in candidates}
    number = parse_float(gold)
    return gold.strip(" .\"'$").lower() in simple or (number is not None and number in map(parse_float, simple))


def charxiv_descriptive_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one description by rules."""
    number = doc[f"descriptive_q{doc['which']}"]
    return {"descriptive_rule_acc": {"kind": number, "score": _is_right(results[0], charxiv_descriptive_target(doc))}}


def charxiv_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer by rules."""
    score = _is_right(results[0], str(doc["reasoning_a"]))
    return {"reasoning_rule_acc": {"kind": doc["reasoning_q_source"], "score": score}}


def charxiv_descriptive_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Doc]:
    """Score one description by what a judge said."""
    return {"descriptive_acc": {"kind": doc[f"descriptive_q{doc['which']}"], "score": reply == "1"}}


def charxiv_reasoning_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Doc]:
    """Score one answer by what a judge said."""
    return {"reasoning_acc": {"kind": doc["reasoning_q_source"], "score": reply == "1"}}


charxiv_descriptive_results.judged = charxiv_descriptive_judged  # type: ignore[attr-defined]
charxiv_reasoning_results.judged = charxiv_reasoning_judged  # type: ignore[attr-defined]


@with_sub_scores(over("kind"))
def charxiv_mean(items: Items) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return mean_score(items)
