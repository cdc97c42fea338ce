"""Filters that find an answer by a regular expression.

Patterns are compiled once, when the task is loaded. They come from the task's author, the text they run on from a
model: a pattern that backtracks without end on some text is stopped by `patterns`, and costs that document.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.regexes.patterns import findall, remove
from pytest_lmms.scoring.filter_steps import Fallback

DEFAULT_PATTERN = r"#### (\-?[0-9\.\,]+)"
"""The pattern of the regex filters when a task gives none: the answer line of GSM8K."""

DEFAULT_FALLBACK = "[invalid]"
"""What the regex filters answer when they find nothing and the task names nothing else."""


def select_match(regex: re.Pattern[str], response: Any, group_select: int) -> str | None:
    """Return one of the matches in a response, without white space around it; None where there is none.

    Args:
        regex: Of several groups, the first that is not empty is the match.
        response: What is no text has no match.
        group_select: Which match, from 0; -1 is the last.

    Raises:
        DocumentError: The expression does not come to an end.
    """
    matches: list[Any] = findall(regex, response) if isinstance(response, str) else []
    try:
        match = matches[group_select]
    except IndexError:
        return None
    if isinstance(match, tuple):
        match = next((group for group in match if group), None)
    return None if match is None else str(match.strip())


class Regex:
    """Finds an answer by a regular expression.

    Of all matches the one at `group_select` is taken; when the pattern has several groups, the
    first that is not empty. White space around it goes. Where nothing is found, the answer is
    `fallback`, marked as such.
    """

    def __init__(
        self,
        regex_pattern: str = DEFAULT_PATTERN,
        group_select: int = 0,
        fallback: str = DEFAULT_FALLBACK,
    ) -> None:
        """Compile the pattern.

        Args:
            regex_pattern: As `re` reads it.
            group_select: Which match, from 0; -1 is the last.
            fallback: The answer when there is no such match.

        Raises:
            ValueError: `group_select` is no whole number.
            re.error: The pattern is wrong.
        """
        if not isinstance(group_select, int):
            message = f"group_select is {group_select!r}, not a whole number"
            raise ValueError(message)  # noqa: TRY004  (build_filter makes it a TaskError)
        self._regex = re.compile(regex_pattern)
        self._group_select = group_select
        self._fallback = Fallback(fallback)

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        answers: list[Any] = []
        for response in responses:
            found = self._find(self._regex, response)
            answers.append(self._fallback if found is None else found)
        return answers

    def _find(self, regex: re.Pattern[str], response: Any) -> str | None:
        return select_match(regex, response, self._group_select)


class MultiChoiceRegex(Regex):
    """Finds the letter of a choice, as ``(A)``.

    The choices' texts come from the document's column ``choices``; a subclass may name another. First the
    pattern is tried, and its match returned as it is. Then the text of a choice is looked for in the response
    and turned into its letter; then a letter after a colon.
    """

    column = "choices"
    """Where a document keeps the texts of its choices."""

    def __init__(  # noqa: PLR0917  (the arguments are lmms-eval's)
        self,
        regex_pattern: str = DEFAULT_PATTERN,
        group_select: int = 0,
        fallback: str = DEFAULT_FALLBACK,
        ignore_case: bool = False,  # noqa: FBT001, FBT002
        ignore_punctuation: bool = False,  # noqa: FBT001, FBT002
        regexes_to_ignore: Sequence[str] | None = None,
    ) -> None:
        """Compile the patterns.

        Args:
            regex_pattern: Tried first, on the text as it is.
            group_select: Which match is taken, in all three steps.
            fallback: The answer when no step finds anything.
            ignore_case: Compare choice texts in lower case.
            ignore_punctuation: Compare choice texts without characters of the Unicode classes P*.
            regexes_to_ignore: What these patterns match is removed before choice texts are
                compared.

        Raises:
            re.error: A pattern is wrong.
        """
        super().__init__(regex_pattern, group_select, fallback)
        self._ignore_case = ignore_case
        self._ignore_punctuation = ignore_punctuation
        self._ignored = tuple(re.compile(pattern) for pattern in regexes_to_ignore or ())

    def __call__(self, responses: list[Any], document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`.

        Raises:
            DocumentError: The document has no list of texts in `column`.
        """
        letters_by_text, by_text, letters, by_letter = self._read_choices(document)
        answers: list[Any] = []
        for response in responses:
            text = response if isinstance(response, str) else ""
            found = self._find(self._regex, text)
            if not found:
                found = self._find(by_text, self._simplify(text))
                found = letters_by_text.get(found, found) if found else None
            if not found:
                found = self._find(by_letter, text)
                found = letters.get(found, found) if found else None
            answers.append(found or self._fallback)
        return answers

    def _read_choices(
        self, document: Mapping[str, Any]
    ) -> tuple[dict[str, str], re.Pattern[str], dict[str, str], re.Pattern[str]]:
        choices = document.get(self.column)
        if not isinstance(choices, (list, tuple)) or not all(isinstance(c, str) for c in choices):
            raise DocumentError(
                explain(
                    f"filter multi_choice_regex found {choices!r} in the column `{self.column}`",
                    expected="a list of texts, one for each choice",
                    remedy="Make the column in process_docs, or use the filter regex.",
                )
            )
        names = [chr(ord("A") + index) for index in range(len(choices))]
        texts = [self._simplify(choice.strip()) for choice in choices]
        letters = {name: f"({name})" for name in names}
        letters_by_text = {text: f"({name})" for text, name in zip(texts, names, strict=True)}
        return (
            letters_by_text,
            re.compile("|".join(map(re.escape, texts))),
            letters,
            re.compile(rf":\s*({'|'.join(map(re.escape, names))})"),
        )

    def _simplify(self, text: str) -> str:
        for pattern in self._ignored:
            text = remove(pattern, text)
        if self._ignore_case:
            text = text.lower()
        if self._ignore_punctuation:
            text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
        return text
