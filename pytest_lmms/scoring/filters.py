"""Filters: what `filter_list` of a task does to a document's responses before they are scored.

A filter sees one document: the texts of its repeats go in, answers come out. An `Ensemble` is a
named chain of filters; a task may have several, and each gives its own column of scores. The names,
arguments and results are those of lmms-eval; filters that read the document always get the document
that was answered.

Patterns are compiled once, when the task is loaded. They come from the task's author and are
trusted; the text they run on comes from a model. A pattern that backtracks without end on some text
is not for this room to stop, but for whoever evaluates documents.
"""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pytest_lmms.errors import DocumentError, TaskError, UsageError, did_you_mean, explain
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS, strip_reasoning

DEFAULT_PATTERN = r"#### (\-?[0-9\.\,]+)"
"""The pattern of the regex filters when a task gives none: the answer line of GSM8K."""

DEFAULT_FALLBACK = "[invalid]"
"""What the regex filters answer when they find nothing and the task names nothing else."""


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
        """Return the selected match in a response, or None."""
        matches: list[Any] = regex.findall(response) if isinstance(response, str) else []
        try:
            match = matches[self._group_select]
        except IndexError:
            return None
        if isinstance(match, tuple):
            match = next((group for group in match if group), None)
        return None if match is None else str(match.strip())


