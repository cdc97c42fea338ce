"""A model whose answers are written down: for exact tests of tasks and pipelines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.testing import Answer, ScriptedModel


class Scripted(ScriptedModel):
    """`pytest_lmms.testing.ScriptedModel`, from the command line."""

    def __init__(
        self,
        responses: Mapping[str, Answer] | Sequence[Answer] | None = None,
        *,
        file: str | None = None,
        default: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Read the answers.

        Args:
            responses: ``{"task[doc_id]": answer}`` (a key ``task`` answers for all its other
                documents), or a list indexed by `doc_id`. An answer is a text, ``{"raise":
                message}``, or a list with one for each repeat.
            file: A JSON file with such a mapping or list; or JSON lines, each ``{"task": ...,
                "doc_id": ..., "response": answer}``.
            default: For documents that are not mentioned; without it they are errors.
            batch_size: The largest batch that this model is given.

        Raises:
            UsageError: Nothing given, both given, or the file cannot be read.
        """
        if responses is not None and file is not None:
            raise UsageError(explain("responses and file are both given", expected="one of them", where="scripted"))
        if responses is None and file is None and default is None:
            raise UsageError(
                explain(
                    "this model needs its answers",
                    where="scripted",
                    expected="responses=..., file=... or default=...",
                )
            )
        answers: Any = _read(Path(file)) if file is not None else responses or {}
        if isinstance(answers, str):
            answers = [answers]
        super().__init__(answers, default=default, max_batch=batch_size)
        text = json.dumps([answers, default], sort_keys=True, default=str)
        self._identity = {
            "adapter": "Scripted",
            "script": hashlib.sha256(text.encode()).hexdigest(),
        }

    @property
    def identity(self) -> Mapping[str, Any]:
        """A digest of the script."""
        return self._identity


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            return dict(_read_line(line) for line in text.splitlines() if line.strip())
        answers = json.loads(text)
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise UsageError(
            explain(
                f"cannot read the script: {error}",
                where=str(path),
                expected='JSON {"task[0]": text}, or lines {"task": , "doc_id": , "response": }',
            )
        ) from error
    if not isinstance(answers, (dict, list)):
        raise UsageError(
            explain(
                f"a script of type {type(answers).__name__}",
                where=str(path),
                expected="a mapping or a list",
            )
        )
    return answers


def _read_line(line: str) -> tuple[str, Any]:
    row = json.loads(line)
    return f"{row['task']}[{row['doc_id']}]", row["response"]
