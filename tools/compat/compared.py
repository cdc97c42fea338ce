"""One task on both sides: rows are made, read, rendered, answered and scored by lmms-eval's classes and by ours.

Runs in a child process of `differential`. Only here is lmms-eval driven.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import inspect
import json
import math
import os
import random
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from made_rows import Unsuitable, columns_in, compared_texts, infer_kinds, make_rows, table_keys

MODEL = "qwen2_5_vl"
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
NAMES = re.compile(r"^\w+$")


_TOOLS = 'json:[{"name": "wait", "description": "Let time pass."}, {"name": "look", "description": "See the state."}]'
RECIPES: Mapping[str, Mapping[str, str]] = {
    "tau2_bench": {
        "tools": _TOOLS,
        "user_query": "=My phone has no network abroad.",
        "initial_state": 'json:{"abroad": true, "airplane_mode": true, "roaming_enabled": false, "mobile_data_working": false}',
        "target_state": 'json:{"mobile_data_working": true}',
    },
    "vending_bench2": {
        "tools": _TOOLS,
        "user_query": "=Run the machine at a profit.",
        "initial_state": 'json:{"cash": 40.0, "inventory": 10, "days_elapsed": 0, "daily_demand": 3, "price": 2.0, "unit_cost": 1.0}',
        "target_cash": "json:50.0",
        "min_cash": "json:50.0",
        "max_days": "json:5",
    },
    "ovo_": {
        "task": "=REC",
        "activity": "=jump",
        "test_info": 'json:[{"realtime": 2, "count": 1, "step": "mix", "type": 0}]',
    },
}
"""Columns of tasks that no guessing finds, by the start of the task's name."""


class NeedsNetwork(Exception):
    """A task's code opened a connection."""


def offline() -> None:
    """Make connections fail at once, and waiting take no time."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise NeedsNetwork("its code asks a service on the network")

    socket.create_connection = refuse
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse
    time.sleep = lambda _seconds: None


@contextlib.contextmanager
def media_where_asked(folder: str) -> Iterator[None]:
    """Make a small real file wherever a task's code looks for one below a folder."""
    real = os.path.exists

    def exists(path: Any) -> bool:
        if real(path):
            return True
        with contextlib.suppress(TypeError, OSError):
            text = os.fspath(path)
            if isinstance(text, str) and text.startswith(folder):
                return make_file(text)
        return False

    os.path.exists = exists
    os.path.isfile, isfile = exists, os.path.isfile
    try:
        yield
    finally:
        os.path.exists, os.path.isfile = real, isfile


