"""What a task would ask, as text that stays the same as long as the prompts do.

For reviewing a change: written before and after it, two texts differ where a prompt, a medium or a generation setting
does. Documents come in rendered, and nobody is asked anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import yaml

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.media.references import digest
from pytest_lmms.records import Generation, Message, Part, Request
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rows import DataChoice, select
from pytest_lmms.yamlbounds import load_plain

Inputs = dict[str, list[dict[str, Any]]]
"""Task to its documents, as `inputs_of` gives them."""


def task_inputs(task: Task, *, data: DataChoice = "full", limit: float | None = None) -> list[dict[str, Any]]:
    """Say what a task's documents ask.

    Args:
        task: Bound to the model whose prompt variants are wanted.
        data: Of the dataset or of the miniature.
        limit: See `rows.select`.

    Raises:
        DatasetError: The documents cannot be opened.
        DocumentError: A function of the task failed on one.
        MediaError: A media file cannot be read.
    """
    task = task.with_examples(data)
    rows = task.open_rows(data)
    return [inputs_of(i, task.render(rows, i).requests) for i in select(len(rows), offset=0, limit=limit)]


def inputs_of(doc_id: int, requests: Sequence[Request]) -> dict[str, Any]:
    """Say what one document asks.

    Args:
        doc_id: Its number.
        requests: As `Task.render` gives them.

    Returns:
        ``{doc_id, generation, messages}``, and where it applies `repeats` (2 or more), `continuations` (texts whose
        log-probability is asked) and `also`, a list of the further prompts of the document. A medium is
        ``{kind: digest}``, so that equal bytes are equal wherever they lie.

    Raises:
        MediaError: A media file cannot be read.
    """
    prompts: list[tuple[tuple[Message, ...], list[Request]]] = []
    for request in requests:
        if prompts and prompts[-1][0] == request.messages:
            prompts[-1][1].append(request)
        else:
            prompts.append((request.messages, [request]))
    first, *others = [_prompt(messages, same) for messages, same in prompts] or [{"messages": []}]
    generation = _generation(requests[0].generation) if requests else {}
    return {"doc_id": doc_id, "generation": generation, **first, **({"also": others} if others else {})}


def to_text(inputs: Inputs) -> str:
    """Write inputs as YAML: keys in their order, text of several lines as a block."""
    return yaml.dump(inputs, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def from_text(text: str, where: str) -> Inputs:
    """Read what `to_text` wrote.

    Args:
        text: The YAML.
        where: Its file, for errors.

    Raises:
        UsageError: It is no mapping of task to documents.
    """
    try:
        value = load_plain(text)
    except yaml.YAMLError as e:
        raise UsageError(explain(f"no YAML: {e}", where=where)) from e
    if not isinstance(value, dict) or not all(isinstance(v, list) for v in value.values()):
        raise UsageError(
            explain(
                "these are no inputs of tasks",
                where=where,
                expected="a mapping of task to a list of documents",
                remedy="`pytest-lmms tasks inputs NAME --write FILE` writes one",
            )
        )
    return value


def difference(before: Inputs, after: Inputs, *, names: tuple[str, str] = ("before", "after")) -> str:
    """Compare the tasks of `after` with what `before` says of them.

    Returns:
        A unified diff, empty when they are equal. Tasks that only `before` has are left out.
    """
    before = {task: before[task] for task in after if task in before}
    lines = difflib.unified_diff(to_text(before).splitlines(), to_text(after).splitlines(), *names, lineterm="")
    return "\n".join(lines)


def _prompt(messages: tuple[Message, ...], requests: list[Request]) -> dict[str, Any]:
    entry: dict[str, Any] = {"messages": [_message(m) for m in messages]}
    continuations = [r.continuation for r in requests if r.continuation is not None]
    if continuations:
        entry["continuations"] = continuations
    elif len(requests) > 1:
        entry["repeats"] = len(requests)
    return entry


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": [_part(p) for p in message.content]}


def _part(part: Part) -> Any:
    return part if isinstance(part, str) else {part.kind: digest(part)}


def _generation(generation: Generation) -> dict[str, Any]:
    return dict(_said(generation))


def _said(generation: Generation) -> Iterator[tuple[str, Any]]:
    """Yield the settings that somebody made."""
    for field in fields(generation):
        value = getattr(generation, field.name)
        if field.name == "extra":
            yield from sorted((key, _plain(v)) for key, v in value.items())
        elif value not in (None, ()):
            yield field.name, _plain(value)


def _plain(value: Any) -> Any:
    """A value as YAML can hold it."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, (str, int, float, bool)) else repr(value)


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block; nothing by reference."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
