"""What a run would ask, without asking: requests, media, tokens, and prompts that do not fit.

Knows tasks and requests, no pytest. Tokens are counted by the adapter, where it can without weights (`Measures`);
nothing is guessed from the number of characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_lmms.errors import LmmsError, counted
from pytest_lmms.inference.model import Measured
from pytest_lmms.records import Request
from pytest_lmms.tasks.inputs import inputs_of, to_text
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.rounds import ROUND_TYPES
from pytest_lmms.tasks.rows import Rows

MOST_MEASURED = 200
"""Documents of a task that are rendered and measured, evenly spaced; the rest is taken to be like them."""
SHOWN = 5

Measure = Callable[[Request], Measured]


@dataclass
class TaskPlan:
    """What one task would ask."""

    task: Task
    num_documents: int
    num_measured: int = 0
    num_requests: int = 0
    """Of the measured documents, as all below."""
    media: Counter[str] = field(default_factory=Counter)
    num_frames: int = 0
    input_tokens: list[int] = field(default_factory=list)
    """Of each request whose adapter counts."""
    new_tokens: int = 0
    """The most that may be generated, where the settings say so."""
    context_length: int | None = None
    beyond: list[str] = field(default_factory=list)
    """Documents whose prompt does not fit into the context."""
    cut: list[str] = field(default_factory=list)
    """Documents whose longest answer does not fit behind the prompt."""
    errors: list[str] = field(default_factory=list)
    first: str = ""
    """The first prompt, as text."""

    @property
    def scale(self) -> float:
        """Documents of the run for each that was measured."""
        return self.num_documents / self.num_measured if self.num_measured else 0.0


def plan_task(task: Task, rows: Rows, chosen: Sequence[int], measure: Measure | None) -> TaskPlan:
    """Render documents of a task and measure their requests.

    Args:
        task: Bound to model and settings.
        rows: Its documents.
        chosen: Row numbers of the run.
        measure: Counts tokens and frames of a request; None where the adapter cannot.

    Returns:
        Documents that cannot be rendered or measured are among its `errors`.
    """
    plan = TaskPlan(task, len(chosen))
    step = max(1.0, len(chosen) / MOST_MEASURED)
    for number in range(min(len(chosen), MOST_MEASURED)):
        index = chosen[int(number * step)]
        name = f"{task.name}[{index}]"
        plan.num_measured += 1
        try:
            requests = task.render(rows, index).requests
            if not plan.first:
                plan.first = to_text({task.name: [inputs_of(index, requests)]})
            for request in requests:
                _add(plan, request, name, measure)
        except LmmsError as e:
            plan.errors.append(str(e))
    return plan


def _add(plan: TaskPlan, request: Request, name: str, measure: Measure | None) -> None:
    plan.num_requests += 1
    plan.media.update(ref.kind for ref in request.media)
    most = request.generation.max_new_tokens if request.continuation is None else 0
    plan.new_tokens += most or 0
    if measure is None:
        return
    measured = measure(request)
    plan.num_frames += measured.num_frames
    plan.input_tokens.append(measured.input_tokens)
    plan.context_length = measured.context_length
    if measured.context_length is None:
        return
    if measured.input_tokens > measured.context_length:
        plan.beyond.append(name)
    elif measured.input_tokens + (most or 0) > measured.context_length:
        plan.cut.append(name)


def plan_lines(plan: TaskPlan) -> Iterator[str]:
    """Tell a plan, for a terminal."""
    sampled = plan.num_measured < plan.num_documents
    about = "about " if sampled else ""
    requests = round(plan.num_requests * plan.scale)
    media = ", ".join(about + counted(round(n * plan.scale), kind) for kind, n in sorted(plan.media.items()))
    name = plan.task.name
    said = f"{counted(plan.num_documents, 'document')}, {about}{counted(requests, 'request')}"
    yield f"{name}: {said}" + (f", {media}" if media else "")
    if plan.task.spec.output_type in ROUND_TYPES:
        yield "  documents of several rounds: only the first round of each is known"
    if plan.num_frames:
        yield f"  {about}{round(plan.num_frames * plan.scale):,} frames of video"
    if plan.input_tokens:
        tokens = plan.input_tokens
        total = round(sum(tokens) * plan.scale)
        yield (
            f"  {about}{total:,} input tokens; a prompt has {min(tokens):,} to {max(tokens):,},"
            f" {sum(tokens) / len(tokens):,.0f} on average"
        )
    else:
        yield "  input tokens: the model does not count them without answering"
    if plan.new_tokens:
        yield f"  at most {about}{round(plan.new_tokens * plan.scale):,} output tokens (max_new_tokens)"
    for found, text in (
        (plan.beyond, "prompts do not fit into the context"),
        (plan.cut, "answers of max_new_tokens do not fit behind their prompt"),
    ):
        if found:
            named = list(dict.fromkeys(found))
            shown = ", ".join(named[:SHOWN]) + (", ..." if len(named) > SHOWN else "")
            yield f"  {about}{round(len(found) * plan.scale):,} {text} of {plan.context_length:,} tokens: {shown}"
    if plan.errors:
        yield f"  {len(plan.errors):,} documents cannot be asked; the first: {plan.errors[0]}"
    if sampled:
        yield f"  (measured on {plan.num_measured:,} documents, evenly spaced)"
