"""A checked spec with its functions bound to one set of prompt variants and to the user's settings.

Every function is bound once, when it is first needed. Nothing is rendered here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms.records import Generation
from pytest_lmms.tasks.agents import KEYS, AgentSettings, agent_settings
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
from pytest_lmms.tasks.generation import build_generation
from pytest_lmms.tasks.rounds import AGENTIC, MAX_ROUNDS
from pytest_lmms.tasks.spec import LOGPROB_TYPES, TaskSpec

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class BoundTask:
    """One task YAML, and what model and user make of its fields."""

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

    def bind(self, **changes: Any) -> Self:
        """A copy for a model and user settings: `model_names`, `generation_overrides`, `seed`, ..."""
        return replace(self, **changes)

    @functools.cached_property
    def wants_unconditional(self) -> bool:
        """Whether a metric needs the log-probabilities of the choices without the prompt."""
        return any(entry.get("metric") == "acc_mutual_info" for entry in self.spec.metric_list or ())

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
                return lambda doc: function(doc, lmms_eval_specific_kwargs=copied(self.prompt_kwargs))
            return function  # type: ignore[no-any-return]
        return lambda doc: function(doc, copied(self.prompt_kwargs))

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
            return lambda doc: function(doc, copied(self.prompt_kwargs))
        if takes(function, "lmms_eval_specific_kwargs"):
            return lambda doc: function(doc, lmms_eval_specific_kwargs=copied(self.prompt_kwargs))
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


def copied(kwargs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A copy for one call: task code writes into its kwargs, and many documents are rendered at once."""
    return None if kwargs is None else dict(kwargs)
