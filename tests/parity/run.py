"""Compare prompts, scores and aggregates with recordings of lmms-eval v0.7.

    python -m tests.parity.run FILE...

A recording is a JSON Lines file. Its first line names the task and holds the aggregates over all
documents, each with its first response; every further line is one document with its prompt, target,
and responses with their scores. In a row, ``{"$image": [width, height, seed]}`` and
``{"$audio": [seconds, rate, seed]}`` stand for media, ``{"$float": "nan"}`` for a number that JSON
lacks. Everything runs through the project's own loading, rendering, scoring and aggregation.

Exit code: 0 all equal, 1 something differs, 2 a file cannot be compared.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, UsageError, did_you_mean, explain
from pytest_lmms.records import Response
from pytest_lmms.results.aggregate import obstacle_to
from pytest_lmms.scoring.build import aggregate, build_scorer, metric_entries
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
from pytest_lmms.scoring.score import Outcome, Scorer, score
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.mediafiles import MissingMediaError
from pytest_lmms.tasks.render import Task

from .values import Doc, empty_media_home, masked, replay, revive, same

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
STOP_STRINGS_NOBODY_WROTE = ["\n\n"]
NEED_A_JUDGE = "judge_needed"
"""Mark of responses that no rule decides."""
A_JUDGES_SILENCE = ""
"""The reply of a judge that was off, where lmms-eval scores by rules under the judge's name, and we under another."""
MOST_FILES_OF_A_ROW = 16
Items = dict[tuple[str, str], list[Any]]
"""(metric, filter) -> what its aggregation is given, in document order."""


@dataclass(frozen=True)
class Mismatch:
    """One thing that lmms-eval and we see differently."""

    where: str
    what: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        """Three lines: where and what, theirs, ours."""
        return f"{self.where}: {self.what}\n    theirs: {self.theirs!r}\n    ours:   {self.ours!r}"


@dataclass
class Report:
    """What comparing one recording gave."""

    path: Path
    task: str
    num_documents: int = 0
    num_responses: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    not_compared: Counter[str] = field(default_factory=Counter)
    """What the recording holds, and this runner cannot check."""

    def summary(self) -> str:
        """Return one line."""
        line = (
            f"{self.path.name}: task {self.task}, {self.num_documents} documents, "
            f"{self.num_responses} responses, {len(self.mismatches)} mismatches"
        )
        skipped = ", ".join(f"{what} {count}" for what, count in sorted(self.not_compared.items()))
        return f"{line} (not compared: {skipped})" if skipped else line


def check_file(path: str | Path, benchmarks: Path = BENCHMARKS) -> Report:
    """Compare one recording with what we do today.

    Raises:
        UsageError: The file is no recording, or its task is in none of the benchmarks.
    """
    path = Path(path)
    header, documents = _read(path)
    comparison = _Comparison(_find_task(header["task"], path, benchmarks), path)
    with empty_media_home():
        for number, line in enumerate(documents):
            comparison.check_document(number, line)
    comparison.check_aggregated(header["aggregated"])
    return comparison.report


