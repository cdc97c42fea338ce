"""Filters: what `filter_list` of a task does to a document's responses before they are scored.

An `Ensemble` is a named chain of filters (`filter_steps`, `filter_regex`); a task may have several, and each gives its
own column of scores.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pytest_lmms.errors import TaskError, UsageError, did_you_mean, explain
from pytest_lmms.scoring.filter_regex import MultiChoiceRegex, Regex
from pytest_lmms.scoring.filter_steps import (
    Filter,
    Lowercase,
    MajorityVote,
    Map,
    RemoveWhitespace,
    StripThinking,
    TakeFirst,
    TakeFirstK,
    Uppercase,
    UpstreamFilter,
)

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
