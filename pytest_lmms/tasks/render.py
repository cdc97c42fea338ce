"""A document becomes requests: prompts, media references, generation settings.

A `Task` is a checked spec with its functions bound to one set of prompt variants. It opens no dataset and no media;
rows come from `rows`.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pytest_lmms.errors import DocumentError, LmmsError, TaskError, explain
from pytest_lmms.records import Generation, Message, Request
from pytest_lmms.tasks.messages import auto_messages, to_messages
from pytest_lmms.tasks.rows import DataChoice, Rows, open_rows
from pytest_lmms.tasks.spec import TaskSpec

Doc = Mapping[str, Any]
_SAME_MEANING = {"max_gen_toks": "max_new_tokens", "max_tokens": "max_new_tokens", "stop": "until"}
_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_PYTHON = os.path.dirname(os.__file__) + os.sep
_KNOWN = frozenset({"max_new_tokens", "temperature", "top_p", "top_k", "num_beams", "do_sample", "until", "seed"})


class Rendered(NamedTuple):
    """One document, ready to be asked and scored."""

    document: Doc
    requests: list[Request]
    input: str
    target: Any


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task YAML, ready to render documents."""

    spec: TaskSpec
    path: Path
    where: Callable[[str], str] = field(repr=False, default=str)
    """Gives `file:line` of a field."""
    model_names: tuple[str, ...] = ()
    """Canonical name and aliases of the model, for the prompt variants."""
    generation_overrides: Mapping[str, Any] = field(default_factory=dict)
    """What the user typed as `--lmms-gen-kwargs`; wins over the YAML."""
    seed: int | None = None

    @property
    def name(self) -> str:
        """The task's unique name."""
        return self.spec.task

    def bind(self, **changes: Any) -> Task:
        """A copy for a model and user settings: `model_names`, `generation_overrides`, `seed`."""
        return replace(self, **changes)

    def open_rows(self, data: DataChoice = "full") -> Rows:
        """Open the documents; see `rows.open_rows`."""
        return open_rows(self.spec, self.path, data=data, where=self.where("dataset_path"))

    # --- variants by model --------------------------------------------------------------------------------------

    @functools.cached_property
    def prompt_kwargs(self) -> Mapping[str, Any] | None:
        """`lmms_eval_specific_kwargs` for this model.

        A section named like the model (or one of its aliases) stands alone; else the entries of `default` (or the
        older `dataset`) are laid over the whole mapping; else the mapping is used as it is.
        """
        return _for_model(self.spec.lmms_eval_specific_kwargs, self.model_names, overlay=True)

    @functools.cached_property
    def generation(self) -> Generation:
        """Generation settings: YAML, then the model's section, then what the user typed."""
        values = dict(self.spec.generation_kwargs or {})
        values |= _for_model(self.spec.model_specific_generation_kwargs, self.model_names) or {}
        values |= self.generation_overrides
        if self.spec.generation_kwargs is None and "do_sample" not in values and "temperature" not in values:
            values["do_sample"] = False
        return build_generation(values, seed=self.seed, where=self.where("generation_kwargs"))

    # --- the parts of a document --------------------------------------------------------------------------------

    def render_text(self, doc: Doc) -> str:
        """The prompt's text, as `doc_to_text` gives it."""
        rendered = self._text(doc)
        return rendered if isinstance(rendered, str) else str(rendered)

    def visuals(self, doc: Doc) -> list[Any]:
        """The document's media, as `doc_to_visual` gives them; an empty list without it."""
        value = self._visual(doc)
        if value is None:
            return []
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def target(self, doc: Doc) -> Any:
        """The gold answer."""
        return self._target(doc)

    def choices(self, doc: Doc) -> list[str]:
        """The options; an empty list without `doc_to_choice`."""
        return list(self._choice(doc)) if self.spec.doc_to_choice is not None else []

    def messages(self, doc: Doc) -> tuple[Message, ...]:
        """What a chat model is asked: `doc_to_messages`, else all visuals and then the text."""
        if self._messages is not None:
            return to_messages(self._messages(doc))
        return auto_messages(self.visuals(doc), self.render_text(doc))

    def render(self, rows: Rows, index: int) -> Rendered:
        """Render one document.

        Raises:
            DocumentError: A function of the task failed on it; the message names function, file and line.
        """
        doc = rows.document(index)
        if self._messages is not None:
            messages = self._called("doc_to_messages", self.messages, doc, index)
        else:
            visuals = self._called("doc_to_visual", self.visuals, doc, index)
            text = self._called("doc_to_text", self.render_text, doc, index)
            messages = self._called("doc_to_visual", lambda _: auto_messages(visuals, text), doc, index)
        requests = [
            Request(task=self.name, doc_id=index, messages=messages, generation=self.generation, repeat=r)
            for r in range(self.spec.repeats)
        ]
        target = None
        if self.spec.doc_to_target is not None:
            target = self._called("doc_to_target", self._target, doc, index)
        return Rendered(doc, requests, requests[0].text if requests else "", target)

    def _called(self, name: str, function: Callable[[Doc], Any], doc: Doc, index: int) -> Any:
        try:
            return function(doc)
        except DocumentError as e:
            raise DocumentError(f"{self.path.name}::{self.name}[{index}]: {name}: {e}") from e
        except LmmsError:
            raise
        except Exception as e:
            raise DocumentError(
                explain(
                    f"{name} failed with {type(e).__name__}: {e} ({task_frame(e)})",
                    where=f"{self.path.name}::{self.name}[{index}]",
                    remedy=_column_hint(e, doc),
                )
            ) from e

    # --- bound functions, built once ----------------------------------------------------------------------------

    @functools.cached_property
    def _text(self) -> Callable[[Doc], Any]:
        function = self.spec.doc_to_text
        if function is None:
            return lambda doc: ""
        if callable(function):
            function = _imported(function)
            if self.spec.lmms_eval_specific_kwargs is None:
                return function  # type: ignore[no-any-return]
            kwargs = self.prompt_kwargs
            return lambda doc: function(doc, kwargs)
        return _field(function, self.where("doc_to_text"))

    @functools.cached_property
    def _visual(self) -> Callable[[Doc], Any]:
        return self._media_function(self.spec.doc_to_visual)

    @functools.cached_property
    def _messages(self) -> Callable[[Doc], Any] | None:
        if self.spec.doc_to_messages is None:
            return None
        return self._media_function(self.spec.doc_to_messages)

    def _media_function(self, function: Any) -> Callable[[Doc], Any]:
        """Bind the prompt variants only to a function that takes exactly two parameters."""
        if function is None:
            return lambda doc: []
        if isinstance(function, str):
            return lambda doc: doc[function]
        function = _imported(function)
        if self.spec.lmms_eval_specific_kwargs is not None and _num_parameters(function) == 2:
            kwargs = self.prompt_kwargs
            return lambda doc: function(doc, kwargs)
        return function  # type: ignore[no-any-return]

    @functools.cached_property
    def _target(self) -> Callable[[Doc], Any]:
        function = self.spec.doc_to_target
        if function is None:
            return lambda doc: None
        if callable(function):
            function = _imported(function)
            extra = _for_model(self.spec.model_specific_target_kwargs, self.model_names)
            return function if extra is None else lambda doc: function(doc, extra)
        literal = _field(function, self.where("doc_to_target"))
        has_choices = self.spec.doc_to_choice is not None

        def target(doc: Doc) -> Any:
            value = literal(doc)
            if isinstance(value, str) and has_choices and value.isdecimal():
                return int(value)
            if isinstance(value, str) and value[:1] == "[" and value[-1:] == "]":
                try:
                    return ast.literal_eval(value)
                except (ValueError, SyntaxError):
                    return value
            return value

        return target

    @functools.cached_property
    def _choice(self) -> Callable[[Doc], Sequence[str]]:
        function: Any = self.spec.doc_to_choice
        if callable(function):
            return function  # type: ignore[no-any-return]
        if isinstance(function, str):
            literal = _field(function, self.where("doc_to_choice"))

            def choices(doc: Doc) -> Sequence[str]:
                value = literal(doc)
                return ast.literal_eval(value) if isinstance(value, str) else value  # type: ignore[no-any-return]

            return choices
        if isinstance(function, Mapping):
            return lambda doc: [str(v) for v in function.values()]
        fields = [_field(str(f), self.where("doc_to_choice")) for f in function]
        return lambda doc: [f(doc) for f in fields]


