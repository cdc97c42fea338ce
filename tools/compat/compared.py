"""One task on both sides: the same rows read, rendered, answered and scored, and what differs.

Runs in a child process of `differential`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

from compared_scores import compare_choices, compare_scores
from forms import attempted, fingerprint, first_difference, our_messages, our_part, seeded, their_messages
from made_rows import Unsuitable
from report import Report
from sandbox import media_where_asked, offline
from theirs import MODEL, SPLITS, first_messages, prepare, their_config, their_instances, their_task


def compare(path: Path, seed: int, scratch: Path) -> dict[str, Any]:
    """Compare one task.

    Returns:
        `messages` and `scores`: ``equal`` or ``differ``; `differences` that are explained, `bugs` that are not; or
        `skipped` with a reason.
    """
    import datasets

    from pytest_lmms.scoring.build import build_scorer
    from pytest_lmms.scoring.reasoning import DEFAULT_TAGS
    from pytest_lmms.tasks.load import load_task

    offline()
    with media_where_asked(os.environ["HF_HOME"]):
        config = their_config(path)
        if not any(config.get(s) for s in ("test_split", "validation_split")):
            raise Unsuitable("names no split")
        rows = prepare(config, seed)
        file = str(scratch / "rows.parquet")
        datasets.Dataset.from_list(rows).to_parquet(file)
        splits = {config[s] for s in SPLITS if config.get(s)}
        files = {re.sub(r"\[.*", "", s): file for s in splits}
        theirs = seeded(their_task, config, None, files)
        task = load_task(path)
        spec = dataclasses.replace(
            task.spec, dataset_path="parquet", dataset_name=None, dataset_kwargs={"data_files": files}
        )
        ours = dataclasses.replace(task, spec=spec).bind(model_names=(MODEL,)).with_examples()
        documents = seeded(ours.open_rows)
        report = Report()
        if len(documents) != len(theirs.task_docs):
            report.bug(f"{len(documents)} documents, theirs {len(theirs.task_docs)}")
        scorer = build_scorer(
            ours, reasoning_tags=DEFAULT_TAGS, full_docs=lambda: [documents.document(i) for i in range(len(documents))]
        )
        for index in range(min(len(documents), len(theirs.task_docs))):
            compare_messages(report, ours, documents, theirs, index)
        if ours.spec.output_type in ("multiple_choice", "loglikelihood"):
            compare_choices(report, scorer, ours, documents, theirs, seed)
        else:
            compare_scores(report, scorer, ours, documents, theirs, scratch)
    return report.as_dict(len(documents))


def compare_messages(report: Report, ours: Any, documents: Any, theirs: Any, index: int) -> None:
    """Whole messages, text and media in order, and generation settings."""
    from pytest_lmms.tasks.generation import build_generation

    doc = theirs.task_docs[index]
    rendered, our_error = attempted(ours.render, documents, index)
    kind = ours.spec.output_type
    (context, instances), their_error = attempted(their_instances, theirs, doc, index)[0] or ("", []), None
    if our_error:
        report.messages_differ = True
        report.bug(f"render fails: {our_error}")
        return
    if kind in ("multiple_choice", "loglikelihood"):
        visuals = their_visuals(report, theirs, doc)
        want = []
        for instance in instances:
            prompt, continuation, *rest = instance.args
            continuation = str(continuation(doc)) if callable(continuation) else continuation
            want.append([prompt, continuation, visuals if rest else []])
        got = []
        for request in rendered.requests:
            parts = [our_part(p) for m in request.messages for p in m.content]
            got.append(
                [
                    "".join(t for k, t in parts if k == "text"),
                    request.continuation,
                    [t for k, t in parts if k != "text"],
                ]
            )
        _judge_messages(report, got, want)
        return
    got = our_messages(rendered.requests[0].messages)
    messages, their_error = attempted(first_messages, theirs, doc)
    want = their_messages(messages) if messages is not None else []
    if their_error and not callable(theirs.config.doc_to_messages):
        report.known(
            f"lmms-eval's chat path fails ({their_error[:80]}); prompt and media compared with its simple path"
        )
    if not callable(theirs.config.doc_to_messages):
        visuals = their_visuals(report, theirs, doc)
        simple = [context, visuals]
        ours_simple = [
            "".join(t for _, ps in got for k, t in ps if k == "text"),
            [t for _, ps in got for k, t in ps if k != "text"],
        ]
        if kind not in ("generate_until_multi_round", "generate_until_agentic"):
            _judge_messages(report, ours_simple, simple, "simple path: ")
        if want and got != want:
            kinds = (
                [[(k, t) for k, t in ps if k != "text"] for _, ps in want],
                [[(k, t) for k, t in ps if k != "text"] for _, ps in got],
            )
            if (
                ours_simple == simple
                and [[f for _, f in p] for p in kinds[0]] == [[f for _, f in p] for p in kinds[1]]
                and kinds[0] != kinds[1]
            ):
                report.known("samples in a mapping are audio here; lmms-eval's chat path types them as video")
            elif ours_simple == simple and ONE_MEDIUM in report.differences:
                pass
            elif ours_simple == simple and theirs.config.description:
                report.known("description reaches chat models too")
            else:
                _judge_messages(report, got, want)
    else:
        _judge_messages(report, got, want)
    settings = dict(theirs.config.generation_kwargs or {})
    if settings.get("until") == [theirs.config.fewshot_delimiter] and "until" not in (
        ours.spec.generation_kwargs or {}
    ):
        settings.pop("until")
    settings.pop("max_agentic_steps", None)
    expected = build_generation(settings)
    if expected != ours.generation:
        report.messages_differ = True
        report.bug(f"generation {ours.generation}, theirs {expected}")


ONE_MEDIUM = "a doc_to_visual that returns one path, not a list, means that path; lmms-eval takes its letters for paths"


def their_visuals(report: Report, theirs: Any, doc: Any) -> list[str]:
    """Media of its simple path."""
    if not theirs.config.doc_to_visual:
        return []
    visuals = theirs.doc_to_visual(doc) or []
    if isinstance(visuals, str):
        report.known(ONE_MEDIUM)
        visuals = [visuals]
    return [fingerprint(v) for v in visuals]


def _judge_messages(report: Report, got: Any, want: Any, prefix: str = "") -> None:
    if got == want:
        return
    report.messages_differ = True
    report.bug(f"{prefix}messages {first_difference(json.dumps(got), json.dumps(want))}")
