"""Scores that others published, and with what settings: beside a run, which of these differ.

Reads `configs/published/*.yaml`, one file a benchmark. A setting that a source does not state is left out there and
told as such here, since two scores compare only where all of them are known. Judges nothing: papers give no documents,
so there is nothing to pair.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pytest_lmms import catalog
from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.model_args import parse_model_args
from pytest_lmms.registry import MODELS
from pytest_lmms.results.runs import Metric, StoredRun
from pytest_lmms.yamlbounds import check_depth

NAME = "published"
"""What stands for all these scores where a run may be named."""
SETTINGS = {
    "checkpoint": ("pretrained", "model", "model_version"),
    "min_pixels": ("min_pixels",),
    "max_pixels": ("max_pixels",),
    "frames": ("max_num_frames", "max_frames_num", "num_frames", "nframes", "max_frames"),
    "fps": ("fps", "video_fps"),
    "system_prompt": ("system_prompt", "system_instruction"),
    "stop": ("until",),
    "max_new_tokens": ("max_new_tokens", "max_gen_toks"),
    "temperature": ("temperature",),
    "num_fewshot": (),
    "documents": (),
    "prompt": (),
}
"""What may be said of a published score, and the arguments of adapters or generation that say so of a run.

``prompt`` is text that every question holds, ``documents`` how many were answered, ``frames`` the most of a video.
"""
_GENERATION = ("stop", "max_new_tokens", "temperature")
_UNKNOWN = "not stated"
_DEFAULT = "the adapter's own"


class Published(NamedTuple):
    """A score that somebody published."""

    metric: Metric
    value: float
    """In the unit of our metric."""
    model: str
    source: str
    """An address."""
    settings: Mapping[str, Any]
    note: str | None


@dataclass(frozen=True)
class Beside:
    """A run's score beside a published one."""

    published: Published
    value: float | None
    """The run's; None where it did not compute this metric."""
    settings: Mapping[str, tuple[Any, Any, str]]
    """By setting, as published, as run, and ``same``, ``differs`` or ``unknown``."""


def read_published(folder: Path | None = None) -> Iterator[Published]:
    """Read the published scores.

    Args:
        folder: Where their files lie; the catalogue's own if None.

    Raises:
        UsageError: A file does not parse or has other keys.
    """
    for path in sorted((folder or catalog.folder("configs") / NAME).glob("*.yaml")):
        try:
            text = path.read_text(encoding="utf-8")
            check_depth(text)
            entries = yaml.safe_load(text)
            yield from (_published(entry) for entry in entries)
        except (yaml.YAMLError, TypeError, KeyError, ValueError) as e:
            expected = f"a list of task, metric, value, model, source and settings: {', '.join(SETTINGS)}"
            raise UsageError(explain(f"no published scores: {e}", where=str(path), expected=expected)) from e


def _published(entry: Mapping[str, Any]) -> Published:
    settings = dict(entry["settings"] or {})
    if unknown := settings.keys() - SETTINGS:
        raise ValueError(f"unknown settings {', '.join(sorted(unknown))}")
    name, _, filter_name = str(entry["metric"]).partition(",")
    metric = Metric(entry["task"], name, filter_name or "none")
    return Published(metric, float(entry["value"]), entry["model"], entry["source"], settings, entry.get("note"))


def beside(run: StoredRun, published: Iterator[Published]) -> list[Beside]:
    """Put a run beside every published score of its tasks, those of its own checkpoint first."""
    found = []
    for score in published:
        if score.metric.task in (*run.tasks, *run.groups):
            ours = settings_of(run, score.metric.task, score.settings)
            compared = {name: (score.settings.get(name), ours.get(name), "") for name in SETTINGS}
            judged = {name: (*both[:2], _judge(name, *both[:2])) for name, both in compared.items()}
            found.append(Beside(score, run.value(score.metric), judged))
    return sorted(found, key=lambda b: b.settings["checkpoint"][2] != "same")


