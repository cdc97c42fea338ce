"""Video-MME without options: the answer is compared with the right text, or a judge finds the option that it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed

from .variants import LETTERS, option_texts

Doc = Mapping[str, Any]


def videomme_doc_to_question(doc: Doc, kwargs: Doc) -> str:
    """Return the question without options, and the instruction."""
    return f"{kwargs['pre_prompt']}{doc['question']}{kwargs['post_prompt']}"


def videomme_doc_to_option_text(doc: Doc) -> str:
    """Return the right option's text."""
    return option_texts(doc)[LETTERS.index(doc["answer"].upper())].strip()


def _words(text: str) -> str:
    """Lower case, single spaces, no marks."""
    return " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())


def videomme_process_results_text(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer: it holds the right option's text, or is a part of it."""
    said, gold = _words(results[0]), _words(videomme_doc_to_option_text(doc))
    scores = {"acc_score": float(bool(said) and (gold in said or said in gold))}
    return scores if said else Unparsed(scores)


def videomme_process_results_meant(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one answer by rules: the one option whose text it holds is the right one."""
    said = f" {_words(results[0])} "
    found = [letter for letter, text in zip(LETTERS, option_texts(doc), strict=False) if f" {_words(text)} " in said]
    letter = found[0] if len(found) == 1 else None
    scores = {"rule_acc_score": float(letter == doc["answer"].upper())}
    return scores if letter else Unparsed(scores)


def videomme_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, float]:
    """Score one answer by the option that a judge found in it, "X" for none."""
    is_found = reply != "X"
    return {"acc_score": float(is_found and reply == doc["answer"].upper()), "llm_match_score": float(is_found)}


videomme_process_results_meant.judged = videomme_judged  # type: ignore[attr-defined]
