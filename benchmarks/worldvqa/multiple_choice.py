"""WorldQA's questions with options, read by letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.letters import letter_by_text, lone_letter

from .utils import item_of

Doc = Mapping[str, Any]
LETTERS = "ABCD"


class OptionText:
    """Turns a response that holds the text of an option into that option's letter, and deletes punctuation."""

    def __call__(self, responses: list[str], document: Doc) -> list[str]:
        """Filter the responses of one document."""
        lines = "\n".join([document["question"], *document["option"]])
        return [letter_by_text(response, lines) for response in responses]


def worldqa_doc_to_mc_target(doc: Doc) -> str:
    """Return the right option's letter."""
    return str(doc["answer"]).split(".", maxsplit=1)[0]


def worldqa_mc_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep an answer, read by its one letter."""
    item = _mc_item(doc, results[0])
    return {"gpt_eval": item} if lone_letter(results[0], LETTERS) else Unparsed(gpt_eval=item)


def _mc_item(doc: Doc, letter: str) -> Item:
    item = item_of(doc, letter) | {"option": doc["option"], "question": doc["question"]}
    return Item(item, score=worldqa_mc_aggregate([item]))


def worldqa_mc_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Keep the letter that a judge found in an answer, "none" without one, in the answer's place."""
    return {"gpt_eval": _mc_item(doc, reply)}


vars(worldqa_mc_judged).update(only_unread=True, rubric="rubric_mc.yaml")
vars(worldqa_mc_process_results).update(judged=worldqa_mc_judged)


def worldqa_mc_aggregate(items: Sequence[Doc]) -> float:
    """Return the share of right letters, 0 to 1."""
    pairs = [(lone_letter(item["pred"], LETTERS) or "", worldqa_doc_to_mc_target(item)) for item in items]
    return fmean(letter.lower() == gold.lower() for letter, gold in pairs)
