"""A document becomes requests: prompts, media references, generation settings.

A `Task` is a checked spec with its functions bound to one set of prompt variants and to the user's settings. It opens
no media; rows come from `rows`, few-shot examples from `fewshot`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pytest_lmms.errors import DocumentError, LmmsError, explain
from pytest_lmms.media.packs import Pack, using
from pytest_lmms.records import Generation, Message, Part, Request, Response
from pytest_lmms.tasks.agents import KEYS, AgentSettings, agent_settings, continued, offered_tools
from pytest_lmms.tasks.fewshot import Examples, build_examples
from pytest_lmms.tasks.fields import (
    Doc,
    choices_of,
    for_model,
    imported,
    parameters_of,
    takes,
    target_of,
    text_field,
    text_of,
)
from pytest_lmms.tasks.frames import column_hint, task_frame
from pytest_lmms.tasks.generation import build_generation
from pytest_lmms.tasks.messages import media_ref, to_messages
from pytest_lmms.tasks.packed import pack_of
from pytest_lmms.tasks.rounds import AGENTIC, MAX_ROUNDS, Turn, read_turn
from pytest_lmms.tasks.rows import DataChoice, Rows, fewshot_split_of, open_rows
from pytest_lmms.tasks.spec import LOGPROB_TYPES, TaskSpec


class Rendered(NamedTuple):
    """One document, ready to be asked and scored."""

    document: Doc
    requests: list[Request]
    """One a repeat; for log-probabilities one a choice, then one a choice without the prompt where the metric
    `acc_mutual_info` wants it."""
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
    system_instruction: str | None = None
    """Said as a system message, unless the task's own messages have one."""
    fewshot_override: int | None = None
    """The user's number of few-shot examples; a task that says 0 keeps 0."""
    fewshot_as_turns: bool = False
    """Give each example as a turn of its own and its answer, instead of text before the question."""
    repeats_override: int | None = None
    """How often the user wants each document asked; counts from 2."""
    examples: Examples | None = field(repr=False, default=None)
    """Opened by `with_examples`."""

    @property
    def name(self) -> str:
        """The task's unique name."""
        return self.spec.task

    @property
    def repeats(self) -> int:
        """How often each document is asked."""
        if self.spec.output_type in LOGPROB_TYPES:
            return 1
        override = self.repeats_override
        return override if override is not None and override > 1 else self.spec.repeats

    @property
    def num_fewshot(self) -> int:
        """How many examples stand before each document."""
        if self.spec.num_fewshot == 0 or self.fewshot_override is None:
            return self.spec.num_fewshot or 0
        return self.fewshot_override

    @property
    def max_rounds(self) -> int:
        """How often a document of several rounds is asked at most."""
        return self.agent.max_agentic_steps if self.is_agentic else MAX_ROUNDS

    @property
    def is_agentic(self) -> bool:
        """Whether its documents are played with tools."""
        return self.spec.output_type == AGENTIC

    @functools.cached_property
    def agent(self) -> AgentSettings:
        """How agents are played: YAML, then what the user typed. Other tasks know only the defaults."""
        if not self.is_agentic:
            return AgentSettings()
        return agent_settings({**(self.spec.generation_kwargs or {}), **self.generation_overrides}, self.where)

    def bind(self, **changes: Any) -> Task:
        """A copy for a model and user settings: `model_names`, `generation_overrides`, `seed`, ..."""
        return replace(self, **changes)

    def open_rows(self, data: DataChoice = "full") -> Rows:
        """Open the documents; see `rows.open_rows`."""
        return open_rows(self.spec, self.path, data=data, where=self.where("dataset_path"))

    def with_examples(self, data: DataChoice = "full") -> Task:
        """A copy whose few-shot examples are at hand; the task itself where it wants none."""
        if not self.num_fewshot:
            return self
        split = fewshot_split_of(self.spec)
        examples = build_examples(
            self.num_fewshot,
            self.spec.fewshot_config,
            lambda: open_rows(self.spec, self.path, data=data, where=self.where("dataset_path"), split=split),
            asks_same_rows=data == "mini" or split == self.spec.split,
            seed=self.seed or 0,
            where=self.where("fewshot_config"),
        )
        return self.bind(examples=examples)

    # --- variants by model --------------------------------------------------------------------------------------

    @functools.cached_property
    def prompt_kwargs(self) -> Mapping[str, Any] | None:
        """`lmms_eval_specific_kwargs` for this model; see `fields.for_model`."""
        chosen: Mapping[str, Any] | None = for_model(
            self.spec.lmms_eval_specific_kwargs, self.model_names, overlay=True
        )
        return {**(chosen or {}), **self.agent.told} if self.agent.told else chosen

    @functools.cached_property
    def generation(self) -> Generation:
        """Generation settings: YAML, then the model's section, then what the user typed."""
        values = dict(self.spec.generation_kwargs or {})
        values |= for_model(self.spec.model_specific_generation_kwargs, self.model_names) or {}
        values |= self.generation_overrides
        values = {key: value for key, value in values.items() if key not in KEYS}
        if self.spec.generation_kwargs is None and "do_sample" not in values and "temperature" not in values:
            values["do_sample"] = False
        return build_generation(values, seed=self.seed, where=self.where("generation_kwargs"))

    # --- the parts of a document --------------------------------------------------------------------------------

    def render_text(self, doc: Doc) -> str:
        """The prompt's text, as `doc_to_text` gives it; the number of a choice becomes the choice."""
        rendered = self._text(doc)
        if isinstance(rendered, str):
            return rendered
        if isinstance(rendered, int) and self.spec.doc_to_choice is not None:
            return str(self.choices(doc)[rendered])
        return str(rendered)

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

    def gold(self, doc: Doc) -> Any:
        """What a choice task holds to be right: number or text of a choice, or several of them."""
        return self._text(doc) if self._chooses_prompt(doc) else self._target(doc)

    def messages(self, doc: Doc, index: int = 0) -> tuple[Message, ...]:
        """What a chat model is asked: system instruction, few-shot examples, and the document itself.

        Args:
            doc: The document.
            index: Its number, which decides on its examples.
        """
        return self._around(self._own_messages(doc), doc, index)

    def _own_messages(self, doc: Doc) -> tuple[Message, ...]:
        """The document alone: `doc_to_messages`, else all visuals and then the text."""
        if self._messages is not None:
            return to_messages(self._messages(doc))
        return (Message(role="user", content=(*self._media(doc), self.render_text(doc))),)

    def _media(self, doc: Doc) -> list[Part]:
        return [media_ref(v) for v in self.visuals(doc) if v is not None]

    def _around(self, own: tuple[Message, ...], doc: Doc, index: int) -> tuple[Message, ...]:
        """Put description, examples and system instruction before a document's own messages."""
        before: tuple[Message, ...] = ()
        leading: list[Part] = [self._description(doc)] if self.spec.description else []
        if self.examples is not None:
            solved = [(self._own_messages(e), self._shown_target(e)) for e in self.examples.of(index, doc)]
            if self.fewshot_as_turns:
                turns = [(*_without_system(asked), Message(role="assistant", content=(a,))) for asked, a in solved]
                before = tuple(m for turn in turns for m in turn)
            else:
                for asked, answer in solved:
                    leading += [p for m in _without_system(asked) for p in m.content]
                    leading += [self.spec.target_delimiter + answer + self.spec.fewshot_delimiter]
        messages = (*before, *own)
        if leading:
            messages = _with_leading(messages, leading)
        if self.system_instruction and all(m.role != "system" for m in messages):
            messages = (Message(role="system", content=(self.system_instruction,)), *messages)
        return messages

    def _shown_target(self, doc: Doc) -> str:
        """An example's answer as text."""
        target = self._target(doc)
        if isinstance(target, (list, tuple)):
            return str(target[0])
        if isinstance(target, int) and self.spec.doc_to_choice is not None:
            return str(self.choices(doc)[target])
        return str(target)

    # --- requests -----------------------------------------------------------------------------------------------

    def render(self, rows: Rows, index: int) -> Rendered:
        """Render one document.

        Raises:
            DocumentError: A function of the task failed on it; the message names function, file and line.
        """
        doc = rows.document(index)
        name = "doc_to_messages" if self._messages is not None else "doc_to_text"
        if self._messages is None:  # told apart from what the text may do wrong
            visuals = self._called("doc_to_visual", self._media, doc, index)
            text = self._called("doc_to_text", self.render_text, doc, index)
            own: tuple[Message, ...] = (Message(role="user", content=(*visuals, text)),)
        else:
            own = self._called(name, self._own_messages, doc, index)
        messages = own
        if self.spec.description or self.examples is not None or self.system_instruction:
            messages = self._called(name, lambda d: self._around(own, d, index), doc, index)
        if self.spec.output_type in LOGPROB_TYPES:
            requests = self._called("doc_to_choice", lambda d: self._continuations(d, messages, index), doc, index)
        else:
            tools = self._called("tools", offered_tools, doc, index) if self.agent.is_native else ()
            requests = [self._request(index, messages, repeat=r, tools=tools) for r in range(self.repeats)]
        target = None
        if self.spec.doc_to_target is not None:
            target = self._called("doc_to_target", self._target, doc, index)
        return Rendered(doc, requests, requests[0].text if requests else "", target)

    def _request(self, index: int, messages: tuple[Message, ...], **more: Any) -> Request:
        return Request(task=self.name, doc_id=index, messages=messages, generation=self.generation, **more)

    def _continuations(self, doc: Doc, messages: tuple[Message, ...], index: int) -> list[Request]:
        """Ask for the log-probability of the target, or of each choice."""
        if self.spec.output_type == "loglikelihood":
            return [self._request(index, messages, continuation=self._shown_target(doc))]
        choices, delimiter = self.choices(doc), self.spec.target_delimiter
        if self._chooses_prompt(doc):
            text = delimiter + self._shown_target(doc)
            prompts = [(Message(role="user", content=(*self._media(doc), str(c))),) for c in choices]
            requests = [self._request(index, self._around(p, doc, index), continuation=text) for p in prompts]
        else:
            requests = [self._request(index, messages, continuation=delimiter + str(c)) for c in choices]
        if self.wants_unconditional:
            empty = (Message(role="user", content=()),)
            requests += [self._request(index, empty, continuation=str(c)) for c in choices]
        return [replace(request, place=place) for place, request in enumerate(requests)]

    @functools.cached_property
    def wants_unconditional(self) -> bool:
        """Whether a metric needs the log-probabilities of the choices without the prompt."""
        return any(entry.get("metric") == "acc_mutual_info" for entry in self.spec.metric_list or ())

    def _chooses_prompt(self, doc: Doc) -> bool:
        """Whether the choices are prompts to one target (`doc_to_text` gives a number), not targets to one prompt."""
        return (
            self.spec.output_type == "multiple_choice"
            and self.spec.doc_to_choice is not None
            and isinstance(self._text(doc), int)
        )

    def next_request(
        self,
        doc: Doc,
        index: int,
        *,
        outputs: list[Any],
        round_index: int,
        info: Any,
        asked: Request | None = None,
        reply: Response | None = None,
    ) -> tuple[Request | None, Turn]:
        """Ask a task of several rounds what comes after a response.

        Args:
            doc: The document.
            index: Its number.
            outputs: All outputs so far.
            round_index: How many rounds have been answered, from 1.
            info: What the last call returned as its info; None after the first.
            asked: The last request; for its repeat, its tools and its conversation.
            reply: Its response, without thoughts; for a conversation.

        Returns:
            The next request, None when the document is finished; and what the callback said.

        Raises:
            DocumentError: The callback failed, or returned something of another shape.
        """
        name = "doc_to_text" if self._messages is None else "doc_to_messages"
        keywords = {"previous_output": outputs, "round_idx": round_index, "previous_round_info": info}

        def ask(doc: Doc) -> Turn:
            function = imported(self.spec.doc_to_messages if self._messages is not None else self.spec.doc_to_text)
            if not callable(function):
                raise DocumentError(explain(f"{name} is no function, and output_type is {self.spec.output_type}"))
            given = {k: v for k, v in keywords.items() if takes(function, k)}
            if takes(function, "lmms_eval_specific_kwargs"):
                given["lmms_eval_specific_kwargs"] = _copied(self.prompt_kwargs)
            payload = function(doc, **given)
            # In a conversation the document's media have been shown.
            visuals = list if self.agent.is_conversation else functools.partial(self.visuals, doc)
            return read_turn(payload, outputs, info, visuals=visuals, is_chat=self._messages is not None)

        turn: Turn = self._called(name, ask, doc, index)
        if turn.messages is None:
            return None, turn
        messages = turn.messages
        if asked is not None and reply is not None and self.agent.is_conversation:
            messages = tuple(continued(asked, reply.text, reply.tool_calls, messages, turn.info))
        if self.system_instruction and all(m.role != "system" for m in messages):
            messages = (Message(role="system", content=(self.system_instruction,)), *messages)
        if asked is None:
            return self._request(index, messages), turn
        return replace(asked, messages=messages), turn

    @functools.cached_property
    def _pack(self) -> Pack | None:
        return pack_of(self.spec, self.path)

    def _called(self, name: str, function: Callable[[Doc], Any], doc: Doc, index: int) -> Any:
        try:
            if self._pack is None:
                return function(doc)
            with using(self._pack):
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
                    remedy=column_hint(e, doc),
                )
            ) from e

    # --- bound functions, built once ----------------------------------------------------------------------------

    @functools.cached_property
    def _description(self) -> Callable[[Doc], str]:
        return text_field(self.spec.description, self.where("description"))

    @functools.cached_property
    def _text(self) -> Callable[[Doc], Any]:
        function = self.spec.doc_to_text
        if function is None:
            return lambda doc: ""
        if not callable(function):
            return text_of(function, self.where("doc_to_text"), has_choices=self.spec.doc_to_choice is not None)
        function = imported(function)
        if self.spec.lmms_eval_specific_kwargs is None:
            if self.agent.told and takes(function, "lmms_eval_specific_kwargs"):
                return lambda doc: function(doc, lmms_eval_specific_kwargs=_copied(self.prompt_kwargs))
            return function  # type: ignore[no-any-return]
        return lambda doc: function(doc, _copied(self.prompt_kwargs))

    @functools.cached_property
    def _visual(self) -> Callable[[Doc], Any]:
        return self._media_function(self.spec.doc_to_visual)

    @functools.cached_property
    def _messages(self) -> Callable[[Doc], Any] | None:
        if self.spec.doc_to_messages is None:
            return None
        return self._media_function(self.spec.doc_to_messages)

    def _media_function(self, function: Any) -> Callable[[Doc], Any]:
        """Bind the prompt variants only to a function that has a place for them."""
        if function is None:
            return lambda doc: []
        if isinstance(function, str):
            return lambda doc: doc[function]
        function = imported(function)
        if self.spec.lmms_eval_specific_kwargs is None:
            return function  # type: ignore[no-any-return]
        if len(parameters_of(function)) == 2:
            return lambda doc: function(doc, _copied(self.prompt_kwargs))
        if takes(function, "lmms_eval_specific_kwargs"):
            return lambda doc: function(doc, lmms_eval_specific_kwargs=_copied(self.prompt_kwargs))
        return function  # type: ignore[no-any-return]

    @functools.cached_property
    def _target(self) -> Callable[[Doc], Any]:
        function = self.spec.doc_to_target
        if not callable(function):
            return target_of(function, self.where("doc_to_target"), has_choices=self.spec.doc_to_choice is not None)
        function = imported(function)
        extra = for_model(self.spec.model_specific_target_kwargs, self.model_names)
        return function if extra is None else lambda doc: function(doc, extra)

    @functools.cached_property
    def _choice(self) -> Callable[[Doc], Sequence[str]]:
        return choices_of(self.spec.doc_to_choice, self.where("doc_to_choice"))


def _copied(kwargs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A copy for one call: task code writes into its kwargs, and many documents are rendered at once."""
    return None if kwargs is None else dict(kwargs)


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(m for m in messages if m.role != "system")


def _with_leading(messages: tuple[Message, ...], leading: Sequence[Part]) -> tuple[Message, ...]:
    """Put text and media before the first user turn's own; neighbouring texts become one.

    Text alone goes behind the turn's media and before its text, where lmms-eval has it; with media among it, it all
    goes before.
    """
    place = next((i for i, m in enumerate(messages) if m.role == "user"), None)
    if place is None:
        return (Message(role="user", content=_joined(leading)), *messages)
    content = messages[place].content
    if all(isinstance(p, str) for p in leading):
        first = next((i for i, p in enumerate(content) if isinstance(p, str)), len(content))
        content = (*content[:first], *leading, *content[first:])
    else:
        content = (*leading, *content)
    return (*messages[:place], Message(role="user", content=_joined(content)), *messages[place + 1 :])


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Neighbouring texts as one."""
    joined: list[Part] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