def settings_of(run: StoredRun, task: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a task ran with; what an adapter decides by itself is left out.

    Args:
        run: The run.
        task: One of its tasks, or of its groups: what all members have, and as many documents as they have together.
        wanted: Published settings: whether its ``prompt`` was in every question is looked up in the samples.
    """
    members = [settings_of(run, name, wanted) for name in (run.results.get("group_subtasks") or {}).get(task, ())]
    if members:
        first = members[0]
        agreed = {k: v if all(other[k] == v for other in members) else None for k, v in first.items()}
        numbers = [member["documents"] for member in members]
        return agreed | {"documents": sum(numbers) if None not in numbers else None}
    config = run.results.get("config") or {}
    task_config = (run.results.get("configs") or {}).get(task) or {}
    arguments = {**_defaults(config.get("model")), **_mapping(config.get("model_args"))}
    generation = {**_mapping(task_config.get("generation_kwargs")), **_mapping(config.get("gen_kwargs"))}
    found: dict[str, Any] = {}
    for name, spellings in SETTINGS.items():
        given = generation if name in _GENERATION else arguments
        found[name] = next((given[s] for s in spellings if given.get(s) is not None), None)
    said = (config.get("resolved_cli_args") or {}).get("system_instruction")
    found["system_prompt"] = said or found["system_prompt"]
    found["checkpoint"] = found["checkpoint"] or config.get("model")
    found["stop"] = found["stop"] or []
    found["num_fewshot"] = (run.results.get("n-shot") or {}).get(task) or 0
    counts = run.results["results"].get(task) or {}
    if "n_expected" in counts:
        found["documents"] = counts["n_expected"] - counts.get("n_error", 0) - counts.get("n_not_run", 0)
    found["prompt"] = _asked(run, task, wanted.get("prompt"))
    return found


def _mapping(given: Any) -> dict[str, Any]:
    """Arguments as they are written down: a mapping, or, by lmms-eval, one text."""
    if isinstance(given, str):
        return dict(parse_model_args(given, where="model_args"))
    return dict(given) if isinstance(given, Mapping) else {}


def _defaults(model: Any) -> dict[str, Any]:
    """What an adapter of the catalogue takes where nothing is given."""
    if not isinstance(model, str) or model not in MODELS.names():
        return {}
    try:
        parameters = inspect.signature(MODELS.load(model)).parameters.values()
    except (LmmsError, ImportError):
        return {}
    return {p.name: p.default for p in parameters if p.default not in (inspect.Parameter.empty, None)}


def _asked(run: StoredRun, task: str, prompt: str | None) -> str | None:
    """The published prompt where every question holds it, else the last line of the first that does not."""
    if prompt is None:
        return None
    try:
        for row in run.rows(task):
            asked = row.get("input")
            if isinstance(asked, str) and prompt.strip() not in asked:
                return asked.strip().rpartition("\n")[2]
    except LmmsError:
        return None
    return prompt


def _judge(name: str, theirs: Any, ours: Any) -> str:
    if theirs is None or ours is None:
        return "unknown"
    if name == "checkpoint":
        theirs, ours = (str(value).rstrip("/").rpartition("/")[2].lower() for value in (theirs, ours))
    if isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        return "same" if float(theirs) == float(ours) else "differs"
    return "same" if theirs == ours else "differs"


def lines(found: Beside) -> Iterator[str]:
    """What to print of one score: it, the settings that differ, those nobody knows, the source."""
    score = found.published
    ours = "not in this run" if found.value is None else f"{found.value:.4f}"
    difference = "" if found.value is None else f"  difference {found.value - score.value:+.4f}"
    yield f"{score.metric}: run {ours}, published {score.value:.4f} ({score.model}){difference}"
    for name, (theirs, mine, verdict) in found.settings.items():
        if verdict == "differs":
            yield f"  differs: {name}: run {_shown(mine)}, published {_shown(theirs)}"
    same = [name for name, (*_, verdict) in found.settings.items() if verdict == "same"]
    yield f"  same: {', '.join(same) or 'nothing that is known'}"
    if stated := {n: mine for n, (theirs, mine, _) in found.settings.items() if theirs is None and mine is not None}:
        yield f"  {_UNKNOWN} there: " + ", ".join(f"{name} (run {_shown(mine)})" for name, mine in stated.items())
    if own := {n: theirs for n, (theirs, mine, _) in found.settings.items() if theirs is not None and mine is None}:
        yield f"  {_DEFAULT} in this run: " + ", ".join(f"{n} (published {_shown(t)})" for n, t in own.items())
    if score.note:
        yield f"  note: {score.note}"
    yield f"  source: {score.source}"


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, (str, list)) else str(value)