def make_file(path: str) -> bool:
    """A video, picture or sound by the path's extension; False for any other."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in (".mp4", ".webm", ".mkv", ".avi", ".mov", ".jpg", ".jpeg", ".png", ".wav"):
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if extension in (".jpg", ".jpeg", ".png"):
        import PIL.Image

        PIL.Image.new("RGB", (24, 16), (len(path) % 256, 80, 160)).save(path)
    elif extension == ".wav":
        import soundfile

        soundfile.write(path, np.sin(np.arange(1600) / 9.0), 16000)
    else:
        import av

        with av.open(path, "w", format="mp4") as container:
            stream = container.add_stream("mpeg4", rate=4)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for shade in range(0, 240, 20):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return True


# --- their side ---------------------------------------------------------------------------------------------------


def their_config(path: Path) -> dict[str, Any]:
    """A task YAML as lmms-eval reads it, without the keys of its dataset."""
    from lmms_eval.utils import load_yaml_config

    config = dict(load_yaml_config(str(path), mode="full"))
    for key in ("dataset_name", "dataset_kwargs"):
        config.pop(key, None)
    return config


SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")


def their_task(config: Mapping[str, Any], dataset: Any, files: Mapping[str, str] | None = None) -> Any:
    """Their own class over rows in memory, or over files that it reads itself."""
    from lmms_eval.api import task as api

    api.ConfigurableTask.process_results.retry.stop = lambda _state: True
    api.ConfigurableTask.process_results.retry.reraise = True

    class OnRows(api.ConfigurableMessagesTask):
        def download(self, dataset_kwargs: Any = None) -> None:
            if files is not None:
                super().download(dataset_kwargs)
                return
            splits = {config[s] for s in SPLITS if config.get(s)}
            self.dataset = {s: dataset for s in splits}
            if self.config.process_docs is not None:
                self.dataset = {s: self.config.process_docs(d) for s, d in self.dataset.items()}
            self.dataset_no_image = self.dataset

    config = copy.deepcopy(dict(config))
    config["dataset_path"] = "parquet"
    if files is not None:
        config["dataset_kwargs"] = {"data_files": dict(files)}
    return OnRows(config=config, model_name=MODEL)


def their_messages(messages: Any) -> list[Any]:
    """Role and parts of each turn."""
    messages = getattr(messages, "messages", messages)
    turns = []
    for message in messages:
        message = message if isinstance(message, Mapping) else dict(message.__dict__)
        content = message["content"]
        if isinstance(content, str):
            turns.append([message["role"], [["text", content]]])
            continue
        parts = [p if isinstance(p, Mapping) else dict(p.__dict__) for p in content]
        turns.append([message["role"], [["text", p["text"]] if p["type"] == "text" else
                                        [p["type"], fingerprint(p["url"])] for p in parts]])  # fmt: skip
    return turns


def their_instances(task: Any, doc: Any, index: int) -> tuple[str, list[Any]]:
    """Prompt and requests of one document."""
    config = task.config
    context = task.fewshot_context(doc, config.num_fewshot or 0)
    metadata = {
        "task": config.task,
        "doc_id": index,
        "repeats": config.repeats,
        "split": config.test_split or config.validation_split,
    }
    from lmms_eval.api import task as api

    made = (
        api.ConfigurableTask.construct_requests(task, doc_id=index, ctx=context, metadata=metadata)
        if (config.output_type in ("multiple_choice", "loglikelihood"))
        else None
    )
    return context, made if isinstance(made, list) else [made] if made is not None else []


# --- both sides ---------------------------------------------------------------------------------------------------


def fingerprint(value: Any) -> str:
    """What a medium is, however it is held: pixels, samples, or a path."""
    import PIL.Image

    if isinstance(value, PIL.Image.Image):
        rgb = value.convert("RGB")
        return f"image {rgb.size} {hashlib.sha256(rgb.tobytes()).hexdigest()[:16]}"
    if isinstance(value, Mapping):
        value = {k: v for k, v in dict(value).items() if v is not None}
        return "mapping " + hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
    if isinstance(value, (str, os.PathLike)):
        return f"path {os.fspath(value)}"
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def our_part(part: Any) -> list[str]:
    """One part of our message, in the same form."""
    if isinstance(part, str):
        return ["text", part]
    if part.path is not None or part.url is not None:
        return [part.kind, f"path {part.path or part.url}"]
    if part.kind == "image":
        from pytest_lmms.media.image import open_image

        return ["image", fingerprint(open_image(part))]
    return [part.kind, fingerprint(part.content)]


def our_messages(messages: Sequence[Any]) -> list[Any]:
    """Role and parts of each turn."""
    return [[m.role, [our_part(p) for p in m.content]] for m in messages]


def canonical(value: Any) -> str:
    """Values as text in which a numpy number is a number and a tuple a list."""

    def plain(v: Any) -> Any:
        if isinstance(v, Mapping):
            return {str(k): plain(x) for k, x in v.items()}
        if isinstance(v, (list, tuple)):
            return [plain(x) for x in v]
        if isinstance(v, np.ndarray):
            return plain(v.tolist())
        if isinstance(v, np.generic):
            v = v.item()
        if isinstance(v, bool):
            return int(v)
        if isinstance(v, float):
            return "nan" if math.isnan(v) else int(v) if v.is_integer() else v
        if v is None or isinstance(v, (str, int)):
            return v
        if hasattr(v, "convert") and hasattr(v, "getbands"):
            return fingerprint(v)
        return re.sub(r" at 0x[0-9a-f]+", "", repr(v))

    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)


def seeded(function: Any, *args: Any) -> Any:
    """Call it with random numbers that start anew: several `process_docs` shuffle."""
    random.seed(0)
    np.random.seed(0)
    return function(*args)


def attempted(function: Any, *args: Any, **kwargs: Any) -> tuple[Any, str | None]:
    """Its value, or the name of what it raised."""
    try:
        return seeded(lambda: function(*args, **kwargs)), None
    except Exception as e:  # noqa: BLE001
        cause = e.__cause__ or e
        return None, f"{type(cause).__name__}: {str(cause)[:150]}"


def sources_of(config: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
    """Modules of a task's functions, and the texts that name columns: their sources and the templates."""
    modules, sources = {}, []
    for value in config.values():
        if callable(value):
            module = inspect.getmodule(inspect.unwrap(getattr(value, "func", value)))
            if module is None:
                module = sys.modules.get(getattr(value, "__module__", ""), None)
            with contextlib.suppress(OSError, TypeError):
                sources.append(inspect.getsource(value))
            if module is not None and "lmms_eval" in str(getattr(module, "__file__", "")):
                modules[id(module)] = module
        elif isinstance(value, str):
            sources.append(value)
    for module in modules.values():
        with contextlib.suppress(OSError, TypeError):
            sources.append(inspect.getsource(module))
    return list(modules.values()), sources


