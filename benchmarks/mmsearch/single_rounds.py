"""MMSearch's second and third round alone, on pages that the dataset holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed

from .prompts import ask_for_answer, ask_for_site
from .scores import f1_score, place_of
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


def mmsearch_rerank_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one choice: 1 for a page that answers the question, 0.5 for one that may."""
    number, is_valid = read_site(results[0], NUM_SITES)
    grade = RIGHT if number in doc["valid"] else NOT_SURE if number in doc["not_sure"] else WRONG
    scores = {"rek_score": place_of(doc) | {"score": grade if is_valid else WRONG}}
    return scores if is_valid else Unparsed(scores)


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
    f1 = f1_score(results[0], [doc["gt_answer"], *(doc["alternative_gt_answers"] or [])])
    scores = {"summarization_f1_score": place_of(doc) | {"score": f1}}
    return scores if results[0].strip() else Unparsed(scores)
