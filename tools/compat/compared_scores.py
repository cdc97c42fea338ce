"""Scores of one task on both sides: filters, `process_results` or metrics, and aggregations."""

from __future__ import annotations

import copy
import inspect
import os
import random
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from forms import attempted, canonical, first_difference
from theirs import MODEL

if TYPE_CHECKING:
    from report import Report

TAGS = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
RESPONSES = (
    "A",
    "The answer is (B).",
    " yes \n",
    "",
    "<think>It may be C.</think>The answer is D",
    "3.5",
    "[0.1, 0.2, 0.7, 0.9]",
)


def their_scores(theirs: Any, ensemble: Any, instance: Any, doc: Any) -> Any:
    """One document through one chain of filters, without thoughts, to its metrics, as lmms-eval's evaluator does."""
    from lmms_eval.api.reasoning import strip_reasoning_tags

    ensemble.apply([instance], [doc])
    answer = instance.filtered_resps[ensemble.name]
    tags = TAGS if theirs.config.reasoning_tags is None else theirs.config.reasoning_tags
    if isinstance(tags, list) and isinstance(answer, str):
        answer = strip_reasoning_tags(answer, tags)
    elif isinstance(tags, list) and isinstance(answer, list):
        answer = [strip_reasoning_tags(a, tags) if isinstance(a, str) else a for a in answer]
    return theirs.process_results(doc, [answer])


def compare_scores(report: Report, scorer: Any, ours: Any, documents: Any, theirs: Any, scratch: Path) -> None:
    """Filters, `process_results` or metrics of each document and response, and all aggregations."""
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.reasoning import strip_reasoning_tags

    from pytest_lmms.records import Response
    from pytest_lmms.scoring.score import score

    collected: dict[str, dict[str, list[list[Any]]]] = {}
    repeats = ours.repeats
    in_rounds = ours.spec.output_type in ("generate_until_multi_round", "generate_until_agentic")
    docs = theirs.eval_docs_no_media if hasattr(theirs, "eval_docs_no_media") else theirs.task_docs
    for index in range(len(documents)):
        target, _ = attempted(theirs.doc_to_target, theirs.task_docs[index])
        for number, text in enumerate((*RESPONSES, str(target)[:200])):
            texts = [text, *RESPONSES][:repeats] if repeats > 1 else [text]
            texts = (texts * repeats)[:repeats]
            spoken: Any = None
            said: list[Any] = list(texts)
            if in_rounds:
                agentic = ours.spec.output_type == "generate_until_agentic"
                stripped = [strip_reasoning_tags(t, TAGS) for t in texts]
                said = stripped if agentic else [[t] for t in stripped]
                spoken = said if agentic else [tuple(s) for s in said]
            row = documents.document(index)
            outcome, our_error = attempted(score, scorer, row, [Response(text=t) for t in texts], spoken=spoken)
            for ensemble in theirs._filters:  # noqa: SLF001
                about = {"task": "t", "doc_id": index, "repeats": repeats}
                instance = Instance("generate_until", ("",), 0, metadata=about, resps=list(said))

                want, their_error = attempted(their_scores, theirs, ensemble, instance, docs[index])
                if their_error or our_error:
                    if bool(their_error) != bool(our_error):
                        _failed_alone(report, our_error, their_error, text)
                    continue
                got = outcome.scores[ensemble.name]
                report.num_compared_scores += 1
                if canonical(got) != canonical(want):
                    instance.resps = [strip_reasoning_tags(one, TAGS) if isinstance(one, str) else one for one in said]
                    early, _ = attempted(their_scores, theirs, ensemble, instance, docs[index])
                    _scores_differ(report, got, want, early, text)
                if number == index % (len(RESPONSES) + 1):
                    by_metric = collected.setdefault(ensemble.name, {})
                    for name in want.keys() & got.keys():
                        pair = by_metric.setdefault(name, [[], []])
                        pair[0].append(got[name])
                        pair[1].append(want[name])
    compare_aggregations(report, ours, theirs, collected, scratch)


