"""Reading an answer out of free text: the letter of an option, or what an open answer concludes.

Knows letters, option texts and the words that announce an answer; knows no benchmark, and never
guesses: where no letter can be read the answer is None, and the task returns
`pytest_lmms.records.Unparsed`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

CONCLUSION_CUES = (
    "could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ",
)  # fmt: skip
"""What stands before the answer in a sentence."""
TRIMMED_MARKS = ",.!?;:'"
"""Marks that are cut from both ends of an answer, one kind after the other, in this order."""
MIN_WORDS_FOR_OPTION_TEXT = 6
"""An answer shorter than this is not searched for the text of an option."""


def label_options(options: Iterable[str]) -> dict[str, str]:
    """Name options by letters: the first is ``A``, the second ``B``, and so on.

    Args:
        options: Option texts in the order in which they are shown.

    Returns:
        Letter -> option text, in that order.
    """
    return {chr(ord("A") + position): option for position, option in enumerate(options)}


def shuffle_options(options: Sequence[str], gold: int, seed: str | None) -> tuple[list[str], int]:
    """Put options into another order, the same in every process and run.

    Args:
        options: Option texts in the order of the dataset.
        gold: Position of the right one, 0 the first.
        seed: What the order depends on, such as the question's id.

    Returns:
        The options, and the position of the right one among them.

    Raises:
        ValueError: There is no seed: every process would draw another order.
    """
    if seed is None:
        raise ValueError("the row has no id, on which the order of its options depends")
    order = list(range(len(options)))
    random.Random(seed).shuffle(order)  # noqa: S311 (an order, no secret)
    return [options[position] for position in order], order.index(gold)


def read_letter(text: str, options: Mapping[str, str]) -> str | None:
    """Read which option a text chooses, by the rules of the MMMU benchmark.

    The first rule that finds any option decides: a letter in brackets ``(B)``; a letter before a
    space, be it the end of a longer word; a letter before a full stop; for answers of more than
    five words, the text of an option, in any case. Where a rule finds several options, the one
    mentioned last wins. Letters without brackets are compared by where they stand between two
    spaces, so among those that a full stop follows the alphabetically first wins.

    Args:
        text: The answer. Lower-case letters are not read as options.
        options: Letter -> option text (see `label_options`).

    Returns:
        The letter, or None when no rule finds an option.
    """
    for mark in TRIMMED_MARKS:
        text = text.strip(mark)
    text = f" {text} "
    lowered = text.lower()

    # One rule a row: does the text mention this option, and where does it do so last?
    in_brackets = (lambda o: f"({o})" in text, lambda o: text.rfind(f"({o})"))
    before_space = (lambda o: f"{o} " in text, lambda o: text.rfind(f" {o} "))
    before_stop = (lambda o: f"{o}." in text, lambda o: text.rfind(f" {o} "))
    by_content = (
        lambda o: options[o].lower() in lowered,
        lambda o: lowered.rfind(options[o].lower()),
    )
    rules: list[tuple[Callable[[str], bool], Callable[[str], int]]]
    rules = [in_brackets, before_space, before_stop]
    if len(text.split()) >= MIN_WORDS_FOR_OPTION_TEXT:
        rules.append(by_content)

    for mentions, last_position in rules:
        found = [letter for letter in options if mentions(letter)]
        if found:
            return max(found, key=last_position)
    return None


def read_conclusion(text: str) -> str:
    """Read what an open answer concludes, by the rules of the MMMU benchmark.

    In each line, the shortest text after a cue (`CONCLUSION_CUES`, in the last line ``=`` too) is a
    conclusion, unless it is a lone punctuation mark; the first line that has one decides. Without
    any, the whole text is the conclusion.

    Args:
        text: The answer.

    Returns:
        Lower-case text; a number as a float of at most two decimals (``"24.0"``); a single
        character with a blank before it; ``""`` for an empty answer.
    """
    text = text.strip().strip(".").lower()
    *lines, last_line = text.split("\n")
    conclusions = [shortest_after(CONCLUSION_CUES, line) for line in lines]
    conclusions.append(shortest_after((*CONCLUSION_CUES, "="), last_line))
    conclusion = next((c for c in conclusions if c and c not in set(TRIMMED_MARKS)), text).strip()
    try:
        return str(round(float(conclusion.replace(",", "")), 2))
    except ValueError:
        return f" {conclusion}" if len(conclusion) == 1 else conclusion


def shortest_after(cues: Iterable[str], line: str) -> str:
    """Return the shortest text that follows the last place of a cue in a line; ``""`` without any."""
    shortest = ""
    for cue in cues:
        _, found, tail = line.rpartition(cue)
        if found and (not shortest or len(tail.strip()) < len(shortest)):
            shortest = tail.strip()
    return shortest
