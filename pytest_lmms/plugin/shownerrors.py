"""Errors without secrets, for whoever tells of them: reports, other plugins, threads, finalizers."""

from __future__ import annotations

import contextlib
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

Hide = Callable[[str], str]


def without_secrets(error: BaseException, hide: Hide) -> BaseException:
    """The same error, whose texts and those of its causes are changed in place; another where they cannot be.

    Its class stays what it is, because plugins ask for it. What cannot be changed, as the message of a group, costs
    the class: it is one of the same name.
    """
    if (text := _all_of(error)) == hide(text):
        return error
    for each in _family(error, set()):
        _clean(each, hide)
    return substitute(error, hide) or error


def substitute(error: BaseException | None, hide: Hide) -> BaseException | None:
    """An error of the same name, place and text without the secrets of this one; None where it holds none."""
    text = "" if error is None else _all_of(error)
    if error is None or hide(text) == text:
        return None
    kind = type(type(error).__name__, (Exception,), {"__module__": type(error).__module__})
    shown: BaseException = kind(hide(str(error))).with_traceback(error.__traceback__)
    return shown


def _all_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _family(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """An error, what it came from, and the members of a group."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    for each in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from _family(each, seen)


def _clean(error: BaseException, hide: Hide) -> None:
    with contextlib.suppress(Exception):  # a class may refuse it
        error.args = hidden(error.args, hide)
    for name in {*_fields(type(error)), *vars(error)}:
        with contextlib.suppress(Exception):
            value = getattr(error, name)
            if (shown := hidden(value, hide)) != value:
                setattr(error, name, shown)


def _fields(kind: type) -> Iterator[str]:
    """Names of what a class keeps outside `vars`, as `OSError` does with file names; properties may do anything."""
    for each in kind.__mro__:
        for name, value in vars(each).items():
            if isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)) and name[:2] != "__":
                yield name


def hidden(value: Any, hide: Hide) -> Any:
    """A copy of plain values without secrets; anything else as it is."""
    if isinstance(value, str):
        return hide(value)
    if type(value) in (list, tuple):
        return type(value)(hidden(each, hide) for each in value)
    if type(value) is dict:
        return {key: hidden(each, hide) for key, each in value.items()}
    return value