class MultiChoiceRegex(Regex):
    """Finds the letter of a choice, as ``(A)``.

    The choices' texts come from the document's column ``choices``. First the pattern is tried, and
    its match returned as it is. Then the text of a choice is looked for in the response and turned
    into its letter; then a letter after a colon.
    """

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
            DocumentError: The document has no list of texts in ``choices``.
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
        choices = document.get("choices")
        if not isinstance(choices, (list, tuple)) or not all(isinstance(c, str) for c in choices):
            raise DocumentError(
                explain(
                    f"filter multi_choice_regex found {choices!r} in the column `choices`",
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
            text = pattern.sub("", text)
        if self._ignore_case:
            text = text.lower()
        if self._ignore_punctuation:
            text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
        return text


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


FILTERS: dict[str, Callable[..., Filter]] = {
    "take_first": TakeFirst,
    "take_first_k": TakeFirstK,
    "majority_vote": MajorityVote,
    "regex": Regex,
    "multi_choice_regex": MultiChoiceRegex,
    "remove_whitespace": RemoveWhitespace,
    "lowercase": Lowercase,
    "uppercase": Uppercase,
    "map": Map,
    "strip_thinking": StripThinking,
}
"""Filter name -> class. Others are added by `register_filter`."""


def register_filter(name: str, make: Callable[..., Any]) -> None:
    """Add a filter to `FILTERS`.

    Args:
        name: What a YAML writes after ``function:``.
        make: A class; its instances are a `Filter`, or have lmms-eval's ``apply(resps, docs)``.

    Raises:
        UsageError: The name belongs to another filter.
    """
    if FILTERS.setdefault(name, make) is not make:
        raise UsageError(explain(f"a filter named {name!r} is there already", remedy="Choose another name."))


def build_filter(function: str | Callable[..., Any], kwargs: Mapping[str, Any], *, where: str) -> Filter:
    """Make one filter from an entry of a YAML's `filter`.

    Args:
        function: A name in `FILTERS`, or the class that ``!function`` gave.
        kwargs: The other keys of the entry.
        where: `file:line` for errors.

    Returns:
        A filter; an object of lmms-eval's kind comes wrapped in `UpstreamFilter`.

    Raises:
        TaskError: The name or an argument is unknown, an argument is missing, or has a wrong value.
    """
    make = _find_filter(function, where) if isinstance(function, str) else function
    name = function if isinstance(function, str) else getattr(function, "__name__", repr(function))
    _check_arguments(make, name, kwargs, where)
    try:
        made: Any = make(**kwargs)
    except Exception as error:
        raise TaskError(
            explain(f"filter {name} cannot be made: {type(error).__name__}: {error}", where=where)
        ) from error
    if hasattr(made, "apply"):
        return UpstreamFilter(made)
    if callable(made):
        return made  # type: ignore[no-any-return]
    raise TaskError(
        explain(
            f"filter {name} is of type {type(made).__name__}",
            where=where,
            expected="an object called with (responses, document), or with apply(resps, docs)",
        )
    )


class Ensemble(NamedTuple):
    """A named chain of filters."""

    name: str
    filters: tuple[Filter, ...]

    def apply(self, responses: list[Any], document: Mapping[str, Any]) -> list[Any]:
        """Run the chain on the texts of one document's repeats.

        Args:
            responses: Texts, without thoughts. Stays as it is.
            document: The dataset row.

        Returns:
            The answers of the last filter.
        """
        for one in self.filters:
            responses = one(responses, document)
        return responses


DEFAULT_ENSEMBLES = (Ensemble("none", (TakeFirst(),)),)
"""What a task without `filter_list` gets: the first response."""


def build_ensembles(filter_list: Any, *, where: str) -> tuple[Ensemble, ...]:
    """Make a task's ensembles from its `filter_list`.

    Args:
        filter_list: None, or a list of ``{name, filter: [{function, **kwargs}, ...]}``; further
            keys are left to the caller.
        where: `file:line` for errors.

    Returns:
        One ensemble per entry; `DEFAULT_ENSEMBLES` for None or an empty list.

    Raises:
        TaskError: An entry has another form, a name comes twice, or `build_filter` complains.
    """
    if not filter_list:
        return DEFAULT_ENSEMBLES
    entries = filter_list if isinstance(filter_list, (list, tuple)) else [filter_list]
    ensembles: dict[str, Ensemble] = {}
    for entry in entries:
        steps = entry.get("filter") if isinstance(entry, Mapping) else None
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not isinstance(steps, (list, tuple)):
            raise TaskError(
                explain(
                    f"an entry of filter_list is {entry!r}",
                    where=where,
                    expected="{name: some_name, filter: [{function: take_first}]}",
                )
            )
        if name in ensembles:
            raise TaskError(explain(f"filter_list names {name!r} twice", where=where))
        ensembles[name] = Ensemble(name, tuple(_build_step(step, where) for step in steps))
    return tuple(ensembles.values())


def _build_step(step: Any, where: str) -> Filter:
    if not isinstance(step, Mapping) or "function" not in step:
        raise TaskError(explain(f"a filter is {step!r}", where=where, expected="{function: name, argument: value}"))
    kwargs = {key: value for key, value in step.items() if key != "function"}
    return build_filter(step["function"], kwargs, where=where)


def _find_filter(name: str, where: str) -> Callable[..., Any]:
    make = FILTERS.get(name)
    if make is None:
        raise TaskError(
            explain(
                f"unknown filter {name!r}",
                where=where,
                expected=f"one of {', '.join(sorted(FILTERS))}, or !function module.Class",
                suggestion=did_you_mean(name, FILTERS),
            )
        )
    return make


def _check_arguments(make: Callable[..., Any], name: str, kwargs: Mapping[str, Any], where: str) -> None:
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):
        return
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [key for key, parameter in parameters.items() if parameter.kind not in starred]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in kwargs:
        if key not in named and not takes_any:
            raise TaskError(
                explain(
                    f"filter {name} has no argument {key!r}",
                    where=where,
                    expected=f"one of {', '.join(named)}" if named else "no arguments",
                    suggestion=did_you_mean(str(key), named),
                )
            )
    for key in named:
        if key not in kwargs and parameters[key].default is inspect.Parameter.empty:
            raise TaskError(explain(f"filter {name} needs the argument {key!r}", where=where))


def _map_texts(change: Callable[[str], str], responses: Iterable[Any]) -> list[Any]:
    """Change what is text; a fallback stays marked, anything else stays as it is."""
    return [_keep_mark(r, change(r)) if isinstance(r, str) else r for r in responses]


def _keep_mark(before: Any, after: Any) -> Any:
    return Fallback(after) if isinstance(before, Fallback) and isinstance(after, str) else after
