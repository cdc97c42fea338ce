"""Score mutated responses to recorded documents by us and by lmms-eval's own functions, and list what differs.

    PYTHONPATH=. .compat-venv/bin/python tools/compat/scorers.py [--seed N] [--count 200] [--only TASK ...] [FILE ...]

Files are recordings of `tests/parity/data` (all, when none is named). Each task's documents get `--count` responses in
turn (`mutations.py`); both sides score them, and aggregate each response alone and all of them. Set apart and counted:
responses for which lmms-eval guesses at random, asks a judge on the network, or raises.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import multiprocessing
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent))

import catalogue  # noqa: E402

ROOT = HERE.parents[2]
TASK_SECONDS = 300
SHOWN = 12
DUMMIES: Mapping[str, Any] = {"doc_to_text": "x", "doc_to_target": "x", "doc_to_visual": lambda _doc: []}
"""What their class wants before it scores."""


class Watch:
    """Counts random draws and connections that a scorer makes."""

    def __init__(self) -> None:
        import socket

        import numpy as np

        self.draws = self.connections = 0
        for owner, name in ((random, "choice"), (random, "randint"), (random, "sample"), (np.random, "choice")):
            setattr(owner, name, self._counted(getattr(owner, name)))
        for owner, name in ((socket, "create_connection"), (socket.socket, "connect"), (socket, "getaddrinfo")):
            setattr(owner, name, self._refused)

    def _counted(self, function: Any) -> Any:
        def draw(*args: Any, **kwargs: Any) -> Any:
            self.draws += 1
            return function(*args, **kwargs)

        return draw

    def _refused(self, *_: Any, **__: Any) -> Any:
        self.connections += 1
        raise OSError("no network")


def compare(path: Path, yaml: Path, seed: int, count: int) -> dict[str, Any]:
    """Compare one recording's task; returns counts and what differs."""
    import time

    from forms import attempted
    from mutations import responses
    from theirs import their_config

    from pytest_lmms.records import Response
    from pytest_lmms.scoring.build import build_scorer
    from pytest_lmms.scoring.score import score
    from pytest_lmms.tasks.index import index_tasks
    from pytest_lmms.tasks.load import load_task
    from tests.parity.values import empty_media_home, masked, revive

    header, *lines = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    ours = load_task(index_tasks([ROOT / "benchmarks"]).tasks[header["task"]])
    scorer = build_scorer(ours, reasoning_tags=())
    theirs = Theirs(their_config(yaml))
    watch = Watch()
    time.sleep = lambda _seconds: None
    counts: Counter[str] = Counter()
    different: list[str] = []
    rng = random.Random(f"{seed}/{header['task']}")
    items: dict[tuple[str, str], list[list[Any]]] = {}
    with empty_media_home():
        docs = [revive({**li["doc"], **li.get("derived_doc", {}), **masked(li, n)}) for n, li in enumerate(lines)]
        said = [r["response"] for li in lines for r in li["responses"] if isinstance(r["response"], str)]
        if not said:
            return {"skipped": "several rounds"}
        if _has_changed(theirs, docs, lines):
            counts["lmms-eval scores recorded responses otherwise today"] = 1
        per_document = -(-count // len(docs))
        for doc, line in zip(docs, lines, strict=True):
            for text in responses(line["doc"], line.get("target"), said, rng, per_document):
                watch.draws = watch.connections = 0
                want, their_error = attempted(theirs.scores, copy.deepcopy(doc), text)
                is_guess, is_judged = watch.draws > 0, watch.connections > 0
                got, our_error = attempted(score, scorer, doc, [Response(text=text)])
                about = f"{text!r} to {line.get('target')!r}"
                if is_judged:
                    counts["judged"] += 1
                elif their_error:
                    counts["lmms-eval raises"] += 1
                elif our_error:
                    different.append(f"{about}: only ours fails: {our_error}")
                elif is_guess:
                    counts["guessed"] += 1
                    if got.status != "unparsed":
                        different.append(f"{about}: guessed by lmms-eval, {got.status} by us: {got.scores}")
                else:
                    counts["compared"] += 1
                    different += _differences(about, want, got.scores, items)
        different += _aggregates(ours, theirs, items)
    return {"counts": dict(counts), "different": different}


class Theirs:
    """Scores of lmms-eval's functions, by its class where rows in memory are enough for it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.functions: Any = None
        import lmms_eval.api.metrics  # noqa: F401  (fills the registry)

        if not callable(config.get("process_results")) or config.get("filter_list"):
            import datasets
            from theirs import their_task

            plain = {k: v for k, v in config.items() if k != "process_docs" and not k.startswith("doc_to")}
            rows = datasets.Dataset.from_list([{"x": "x"}] * 2)
            self.task = their_task(plain | DUMMIES, rows)
            for name in ("doc_to_target", "doc_to_choice"):
                setattr(self.task.config, name, config.get(name))
            self.functions = self.task.aggregation()

    def scores(self, doc: Any, text: str) -> dict[str, Any]:
        """Metrics of a response, by filter."""
        if self.functions is None:
            return {"none": self.config["process_results"](doc, [text.strip()])}
        from lmms_eval.api.instance import Instance

        self.task.features = list(doc)
        found = {}
        for ensemble in self.task._filters:  # noqa: SLF001
            about = {"task": "t", "doc_id": 0, "repeats": 1}
            instance = Instance("generate_until", ("",), 0, metadata=about, resps=[text])
            ensemble.apply([instance], [doc])
            found[ensemble.name] = self.task.process_results(doc, [instance.filtered_resps[ensemble.name]])
        return found

    def aggregations(self) -> dict[str, Any]:
        """Function by metric."""
        if self.functions is not None:
            return dict(self.functions)
        entries = self.config.get("metric_list") or []
        from lmms_eval.api.registry import get_aggregation

        return {e["metric"]: e["aggregation"] if callable(e["aggregation"]) else get_aggregation(e["aggregation"])
                for e in entries if "aggregation" in e}  # fmt: skip


def _plain(value: Any) -> Any:
    from forms import canonical

    return json.loads(canonical(value))


def _has_changed(theirs: Theirs, docs: Sequence[Any], lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the installed lmms-eval disagrees with the version that was recorded."""
    from forms import attempted

    from tests.parity.values import revive, same

    for doc, line in zip(docs, lines, strict=True):
        for recorded in line["responses"]:
            if "scores" not in recorded or recorded.get("random") or recorded.get("unordered"):
                continue
            found, error = attempted(theirs.scores, copy.deepcopy(doc), recorded["response"])
            if error:
                continue
            was = _plain(revive(recorded["scores"]))
            if not any(same(was, _plain(now)) for now in (found, *found.values())):
                return True
    return False


def _differences(about: str, want: Mapping[str, Any], got: Mapping[str, Any], items: Any) -> list[str]:
    """Compare one response's scores and keep both sides' for aggregation."""
    from tests.parity.values import same

    found = []
    for (theirs_name, theirs), (_, own) in zip(sorted(want.items()), sorted(got.items()), strict=False):
        if not theirs.keys() & own.keys():
            continue
        if not same(_plain(theirs), _plain(own)):
            found.append(f"{about}: theirs {str(theirs)[:300]}, ours {str(own)[:300]}")
        for metric in theirs.keys() & own.keys():
            pair = items.setdefault((metric, theirs_name), [[], []])
            pair[0].append(own[metric])
            pair[1].append(theirs[metric])
    return found


def _aggregates(ours: Any, theirs: Theirs, items: Mapping[tuple[str, str], list[list[Any]]]) -> list[str]:
    """Aggregate all responses, and some alone."""
    from forms import attempted

    from pytest_lmms.scoring.build import aggregate, metric_entries
    from tests.parity.values import same

    entries = {entry.name: entry for entry in metric_entries(ours)}
    functions, found = theirs.aggregations(), []
    scratch = tempfile.mkdtemp()
    args = SimpleNamespace(
        output_path=scratch, model="m", tasks=ours.name, model_args="", log_samples=False, limit=None
    )
    for (metric, _), (own, their) in items.items():
        if metric not in functions or metric not in entries:
            if (metric in functions) != (metric in entries):
                found.append(f"metric {metric} is {'theirs' if metric in functions else 'ours'} alone")
            continue
        function = functions[metric]
        takes_args = {"args": args} if "args" in inspect.signature(function).parameters else {}
        for slot in [slice(None), *(slice(i, i + 1) for i in range(0, len(own), max(1, len(own) // 20)))]:
            want, their_error = attempted(function, copy.deepcopy(their[slot]), **takes_args)
            got, our_error = attempted(aggregate, entries[metric], copy.deepcopy(own[slot]), args)
            if their_error or want is None or (got is None and _plain(want) == "nan"):
                continue
            if our_error or not same(_plain(want), _plain(got)):
                found.append(
                    f"aggregated {metric} of {slot}: theirs {str(want)[:200]}, ours {our_error or str(got)[:200]}"
                )
    return found


def _child(path: Path, yaml: Path, seed: int, count: int, out: str) -> None:
    with catalogue.silenced():
        try:
            result = compare(path, yaml, seed, count)
        except BaseException as e:  # noqa: BLE001  (a task may raise whatever it wants, SystemExit included)
            result = {"skipped": f"{type(e).__name__}: {str(e)[:300]}"}
    Path(out).write_text(json.dumps(result, default=repr), encoding="utf-8")


def run_one(path: Path, yaml: Path, seed: int, count: int) -> dict[str, Any]:
    """Compare one recording in a child of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "result.json"
        process = multiprocessing.get_context("fork").Process(target=_child, args=(path, yaml, seed, count, str(out)))
        process.start()
        process.join(TASK_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
        return json.loads(out.read_text("utf-8")) if out.exists() else {"skipped": "ended or hung"}  # type: ignore[no-any-return]


def their_yamls() -> dict[str, Path]:
    """Task name -> YAML in the installed lmms-eval."""
    import importlib.util

    spec = importlib.util.find_spec("lmms_eval")
    assert spec is not None
    assert spec.origin is not None
    found = {}
    for path in sorted((Path(spec.origin).parent / "tasks").rglob("*.y*ml")):
        values = catalogue.merged(path)
        if catalogue.kind_of(values) == "task" and isinstance(values.get("task"), str):
            found[values["task"]] = path
    return found


def main(arguments: Sequence[str]) -> int:
    """Print what differs by task; exit code 1 when anything does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--shown", type=int, default=SHOWN)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    for name in ("OPENAI_API_KEY", "OPENAI_API_URL", "PERSPECTIVE_API_KEY"):
        os.environ.setdefault(name, "http://localhost:1/none")
    os.environ["HF_HOME"] = tempfile.mkdtemp()
    yamls, exit_code = their_yamls(), 0
    for path in options.files or sorted((ROOT / "tests/parity/data").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            task = json.loads(file.readline())["task"]
        if options.only and task not in options.only:
            continue
        if task not in yamls:
            print(f"{task}: lmms-eval has no such task")
            continue
        result = run_one(path, yamls[task], options.seed, options.count)
        different = result.get("different", [])
        print(f"{task}: {result.get('skipped') or result['counts']}, {len(different)} differ", flush=True)
        for text in different[: options.shown]:
            print(f"    {text}")
        exit_code = exit_code or int(bool(different))
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
