"""Reading an option's letter as a capital in free text, by the rules of video benchmarks.

What usually introduces an answer is cut out; then the first (or last) capital that names an option is the answer, be
it within a word. Knows no benchmark, and never guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal


def read_capital(
    text: str, letters: str, *, introductions: Iterable[str] = (), which: Literal["first", "last"] = "first"
) -> str | None:
    """Read the capital that answers.

    Args:
        text: The answer.
        letters: The capitals that may be chosen, such as ``"ABCD"``.
        introductions: Phrases that are cut out wherever they stand, one after the other, case-sensitive.
        which: The first capital decides, or the last.

    Returns:
        The capital, or None when there is none of them.
    """
    text = text.strip()
    for introduction in introductions:
        text = text.replace(introduction, "")
    found = re.findall(f"[{letters}]", text)
    return found[0 if which == "first" else -1] if found else None
