"""A model that repeats what another said: to score an earlier run's samples again.

Reads run folders of pytest-lmms and output folders of lmms-eval.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmms.errors import ModelError, UsageError, did_you_mean, explain
from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.records import Request, Response, TokenCounts

_FILE_NAME = re.compile(r"^(?:.*?_)??samples_(?P<task>.+)\.jsonl$")


@dataclass(frozen=True, slots=True)
class _Logged:
    """What was said about one document."""

    texts: tuple[str, ...]
    """By repeat."""
    counts: tuple[TokenCounts, ...]
    logprobs: tuple[tuple[float, bool], ...] = ()
    """By place of the request: log-probability, and whether it was greedy; empty for a document that was asked for
    text."""


class FromLog:
    """Answers with the raw text that a log holds for the same task, document and repeat."""

    honours = HONOURS_ALL
    batch_invariant = True

    def __init__(self, logs: str, *, batch_size: int | None = None) -> None:
        """Find the samples; a task's file is read when its first document is asked.

        Args:
            logs: A ``samples_<task>.jsonl``, or a folder that holds such files at any depth. When
                it holds
                several for one task, the last in alphabetical order is used: their names begin
                    with the date.
            batch_size: The largest batch that this model is given.

        Raises:
            UsageError: No such file, or no samples in the folder.
        """
        self.max_batch = batch_size
        self._root = Path(logs)
        self._files = _find(self._root)
        self._logged: dict[str, dict[int, _Logged]] = {}

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name, size in bytes and modification time in nanoseconds of the files."""
        states = [(task, path.stat()) for task, path in sorted(self._files.items())]
        return {
            "adapter": "FromLog",
            "files": [[task, state.st_size, state.st_mtime_ns] for task, state in states],
        }

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answer from the log.

        Raises:
            ModelError: The log lacks the task, the document or the repeat; the message names it
                and the file.
        """
        return [self._answer(request) for request in requests]

    def score(self, requests: Sequence[Request]) -> list[Response]:
        """Give the log-probabilities that the log holds, by document and place of the request.

        Raises:
            ModelError: The log lacks the task or the document, or holds no or fewer log-probabilities for it.
        """
        return [self._logprob(request) for request in requests]

    def _logprob(self, request: Request) -> Response:
        logged, path = self._find_logged(request)
        if logged is None or request.place >= len(logged.logprobs):
            num_known = len(logged.logprobs) if logged is not None else 0
            raise ModelError(
                explain(
                    f"the log has {num_known} log-probabilities for this document; number {request.place + 1} is "
                    f"asked: {path}",
                    where=f"{request.task}[{request.doc_id}]",
                    expected='"resps": [[log-probability, is_greedy], ...], one for each choice',
                    remedy="ask only what was logged: the same choices, --lmms-limit and --lmms-offset",
                )
            )
        logprob, is_greedy = logged.logprobs[request.place]
        counts = logged.counts[request.place] if request.place < len(logged.counts) else TokenCounts()
        return Response(text="", tokens=counts, logprob=logprob, is_greedy=is_greedy)

    def _find_logged(self, request: Request) -> tuple[_Logged | None, Path]:
        path = self._file(request.task)
        if request.task not in self._logged:
            self._logged[request.task] = dict(_read(path, request.task))
        return self._logged[request.task].get(request.doc_id), path

    def _answer(self, request: Request) -> Response:
        where = f"{request.task}[{request.doc_id}]"
        logged, path = self._find_logged(request)
        if logged is None or request.repeat >= len(logged.texts):
            problem = (
                "the log has no response for this document"
                if logged is None or not logged.texts
                else f"the log has {len(logged.texts)} responses; repeat {request.repeat} is asked"
            )
            raise ModelError(
                explain(
                    f"{problem}: {path}",
                    where=where,
                    remedy="ask only what was logged: the same --lmms-limit and --lmms-offset",
                )
            )
        counts = logged.counts[request.repeat] if request.repeat < len(logged.counts) else None
        return Response(text=logged.texts[request.repeat], tokens=counts or TokenCounts())

    def _file(self, task: str) -> Path:
        if task not in self._files:
            raise ModelError(
                explain(
                    f"the log has no samples of the task {task!r}",
                    where=str(self._root),
                    expected=f"one of: {', '.join(sorted(self._files))}",
                    suggestion=did_you_mean(task, self._files),
                )
            )
        return self._files[task]


def _find(root: Path) -> dict[str, Path]:
    """Return the samples file of each task."""
    if root.is_file():
        match = _FILE_NAME.match(root.name)
        task = match["task"] if match else _task_inside(root)
        if task is None:
            raise UsageError(
                explain(
                    "cannot tell whose samples these are",
                    where=str(root),
                    expected="a file named samples_<task>.jsonl",
                )
            )
        return {task: root}
    found = {}
    for path in sorted(root.rglob("*samples_*.jsonl"), key=lambda path: path.name):
        match = _FILE_NAME.match(path.name)
        if match:
            found[match["task"]] = path
    if not found:
        problem = "this folder holds no samples" if root.is_dir() else "no such file or folder"
        raise UsageError(explain(problem, where=f"logs={root}", expected="files named samples_<task>.jsonl"))
    return found


def _task_inside(path: Path) -> str | None:
    with path.open(encoding="utf-8") as file:
        try:
            task = json.loads(file.readline()).get("task")
        except (ValueError, RecursionError, AttributeError):
            return None
    return str(task) if task else None


def _read(path: Path, task: str) -> Iterator[tuple[int, _Logged]]:
    """Read one file; of a document with several filters, and so several lines, the first counts."""
    seen: set[int] = set()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                doc_id = int(row["doc_id"])
                logged = _Logged(_texts(row), _counts(row), _logprobs(row))
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
                raise ModelError(
                    explain(
                        f"this line is no sample: {type(error).__name__}: {error}",
                        where=f"{path}:{number}",
                        expected="a JSON object with doc_id, and resps or filtered_resps",
                    )
                ) from error
            if doc_id not in seen and row.get("task", task) == task:
                seen.add(doc_id)
                yield doc_id, logged


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the raw texts by repeat, in whatever form a writer left them.

    `resps` is ``["a"]``, ``["a", "b"]`` or ``[["a", "b"]]``. lmms-eval leaves it out where it
    equals `filtered_resps`, which is ``"a"`` or ``["a"]``; ours is ``{filter: "a"}``.
    """
    said = row["resps"] if "resps" in row else row["filtered_resps"]
    if isinstance(said, Mapping):
        said = next(iter(said.values()))
    while isinstance(said, list) and len(said) == 1 and isinstance(said[0], list):
        said = said[0]
    if not isinstance(said, list):
        said = [said]
    unwrapped = (each[0] if isinstance(each, list) and len(each) == 1 else each for each in said)
    return tuple(text if isinstance(text, str) else str(text) for text in unwrapped)


def _logprobs(row: Mapping[str, Any]) -> tuple[tuple[float, bool], ...]:
    """Return ``[[log-probability, is_greedy], ...]`` of a row, by place; empty where it holds texts.

    lmms-eval leaves `resps` out where it equals `filtered_resps`, and may wrap each pair in a list of its own.
    """
    said = row["resps"] if "resps" in row else row["filtered_resps"]
    if isinstance(said, Mapping):
        said = next(iter(said.values()), None)
    if not isinstance(said, list):
        return ()
    pairs = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in said]
    if not pairs or not all(_is_logprob(pair) for pair in pairs):
        return ()
    return tuple((float(pair[0]), bool(pair[1])) for pair in pairs)


def _is_logprob(pair: Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], (int, float))
        and not isinstance(pair[0], bool)
        and isinstance(pair[1], (bool, int))
    )


def _counts(row: Mapping[str, Any]) -> tuple[TokenCounts, ...]:
    names = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    return tuple(
        TokenCounts(**{name: (counts or {}).get(name) for name in names}) for counts in row.get("token_counts") or ()
    )
