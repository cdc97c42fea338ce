"""The runs of all shards become one run, as if it had never been divided.

Records are copied as they are, and aggregated anew: nothing is averaged from averages. Models are not needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.config import BY_NAME, OPTIONS, RunConfig
from pytest_lmms.configfile import Entry
from pytest_lmms.errors import UsageError, explain
from pytest_lmms.results.groups import GroupTree
from pytest_lmms.results.report import Expected, Finished, finish_run
from pytest_lmms.results.store import RunFolder
from pytest_lmms.settings import settings_of
from pytest_lmms.tasks.render import Task

_MAY_DIFFER = {"shard"}
_NOT_KEPT = {"shard", "config", "model_args", "resume", "retry_errors"}
"""Settings of one shard alone, and those whose variables and secrets are not needed any more."""


def merge_runs(
    folders: Sequence[Path],
    output: Path,
    *,
    find_task: Callable[[str, Path], Path],
    bind: Callable[[Task, RunConfig], Task],
    find_groups: Callable[[Mapping[str, Path], Sequence[str]], Sequence[GroupTree]],
) -> tuple[Finished, RunConfig]:
    """Merge.

    Args:
        folders: Run folders of `--lmms-shard 1/N` to `N/N`, in any order.
        output: The run folder to make.
        find_task: From a task's name and the path that its YAML had where it ran, to the YAML here.
        bind: Binds a task to the settings.
        find_groups: From tasks' YAMLs and the groups that were named, to the groups to report.

    Returns:
        The results, and the settings of the whole run.

    Raises:
        UsageError: A shard is missing, given twice, of another run, or not finished; `output` exists.
        StoreError: A folder is no run.
    """
    runs = _in_order(folders)
    if output.exists():
        raise UsageError(explain("exists already", where=str(output), remedy="choose another --output"))
    settings = _settings(runs[0].info()["config"])
    documents: dict[str, list[int]] = {}
    paths: dict[str, Path] = {}
    node_ids: dict[str, str] = {}
    named: list[str] = []
    reasons: list[str] = []
    for run in runs:
        selection = run.info()["selection"]
        for task, rows in selection["documents"].items():
            documents.setdefault(task, []).extend(rows)
            paths.setdefault(task, Path(selection["paths"][task]))
        node_ids |= selection["node_ids"]
        named += [g for g in selection["groups"] if g not in named]
        reasons += [r for r in selection["partial"] if r not in reasons]
    paths = {task: find_task(task, path) for task, path in paths.items()}
    info = {k: v for k, v in runs[0].info().items() if k not in ("selection", "finished", "plan_digest")}
    merged = RunFolder(output)
    merged.start(
        info | {"config": settings.resolved(), "merged_from": [str(r.path) for r in runs], "status": "running"}
    )
    merged.shards.mkdir()
    for number, run in enumerate(runs, 1):
        for path in sorted(run.shards.glob("*.jsonl")):
            shutil.copyfile(path, merged.shards / f"{number:04}-{path.name}")
    expected = Expected(
        documents=documents, paths=paths, node_ids=node_ids, reason_incomplete="; ".join(reasons) or None
    )
    finished = finish_run(
        merged, expected, settings, status="complete", bind=lambda task: bind(task, settings),
        groups=find_groups(paths, named),
    )  # fmt: skip
    return finished, settings


def _in_order(folders: Sequence[Path]) -> list[RunFolder]:
    """The runs, first shard first; all of them, and of one run."""
    by_number: dict[int, RunFolder] = {}
    first: Mapping[str, Any] | None = None
    num_shards = 0
    for path in folders:
        run = RunFolder(path)
        info = run.info()
        shard = info.get("config", {}).get("shard")
        if not shard:
            raise UsageError(explain("this run is no shard", where=str(path), expected="a run with --lmms-shard K/N"))
        if info.get("status") == "running" or "selection" not in info:
            raise UsageError(explain("this run did not end", where=str(path), remedy="end it with --lmms-resume"))
        if not any(run.shards.glob("*.jsonl")):
            raise UsageError(explain("the records of this shard are gone", where=str(run.shards)))
        k, n = map(int, str(shard).split("/"))
        if first is None:
            first, num_shards = info, n
        for name in (o.name for o in OPTIONS if o.in_plan and o.name not in _MAY_DIFFER):
            if info["config"].get(name) != first["config"].get(name):
                raise UsageError(
                    explain(
                        f"{BY_NAME[name].option} is {info['config'].get(name)!r}",
                        where=str(path),
                        expected=f"{first['config'].get(name)!r}, as in {folders[0]}",
                    )
                )
        if n != num_shards:
            raise UsageError(explain(f"a shard of {n}", where=str(path), expected=f"shards of {num_shards}"))
        if k in by_number:
            raise UsageError(explain(f"shard {k}/{n} again", where=str(path), expected=f"once: {by_number[k].path}"))
        by_number[k] = run
    missing = [k for k in range(1, num_shards + 1) if k not in by_number]
    if missing or not by_number:
        shown = ", ".join(f"{k}/{num_shards}" for k in missing[:10])
        raise UsageError(explain(f"no run of shard {shown}", where="merge", remedy="run it, or name its folder"))
    return [by_number[k] for k in sorted(by_number)]


def _settings(values: Mapping[str, Any]) -> RunConfig:
    """The settings of the whole run, from run.json."""
    kept = {k: v for k, v in values.items() if k in BY_NAME and k not in _NOT_KEPT and v is not None}
    found = settings_of(Entry(Path("run.json"), kept), {}).values
    return RunConfig(**{**found, "model_args": values.get("model_args") or {}})
