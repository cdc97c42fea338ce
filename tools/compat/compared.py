"""One task on both sides: the same rows read, rendered, answered and scored, and what differs.

Runs in a child process of `differential`.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import os
import re
from pathlib import Path
from typing import Any

from compared_scores import compare_choices, compare_scores
from forms import attempted, canonical, fingerprint, first_difference, our_messages, seeded, their_messages
from made_rows import Unsuitable
from report import Report
from sandbox import media_where_asked, offline
from theirs import MODEL, SPLITS, first_messages, prepare, their_config, their_instances, their_task

ROUND_TYPES = ("generate_until_multi_round", "generate_until_agentic")


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
        if ours.spec.process_docs is not None:  # several shuffle; lmms-eval calls it for splits that nobody asks, too
            process_docs = functools.partial(seeded, ours.spec.process_docs)
            ours = dataclasses.replace(ours, spec=dataclasses.replace(ours.spec, process_docs=process_docs))
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
    if not report.num_compared_scores:
        raise Unsuitable("scoring fails on both sides for every response")
    return report.as_dict(len(documents))


def compare_messages(report: Report, ours: Any, documents: Any, theirs: Any, index: int) -> None:
    """Whole messages, text and media in order; those of later rounds; and generation settings."""
    rendered, our_error = attempted(ours.render, documents, index)
    if our_error:
        _differ(report, f"render fails: {our_error}")
        return
    doc = theirs.task_docs[index]
    if ours.spec.output_type in ("multiple_choice", "loglikelihood"):
        _compare_continuations(report, rendered, theirs, doc, index)
        return
    got = our_messages(rendered.requests[0].messages)
    messages, their_error = attempted(first_messages, theirs, doc)
    want = their_messages(messages) if messages is not None else None
    if callable(theirs.config.doc_to_messages):
        _same(report, "messages", got, want)
    else:
        if ours.spec.output_type in ROUND_TYPES:
            _compare_rounds(report, ours, theirs, documents.document(index), doc, index)
        else:
            _compare_simple(report, got, theirs, doc, index)
        if their_error:
            report.known(f"lmms-eval's chat path fails ({their_error[:80]}); compared with its simple path alone")
        else:
            _compare_chat(report, got, want, theirs, doc)
    _compare_generation(report, ours, theirs)


def _compare_continuations(report: Report, rendered: Any, theirs: Any, doc: Any, index: int) -> None:
    """Prompt, media and continuation of each request for a log-probability."""
    _, instances = their_instances(theirs, doc, index)
    visuals = their_visuals(report, theirs, doc)
    want = []
    for instance in instances:
        prompt, continuation, *rest = instance.args
        continuation = str(continuation(doc)) if callable(continuation) else continuation
        want.append([prompt, visuals if rest else [], continuation])
    got = [[*_flat(our_messages(r.messages)), r.continuation] for r in rendered.requests]
    if len(got) == len(want) and _same_but_examples(report, got, want, theirs, doc):
        return
    _same(report, "requests", got, want)


def _compare_simple(report: Report, got: list[Any], theirs: Any, doc: Any, index: int) -> None:
    """Text and media as lmms-eval's adapters without chat get them."""
    context, _ = their_instances(theirs, doc, index)
    flat, want = _flat(got), [context, their_visuals(report, theirs, doc)]
    if not _same_but_examples(report, [flat], [want], theirs, doc):
        _same(report, "simple path: messages", flat, want)


def _same_but_examples(report: Report, got: list[Any], want: list[Any], theirs: Any, doc: Any) -> bool:
    """Whether prompts of few-shot tasks differ in the examples drawn alone."""
    config = theirs.config
    if got == want or not config.num_fewshot or (config.fewshot_config or {}).get("sampler") == "first_n":
        return False
    question = str(theirs.doc_to_text(doc))
    if all(
        g[0].endswith(question) and w[0].endswith(question) and g[1:] == w[1:] for g, w in zip(got, want, strict=True)
    ):
        report.known("few-shot examples are drawn for each document alone")
        return True
    return False


