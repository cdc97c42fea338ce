"""The task YAML: every field, once. The schema is lmms-eval's, so that anyone's tasks are valid here.

Knows fields and their types; knows nothing of files, datasets or functions (see `load`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pytest_lmms.errors import TaskError, did_you_mean, explain

LOGPROB_TYPES = ("loglikelihood", "multiple_choice")
"""Output types that ask for log-probabilities of given texts."""
VISUAL_COT = "generate_visual_cot"
"""The output type whose answers are thought out in pictures that the model draws."""
OUTPUT_TYPES = (
    "generate_until",
    "generate_until_multi_round",
    "generate_until_agentic",
    VISUAL_COT,
    "loglikelihood",
    "multiple_choice",
)

TextField = str | Callable[..., Any] | None
"""A column name, a jinja2 template, or a function (written `!function module.name`)."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """The fields of one task YAML after its `include`s are merged in. Defaults are lmms-eval's."""

    task: str
    """Name, unique over all tasks; what `--lmms-tasks` and node ids use."""
    task_alias: str | None = None
    """Name shown in tables."""
    tag: tuple[str, ...] = ()
    """Tags; a tag selects its tasks and aggregates nothing."""
    group: tuple[str, ...] = ()
    """Older spelling of `tag` inside a task."""
    group_alias: str | None = None
    """Name of the group shown in tables."""
    dataset_path: str | None = None
    """Hub id, local folder, or a builder name such as `json`; passed to `datasets.load_dataset`."""
    dataset_name: str | None = None
    """Configuration of the dataset."""
    dataset_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of `datasets.load_dataset`, and where media lie (`lance`, `video`, `cache_dir`)."""
    training_split: str | None = None
    """Examples come from here, where there is no `fewshot_split`."""
    validation_split: str | None = None
    """Documents come from here where there is no `test_split`."""
    test_split: str | None = None
    """Documents come from here; without it, from `validation_split`."""
    fewshot_split: str | None = None
    """Solved examples come from here."""
    full_docs: bool = False
    """Give `process_results` all documents as well."""
    process_results_use_image: bool = False
    """Accepted as lmms-eval writes it: `process_results` may always read a document's media."""
    process_docs: Callable[..., Any] | None = None
    """Dataset to dataset, applied once when the split is opened."""
    doc_to_visual: TextField = None
    """Document to a list of media."""
    doc_to_text: TextField = None
    """Document to the prompt."""
    doc_to_target: TextField = None
    """Document to the gold answer."""
    doc_to_choice: Any = None
    """Document to the options."""
    doc_to_messages: Callable[..., Any] | None = None
    """Document to a list of chat messages; wins over `doc_to_visual` and `doc_to_text`."""
    process_results: Callable[..., Any] | None = None
    """(document, answers) to {metric: value}; a parameter `is_filtered` hears whether the provider refused."""
    use_prompt: str | None = None
    """Accepted as lmms-eval writes it."""
    description: str = ""
    """Said before the prompt and its examples."""
    target_delimiter: str = " "
    """Between an example's question and its answer."""
    fewshot_delimiter: str = "\n\n"
    """After each example."""
    fewshot_config: Mapping[str, Any] | None = None
    """How examples are chosen and written, such as `sampler` and `samples`."""
    num_fewshot: int | None = None
    """Examples before each document; 0 stays 0 whatever the command line says."""
    metric_list: tuple[Mapping[str, Any], ...] | None = None
    """Metrics: `metric`, `aggregation`, `higher_is_better`, and arguments of the metric."""
    output_type: str = "generate_until"
    """What is asked for: text, choices, log-probabilities, several rounds, tools."""
    generation_kwargs: Mapping[str, Any] | None = None
    """How to generate: `max_new_tokens`, `temperature`, `until`, ..."""
    repeats: int = 1
    """How often each document is asked."""
    filter_list: tuple[Mapping[str, Any], ...] | None = None
    """Named chains of filters that turn a response into an answer."""
    should_decontaminate: bool = False
    """Accepted as lmms-eval writes it; nothing is decontaminated."""
    doc_to_decontamination_query: str | None = None
    """Accepted as lmms-eval writes it."""
    metadata: Any = None
    """Free notes; `version` is shown in results."""
    lmms_eval_specific_kwargs: Mapping[str, Any] | None = None
    """Prompt variants by model name; see `Task.prompt_kwargs`."""
    model_specific_generation_kwargs: Mapping[str, Any] | None = None
    """Generation settings by model name."""
    model_specific_target_kwargs: Mapping[str, Any] | None = None
    """Arguments of `doc_to_target` by model name."""
    cluster_key: str | None = None
    """Field of the metric's value that names the cluster, for clustered standard errors."""
    score_key: str = "score"
    """Field of the metric's value that is the number, where the value is a mapping."""
    reasoning_tags: Any = None
    """Tags to strip before scoring; wins over the command line. None: the command line decides."""
    auto_strip_thinking: bool = False
    """Begin every chain of filters with `strip_thinking`."""
    subset: Any = None
    """For `--lmms-subset`: the column of strata, or `{by: column, together: column of rows that stay together}`."""
    gates: tuple[Mapping[str, Any], ...] | None = None
    """What complete runs of the task must meet: `{metric: acc, fail_under: 0.8}`, `{fail_on_regression: 1pt}`."""

    @property
    def split(self) -> str | None:
        """The split that documents come from."""
        return self.test_split or self.validation_split

    @property
    def version(self) -> Any:
        """`metadata.version`, or None."""
        metadata = self.metadata
        if isinstance(metadata, list):
            merged: dict[str, Any] = {}
            for entry in metadata:
                merged.update(entry if isinstance(entry, Mapping) else {})
            metadata = merged
        return metadata.get("version") if isinstance(metadata, Mapping) else None


