"""`-k` and `-m` before a dataset is open: could any document of this task match?

A document adds to what its task is called only its own name, `task[digits]` (or `task[run-digits]`). So an identifier
of `-k` is true when it is part of a known name, unknown when it can be part of `task[digits]`, else false; a task is
left out when no way of settling the unknowns makes the expression true.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable

MAX_UNKNOWNS = 8
"""Above so many unknown identifiers nothing is left out."""


def may_match_keyword(expression: str, *, names: Iterable[str], task: str) -> bool:
    """Whether `-k expression` may select a document.

    Args:
        expression: As typed; an empty one selects everything.
        names: What the documents' path, task, groups, tags and marks are called.
        task: What the documents' own names begin with: `mme[`.
    """
    known = [n.lower() for n in names]

    def settle(identifier: str) -> bool | None:
        lowered = identifier.lower()
        if any(lowered in name for name in known):
            return True
        return None if can_be_in_name(lowered, task.lower()) else False

    return _may_be_true(expression, settle)


def may_match_marks(expression: str, *, marks: Iterable[str]) -> bool:
    """Whether `-m expression` may select a document; its marks are all known."""
    known = set(marks)
    return _may_be_true(expression, lambda identifier: identifier in known)


def can_be_in_name(text: str, task: str) -> bool:
    """Whether `text` is part of a name that begins with `task`, and goes on with digits and `]`."""
    return (
        text in task
        or text == "]"
        or any(task.endswith(text[:i]) and re.fullmatch(r"\d+\]?", text[i:]) for i in range(len(text)))
    )


def _may_be_true(text: str, settle: Callable[[str], bool | None]) -> bool:
    if not text.strip():
        return True
    try:
        from _pytest.mark.expression import Expression
    except ImportError:  # private; without it nothing is left out early
        return True
    unknown: dict[str, None] = {}
    settled: dict[str, bool] = {}

    def matcher(values: dict[str, bool]) -> Callable[..., bool]:
        def match(name: str, /, **kwargs: object) -> bool:
            if kwargs:
                raise _Unsupported
            if name not in values and name not in settled:
                value = settle(name)
                if value is None:
                    unknown.setdefault(name)
                    return True
                settled[name] = value
            return values.get(name, settled.get(name, True))

        return match

    try:
        compiled = Expression.compile(text)
    except SyntaxError:
        return True  # pytest itself reports it
    for name in getattr(compiled, "idents", lambda: identifiers(text))():
        value = settle(name)
        if value is None:
            unknown.setdefault(name)
        else:
            settled[name] = value
    if len(unknown) > MAX_UNKNOWNS:
        return True
    try:
        return any(
            compiled.evaluate(matcher(dict(zip(unknown, values, strict=True))))
            for values in itertools.product((True, False), repeat=len(unknown))
        )
    except _Unsupported:
        return True


def identifiers(text: str) -> list[str]:
    """Words of an expression, but for its operators."""
    return [w for w in re.findall(r"[\w:+\-.\[\]\\/]+", text) if w not in ("and", "or", "not")]


class _Unsupported(Exception):
    """The expression asks for more than a name."""
