"""MMSearch's second and third round alone, on pages that the dataset holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed

from .prompts import ask_for_answer, ask_for_site
from .scores import item_of, mean_of, score_answer
from .utils import NUM_SITES, mmsearch_end2end_doc_to_visual, read_site, slices_of

Doc = Mapping[str, Any]
RIGHT, NOT_SURE, WRONG = 1.0, 0.5, 0.0


def mmsearch_rerank_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the question's images, if it has any, and the eight screenshots."""
    heads = [doc[f"website{i}_head_screenshot"].convert("RGB") for i in range(NUM_SITES)]
    return [*mmsearch_end2end_doc_to_visual(doc), *heads]


def mmsearch_rerank_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the prompt to choose one of the row's eight pages."""
    return ask_for_site(doc, [doc[f"website{i}_info"] for i in range(NUM_SITES)])


def score_choice(item: Doc) -> float:
    """Return what the choice of an item is worth: 1 for a page that answers the question, 0.5 for one that may."""
    number, is_valid = read_site(item["rerank_prediction"], NUM_SITES)
    grade = RIGHT if number in item["valid"] else NOT_SURE if number in item["not_sure"] else WRONG
    return grade if is_valid else WRONG


def mmsearch_rerank_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one choice."""
    item = item_of(doc, "valid", "not_sure", "invalid", rerank_prediction=results[0])
    scores = {"rek_score": Item(item, score=score_choice(item))}
    return scores if read_site(results[0], NUM_SITES)[1] else Unparsed(scores)


mmsearch_mean_choice = mean_of(score_choice)


def _slices(doc: Doc) -> list[Any]:
    return slices_of(doc["website_fullpage_screenshot"])


def mmsearch_summarization_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the page's screenshot in slices, then what a search for the question's image found, and that image."""
    return [*_slices(doc), *mmsearch_end2end_doc_to_visual(doc)[::-1]]


def mmsearch_summarization_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the prompt to answer from the row's page."""
    names = {"title": "website_title", "snippet": "website_snippet", "content": "website_retrieved_content"}
    return ask_for_answer(doc, {name: doc[column] for name, column in names.items()}, len(_slices(doc)))


def mmsearch_summarization_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    item = item_of(doc, "alternative_gt_answers", answer_prediction=results[0])
    scores = {"summarization_f1_score": Item(item, score=score_answer(item))}
    return scores if results[0].strip() else Unparsed(scores)
