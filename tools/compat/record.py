"""What lmms-eval says to responses that nobody recorded yet: recordings in, recordings with new responses out.

    git -C LMMS_EVAL archive v0.7 lmms_eval | tar x -C OLD     # what was recorded; without OLD: the installed one
    PYTHONPATH=OLD:. .compat-venv/bin/python tools/compat/record.py --out FOLDER [--seed 0] [--count 60] FILE...
    python -m tests.parity.run FOLDER/*.jsonl

For every document of a recording (tests/parity/data) responses are made by a seed: targets and options in other words,
cases and wrappings, recorded responses cut, joined, with other digits. lmms-eval's own class scores them and aggregates
the first of each document. A response that it scores otherwise with other random numbers is marked `random`, one for
which it asks a judge `judge_needed`. `--check` keeps the recorded responses: what comes out must be what went in.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

WRAPPINGS = (
    "{}", "({})", "({}).", "{}.", " {} ", "**{}**", "[{}]", '"{}"', "${}$", "\\boxed{{{}}}",
    "$\\boxed{{{}}}$", "{}%", "${}", "Answer: {}", "The answer is {}.", "The correct answer is ({}).",
    "the answer is: {}\n", "Final answer: {}", "**Answer:** {}", "So it is {}, not anything else.",
    "{}\n\nBecause it says so.", "It looks like {} to me", "<answer>{}</answer>",
    "<answer> {} </answer> and so on", "<think>B? no. 7?</think>{}", "<think>{}</think>",
    "<think>It may be {}", '{{"answer": "{}"}}', '```json\n{{"answer": "{}"}}\n```', "Option {}",
    "option {} is right", "{} or maybe not", "Not {}", "Yes, {}", "No. {}", "{0} {0}", "{0}, {0}",
    "{} meters", "about {}", "{}</s>", "Step 1: look.\nStep 2: {}", "A: {}", "答案是{}", "答案\uff1a{}",
    "ответ {}", "\u201c{}\u201d", "{}\u3002", "`{}`", "#### {}",
    "Reasoning: 3 + 4 = 7.\nExact Answer: {}\nConfidence: 90%",
    "Therefore, the final answer is $\\boxed{{\\text{{{}}}}}$.", "**{}.** It is shown there.", "- {}\n- 7",
    "1. {}\n2. no", "<|begin_of_box|>{}<|end_of_box|>", "\\({}\\)", "{}: because", "\\boxed{{{}}}.", "{} kg",
    "It can't be {}; it's D.", "<reasoning>B</reasoning>\n{}", "{0}\n{0}", "<b>{}</b>",
    "\u0e04\u0e33\u0e15\u0e2d\u0e1a {}", "A) {}",
)  # fmt: skip
ALONE = (
    "", " ", "\n", "A", "B", "C", "D", "E", "a", "b", "(c)", "A.", "B)", "A and B", "A, C", "A/B",
    "both A and D", "AB", "Neither", "none of the above", "I cannot tell.",
    "I'm sorry, I can't help with that.", "Yes", "no", "yes.", "No, it is not.", "Yes and no",
    "unanswerable", "Not answerable", "N/A", "None", "nan", "inf", "0", "1", "-1", "3.0", "3,000",
    "1e3", "1/2", "50%", "three", "twenty-one", "Three apples", "3 apples and 4 pears", "[]", "{}",
    "[0.1, 0.2, 0.7, 0.9]", "(12, 34)", "[[1, 2], [3, 4]]", "<box>10 20 30 40</box>", "x=0.5, y=0.25",
    "Point(0.3, 0.4)", "\\frac{1}{2}", "\\sqrt{2}", "2^{10}", "\\boxed{}", "\\boxed{A}\\boxed{B}",
    "\\boxed{\\frac{3}{4}", "<answer>", "</answer>", "<think>", "你好", "是", "否", "甲",
    "The image shows a cat.", "0x1F", "٣", "½", "Ⅳ", "true", "False", "left", "1st", "12:30",
    "2024-02-29", "$5.00", "1,234,567", "1.234,5", "3.5 kg", "12 km/h", "-0.5%",
    "\uff22", "(\uff22)", "\u2460", "b.", "C, because of A.",
    "As an AI language model, I am unable to view images.", "\\text{B}", "\\dfrac{3}{4}", "[B]",
    '{"answer": ["A", "C"]}',
    "A" * 3000,
)  # fmt: skip
DIGIT = re.compile(r"\d")


def made_responses(
    doc: Mapping[str, Any], target: Any, known: Sequence[str], rng: random.Random, count: int
) -> list[str]:
    """Draw responses to a document.

    Args:
        doc: Its row; short texts in it are taken for options and answers.
        target: What lmms-eval takes for the answer.
        known: Recorded responses to all documents of the file.
        rng: The seed.
        count: How many; all different.
    """
    texts = [str(t) for t in (target if isinstance(target, (list, tuple)) else [target])]
    texts += [text for text in _texts(doc) if len(text) <= 200]
    drawn: dict[str, None] = {}
    for _ in range(count * 20):
        if len(drawn) >= count:
            break
        drawn[_one(texts or ["A"], list(known) or ["A"], rng)] = None
    return list(drawn)


def made_losses(num_choices: int, rng: random.Random, count: int) -> list[list[list[Any]]]:
    """Draw losses of the choices of a document, ties and equal ones among them, and whether greedy decoding says each.

    Returns:
        ``[[loss, is_greedy], ...]``, one for each choice, `count` times.
    """
    drawn = []
    for _ in range(count):
        losses = [
            rng.choice((0.0, 0.5, 1.0, 2.5, rng.uniform(0, 40), rng.uniform(0, 1e-6))) for _ in range(num_choices)
        ]
        drawn.append([[loss, rng.random() < 0.3] for loss in losses])
    return drawn


def _one(texts: Sequence[str], known: Sequence[str], rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.35:
        text = rng.choice(texts)
        text = rng.choice((str, str, str.lower, str.upper, str.title, str.strip))(text)
        return rng.choice(WRAPPINGS).format(text)
    if kind < 0.5:
        return rng.choice(WRAPPINGS).format(rng.choice(ALONE))
    if kind < 0.6:
        return rng.choice(ALONE)
    text = rng.choice(known)
    if kind < 0.7:
        other = rng.choice(known)
        return text[: rng.randrange(len(text) + 1)] + other[rng.randrange(len(other) + 1) :]
    if kind < 0.8:
        return DIGIT.sub(lambda m: m[0] if rng.random() < 0.6 else str(rng.randrange(10)), text)
    if kind < 0.9:
        return rng.choice(WRAPPINGS).format(text)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(text) + 1)
        insert = rng.choice(("", "", " ", "\n", ".", ",", "(", ")", "*", ":", "A", "b", "3", "-", "é", "'"))
        text = text[:place] + insert + text[place + rng.randrange(2) :]
    return text


def _texts(value: Any) -> Iterator[str]:
    """Texts and numbers inside a row."""
    if isinstance(value, Mapping):
        if not any(str(key).startswith("$") for key in value):
            for item in value.values():
                yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (str, int, float)) and str(value).strip():
        yield str(value)


class _Rows(list[Any]):
    """Rows that nobody converts: what lmms-eval looks at when it builds a task."""

    @property
    def features(self) -> Mapping[str, Any]:
        """Names of the columns, by which lmms-eval tells them from templates."""
        return dict.fromkeys(self[0])


class Recorder:
    """One task of lmms-eval over the documents of a recording."""

    def __init__(self, task_path: Path, header: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
        import lmms_eval.api.metrics
        import lmms_eval.filters  # noqa: F401 (registers)
        from theirs import their_config, their_task

        from tests.parity.values import revive

        config = their_config(task_path)
        config.pop("process_docs", None)
        rows = [revive({**line["doc"], **line.get("derived_doc", {})}) for line in lines]
        self.task = their_task(config, _Rows(rows))
        self.header, self.lines = header, lines
        self.items: dict[str, dict[str, list[Any]]] = {}
        self.is_aggregate_known = True
        self.asked_a_judge = False
        self._watch_connections()

    def _watch_connections(self) -> None:
        import socket
        import time

        from sandbox import NeedsNetwork

        def refuse(*_: Any, **__: Any) -> Any:
            self.asked_a_judge = True
            raise NeedsNetwork("its code asks a service on the network")

        socket.create_connection = refuse
        socket.socket.connect = refuse  # type: ignore[method-assign]
        socket.getaddrinfo = refuse
        time.sleep = lambda _seconds: None

    def recording(self, seed: int, count: int, *, check: bool) -> Iterator[dict[str, Any]]:
        """The lines of the new recording."""
        from forms import attempted
        from theirs import what_is_asked

        from tests.parity.values import empty_media_home, masked, revive

        known = [r["response"] for line in self.lines for r in line["responses"] if isinstance(r.get("response"), str)]
        documents = []
        with empty_media_home():
            for number, line in enumerate(self.lines):
                doc = revive({**line["doc"], **line.get("derived_doc", {}), **masked(line, number)})
                target, _ = attempted(self.task.doc_to_target, doc)
                rng = random.Random(f"{seed}/{self.header['task']}/{number}")
                texts: Sequence[Any] = made_responses(line["doc"], target, known, rng, count)
                if self.task.OUTPUT_TYPE == "multiple_choice":
                    texts = made_losses(len(self.task.doc_to_choice(doc)), rng, count)
                if check:
                    texts = [r.get("losses", r.get("response")) for r in line["responses"] if _is_recordable(r)]
                kept = {k: line[k] for k in ("doc", "derived_doc", "aux", "excluded_from_aggregated") if k in line}
                kept |= what_is_asked(self.task, doc)
                documents.append({**kept, "responses": [self._response(doc, text) for text in texts]})
                if documents[-1]["responses"] and "excluded_from_aggregated" not in line:
                    self._collect(doc, documents[-1]["responses"][0])
        yield {"task": self.header["task"], "aggregated": self._aggregated() if self.is_aggregate_known else {}}
        yield from documents

    def _response(self, doc: Mapping[str, Any], text: Any) -> dict[str, Any]:
        self.asked_a_judge = False
        first, error = self._scores(doc, text, 0)
        said = {"losses" if isinstance(text, list) else "response": text}
        if self.asked_a_judge:
            return {**said, "judge_needed": True}
        if error is not None:
            return {**said, "error": error}
        by_filter = {name: storable(scores) for name, scores in first.items()}
        scores = by_filter if len(by_filter) > 1 else next(iter(by_filter.values()))
        for other in (1, 2, 3):
            again, _ = self._scores(doc, text, other)
            if json.dumps({n: storable(s) for n, s in (again or {}).items()}) != json.dumps(by_filter):
                return {**said, "random": True}
        return {**said, "scores": scores}

    def _scores(self, doc: Mapping[str, Any], text: Any, seed: int) -> tuple[Any, str | None]:
        from lmms_eval.api.instance import Instance

        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (what tasks draw from)
        found = {}
        about = {"task": "t", "doc_id": 0, "repeats": 1}
        try:
            with contextlib.redirect_stdout(None):
                for ensemble in self.task._filters:  # noqa: SLF001
                    if isinstance(text, list):
                        found[ensemble.name] = self.task.process_results(doc, [tuple(pair) for pair in text])
                        continue
                    instance = Instance("generate_until", ("",), 0, metadata=about, resps=[text])
                    ensemble.apply([instance], [doc])
                    answer = instance.filtered_resps[ensemble.name]
                    found[ensemble.name] = self.task.process_results(doc, [answer])
        except Exception as e:  # noqa: BLE001 (what its code raises is what is recorded)
            return None, type(e).__name__
        return found, None

    def _collect(self, doc: Mapping[str, Any], recorded: Mapping[str, Any]) -> None:
        """Keep what the first response adds to the aggregates, as our runner does."""
        if "judge_needed" in recorded or "random" in recorded or "error" in recorded:
            self.is_aggregate_known = False
            return
        scores, _ = self._scores(doc, recorded.get("losses", recorded.get("response")), 0)
        for name, by_metric in scores.items():
            for metric, item in by_metric.items():
                self.items.setdefault(name, {}).setdefault(metric, []).append(item)

    def _aggregated(self) -> dict[str, Any]:
        import inspect

        from forms import attempted

        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            args = SimpleNamespace(
                output_path=folder, model="m", tasks="t", model_args="", log_samples=False, limit=None
            )
            for name, by_metric in self.items.items():
                for metric, function in self.task.aggregation().items():
                    if metric not in by_metric:
                        continue
                    more = {"args": args} if "args" in inspect.signature(function).parameters else {}
                    self.asked_a_judge = False
                    value, error = attempted(function, by_metric[metric], **more)
                    if error is None and not self.asked_a_judge:
                        key = metric if len(self.items) == 1 else f"{metric},{name}"
                        found[key] = storable(value)
        return found


def _is_recordable(response: Mapping[str, Any]) -> bool:
    """Whether a response is one text or the losses of choices, not those of several rounds."""
    return "losses" in response or isinstance(response.get("response"), str)


def storable(value: Any) -> Any:
    """A score as a recording holds it."""
    if isinstance(value, Mapping):
        return {str(k): storable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(storable(v) for v in value)
    if isinstance(value, np.ndarray):
        return storable(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return repr(value)


def record(path: Path, given: argparse.Namespace) -> str:
    """Write one new recording; what to tell about it."""
    header, *lines = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line)
    lines = [x for x in lines if not x["responses"] or any(map(_is_recordable, x["responses"]))]
    if not lines:
        return "answers come in rounds"
    line = re.compile(rf"^[\"']?task[\"']?\s*:\s*[\"']?{re.escape(header['task'])}[\"']?\s*$", re.MULTILINE)
    found = [p for p in their_tasks() if line.search(p.read_text(encoding="utf-8"))]
    if not found:
        return "lmms-eval has no such task"
    recorder = Recorder(found[0], header, lines)
    made = list(recorder.recording(given.seed, given.count, check=given.check))
    with (given.out / path.name).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in made)
    return f"{sum(len(line['responses']) for line in made[1:])} responses"


def their_tasks() -> list[Path]:
    """All YAML files of the installed lmms-eval."""
    import importlib.util

    spec = importlib.util.find_spec("lmms_eval")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return sorted(Path(spec.submodule_search_locations[0], "tasks").rglob("*.yaml"))


def _child(path: Path, given: argparse.Namespace) -> None:
    import logging

    logging.disable(logging.ERROR)
    sink = os.open(os.devnull, os.O_WRONLY)
    said_to = os.fdopen(os.dup(1), "w")
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        said = record(path, given)
    except Exception as e:  # noqa: BLE001 (one task must not end the others)
        said = f"failed: {type(e).__name__}: {str(e)[:200]}"
    print(f"{path.stem}: {said}", file=said_to, flush=True)


def _import_what_children_share() -> None:
    """Import once what takes seconds: every child is a fork."""
    import lmms_eval.api.metrics
    import lmms_eval.filters  # noqa: F401
    import theirs  # noqa: F401

    import tests.parity.values  # noqa: F401


def main() -> None:
    """Record every file that is named, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the new recordings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60, help="responses a document")
    parser.add_argument("--check", action="store_true", help="record the same responses again")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HF_HOME", tempfile.mkdtemp())
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OPENAI_API_KEY": "none"}
    context = multiprocessing.get_context("fork")
    _import_what_children_share()
    for path in given.files:
        child = context.Process(target=_child, args=(path, given))
        child.start()
        child.join(600)
        if child.is_alive():
            child.kill()
            print(f"{path.stem}: still at work after 600 s")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