class _Comparison:
    """One recording against one task."""

    def __init__(self, task: Task, path: Path) -> None:
        self.task = task
        self.report = Report(path, task.name)
        self.scorer = build_scorer(task, reasoning_tags=())
        self.scorer_without_thoughts = build_scorer(task, reasoning_tags=DEFAULT_TAGS)
        self.judged: Callable[..., Any] | None = getattr(self.scorer.process_results, "judged", None)
        """Makes scores of (document, answers, reply=what a judge said): `judged` of the task's `process_results`."""
        self.metrics = {entry.name: entry for entry in metric_entries(task)}
        self.items: Items = {}
        self.is_aggregate_known = True

    def check_document(self, number: int, line: Mapping[str, Any]) -> None:
        """Compare prompt and responses of one document, and keep what its first response adds."""
        where = f"{self.report.path.name}: document {number}"
        doc = revive({**line["doc"], **line.get("derived_doc", {}), **masked(line, number)})
        self.report.num_documents += 1
        self._check_prompt(doc, line, where)
        for position, recorded in enumerate(line["responses"]):
            self.report.num_responses += 1
            said = recorded.get("response", recorded.get("losses"))
            outcome = self._check_response(doc, recorded, f"{where}, response {said!r}")
            if position > 0 or line.get("excluded_from_aggregated"):
                continue
            if outcome is None or recorded.get("random"):
                self.is_aggregate_known = False
            else:
                _add(self.items, outcome)

    def check_aggregated(self, theirs: Mapping[str, Any]) -> None:
        """Compare the aggregates over all documents."""
        if self.is_aggregate_known:
            self._check_aggregate(self.items, theirs, self.report.path.name)
        else:
            self.report.not_compared["aggregated"] += 1

    def _check_prompt(self, doc: Doc, line: Mapping[str, Any], where: str) -> None:
        task = self.task
        if isinstance(line.get("prompt"), str) and "prompt_error" not in line:
            self._check(where, "prompt", line["prompt"], lambda: task.render_text(doc))
        else:
            self.report.not_compared["prompt"] += 1
        if line.get("num_media") is not None:
            self._check_num_media(line["num_media"], doc, where)
        if "target" in line:
            self._check(where, "target", line["target"], lambda: task.target(doc))
        if "chat_messages" in line:
            self._check(where, "chat_messages", line["chat_messages"], lambda: _parts(task, doc))
        for key, value in line.get("generation_kwargs", {}).items():
            theirs = () if value == STOP_STRINGS_NOBODY_WROTE else value
            setting = functools.partial(_setting, task, key)
            self._check(where, f"generation_kwargs {key}", theirs, setting)

    def _check_num_media(self, theirs: int, doc: Doc, where: str) -> None:
        """Count media; a file that the row names and nobody has is made up.

        lmms-eval leaves out what is missing, where for us it is an error. So it may count fewer, by as many as are made
        up at the most: which of them its machine had is not recorded.
        """
        num_made_up = 0
        for _ in range(MOST_FILES_OF_A_ROW):
            try:
                self.task.visuals(doc)
            except MissingMediaError as e:
                if theirs == 0:
                    self.report.not_compared["num_media of a missing file"] += 1
                    return
                e.expected.parent.mkdir(parents=True, exist_ok=True)
                e.expected.touch()
                num_made_up += 1
            except Exception:  # noqa: BLE001 (the check below reports it)
                break
            else:
                if 0 < _num_media(self.task, doc) - theirs <= num_made_up:
                    self.report.not_compared["num_media of a missing file"] += 1
                    return
                break
        self._check(where, "num_media", theirs, lambda: _num_media(self.task, doc))

    def _check_response(self, doc: Doc, recorded: Mapping[str, Any], where: str) -> Outcome | None:
        """Score one response; None when it adds nothing to an aggregate."""
        text = recorded.get("response", recorded.get("losses"))
        if NEED_A_JUDGE in recorded or not isinstance(text, (str, list)):
            self.report.not_compared[NEED_A_JUDGE if NEED_A_JUDGE in recorded else "no text"] += 1
            return None
        if isinstance(text, list) and text and recorded.get("final_response") == text[-1]:
            self.report.not_compared["a payload that the model itself wrote"] += 1
            return None
        if "judge_reply" in recorded and self.judged is None:
            self.report.not_compared["judge_reply"] += 1
            return None
        try:
            outcome = self._score(self.scorer, doc, text, recorded, where)
        except Exception as e:  # noqa: BLE001 (a crash of ours is a finding)
            if not ("error" in recorded and isinstance(e, LmmsError)):
                self._report(where, "scoring", recorded.get("scores"), e)
            return None
        if "error" in recorded:
            return None
        if recorded.get("random"):
            self._check_guess(outcome, where)
            return outcome
        self._check_scores(where, "scores", recorded["scores"], outcome)
        theirs = recorded.get("scores_after_default_reasoning_strip")
        if theirs is not None and self.task.spec.reasoning_tags is not None:
            self.report.not_compared["scores without thoughts"] += 1
        elif theirs is not None:
            stripped = self._score(self.scorer_without_thoughts, doc, text, recorded, where)
            self._check_scores(where, "scores without thoughts", theirs, stripped)
        for alone in ("aggregate_alone", "metric_alone"):
            self._check_aggregate(_add({}, outcome), recorded.get(alone, {}), where)
        return outcome

    def _score(
        self, scorer: Scorer, doc: Doc, said: str | list[str], recorded: Mapping[str, Any], where: str
    ) -> Outcome:
        """Score by rules, after all rounds, from what a judge replied, or from losses: ``[[loss, is_greedy], ...]``."""
        if "losses" in recorded:
            return score(
                scorer, doc, [Response(text="", logprob=-loss, is_greedy=said) for loss, said in recorded["losses"]]
            )
        if isinstance(said, list):
            prompts, spoken = replay(self.task, doc, said)
            if "prompts" in recorded:
                self._check(where, "prompts", recorded["prompts"], lambda: prompts)
            return score(scorer, doc, [Response(text=t) for t in said], spoken=[spoken])
        if "judge_reply" in recorded and self.judged is not None:
            return self._score_judged(scorer, doc, said, recorded["judge_reply"])
        outcome = score(scorer, doc, [Response(text=said)])
        theirs = _names(recorded.get("scores", {}))
        if self.judged is not None and theirs and not theirs & _names(outcome.scores):
            return self._score_judged(scorer, doc, said, A_JUDGES_SILENCE)
        return outcome

    def _score_judged(self, scorer: Scorer, doc: Doc, said: str, reply: str) -> Outcome:
        return score(
            replace(scorer, process_results=functools.partial(self.judged, reply=reply)), doc, [Response(text=said)]
        )

    def _check_guess(self, outcome: Outcome, where: str) -> None:
        """Where lmms-eval guesses at random, ours is unparsed and scores nothing."""
        if outcome.status != "unparsed":
            self._report(where, "status", "a random guess", outcome)
        for (metric, _), items in _add({}, outcome).items():
            if metric in self.metrics and aggregate(self.metrics[metric], items) not in (None, 0):
                self._report(where, f"{metric} of a guess", 0, items)

    def _check_scores(self, where: str, what: str, theirs: Any, outcome: Outcome) -> None:
        """Compare scores by filter, or those of the only filter; ours may hold more, e.g. what a judge said."""
        by_filter = len(outcome.scores) > 1 or theirs.keys() == outcome.scores.keys()
        ours = outcome.scores if by_filter else next(iter(outcome.scores.values()))
        self._check(where, what, theirs, lambda: ours, partly=True)

    def _check_aggregate(self, items: Items, theirs: Mapping[str, Any], where: str) -> None:
        """Compare aggregates by ``metric`` or ``metric,filter``; null is a submission file."""
        for key, value in theirs.items():
            if isinstance(value, Mapping) and "judge_needed" in value:
                self.report.not_compared["judge_needed"] += 1
            elif key in self.metrics and (why := obstacle_to(self.metrics[key])) is not None:
                self.report.not_compared[f"{key}, as {why}"] += 1
            elif value is not None:
                ours = functools.partial(self._aggregate, items, key)
                self._check(where, f"aggregated {key}", value, ours)

    def _aggregate(self, items: Items, key: str) -> Any:
        for (metric, filter_name), own in items.items():
            if key in (metric, f"{metric},{filter_name}") and metric in self.metrics:
                return aggregate(self.metrics[metric], own)
        return f"nothing: the metrics are {', '.join(self.metrics)}"

    def _check(
        self,
        where: str,
        what: str,
        theirs: Any,
        ours: Callable[[], Any],
        *,
        partly: bool = False,
    ) -> None:
        """Report a mismatch when `ours()` raises or differs from `theirs`."""
        try:
            value = ours()
        except Exception as e:  # noqa: BLE001 (a crash of ours is a finding)
            self._report(where, what, theirs, e)
            return
        if not same(revive(theirs), value, partly=partly):
            self._report(where, what, theirs, value)

    def _report(self, where: str, what: str, theirs: Any, ours: Any) -> None:
        self.report.mismatches.append(Mismatch(where, what, theirs, ours))


