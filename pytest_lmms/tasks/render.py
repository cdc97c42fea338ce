"""A document becomes requests: prompts, media references, generation settings.

A `Task` opens no media; rows come from `rows`, few-shot examples from `fewshot`, bound functions from `boundtask`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pytest_lmms.errors import DocumentError, LmmsError, explain
from pytest_lmms.media.packs import Pack, using
from pytest_lmms.records import Message, Part, Request, Response
from pytest_lmms.tasks.agents import continued, offered_tools
from pytest_lmms.tasks.boundtask import BoundTask, copied
from pytest_lmms.tasks.fewshot import Examples, build_examples
from pytest_lmms.tasks.fields import Doc, imported, takes
from pytest_lmms.tasks.frames import column_hint, failure
from pytest_lmms.tasks.messages import media_ref, to_messages, with_leading, without_system
from pytest_lmms.tasks.packed import pack_of
from pytest_lmms.tasks.rounds import Turn, read_turn
from pytest_lmms.tasks.rows import DataChoice, Rows, fewshot_split_of, open_rows
from pytest_lmms.tasks.spec import LOGPROB_TYPES


class Rendered(NamedTuple):
    """One document, ready to be asked and scored."""

    document: Doc
    requests: list[Request]
    """One a repeat; for log-probabilities one a choice, then one a choice without the prompt where the metric
    `acc_mutual_info` wants it."""
    input: str
    target: Any


@dataclass(frozen=True, kw_only=True)
class Task(BoundTask):
    """One task YAML, ready to render documents."""

    examples: Examples | None = field(repr=False, default=None)
    """Opened by `with_examples`."""

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
            solved = [self._solved(number, example) for number, example in self.examples.of(index, doc)]
            if self.fewshot_as_turns:
                turns = [(*without_system(asked), Message(role="assistant", content=(a,))) for asked, a in solved]
                before = tuple(m for turn in turns for m in turn)
            else:
                for asked, answer in solved:
                    leading += [p for m in without_system(asked) for p in m.content]
                    leading += [self.spec.target_delimiter + answer + self.spec.fewshot_delimiter]
        messages = (*before, *own)
        if leading:
            messages = with_leading(messages, leading)
        if self.system_instruction and all(m.role != "system" for m in messages):
            messages = (Message(role="system", content=(self.system_instruction,)), *messages)
        return messages

    def _solved(self, number: int, example: Doc) -> tuple[tuple[Message, ...], str]:
        """What an example asks, and its answer; what is wrong with it is not told as if it were the document's."""
        try:
            return self._own_messages(example), self._shown_target(example)
        except Exception as e:
            what = f"few-shot example {number} failed with {failure(e)}"
            hint = column_hint(e, example)
            raise DocumentError(explain(what, remedy=hint and hint.replace("document", "example"))) from e

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
        try:
            doc = rows.document(index)
        except DocumentError as e:
            raise DocumentError(f"{self.path.name}::{self.name}[{index}]: {e}") from e
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
        if not choices:
            raise DocumentError(explain("the document has no choices", expected="one at least"))
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
                given["lmms_eval_specific_kwargs"] = copied(self.prompt_kwargs)
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
                    f"{name} failed with {failure(e)}",
                    where=f"{self.path.name}::{self.name}[{index}]",
                    remedy=column_hint(e, doc),
                )
            ) from e
