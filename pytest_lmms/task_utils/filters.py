"""Filters that task files subclass: `filters` and `api.filter`.

A filter's ``apply(resps, docs)`` takes and returns lists over documents, each a list of responses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_lmms.regexes.patterns import remove
from pytest_lmms.scoring.filter_regex import DEFAULT_FALLBACK, DEFAULT_PATTERN, MultiChoiceRegex, Regex, select_match
from pytest_lmms.scoring.filter_steps import Map
from pytest_lmms.scoring.letters import letter_by_text

Responses = Iterable[list[Any]]
Docs = Iterable[Mapping[str, Any]]
Rule = Callable[[list[Any], Mapping[str, Any]], list[Any]]


class Filter:
    """Leaves responses as they are; a subclass overrides `apply`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take any arguments; none is read."""

    def apply(self, resps: Responses, docs: Docs) -> Any:
        """Return the responses of all documents, filtered, in their order."""
        del docs
        return resps


class _Ruled(Filter):
    """A filter that applies one of `scoring`'s to each document."""

    _rule: Rule

    def apply(self, resps: Responses, docs: Docs) -> list[list[Any]]:
        """See `Filter`."""
        return [self._rule(list(responses), doc) for responses, doc in zip(resps, docs, strict=False)]


class RegexFilter(_Ruled):
    """Finds an answer by a regular expression; see `scoring.filter_regex.Regex`."""

    def __init__(
        self, regex_pattern: str = DEFAULT_PATTERN, group_select: int = 0, fallback: str = DEFAULT_FALLBACK
    ) -> None:
        """Compile the pattern; subclasses read the attributes of these names, and `regex`."""
        self.regex_pattern, self.group_select, self.fallback = regex_pattern, group_select, fallback
        self.regex = re.compile(regex_pattern)
        self._rule = Regex(regex_pattern, group_select, fallback)


class ExtendedRegexFilter(RegexFilter):
    """Offers subclasses `find_match` and `filter_ignores`; by itself a `RegexFilter`."""

    def __init__(  # noqa: PLR0917  (the arguments are lmms-eval's)
        self,
        regex_pattern: str = DEFAULT_PATTERN,
        group_select: int = 0,
        fallback: str = DEFAULT_FALLBACK,
        ignore_case: bool = False,  # noqa: FBT001, FBT002
        ignore_punctuation: bool = False,  # noqa: FBT001, FBT002
        regexes_to_ignore: Sequence[str] | None = None,
    ) -> None:
        """See `scoring.filter_regex.MultiChoiceRegex`; subclasses read the attributes of these names."""
        super().__init__(regex_pattern, group_select, fallback)
        self.ignore_case, self.ignore_punctuation = ignore_case, ignore_punctuation
        self.regexes_to_ignore = regexes_to_ignore

    def filter_ignores(self, st: str) -> str:
        """Return a text as it is compared: without what is to be ignored."""
        for pattern in self.regexes_to_ignore or ():
            st = remove(re.compile(pattern), st)
        if self.ignore_case:
            st = st.lower()
        if self.ignore_punctuation:
            st = "".join(c for c in st if not unicodedata.category(c).startswith("P"))
        return st

    def find_match(self, regex: re.Pattern[str], resp: str, convert_dict: Mapping[str, str] | None = None) -> str:
        """Return the selected match, as `convert_dict` names it where it does; ``""`` without one."""
        found = select_match(regex, resp, self.group_select) or ""
        return (convert_dict or {}).get(found, found)


class MultiChoiceRegexFilter(ExtendedRegexFilter):
    """Finds the letter of a choice of the column `choices`, as ``(A)``; see `scoring.filter_regex.MultiChoiceRegex`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `ExtendedRegexFilter`."""
        super().__init__(*args, **kwargs)
        self._rule = MultiChoiceRegex(*args, **kwargs)


class SimpleMultiChoiceRegexFilter(ExtendedRegexFilter):
    """Finds the letter of an option that the column `question` lists as ``A. text``; see `letter_by_text`."""

    def apply(self, resps: Responses, docs: Docs) -> list[Any]:
        """Return one answer a document, of its first response."""
        return [letter_by_text(r[0], doc["question"]) for r, doc in zip(resps, docs, strict=False)]


class MapFilter(_Ruled):
    """Replaces a response by what a table says."""

    def __init__(self, mapping_dict: Mapping[Any, Any] | None = None, default_value: Any = None) -> None:
        """Keep the table; subclasses read the attributes of these names."""
        self.mapping_dict, self.default_value = dict(mapping_dict or {}), default_value
        self._rule = Map(mapping_dict, default_value)
