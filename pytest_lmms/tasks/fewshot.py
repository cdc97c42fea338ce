"""Few-shot examples: which solved documents stand before the one that is asked.

Chooses rows; how they look in a prompt is `render`'s business. The choice depends on the seed and on the asked
document alone, so that `-k`, limits, workers and the order of running change no prompt. (lmms-eval draws from one
stream for all documents: its examples of a document depend on how many were asked before.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmms.errors import TaskError, did_you_mean, explain
from pytest_lmms.tasks.fields import Doc, imported
from pytest_lmms.tasks.rows import Rows

SAMPLERS = ("default", "first_n")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Solved documents to choose from."""

    count: int
    """How many stand before each document, >= 1."""
    sampler: str
    """`first_n`: the first ones, the same for all documents; `default`: drawn anew for each document."""
    num_available: int
    read: Callable[[int], Doc]
    """From a number below `num_available` to a document."""
    asks_same_rows: bool
    """Whether the asked documents are among them, with the same numbers."""
    seed: int = 0

    def of(self, index: int, document: Doc) -> list[tuple[int, Doc]]:
        """The examples for one document, which is never among them, with their numbers.

        Args:
            index: The asked document's number.
            document: The asked document.
        """
        wanted = min(self.count + 1, self.num_available)
        if self.sampler == "first_n":
            numbers: Sequence[int] = range(wanted)
        else:
            numbers = random.Random(f"{self.seed}/{index}").sample(range(self.num_available), wanted)  # noqa: S311  (no secret)
        chosen: list[tuple[int, Doc]] = []
        for number in numbers:
            if len(chosen) == self.count:
                break
            if self.asks_same_rows and number == index:
                continue
            example = self.read(number)
            if not self.asks_same_rows and _is_same(example, document):
                continue
            chosen.append((number, example))
        return chosen


def _is_same(example: Doc, document: Doc) -> bool:
    """Whether an example from another split is the asked document itself, told by its plain columns."""
    plain = [k for k, v in document.items() if isinstance(v, (str, int, float, bool))]
    return bool(plain) and example.keys() == document.keys() and all(example[k] == document[k] for k in plain)


def build_examples(
    count: int,
    config: Mapping[str, Any] | None,
    open_rows: Callable[[], Rows],
    *,
    asks_same_rows: bool,
    seed: int,
    where: str,
) -> Examples:
    """Prepare a task's examples.

    Args:
        count: How many, >= 1.
        config: The task's `fewshot_config`: `sampler`, and perhaps `samples`, a list of documents or a function that
            gives one; these are used in their order.
        open_rows: Opens the split that examples come from; not called when there are `samples`.
        asks_same_rows: Whether that split is the one that is asked.
        seed: For the sampler `default`.
        where: `file:line` for errors.

    Raises:
        TaskError: An unknown sampler, or fewer rows than examples.
        DatasetError: The split cannot be opened.
    """
    config = config or {}
    sampler = str(config.get("sampler", "default"))
    if sampler not in SAMPLERS:
        raise TaskError(
            explain(
                f"unknown sampler {sampler!r}",
                where=where,
                expected="one of " + ", ".join(SAMPLERS),
                suggestion=did_you_mean(sampler, SAMPLERS),
            )
        )
    read: Callable[[int], Doc]
    if config.get("samples") is not None:
        samples = imported(config["samples"])
        samples = list(samples() if callable(samples) else samples)
        asks_same_rows, sampler, num_available, read = False, "first_n", len(samples), samples.__getitem__
    else:
        rows = open_rows()
        num_available, read = len(rows), rows.document
    if count > num_available - asks_same_rows:
        raise TaskError(
            explain(
                f"{count} few-shot examples are wanted, and there are {max(0, num_available - asks_same_rows)}",
                where=where,
            )
        )
    return Examples(
        count=count,
        sampler=sampler,
        num_available=num_available,
        read=read,
        asks_same_rows=asks_same_rows,
        seed=seed,
    )
