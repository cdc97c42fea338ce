"""What one filter is, those that select among responses or change their text, and lmms-eval's kind of filter.

A filter sees one document: the texts of its repeats go in, answers come out. Names, arguments and results are those of
lmms-eval; filters that read the document always get the document that was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS, strip_reasoning


class Fallback(str):
    """An answer that stands for "nothing found"; the document's status becomes `unparsed`.

    It is the task's fallback text and equal to it, so scoring sees no difference.
    """

    __slots__ = ()


class Filter(Protocol):
    """Turns the responses of one document into answers."""

    def __call__(self, responses: list[Any], document: Mapping[str, Any], /) -> list[Any]:
        """Filter one document.

        Args:
            responses: Texts of the document's repeats, or what the filter before made of them. Not
                to be changed.
            document: The dataset row.

        Returns:
            The answers; as many as there were responses, unless the filter selects among them.
        """
        ...


class TakeFirst:
    """Keeps the first response; an empty text when there is none."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return responses[:1] or [""]


class TakeFirstK:
    """Keeps the first `k` responses."""

    def __init__(self, k: int) -> None:
        """Keep `k` responses, 1 or more and at most the task's `repeats`.

        Raises:
            ValueError: `k` is no whole number above 0.
        """
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            message = f"k is {k!r}, not a whole number above 0"
            raise ValueError(message)
        self._k = k

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`.

        Raises:
            DocumentError: There are fewer than `k` responses.
        """
        if len(responses) < self._k:
            raise DocumentError(
                explain(
                    f"filter take_first_k needs {self._k} responses and got {len(responses)}",
                    remedy=f"Set `repeats: {self._k}` in the task YAML, or a smaller k.",
                )
            )
        return responses[: self._k]


class MajorityVote:
    """Keeps the most frequent response; of equally frequent ones that which came first."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return [vote for vote, _ in Counter(responses).most_common(1)] or [""]


class RemoveWhitespace:
    """Removes one leading space."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return _map_texts(lambda text: text.removeprefix(" "), responses)


class Lowercase:
    """Turns text into lower case."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return _map_texts(str.lower, responses)


class Uppercase:
    """Turns text into upper case."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return _map_texts(str.upper, responses)


class Map:
    """Replaces a response by what a table says."""

    def __init__(self, mapping_dict: Mapping[Any, Any] | None = None, default_value: Any = None) -> None:
        """Keep the table.

        Args:
            mapping_dict: Response -> answer.
            default_value: The answer for a response that is not in the table.

        Raises:
            ValueError: `mapping_dict` is no mapping.
        """
        if mapping_dict is not None and not isinstance(mapping_dict, Mapping):
            message = f"mapping_dict is {mapping_dict!r}, not a mapping"
            raise ValueError(message)
        self._table = dict(mapping_dict or {})
        self._default = default_value

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return [_keep_mark(response, self._look_up(response)) for response in responses]

    def _look_up(self, response: Any) -> Any:
        return self._table.get(response, self._default)


class StripThinking:
    """Takes thoughts out by the default tags, also when the task's own are switched off."""

    def __call__(self, responses: list[Any], _document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`."""
        return _map_texts(lambda text: strip_reasoning(text, DEFAULT_TAGS), responses)


class UpstreamFilter:
    """Adapts a filter object of lmms-eval's kind.

    Its ``apply(resps, docs)`` takes lists over documents; it is called with lists of one. When the
    object has a text attribute `fallback`, answers equal to it are marked as `Fallback`.
    """

    def __init__(self, instance: Any) -> None:
        """Adapt `instance`, which has the method ``apply(resps, docs)``."""
        self._instance = instance
        fallback = getattr(instance, "fallback", None)
        self._fallback = Fallback(fallback) if isinstance(fallback, str) else None

    def __call__(self, responses: list[Any], document: Mapping[str, Any]) -> list[Any]:
        """See `Filter`; a single answer that is not in a list is put into one.

        Raises:
            DocumentError: The object returned nothing for the document.
        """
        per_document = iter(self._instance.apply([list(responses)], [document]) or ())
        try:
            answers = next(per_document)
        except StopIteration:
            raise DocumentError(
                explain(
                    f"filter {type(self._instance).__name__} returned nothing",
                    expected="apply(resps, docs) returns one list of answers for each document",
                )
            ) from None
        listed = list(answers) if isinstance(answers, (list, tuple, Iterator)) else [answers]
        if self._fallback is None:
            return listed
        return [self._fallback if answer == self._fallback else answer for answer in listed]


def _map_texts(change: Callable[[str], str], responses: Iterable[Any]) -> list[Any]:
    """Change what is text; a fallback stays marked, anything else stays as it is."""
    return [_keep_mark(r, change(r)) if isinstance(r, str) else r for r in responses]


def _keep_mark(before: Any, after: Any) -> Any:
    return Fallback(after) if isinstance(before, Fallback) and isinstance(after, str) else after
