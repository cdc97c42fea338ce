"""What there is: tasks, groups, tags, models, metrics, filters, fields. For `--lmms-list`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_lmms import catalog
from pytest_lmms.config import RunConfig


def listing(what: str, settings: RunConfig) -> Iterator[str]:
    """Lines that name everything of one kind."""
    if what == "models":
        from pytest_lmms.registry import MODELS

        for name in MODELS.names():
            aliases = MODELS.aliases(name)
            yield f"{name:24}" + (f" also {', '.join(aliases)}" if aliases else "")
    elif what == "metrics":
        from pytest_lmms.scoring.metrics import METRICS

        for name, metric in sorted(METRICS.items()):
            yield f"{name:24} {'higher' if metric.higher_is_better else 'lower'} is better, {metric.aggregation}"
    elif what == "filters":
        from pytest_lmms.scoring.filters import FILTERS

        yield from sorted(FILTERS)
    elif what == "fields":
        from pytest_lmms.tasks.spec import FIELDS

        yield from sorted(FIELDS)
    else:
        yield from _names(what, settings)


def _names(what: str, settings: RunConfig) -> Iterator[str]:
    """Tasks with groups and tags, or one of the latter; and what could not be read."""
    from pytest_lmms.tasks.index import index_tasks

    index = index_tasks([catalog.folder("benchmarks"), *settings.task_folders])
    if what == "tasks":
        for name in sorted(index.tasks):
            yield f"{name:32} {index.tasks[name]}"
    if what != "tags":
        for name, group in sorted(index.groups.items()):
            yield f"{name:32} group of {', '.join(group.names())}"
    if what != "groups":
        for name, members in sorted(index.tags.items()):
            yield f"{name:32} tag of {', '.join(members)}"
    for path, error in index.broken.items():
        yield f"broken: {path}: {error}"
