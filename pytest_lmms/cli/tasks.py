"""`pytest-lmms tasks`: tasks, groups and tags; what a task asks; what is wrong with one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from pytest_lmms.cli.shared import (
    DIFFERS,
    OK,
    add_include_path,
    add_json,
    index_of,
    print_json,
    print_table,
    sentence,
    yamls_of,
)
from pytest_lmms.cli.task_inputs import add_inputs, show_inputs
from pytest_lmms.cli.task_new import add_new, make_new
from pytest_lmms.errors import TaskError

_LISTS = {
    "list": "every task, and its YAML",
    "groups": "every group, and its members",
    "tags": "every tag, and the tasks that have it",
    "subtasks": "every group, and all tasks that it reaches",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command and its own."""
    kinds = parser.add_subparsers(required=True, metavar="WHAT", help="default: list")
    for what, text in _LISTS.items():
        command = _command(kinds, what, text, _tasks)
        command.set_defaults(what=what)
        add_include_path(command)
        add_json(command)
    add_inputs(_command(kinds, "inputs", "rendered messages, media digests and generation settings", show_inputs))
    add_new(_command(kinds, "new", "the folder of a benchmark that runs, to be changed into one's own", make_new))
    check = _command(kinds, "check", "what is wrong with a task, tried on its miniature", _check)
    check.add_argument("names", nargs="+", metavar="NAME_OR_PATH", help="a task, group, tag or pattern, or a YAML")
    add_include_path(check)


def _command(kinds: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = kinds.add_parser(name, help=text, description=sentence(text))
    command.set_defaults(run=run)
    return command


# --- what there is ------------------------------------------------------------------------------------------------


def _tasks(parsed: argparse.Namespace) -> int:
    index = index_of(parsed)
    trouble = [f"broken: {path}: {error}" for path, error in index.broken.items()]
    trouble += [f"defined again: {n}: {p}" for n, paths in sorted(index.twice.items()) for p in paths]
    if parsed.what == "list":
        found: dict[str, Any] = {name: str(path) for name, path in sorted(index.tasks.items())}
    elif parsed.what == "groups":
        found = {name: group.names() for name, group in sorted(index.groups.items())}
    elif parsed.what == "tags":
        found = dict(sorted(index.tags.items()))
    else:
        found = {}
        for name, group in sorted(index.groups.items()):
            try:
                found[name] = list(dict.fromkeys(index.tasks_of_group(group)))
            except TaskError as e:
                trouble.append(f"broken: {e}")
    if parsed.json:
        print_json(found)
    else:
        print_table({k: v if isinstance(v, str) else ", ".join(v) for k, v in found.items()})
    for line in trouble:
        print(line, file=sys.stderr)
    return DIFFERS if trouble else OK


# --- what is wrong with one -----------------------------------------------------------------------------------------


def _check(parsed: argparse.Namespace) -> int:
    from pytest_lmms.lint import check_task

    index = index_of(parsed)
    num_problems = 0
    for name in parsed.names:
        for path in yamls_of(name, index, where="tasks check"):
            problems = check_task(path)
            num_problems += len(problems)
            print("\n".join(problems) if problems else f"{path}: fine")
    return DIFFERS if num_problems else OK
