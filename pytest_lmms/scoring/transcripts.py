"""The words that were heard, out of an answer that says more: "The audio says: 'good morning'".

Knows how such answers are wrapped; the sentences that may stand around a transcript are the benchmark's choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_lmms.scoring.spans import contents

TAGS = ("answer", "response", "result", "transcription", "text")
QUOTED_RUN = re.compile(r"['\"]([^'\"]{20,})['\"]")
"""Twenty characters or more between two quotation marks; an apostrophe is one too."""
_FLAGS = re.IGNORECASE | re.DOTALL


def read_transcript(
    text: str, *, sentences: Iterable[str], introductions: Iterable[str], may_end_after_quote: bool = False
) -> str:
    """Take the transcript out of an answer.

    The first that is there decides: the content of a tag in `TAGS`; the quotation that one of `sentences` ends with;
    the whole text, when it is one quotation; the first run of 20 or more characters between quotation marks, so that
    two contractions may cut a transcript. Else `introductions` are cut off.

    Args:
        text: The answer.
        sentences: Patterns of what stands before a quotation, best first; upper and lower case are the same.
        introductions: Patterns of what is cut off the beginning, one after the other.
        may_end_after_quote: Whether a full stop may follow a quotation that ends the text.

    Returns:
        The transcript without white space at both ends.
    """
    text = text.strip()
    for tag in TAGS:
        if tagged := contents(text, re.compile(f"<{tag}>", _FLAGS), re.compile(f"</{tag}>", _FLAGS)):
            return tagged[0].strip()
    end = r"['\"]\s*\.?$" if may_end_after_quote else r"['\"]$"
    quoted = text.removesuffix(".").rstrip() if may_end_after_quote else text
    if quoted.endswith(("'", '"')):
        for beginning in (*sentences, r"\A"):
            if found := re.search(rf"{beginning}\s*['\"](.+?){end}", text, _FLAGS):
                return found[1].strip()
    if run := QUOTED_RUN.search(text):
        return run[1].strip()
    for introduction in introductions:
        text = re.sub(rf"\A{introduction}\s*", "", text, flags=_FLAGS)
    return text.strip()