def _add(items: Items, outcome: Outcome) -> Items:
    for filter_name, scores in outcome.scores.items():
        for metric, item in scores.items():
            items.setdefault((metric, filter_name), []).append(item)
    return items


def _names(scores: Mapping[str, Any]) -> set[str]:
    """Names of metrics, and of filters where there are any between."""
    return {name for key, value in scores.items() for name in (key, *(value if isinstance(value, Mapping) else ()))}


def _num_media(task: Task, doc: Doc) -> int:
    if task.spec.doc_to_visual is not None:
        return len(task.visuals(doc))
    return sum(part["type"] != "text" for part in _parts(task, doc))


def _parts(task: Task, doc: Doc) -> list[dict[str, Any]]:
    parts = [part for message in task.messages(doc) for part in message.content]
    return [{"type": "text", "text": p} if isinstance(p, str) else {"type": p.kind} for p in parts]


def _setting(task: Task, key: str) -> Any:
    if key == "max_agentic_steps":
        return task.max_rounds
    generation = task.generation
    return getattr(generation, key) if hasattr(generation, key) else generation.extra.get(key)


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    expected = "a recording: JSON Lines, first line with `task` and `aggregated`, then documents"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except OSError as e:
        raise UsageError(explain(f"cannot read: {e.strerror}", where=str(path))) from e
    except ValueError as e:
        raise UsageError(explain(f"not JSON Lines: {e}", where=str(path), expected=expected)) from e
    if not lines or not all(isinstance(line, dict) for line in lines):
        raise UsageError(explain("holds no JSON objects", where=str(path), expected=expected))
    header, *documents = lines
    if not {"task", "aggregated"} <= header.keys():
        raise UsageError(explain("the first line is no header", where=str(path), expected=expected))
    for number, line in enumerate(documents, start=2):
        if not {"doc", "responses"} <= line.keys():
            raise UsageError(explain("no document", where=f"{path}:{number}", expected=expected))
    return header, documents


def _find_task(name: str, path: Path, benchmarks: Path) -> Task:
    tasks = index_tasks([benchmarks]).tasks
    if name not in tasks:
        raise UsageError(
            explain(
                f"no benchmark has a task {name!r}",
                where=str(path),
                suggestion=did_you_mean(name, tasks),
                expected=f"a task in {benchmarks}: {', '.join(sorted(tasks)) or 'there is none'}",
            )
        )
    return load_task(tasks[name])


def main(arguments: Sequence[str]) -> int:
    """Compare each file named; print mismatches and one summary line a file."""
    if not arguments or any(a.startswith("-") for a in arguments):
        print(__doc__)
        return 2
    exit_code = 0
    for argument in arguments:
        try:
            report = check_file(argument)
        except LmmsError as e:
            print(e)
            exit_code = 2
            continue
        for mismatch in report.mismatches:
            print(mismatch)
        print(report.summary())
        exit_code = exit_code or int(bool(report.mismatches))
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