def prepare(config: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """Rows with which all functions of a task run.

    Raises:
        Unsuitable: There are none.
    """
    import datasets

    datasets.disable_progress_bars()
    modules, sources = sources_of(config)
    plain = [v for k, v in config.items() if k.startswith("doc_to") and isinstance(v, str) and NAMES.match(v)]
    names = list(dict.fromkeys([*plain, *columns_in(sources)])) or ["question"]
    literals = table_keys(modules)
    for source in sources:
        with contextlib.suppress(SyntaxError, ValueError):
            literals += compared_texts(source)
    label = f"{seed}/{config['task']}"

    def attempt(kinds: Mapping[str, str]) -> None:
        stage = 0
        try:
            task = seeded(their_task, config, datasets.Dataset.from_list(make_rows(kinds, label)))
            stage = 1
            if not len(task.task_docs):
                raise ValueError("process_docs leaves no document")
            for index in range(len(task.task_docs)):
                doc = task.task_docs[index]
                stage = 2
                for visual in (task.doc_to_visual(doc) or []) if task.config.doc_to_visual else []:
                    fingerprint(visual)
                if task.config.output_type.startswith("generate_until"):
                    their_messages(first_messages(task, doc))
                stage = 3
                if task.config.output_type.startswith("generate"):
                    task.process_results(doc, ["The answer is A."])
                stage = 4
        except BaseException as e:
            e.stage = stage  # type: ignore[attr-defined]
            raise

    recipe = next((r for name, r in RECIPES.items() if str(config["task"]).startswith(name)), None)
    kinds = infer_kinds(names, attempt, recipe=recipe, literals=list(dict.fromkeys(literals))[:60])
    return make_rows(kinds, label)


def first_messages(task: Any, doc: Any) -> Any:
    """What a chat model is asked first."""
    return task.doc_to_messages(doc)


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


@dataclasses.dataclass
class Report:
    """What was found."""

    messages_differ: bool = False
    scores_differ: bool = False
    differences: dict[str, None] = dataclasses.field(default_factory=dict)
    bugs: dict[str, None] = dataclasses.field(default_factory=dict)
    num_compared_scores: int = 0

    def bug(self, text: str) -> None:
        if len(self.bugs) < 3:
            self.bugs[text[:400]] = None

    def known(self, text: str) -> None:
        self.differences[text] = None

    def as_dict(self, num_documents: int) -> dict[str, Any]:
        return {
            "messages": "differ" if self.messages_differ else "equal",
            "scores": "differ" if self.scores_differ else "equal",
            "documents": num_documents,
            "num_scores": self.num_compared_scores,
            "differences": list(self.differences),
            "bugs": list(self.bugs),
        }


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
    report.bug(f"{prefix}messages {_first_difference(json.dumps(got), json.dumps(want))}")


def _first_difference(ours: str, theirs: str) -> str:
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    start = max(0, place - 40)
    return f"ours ...{ours[start : place + 60]} theirs ...{theirs[start : place + 60]}"


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
                said = stripped if agentic else [tuple([t]) for t in stripped]
                spoken = list(said)
            row = documents.document(index)
            outcome, our_error = attempted(score, scorer, row, [Response(text=t) for t in texts], spoken=spoken)
            for ensemble in theirs._filters:
                instance = Instance(request_type="generate_until", arguments=("",), idx=0,
                                    metadata={"task": "t", "doc_id": index, "repeats": repeats}, resps=list(said))  # fmt: skip

                def run(ensemble: Any = ensemble, instance: Any = instance, index: int = index) -> Any:
                    doc = docs[index]
                    ensemble.apply([instance], [doc])
                    answer = instance.filtered_resps[ensemble.name]
                    tags = TAGS if theirs.config.reasoning_tags is None else theirs.config.reasoning_tags
                    if isinstance(tags, list):
                        answer = (strip_reasoning_tags(answer, tags) if isinstance(answer, str) else
                                  [strip_reasoning_tags(a, tags) if isinstance(a, str) else a for a in answer]
                                  if isinstance(answer, list) else answer)  # fmt: skip
                    return theirs.process_results(doc, [answer])

                want, their_error = attempted(run)
                report.num_compared_scores += 1
                if their_error or our_error:
                    if bool(their_error) != bool(our_error):
                        _failed_alone(report, our_error, their_error, text)
                    continue
                got = outcome.scores[ensemble.name]
                if canonical(got) != canonical(want):
                    _scores_differ(report, got, want, text, has_filters=ours.spec.filter_list is not None)
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


def _scores_differ(report: Report, got: Any, want: Any, text: str, *, has_filters: bool) -> None:
    if has_filters and "<think>" in text:
        report.known("thoughts are taken out before filters look, not after")
        return
    report.scores_differ = True
    report.bug(f"score of {text!r}: {_first_difference(canonical(got), canonical(want))}")


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
        rng = random.Random(f"{seed}/{index}")  # noqa: S311
        rendered = ours.render(documents, index)
        losses = [(round(rng.uniform(0.1, 9.0), 3), rng.random() < 0.3) for _ in rendered.requests]
        responses = [Response(text="", logprob=-loss, is_greedy=greedy) for loss, greedy in losses]
        outcome, our_error = attempted(score, scorer, documents.document(index), responses)
        results = losses if ours.spec.output_type == "multiple_choice" or len(losses) > 1 else losses[0]
        want, their_error = attempted(theirs.process_results, theirs.task_docs[index], list(results))
        report.num_compared_scores += 1
        if their_error or our_error:
            if bool(their_error) != bool(our_error):
                _failed_alone(report, our_error, their_error, "log-probabilities")
            continue
        got = next(iter(outcome.scores.values()))
        if ours.spec.output_type == "loglikelihood" and scorer.process_results is None and "perplexity" in want:
            want["perplexity"] = -want["perplexity"]
            report.known("perplexity of log-probabilities, not of losses")
        if canonical(got) != canonical(want):
            report.scores_differ = True
            report.bug(f"score: {_first_difference(canonical(got), canonical(want))}")
        for name in want.keys() & got.keys():
            pair = collected.setdefault("none", {}).setdefault(name, [[], []])
            pair[0].append(got[name])
            pair[1].append(want[name])
    compare_aggregations(report, ours, theirs, collected, Path(os.environ["HF_HOME"]))