def _failed_alone(report: Report, our_error: str | None, their_error: str | None, text: str) -> None:
    if their_error and not our_error:
        report.known(f"lmms-eval raises {their_error[:90]}")
    else:
        report.scores_differ = True
        report.bug(f"only ours fails on {text!r}: {our_error}")


def _scores_differ(report: Report, got: Any, want: Any, early: Any, text: str) -> None:
    """Judge a different score; `early` is theirs with thoughts taken out before its filters."""
    if canonical(got) == canonical(early):
        report.known("thoughts are taken out before filters look, not after")
        return
    report.scores_differ = True
    report.bug(f"score of {text!r}: {first_difference(canonical(got), canonical(want))}")


def compare_aggregations(report: Report, ours: Any, theirs: Any, collected: Mapping[str, Any], scratch: Path) -> None:
    """Every aggregation of the task over the same items."""
    from pytest_lmms.scoring.build import aggregate, metric_entries

    args = SimpleNamespace(
        output_path=str(scratch), model=MODEL, tasks=ours.name, model_args="", log_samples=False, limit=None
    )
    entries = {entry.name: entry for entry in metric_entries(ours)}
    for by_metric in collected.values():
        for name, function in theirs.aggregation().items():
            if name not in by_metric:
                continue
            if name not in entries:
                report.bug(f"metric {name} is not ours")
                continue
            got_items, want_items = by_metric[name]
            takes_args = "args" in inspect.signature(function).parameters
            want, their_error = attempted(function, copy.deepcopy(want_items), **({"args": args} if takes_args else {}))
            got, our_error = attempted(aggregate, entries[name], copy.deepcopy(got_items), args)
            if their_error or our_error:
                if bool(their_error) != bool(our_error):
                    _failed_alone(report, our_error, their_error, f"aggregation of {name}")
            elif canonical(got) != canonical(want):
                if entries[name].aggregation_name == "median":
                    report.known("median is taken of the sorted values")
                    continue
                report.scores_differ = True
                report.bug(f"aggregation of {name}: ours {canonical(got)[:80]} theirs {canonical(want)[:80]}")


def compare_choices(report: Report, scorer: Any, ours: Any, documents: Any, theirs: Any, seed: int) -> None:
    """Scores from made-up log-probabilities."""
    from pytest_lmms.records import Response
    from pytest_lmms.scoring.score import score

    collected: dict[str, dict[str, list[list[Any]]]] = {}
    for index in range(len(documents)):
        rng = random.Random(f"{seed}/{index}")
        rendered = ours.render(documents, index)
        losses = [(round(rng.uniform(0.1, 9.0), 3), rng.random() < 0.3) for _ in rendered.requests]
        responses = [Response(text="", logprob=-loss, is_greedy=greedy) for loss, greedy in losses]
        outcome, our_error = attempted(score, scorer, documents.document(index), responses)
        results = losses if ours.spec.output_type == "multiple_choice" or len(losses) > 1 else losses[0]
        want, their_error = attempted(theirs.process_results, theirs.task_docs[index], list(results))
        if their_error or our_error:
            if bool(their_error) != bool(our_error):
                _failed_alone(report, our_error, their_error, "log-probabilities")
            continue
        report.num_compared_scores += 1
        got = next(iter(outcome.scores.values()))
        if ours.spec.output_type == "loglikelihood" and scorer.process_results is None and "perplexity" in want:
            want["perplexity"] = -want["perplexity"]
            report.known("perplexity of log-probabilities, not of losses")
        if canonical(got) != canonical(want):
            report.scores_differ = True
            report.bug(f"score: {first_difference(canonical(got), canonical(want))}")
        for name in want.keys() & got.keys():
            pair = collected.setdefault("none", {}).setdefault(name, [[], []])
            pair[0].append(got[name])
            pair[1].append(want[name])
    compare_aggregations(report, ours, theirs, collected, Path(os.environ["HF_HOME"]))
