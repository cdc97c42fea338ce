"""What several commands need: exit codes, printing, the index of tasks."""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms.errors import UsageError, explain

if TYPE_CHECKING:
    from pytest_lmms.tasks.index import TaskIndex
    from pytest_lmms.tasks.render import Task

OK, DIFFERS, INTERRUPTED, WRONG = 0, 1, 2, 4
"""Exit codes: pytest's, so that a script may call either."""


def sentence(text: str) -> str:
    """A line of help as a sentence; names keep their capitals."""
    return f"{text[:1].upper()}{text[1:]}."


def start_pytest(words: Sequence[str]) -> int:
    """Become pytest; where a process cannot become another, wait for one.

    Returns:
        pytest's exit code.
    """
    command = [sys.executable, "-m", "pytest", *words]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606  (no shell is wanted)
    return subprocess.run(command, check=False).returncode  # noqa: S603


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: dict[str, str]) -> None:
    """Print two columns."""
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        print(f"{name:{width}}  {text}".rstrip())


def add_json(command: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help="print JSON")


def add_include_path(command: argparse.ArgumentParser) -> None:
    """Add `--include-path`, for `index_of`."""
    text = "a folder with tasks of your own; may be given several times"
    command.add_argument("--include-path", type=Path, metavar="DIR", action="append", default=[], help=text)


def index_of(parsed: argparse.Namespace) -> TaskIndex:
    """All tasks of the catalogue and of `--include-path`.

    Raises:
        UsageError: A folder does not exist.
    """
    from pytest_lmms import catalog
    from pytest_lmms.tasks.index import index_tasks

    roots = [catalog.folder("benchmarks")]
    for folder in parsed.include_path:
        if not folder.is_dir():
            raise UsageError(
                explain("no such folder", where=f"--include-path {folder}", expected="a folder with task YAMLs")
            )
        roots.append(folder)
    return index_tasks(roots)


def finder_of(parsed: argparse.Namespace) -> Callable[[str], Task | None]:
    """From a name to its task, of the catalogue or of `--include-path`; they are looked through when first asked."""
    from pytest_lmms.tasks.load import load_from

    index = functools.lru_cache(maxsize=1)(lambda: index_of(parsed))

    def find(name: str) -> Task | None:
        path = index().tasks.get(name)
        return load_from(path, name) if path is not None else None

    return find


def read_results(path: Path) -> dict[str, Any]:
    """The results of a run of pytest-lmms.

    Args:
        path: A results.json, or the run folder that it lies in.

    Raises:
        UsageError: Not there, not JSON, or not of pytest-lmms.
    """
    file = path / "results.json" if path.is_dir() else path
    expected = "the results.json of a run of pytest-lmms, or its run folder"
    try:
        found = loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(explain(f"cannot read: {e.strerror}", where=str(file), expected=expected)) from e
    except (ValueError, RecursionError) as e:
        raise UsageError(explain(f"does not parse: {e}", where=str(file), expected=expected)) from e
    if not isinstance(found, dict) or "setting_sources" not in found.get("config", {}):
        raise UsageError(explain("no settings in this file", where=str(file), expected=expected))
    return found


def yamls_of(name: str, index: TaskIndex, *, where: str) -> list[Path]:
    """The YAMLs that one argument stands for: a file, all tasks below a folder, or a name of the index.

    Args:
        name: A YAML, a folder, or a task, group, tag or pattern.
        index: Where names are looked up.
        where: The command, for errors.

    Raises:
        UsageError: There is no such file or name, or the folder has no tasks.
    """
    from pytest_lmms.tasks.index import index_tasks

    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(explain("no such file", where=name, expected="the YAML of a task or a group"))
        return [path]
    if path.is_dir() and name not in index.tasks and name not in index.groups and name not in index.tags:
        below = index_tasks([path.resolve()])
        if not below.tasks:
            raise UsageError(explain("no tasks below this folder", where=name, expected="a YAML with a `task:` key"))
        return [below.tasks[task] for task in sorted(below.tasks)]
    return index.expand([name], where=where)