def _compare_chat(report: Report, got: list[Any], want: Any, theirs: Any, doc: Any) -> None:
    """The user turn that lmms-eval makes for chat adapters of visuals and text."""
    if got == want:
        return
    retyped = [[role, [["audio", f] if k == "video" and f.startswith("mapping") else [k, f] for k, f in parts]]
               for role, parts in want]  # fmt: skip
    if got == retyped:
        report.known("samples in a mapping are audio here; lmms-eval's chat path types them as video")
        return
    if isinstance(theirs.doc_to_visual(doc), str):
        turn = theirs._build_user_turn([theirs.doc_to_visual(doc)], theirs.doc_to_text(doc))  # noqa: SLF001
        _same(report, "messages", got, their_messages(turn))
        return
    (text, media), (their_text, their_media) = _flat(got), _flat(want)
    if theirs.config.description and media == their_media and text.endswith(their_text):
        report.known("description and examples reach chat models too")
        return
    if "few-shot examples are drawn for each document alone" in report.differences and media == their_media:
        return
    _same(report, "messages", got, want)


def _compare_rounds(report: Report, ours: Any, theirs: Any, row: Any, doc: Any, index: int) -> None:
    """What is asked after each of three responses."""
    outputs: list[str] = []
    info: Any = None
    for number in range(1, 4):
        outputs = [*outputs, f"<submit>{number}</submit>" if number == 3 else f"answer {number}"]
        said = {"outputs": list(outputs), "round_index": number, "info": copy.deepcopy(info)}
        answer, our_error = attempted(lambda s: ours.next_request(row, index, **s), said)
        payload, their_error = attempted(
            lambda n, o, i: theirs.doc_to_messages(doc, round_idx=n, previous_output=o, previous_round_info=i),
            number, list(outputs), copy.deepcopy(info),
        )  # fmt: skip
        if our_error or their_error:
            if bool(our_error) != bool(their_error):
                _differ(report, f"round {number}: ours {our_error}, theirs {their_error}")
            return
        (request, turn), (messages, _, their_outputs, their_info) = answer, payload
        _same(report, f"outputs of round {number}", canonical(turn.outputs), canonical(their_outputs))
        _same(report, f"info of round {number}", canonical(turn.info), canonical(their_info))
        if request is None or messages is None:
            _same(report, f"end of round {number}", request is None, messages is None)
            return
        _same(report, f"messages of round {number}", our_messages(request.messages), their_messages(messages))
        outputs, info = list(turn.outputs), turn.info


def _compare_generation(report: Report, ours: Any, theirs: Any) -> None:
    """Generation settings, but for the stop string that lmms-eval adds where a task names none."""
    from pytest_lmms.tasks.generation import build_generation

    settings = dict(theirs.config.generation_kwargs or {})
    if "until" not in (ours.spec.generation_kwargs or {}):
        settings.pop("until", None)
    settings.pop("max_agentic_steps", None)
    if build_generation(settings) != ours.generation:
        _differ(report, f"generation {ours.generation}, theirs {build_generation(settings)}")


def their_visuals(report: Report, theirs: Any, doc: Any) -> list[str]:
    """Media of its simple path."""
    if not theirs.config.doc_to_visual:
        return []
    visuals = theirs.doc_to_visual(doc) or []
    if isinstance(visuals, str):
        report.known("doc_to_visual may return one path; lmms-eval takes its letters for paths")
        visuals = [visuals]
    return [fingerprint(v) for v in visuals]


def _flat(messages: list[Any]) -> list[Any]:
    """All text as one, and all media."""
    parts = [part for _, parts in messages for part in parts]
    return ["".join(t for k, t in parts if k == "text"), [f for k, f in parts if k != "text"]]


def _same(report: Report, what: str, got: Any, want: Any) -> None:
    if got != want:
        _differ(report, f"{what}: {first_difference(json.dumps(got), json.dumps(want))}")


def _differ(report: Report, text: str) -> None:
    report.messages_differ = True
    report.bug(text)
