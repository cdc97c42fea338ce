"""What the user can ask for: one table of options, and what a run's settings are. `settings` reads them.

An option `--lmms-batch-size` has the ini key `lmms_batch_size` and the key `batch_size` of a config file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_lmms.configfile import ENV
from pytest_lmms.masks import Secrets, mask, secrets_of
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS, Tags
from pytest_lmms.values import (
    amount,
    arguments,
    baseline_name,
    batch_size,
    choice,
    count,
    limit,
    max_errors,
    names,
    natural,
    reasoning_tags,
    seconds,
    seed,
    shard,
    words,
    yes,
)

LATEST = "latest"
DEFAULT = "default"


@dataclass(frozen=True)
class Option:
    """One setting: command-line option, ini key and field of `RunConfig`."""

    name: str
    """`batch_size`: option `--lmms-batch-size`, ini key `lmms_batch_size`."""
    help: str
    parse: Callable[[str, str], Any]
    """(text, where it stands) to value."""
    metavar: str | None = None
    default: Any = None
    kind: Literal["value", "optional", "flag"] = "value"
    """`optional`: the value may be left out; `flag`: yes or no, with a `--no-` form."""
    const: str = LATEST
    """Of an option whose value may be left out: what it means then."""
    in_plan: bool = True
    """Whether two runs that differ in it are different runs, so that one cannot resume the other."""

    @property
    def option(self) -> str:
        """As typed on the command line."""
        return "--lmms-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """As written in an ini file."""
        return "lmms_" + self.name

    @property
    def form(self) -> str:
        """What a config file may give beside text: `scalar` (a number), `list`, `mapping` or `json`."""
        return _FORMS.get(self.parse, "scalar")

    def plain(self, value: Any) -> Any:
        """A value as JSON has it, in a form that a config file may give."""
        as_text = _TEXTS.get(self.parse)
        return _json(value) if as_text is None or value is None else as_text(value)


_FORMS: dict[Any, str] = {arguments: "mapping", names: "list", seed: "list", reasoning_tags: "json"}
_TEXTS: dict[Any, Callable[[Any], str]] = {
    max_errors: lambda value: f"{value[0]:g}{'%' * value[1]}",
    shard: lambda value: "{}/{}".format(*value),
}
"""How values are written that JSON has no good form for."""

LISTS = ("tasks", "groups", "tags", "models", "metrics", "filters", "fields")

OPTIONS: tuple[Option, ...] = (
    Option("model", "model to evaluate, by name (see --lmms-list models)", words, "NAME"),
    Option("model_args", "arguments of the model: key=value,key=value", arguments, "ARGS", default={}),
    Option("config", "a YAML file with these settings, or a list of them, one a run; FILE#2 is its second run", words,
           "FILE", in_plan=False),
    Option("tasks", "tasks, groups, tags or patterns, by name, separated by commas", names, "NAMES"),
    Option("data", "full: the dataset; mini: the miniature that ships with each task", choice("full", "mini"),
           "full|mini", default="full"),
    Option("limit", "documents of each task to evaluate: a number, a fraction below 1, or -1 for all", limit, "N"),
    Option("offset", "first document of each task to evaluate", natural, "N", default=0),
    Option("subset", "of those, a fixed stratified choice of so many documents of each task", count, "N"),
    Option("shard", "of those, the K-th of N parts; `pytest-lmms merge` puts the runs together", shard, "K/N"),
    Option("batch_size", "requests that the model answers at once; auto halves it on out-of-memory", batch_size,
           "N|auto", default=1),
    Option("gen_kwargs", "generation settings that replace those of the tasks: key=value,key=value", arguments,
           "ARGS", default={}),
    Option("seed", "seed for sampling and for everything random in the harness", seed, "N", default=0),
    Option("num_fewshot", "solved examples before each document; a task that says 0 keeps 0", natural, "N"),
    Option("fewshot_as_multiturn", "give each example as a turn of its own and its answer", yes, default=False,
           kind="flag"),
    Option("system_instruction", "said as a system message, unless the task has one of its own", words, "TEXT"),
    Option("judge", "models that score the answers of tasks with a rubric: openai:gpt-4o, several separated by commas;"
           " env takes what lmms-eval's variables name", words, "NAME[:MODEL]"),
    Option("judge_args", "arguments of the judges, key=value,key=value", arguments, "ARGS", default={}),
    Option("predict_only", "only keep the responses: no scores, no judges; `--lmms-model from_log` scores them later",
           yes, default=False, kind="flag"),
    Option("repeats", "how often each document is asked; replaces the tasks' own number from 2 on", natural, "N"),
    Option("reasoning_tags", "tags around a model's thoughts, stripped before scoring: JSON pairs, or none",
           reasoning_tags, "JSON|none", default=DEFAULT_TAGS),
    Option("agentic_trace_mode", "what the scored payload of an agentic document holds: basic, or full (every round)",
           choice("basic", "full"), "MODE"),
    Option("dry_run", "show prompts, requests and tokens of each task, and ask nothing", yes, default=False,
           kind="flag", in_plan=False),
    Option("output_path", "folder that run folders are made in, or an address such as s3://bucket/runs", words, "DIR",
           default="results", in_plan=False),
    Option("log_samples", "write samples_<task>.jsonl, one record a line (on unless switched off)", yes,
           default=True, kind="flag", in_plan=False),
    Option("report", "write report.html, a page to look at the run (on unless switched off)", yes, default=True,
           kind="flag", in_plan=False),
    Option("parquet", "also write the records as Parquet: records_<task>.parquet", yes, default=False, kind="flag",
           in_plan=False),
    Option("log_to", "tell trackers of the finished run: wandb, trackio, tensorboard or hub, with arguments, as in"
           " wandb:project=mine; several separated by semicolons", words, "NAME:ARGS", in_plan=False),
    Option("cache", "folder of responses that runs share: what is found there is not asked again", words, "DIR",
           in_plan=False),
    Option("resume", "go on with a run that was cut short: a run folder, or the newest of the same command", words,
           "RUN", kind="optional", in_plan=False),
    Option("retry_errors", "ask again the documents of a run that ended in error, and only those", words, "RUN",
           kind="optional", in_plan=False),
    Option("max_errors", "errored documents that are tolerated before the exit code is 1: N, or P%%", max_errors,
           "N|P%%", default=(0.0, False), in_plan=False),
    Option("timeout", "seconds after which one request, or one batch, counts as failed", seconds, "SECONDS",
           in_plan=False),
    Option("max_tokens", "input and output tokens after which the run stops; what is done is kept", count, "N",
           in_plan=False),
    Option("max_requests", "requests after which the run stops; what is done is kept", count, "N",
           in_plan=False),
    Option("time_limit", "seconds after which the run ends, with what it has until then; --lmms-resume goes on",
           seconds, "SECONDS", in_plan=False),
    Option("replicas_per_device", "allow several workers of -n on one accelerator", natural, "N", default=1,
           in_plan=False),
    Option("ray", "run the model's replicas on a Ray cluster: auto, HOST:PORT, or local for one of this machine",
           words, "ADDRESS", in_plan=False),
    Option("replicas", "replicas of the model on the Ray cluster (one a GPU, or one a machine without)", count, "N",
           in_plan=False),
    Option("gpus_per_replica", "GPUs of each replica on the Ray cluster; a fraction shares one (1 where there are any)",
           amount, "N", in_plan=False),
    Option("video_backend", "library that decodes videos; auto leaves the choice to us",
           choice("pyav", "torchcodec", "decord", "dali", "auto"), "NAME", default="pyav"),
    Option("video_cache", "folder in which sampled frames are kept, for all workers and later runs", words, "DIR",
           in_plan=False),
    Option("video_cache_mb", "sampled frames that each worker keeps in memory, in MB", natural, "N", default=512,
           in_plan=False),
    Option("task_paths", "folders with tasks of your own, separated by commas", names, "DIRS"),
    Option("baseline", "a finished run to compare with: a run folder, a results.json, or last:NAME", words,
           "RUN|last:NAME", in_plan=False),
    Option("save_baseline", "keep this run, if it passes, as a baseline of that name in .lmms/baselines", baseline_name,
           "NAME", in_plan=False),
    Option("fail_on_regression", "fail when worse than the baseline: [METRIC:]RULE, RULE of 2%%, 0.5pt, p<0.05, within"
           " 5pt joined by `and`; several separated by commas; without a rule, 1pt and p<0.01 and within 5pt",
           names, "RULES", kind="optional", const=DEFAULT, in_plan=False),
    Option("fail_under", "fail when a metric is worse than a value: METRIC=VALUE, several separated by commas", names,
           "METRIC=VALUE", in_plan=False),
    Option("list", "print what there is, and stop: " + ", ".join(LISTS), choice(*LISTS), "WHAT", in_plan=False),
)  # fmt: skip
BY_NAME = {o.name: o for o in OPTIONS}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Every setting of a run, checked. See `OPTIONS` for their meaning."""

    model: str | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    config: str | None = None
    tasks: str | None = None
    data: Literal["full", "mini"] = "full"
    limit: float | None = None
    offset: int = 0
    subset: int | None = None
    shard: tuple[int, int] | None = None
    batch_size: int | Literal["auto"] = 1
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    num_fewshot: int | None = None
    fewshot_as_multiturn: bool = False
    system_instruction: str | None = None
    predict_only: bool = False
    repeats: int | None = None
    judge: str | None = None
    judge_args: Mapping[str, Any] = field(default_factory=dict)
    reasoning_tags: Tags = DEFAULT_TAGS
    agentic_trace_mode: str | None = None
    dry_run: bool = False
    output_path: str = "results"
    log_samples: bool = True
    report: bool = True
    parquet: bool = False
    log_to: str | None = None
    cache: str | None = None
    resume: str | None = None
    retry_errors: str | None = None
    max_errors: tuple[float, bool] = (0.0, False)
    timeout: float | None = None
    max_tokens: int | None = None
    max_requests: int | None = None
    time_limit: float | None = None
    replicas_per_device: int = 1
    ray: str | None = None
    replicas: int | None = None
    gpus_per_replica: float | None = None
    video_backend: str = "pyav"
    video_cache: str | None = None
    video_cache_mb: int = 512
    task_paths: str | None = None
    baseline: str | None = None
    save_baseline: str | None = None
    fail_on_regression: str | None = None
    fail_under: str | None = None
    list: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each setting that is no default was said: `--lmms-model`, `exp.yaml:3`, or `ini lmms_model`."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a config file as written, where that is not what JSON has: text for a list, variables."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables that the config file sets, as written."""
    run_label: str = ""
    """Tells the runs of a list apart; part of every document's id."""
    notices: Sequence[str] = ()
    """What is to be told about keys of the config file that do nothing."""

    @property
    def task_names(self) -> tuple[str, ...]:
        """`tasks`, split."""
        return tuple(t.strip() for t in (self.tasks or "").split(",") if t.strip())

    @property
    def task_folders(self) -> tuple[Path, ...]:
        """`task_paths`, split."""
        return tuple(Path(p.strip()).expanduser() for p in (self.task_paths or "").split(",") if p.strip())

    @property
    def model_name(self) -> str:
        """For folder and file names."""
        return self.model or "model"

    def tolerates(self, num_errors: int, num_expected: int) -> bool:
        """Whether so many errored documents are within `max_errors`."""
        number, is_percentage = self.max_errors
        return num_errors <= (number / 100 * num_expected if is_percentage else number)

    def resolved(self) -> dict[str, Any]:
        """All settings as JSON values, variables as written, secrets masked: `resolved_cli_args` of results.json."""
        values = {o.name: mask(self.written.get(o.name, o.plain(getattr(self, o.name)))) for o in OPTIONS}
        return values | {ENV: mask(dict(self.env))}

    @property
    def secrets(self) -> Secrets:
        """The secrets that settings and environment hold now."""
        said = [self.written, self.env, *(getattr(self, o.name) for o in OPTIONS)]
        return secrets_of(os.environ, *said)

    def plan_digest(self, selection: Mapping[str, Any]) -> str:
        """What makes two runs the same run: the settings that choose documents or change text.

        Args:
            selection: Paths, `-k`, `-m`: what else chooses documents.
        """
        values = {o.name: _json(getattr(self, o.name)) for o in OPTIONS if o.in_plan}
        text = json.dumps([values, dict(selection)], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(v) for v in value]
    return dict(value) if isinstance(value, Mapping) else value