FIELDS = {f.name: f for f in fields(TaskSpec)}
_NAMES = ("tag", "group")
_LISTS = ("metric_list", "filter_list", "gates")
_COUNTS = {"repeats": 1, "num_fewshot": 0}
_MAPPINGS = (
    "dataset_kwargs", "generation_kwargs", "lmms_eval_specific_kwargs", "fewshot_config",
    "model_specific_generation_kwargs",
)  # fmt: skip


def build_spec(
    values: Mapping[str, Any], *, where: Callable[[str], str], ignore: frozenset[str] = frozenset()
) -> TaskSpec:
    """Check the merged values of a YAML and build its spec.

    Args:
        values: Field name to value, `include` already resolved.
        where: Gives `file:line` of a field, for errors.
        ignore: Keys to leave out silently.

    Raises:
        TaskError: An unknown field, a value of the wrong type, or a field missing.
    """
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name in ignore:
            continue
        if name == "class":
            raise TaskError(
                explain(
                    f"`class: {getattr(value, 'dotted', value)}` makes a task of a Python class",
                    where=where(name),
                    expected="fields that say how documents are read, asked and scored",
                    remedy="write doc_to_*, process_results and process_docs as functions, named in the YAML",
                )
            )
        if name not in FIELDS:
            raise TaskError(
                explain(
                    f"unknown field {name!r}",
                    where=where(name),
                    suggestion=did_you_mean(str(name), FIELDS),
                    expected="a task field; `pytest --lmms-list fields` names them all",
                )
            )
        checked[name] = _coerce(name, value, where)
    if not isinstance(checked.get("task"), str):
        raise TaskError(explain("`task` must be a name", where=where("task"), expected="task: my_task"))
    spec = TaskSpec(**checked)
    if spec.output_type not in OUTPUT_TYPES:
        raise TaskError(
            explain(
                f"unknown output_type {spec.output_type!r}",
                where=where("output_type"),
                expected="one of " + ", ".join(OUTPUT_TYPES),
                suggestion=did_you_mean(str(spec.output_type), OUTPUT_TYPES),
            )
        )
    if spec.dataset_path and not spec.split:
        raise TaskError(
            explain(
                f"task {spec.task} names no split to evaluate",
                where=where("task"),
                expected="test_split or validation_split",
            )
        )
    return spec


def _coerce(name: str, value: Any, where: Callable[[str], str]) -> Any:
    """Bring one YAML value into the type of its field."""
    default = FIELDS[name].default
    if name in _NAMES:
        value = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise _wrong(name, value, "a name or a list of names", where)
        return tuple(value)
    if value is None:
        return {} if name == "dataset_kwargs" else default if isinstance(default, str) else None
    if name in _LISTS:
        value = [value] if isinstance(value, Mapping) else value
        if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
            raise _wrong(name, value, "a list of mappings", where)
        return tuple(value)
    if name in _MAPPINGS and not isinstance(value, Mapping):
        raise _wrong(name, value, "a mapping", where)
    if name in _COUNTS and (isinstance(value, bool) or not isinstance(value, int) or value < _COUNTS[name]):
        raise _wrong(name, value, f"a whole number, {_COUNTS[name]} or more", where)
    if isinstance(default, bool) and not isinstance(value, bool):
        raise _wrong(name, value, "true or false", where)
    if name == "dataset_name":
        return str(value)
    return value


def _wrong(name: str, value: Any, expected: str, where: Callable[[str], str]) -> TaskError:
    return TaskError(explain(f"{name} is {value!r}", where=where(name), expected=expected))