def _for_model(
    section: Mapping[str, Any] | None, names: Sequence[str], *, overlay: bool = False
) -> Mapping[str, Any] | None:
    """Choose from a mapping by model name; see `Task.prompt_kwargs`."""
    if section is None:
        return None
    for name in names:
        if name in section:
            return section[name]  # type: ignore[no-any-return]
    for fallback in ("default", "dataset") if overlay else ("default",):
        if isinstance(section.get(fallback), Mapping):
            return {**section, **section[fallback]} if overlay else section[fallback]
    return section if overlay else None


def _imported(function: Any) -> Any:
    """What a `!function` names, so that the look-up is not repeated for every document."""
    return function.resolve() if hasattr(function, "resolve") else function


def _num_parameters(function: Any) -> int:
    try:
        return len(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return 1


def _field(text: str, where: str) -> Callable[[Doc], Any]:
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
    import re

    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False, autoescape=False)  # noqa: S701  (plain text, no HTML)
    environment.filters["regex_replace"] = lambda s, pattern, repl="", count=0: re.sub(pattern, repl, s, count=count)
    try:
        return environment.from_string(text)
    except jinja2.TemplateSyntaxError as e:
        raise TaskError(explain(f"template does not parse: {e.message}", where=where)) from e


def build_generation(
    values: Mapping[str, Any], *, seed: int | None = None, where: str = "generation_kwargs"
) -> Generation:
    """Build generation settings from a YAML's or a user's mapping.

    Raises:
        TaskError: A value of the wrong type.
    """
    known: dict[str, Any] = {"seed": seed}
    extra: dict[str, Any] = {}
    for key, value in values.items():
        name = _SAME_MEANING.get(key, key)
        if name not in _KNOWN:
            extra[name] = value
        elif value is not None:
            known[name] = value
    until = known.get("until", ())
    until = (until,) if isinstance(until, str) else until
    try:
        known["until"] = tuple(str(u) for u in until)
        for name in ("temperature", "top_p"):
            if name in known:
                known[name] = float(known[name])
        for name in ("max_new_tokens", "top_k", "num_beams"):
            if name in known:
                known[name] = int(known[name])
    except (TypeError, ValueError) as e:
        raise TaskError(explain(f"generation settings {dict(values)!r}: {e}", where=where)) from e
    return Generation(**known, extra=extra)


def task_frame(error: BaseException) -> str:
    """`file:line` of the innermost frame of an exception that lies in a task's code, or else of the innermost."""
    frames = list(traceback.extract_tb(error.__traceback__))
    if not frames:
        return "unknown place"
    frame = next((f for f in reversed(frames) if _is_task_code(f.filename)), frames[-1])
    return f"{frame.filename}:{frame.lineno}"


def _is_task_code(filename: str) -> bool:
    """Whether a file belongs to neither this package, an installed one, nor Python."""
    if "_catalog" in filename:
        return True
    return not (filename.startswith((_PACKAGE, _PYTHON, "<")) or "/site-packages/" in filename)


def _column_hint(error: Exception, doc: Doc) -> str | None:
    if isinstance(error, KeyError) or type(error).__name__ == "UndefinedError":  # jinja2's
        return f"the document has the columns {', '.join(map(str, doc))}"
    return None
