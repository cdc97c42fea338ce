"""The value forms of a YAML field: a column's name, a jinja2 template, a constant, a function; and variants by model.

Turns each form into one callable of a document, made once a task.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import TaskError, explain
from pytest_lmms.regexes.patterns import replace

Doc = Mapping[str, Any]


def for_model(section: Mapping[str, Any] | None, names: Sequence[str], *, overlay: bool = False) -> Any:
    """Choose from a mapping by model name.

    A section, a mapping or any other value, named like the model (or one of its aliases) stands alone. Else `default`
    does; with `overlay`, the entries of `default` (or of the older `dataset`) are laid over the whole mapping, and
    without either the mapping is used as it is.
    """
    if section is None:
        return None
    for name in names:
        if name in section:
            return section[name]
    if not overlay:
        return section.get("default")
    for fallback in ("default", "dataset"):
        if isinstance(section.get(fallback), Mapping):
            return {**section, **section[fallback]}
    return section


def imported(function: Any) -> Any:
    """What a `!function` names, so that the look-up is not repeated for every document."""
    return function.resolve() if hasattr(function, "resolve") else function


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """A function's parameters; of a builtin without a signature, one that is called `doc`."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {"doc": inspect.Parameter("doc", inspect.Parameter.POSITIONAL_ONLY)}


def takes(function: Any, name: str) -> bool:
    """Whether a function can be given a keyword."""
    parameters = parameters_of(function)
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def text_field(text: str, where: str) -> Callable[[Doc], Any]:
    """A column's value where the document has such a column, else a jinja2 template."""
    template: list[Any] = []

    def value(doc: Doc) -> Any:
        if text in doc:
            return doc[text]
        if not template:
            template.append(_compile(text, where))
        return template[0].render(**doc)

    return value


def _compile(text: str, where: str) -> Any:
    import jinja2

    try:
        return _template(text)
    except jinja2.TemplateSyntaxError as e:
        raise TaskError(explain(f"template does not parse: {e.message}", where=where)) from e


@functools.lru_cache(maxsize=1024)
def _template(text: str) -> Any:
    """A template; many tasks have the same."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False, autoescape=False)  # noqa: S701  (plain text, no HTML)
    environment.filters["regex_replace"] = _regex_replace
    return environment.from_string(text)


def _regex_replace(text: str, pattern: str, repl: str = "", count: int = 0) -> str:
    return replace(re.compile(pattern), repl, text, count)


def text_of(field: Any, where: str, *, has_choices: bool) -> Callable[[Doc], Any]:
    """What a `doc_to_text` that is no function gives: text, or the number of a choice."""
    if not isinstance(field, str):
        return lambda doc: field
    value = text_field(field, where)
    if not has_choices:
        return value

    def text(doc: Doc) -> Any:
        found = value(doc)
        return int(found) if isinstance(found, str) and found.isdecimal() and field not in doc else found

    return text


def target_of(field: Any, where: str, *, has_choices: bool) -> Callable[[Doc], Any]:
    """What a `doc_to_target` that is no function gives: text, the number of a choice, or a list of golds."""
    if not isinstance(field, str):
        return lambda doc: field
    literal = text_field(field, where)

    def target(doc: Doc) -> Any:
        value = literal(doc)
        if has_choices and isinstance(value, str) and value.isdecimal() and field not in doc:
            return int(value)
        if isinstance(value, str) and field not in doc and value[:1] == "[" and value[-1:] == "]":
            try:
                return ast.literal_eval(value)
            except (ValueError, SyntaxError):
                return value
        return value

    return target


def choices_of(field: Any, where: str) -> Callable[[Doc], Sequence[str]]:
    """What a `doc_to_choice` gives: a column, a template of a list, texts or templates, a mapping's values."""
    if callable(field):
        return imported(field)  # type: ignore[no-any-return]
    if isinstance(field, str):
        literal = text_field(field, where)

        def choices(doc: Doc) -> Sequence[str]:
            value = literal(doc)
            return ast.literal_eval(value) if isinstance(value, str) else value  # type: ignore[no-any-return]

        return choices
    if isinstance(field, Mapping):
        return lambda doc: [str(v) for v in field.values()]
    each = [text_field(f, where) if isinstance(f, str) and "{" in f else f for f in field]
    return lambda doc: [f(doc) if callable(f) else f for f in each]
