"""The letter of an option in free text, by rules that several benchmarks share; see `choices` for MMMU's.

None of them guesses: without a letter the answer is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed

ANNOUNCEMENTS = (
    "The best answer is", "The correct answer is", "The answer is", "The answer", "The best option is",
    "The correct option is", "Best answer:", "Best option:",
)  # fmt: skip
"""Phrases deleted by `first_capital`, in this order."""
MAX_WORDS = 10


def first_capital(text: str, letters: str, *, announcements: Iterable[str] = ANNOUNCEMENTS) -> str | None:
    """Return the first of some capitals anywhere in a text, once announcements are deleted.

    The rule of Video-MME: "Answer: B" is therefore an A. A text of more than ten words needs no other treatment: it
    too is read by its first capital.

    Args:
        text: The response.
        letters: The capitals that count, for example ``"ABCD"``.
        announcements: Phrases to delete first, each everywhere.
    """
    text = text.strip()
    for phrase in announcements:
        text = text.replace(phrase, "")
    return next((character for character in text if character in letters), None)


def whole_word_letter(text: str, letters: str, *, last: bool = False) -> str | None:
    """Return the first (or last) of some letters that stands alone as a word, case-sensitive."""
    found = re.findall(rf"\b([{letters}])\b", text)
    return found[-1 if last else 0] if found else None


def option_number(text: str, count: int) -> str | None:
    """Return which of the options 1 to `count` a text names.

    A number that begins the text, before a full stop, a bracket or a blank; else the first that stands alone; else one
    that begins the text before anything.
    """
    text, numbers = text.strip(), "|".join(map(str, range(count, 0, -1)))
    forms = (rf"({numbers})[.)\s]", rf".*?\b({numbers})\b", rf"({numbers})")
    found = next((found for form in forms if (found := re.match(form, text, re.DOTALL))), None)
    return found[1] if found else None


def leading_letter(text: str) -> str | None:
    """Return the capital that begins a text when a full stop follows it, as in ``A. a dog``; else None."""
    found = re.match(r"\s*([A-Z])\.", text)
    return found.group(1) if found else None


DECORATIONS = ("{}.", "{},", "{}:", "{})", "{}).", "({})", "({}).", ":{}", ":{},", ":{}.", ":{})", ":{}).")
"""How a letter may be written as a word of its own, in the order in which `lone_letter` looks for them."""
MAX_WORDS_WITH_ARTICLE = 3


def lone_letter(text: str, letters: str) -> str | None:
    """Return the letter that is the only one of its kind among the words of a text: the rule of MMBench.

    First bare letters count, then each of `DECORATIONS`. A bare letter in a text of more than three words that has a
    word "A" is no letter, since "A" may be the article.

    Args:
        text: The response.
        letters: The capitals that count, for example ``"ABCDE"``.
    """
    words = text.split()
    for form in ("{}", *DECORATIONS):
        found = [letter for letter in letters if form.format(letter) in words]
        may_be_article = form == "{}" and "A" in words and len(words) > MAX_WORDS_WITH_ARTICLE
        if len(found) == 1 and not may_be_article:
            return found[0]
    return None


ANNOUNCED = (
    r"answer\s+is\s+([a-d])",
    r"answer:\s*([a-d])",
    r"choose\s+([a-d])",
    r"option\s+([a-d])",
    r"\(([a-d])\)",
    r"^([a-d])[.,。]",
    r"^([a-d])$",
)
"""Where `announced_letter` looks, best first."""


def announced_letter(text: str) -> str | None:
    """Return the capital of the letter from a to d that a text announces, in any case.

    The rule of the AudioLLMs listening tests: after "answer is", "answer:", "choose" or "option", in brackets, before a
    full stop or comma at the beginning, alone, or as the first letter of the text. A letter may begin a word, so that
    "Because" is a B.
    """
    text = text.strip().lower()
    found = next((match for pattern in ANNOUNCED if (match := re.search(pattern, text))), None)
    letter = found.group(1) if found else text[:1]
    return letter.upper() if letter and letter in "abcd" else None


def score_announced_letter(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, int]:
    """Score one answer of a listening test against the column `answer`: `accuracy`, and `failure_rate` when unread."""
    letter = announced_letter(results[0])
    gold = announced_letter(str(doc["answer"])) or str(doc["answer"]).strip().upper()
    scores = {"accuracy": int(letter is not None and letter == gold), "failure_rate": int(letter is None)}
    return scores if letter else Unparsed(scores)


def letter_by_text(response: str, lines: str) -> str:
    """Return the letter of the option whose text a response holds, or else the response without punctuation.

    The response loses its punctuation first, so the text of an option that has some is never found; case counts; of
    several texts the leftmost decides.

    Args:
        response: The response.
        lines: Text with the options as lines ``A. text``; they are lettered in the order in which they stand there.
    """
    texts = [text.strip() for text in re.findall(r"\b[A-Z]\.\s(.*)", lines)]
    letters = {text: chr(ord("A") + position) for position, text in enumerate(texts) if text}
    cleaned = re.sub(r"[^\w\s]", "", response).strip()
    found = re.search("|".join(map(re.escape, letters)), cleaned) if letters else None
    return letters[found.group()] if found else cleaned


def initial_letter(text: str) -> str:
    """Return the letter that a text begins with as a capital, after brackets and spaces; "" without one.

    The letter may begin a word, so that "because" is a B.
    """
    found = re.match(r"[(\s]*([A-Za-z])", text)
    return found.group(1).upper() if found else ""
