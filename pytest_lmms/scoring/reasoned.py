r"""Answers that come with their reasoning: finding the answer, scoring it and its form.

The rules of LLaVA-OneVision-1.5-RL's evaluation, for all tasks called `*_reasoning`. An answer stands in
``<answer>...</answer>``, in ``\boxed{}``, or ends a line as a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import fmean

from pytest_lmms.scoring.maths import last_boxed, math_equal
from pytest_lmms.scoring.spans import contents

ANALYSIS_PROMPT = (
    "You are a helpful assistant. When user asks a question, your response must include two parts: "
    "first, reasoning process enclosed in <analysis>...</analysis> tags, "
    "then final answer enclosed in <answer>...</answer> tags."
    "Please provide a clear, concise response within <answer> </answer> tags that directly addresses to question."
)
"""System prompt that asks for `<analysis>`."""
THINK_PROMPT = (
    "You are a helpful assistant. When the user asks a question, your response must include two parts: "
    "first, the reasoning process enclosed in <think>...</think> tags, "
    "then the final answer enclosed in <answer>...</answer> tags."
    "Please provide a clear, concise response within <answer> </answer> tags that directly addresses the question."
)
"""System prompt that asks for `<think>`."""
LETTERS = "ABCDEFGH"
_ENDS = ",.!?;:'\""
_LAST_WORDS = re.compile(r"\b(\d+(?:\.\d+)?)\s*\.?\s*$")
_SUBJECTS = ("answer", "correct answer", "best answer", "option", "correct option", "choice", "correct choice")
_ANNOUNCEMENTS = (*(f"{subject} is" for subject in _SUBJECTS), "answer", "correct answer", "best answer")
_OWN_WORDS = ("i choose", "i select", "i pick", "my answer is", "my choice is")
_PHRASES = (*_ANNOUNCEMENTS, *(f"the {phrase}" for phrase in _ANNOUNCEMENTS), *_OWN_WORDS)
"""What announces a letter, in lower case."""
_KINDS = {"({})": 6, "{}.": 5, "{}:": 4, "{})": 3, "{} ": 2, "{}-": 1, "{}_": 1, "{}=": 1}
"""How a letter may stand in the text, with the priority of each."""
_START, _END, _NUMBERED, _PHRASE, _ANYWHERE = 10, 9, 8, 7, 0
MIN_SHARE = 0.9
"""Of two texts, one inside the other, the shorter must have at least this share of the longer's length."""
MIN_LENGTH_OF_REASONING = 50
PARTIAL_FORMAT_SCORE = 0.8


def find_answer(text: str) -> str:
    r"""Return the answer in a response: the first ``<answer>``, the last ``\boxed{}``, or the number that ends a line.

    Lines are searched from the last one up. White space around it stays; ``""`` when there is none.
    """
    if tagged := contents(text, "<answer>", "</answer>"):
        return tagged[0]
    if boxed := last_boxed(text):
        return boxed
    for line in reversed(text.split("\n")):
        if number := _LAST_WORDS.search(line[-500:]):
            return number.group(1)
    return ""


def extract_answer(text: str) -> str:
    """Return what `find_answer` finds, without white space around it."""
    return find_answer(text).strip()


def read_reasoned_letter(text: str) -> str | None:
    """Read the letter A to H that a text chooses; case-sensitive.

    Among the ways in which letters stand in the text the surest decides: at its start, at its end, numbered
    (``2. B``), after a phrase such as "the answer is", in brackets, before a mark; then any capital A to H. Of several
    letters found in the same way, the one whose last place there is the earliest counts.
    """
    text = text.strip()
    for mark in _ENDS:
        text = text.strip(mark)
    if not text:
        return None
    padded = f" {text} "
    lowered = padded.lower()
    found: list[tuple[int, int, str]] = []  # (-priority, position, letter)
    for number, letter in enumerate(LETTERS, 1):
        found += [(-p, padded.rfind(form.format(letter)), letter) for form, p in _KINDS.items()]
        found.append((-_NUMBERED, padded.rfind(f"{number}. {letter}"), letter))
        starts = [lowered.find(phrase) for phrase in _PHRASES]
        found += [(-_PHRASE, padded.find(letter, start), letter) for start in starts if start >= 0]
        if text.lstrip().startswith(letter):
            found.append((-_START, 0, letter))
        if text.rstrip().endswith(letter):
            found.append((-_END, len(padded), letter))
        found.append((-_ANYWHERE, padded.rfind(letter), letter))
    found = [f for f in found if f[1] >= 0]
    return min(found)[2] if found else None


def _has_full_form(text: str) -> bool:
    """Whether a text is reasoning in its tags, anything, and ends with an answer in its tags."""
    for tag in ("think", "analysis"):
        opening, closing = f"<{tag}>", f"</{tag}>"
        if text.startswith(opening) and (end := text.find(closing, len(opening))) >= 0:
            start = text.find("<answer>", end + len(closing))
            return start >= 0 and text.endswith("</answer>", start + len("<answer>"))
    return False


def format_score(text: str) -> float:
    r"""Score a response's form.

    1 for reasoning and answer in their tags, or a filled ``\boxed{}``; 0.8 for a longer text with signs of calculation
    and an answer that can be found; else 0.
    """
    if _has_full_form(text) or last_boxed(text):
        return 1.0
    text = text.strip()
    has_signs = any(sign in text for sign in "=+-*/()[]\\")
    if len(text) > MIN_LENGTH_OF_REASONING and has_signs and extract_answer(text):
        return PARTIAL_FORMAT_SCORE
    return 0.0


def _reads_alike(answer: str, gold: str) -> bool:
    if (letter := read_reasoned_letter(gold)) is not None:
        return read_reasoned_letter(answer) == letter
    shorter, longer = sorted((answer, gold), key=len)
    return answer == gold or (shorter in longer and len(shorter) >= MIN_SHARE * len(longer))


def is_right(answer: str, gold: str) -> bool:
    """Compare an extracted answer with the gold.

    A gold in which a letter A to H can be read is compared by that letter. Otherwise one text may hold the other when
    their lengths are close (`MIN_SHARE`). Failing that, both may have the same mathematical value.
    """
    answer, gold = (side.removesuffix(".").strip() for side in (answer, gold))
    return _reads_alike(answer, gold) or (bool(answer) and math_equal(gold, answer))


def score_reasoned(responses: Sequence[str], gold: object) -> tuple[float, float]:
    """Score the responses of one document.

    Args:
        responses: Texts, reasoning included.
        gold: The right answer; taken as text.

    Returns:
        (accuracy, format), each 0 to 1, means over the responses.
    """
    accuracy = fmean(float(is_right(extract_answer(text), str(gold))) for text in responses)
    return accuracy, fmean(format_score(text) for text in responses)


def reasoned_scores(responses: Sequence[str], gold: object, prefixes: Sequence[str] = ("",)) -> dict[str, float]:
    """Score as `score_reasoned`, as metrics ``<prefix>acc_score`` and ``<prefix>format_score`` for each prefix."""
    accuracy, form = score_reasoned(responses, gold)
    return {f"{p}{name}": value for p in prefixes for name, value in (("acc_score", accuracy), ("format_score", form))}
