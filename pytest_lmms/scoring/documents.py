"""Questions about documents whose datasets name their columns differently: what is asked, shown and right.

A question is in the first of several columns that holds a text; answers and options are in the first that the row has.
Knows no benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.tasks.prompts import instructed, option_lines

Doc = Mapping[str, Any]
QUESTIONS = ("question", "query", "prompt", "instruction", "text")
ANSWERS = ("answers", "answer", "target")
OPTIONS = ("options", "choices")
PAGES = ("image", "page_image", "document_image")
PAGE_LISTS = ("images", "page_images", "document_images", "pages")


def question_of(doc: Doc, columns: Sequence[str] = QUESTIONS) -> str:
    """Return the first text that is not blank; ``""`` without any."""
    texts = (doc[c] for c in columns if c in doc)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")


def answers_of(doc: Doc) -> list[str]:
    """Return the right answers as texts, blank ones of a list left out."""
    value = next((doc[c] for c in ANSWERS if c in doc), None)
    if isinstance(value, (list, tuple)):
        return [str(answer) for answer in value if str(answer).strip()]
    return [] if value is None else [str(value)]


def options_of(doc: Doc) -> list[str]:
    """Return the texts of the options, blank ones left out."""
    value = next((doc[c] for c in OPTIONS if c in doc), None)
    listed = value if isinstance(value, (list, tuple)) else []
    texts = [str(o.get("text", o.get("option", "")) if isinstance(o, Mapping) else o) for o in listed]
    return [text for text in texts if text.strip()]


def pages_of(doc: Doc) -> list[Any]:
    """Return the pages: pictures in RGB, or encoded bytes; anything else is passed over."""
    single = [doc[c] for c in PAGES if c in doc]
    listed = [page for c in PAGE_LISTS if c in doc and isinstance(doc[c], (list, tuple)) for page in doc[c]]
    return [p if isinstance(p, bytes) else p.convert("RGB") for p in (*single, *listed) if _is_page(p)]


def _is_page(value: Any) -> bool:
    return isinstance(value, bytes) or hasattr(value, "convert")


def document_prompt(doc: Doc, kwargs: Doc | None, columns: Sequence[str] = QUESTIONS) -> str:
    """Return question, lettered options if any, and instruction."""
    options = options_of(doc)
    listed = f"\n{option_lines(options)}" if options else ""
    return instructed(f"{question_of(doc, columns)}{listed}", kwargs)


def simplified(text: object) -> str:
    """Return a text in lower case with single spaces."""
    return " ".join(str(text).strip().lower().split())


def edit_similarity(answer: str, gold: str) -> float:
    """Return 1 minus the edit distance over the length of the longer text, 0 to 1; 1 for two empty texts."""
    from rapidfuzz.distance import Levenshtein

    longest = max(len(answer), len(gold))
    return 1 - Levenshtein.distance(answer, gold) / longest if longest else 1.0


def has_right_letter(response: str, doc: Doc) -> bool:
    """Tell whether the first letter that stands alone, in any case, begins a right answer; False without options."""
    if not options_of(doc):
        return False
    letter = re.search(r"\b([A-Z])\b", response.upper())
    return letter is not None and any(letter.group(1) == gold.strip()[:1].upper() for gold in answers_of(doc))
