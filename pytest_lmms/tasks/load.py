"""From a YAML file to a checked spec: parsing, `include`, `!function`, errors with file and line.

The one door is `load_task`. Reading is cheap and imports nothing of the task's own code; functions are imported
when they are first called (`FunctionRef`).
"""

from __future__ import annotations

import functools
import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pytest_lmms.catalog import import_file
from pytest_lmms.errors import TaskError, did_you_mean, explain
from pytest_lmms.tasks.candidates import is_candidate, yaml_files
from pytest_lmms.tasks.render import Task
from pytest_lmms.tasks.spec import build_spec

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_INCLUDE_DEPTH = 20


@dataclass(frozen=True)
class FunctionRef:
    """`!function module.name` as written; imported when first called."""

    dotted: str
    path: Path
    """The YAML it stands in; `module` is looked for beside it first."""
    line: int

    @property
    def where(self) -> str:
        """`file:line`."""
        return f"{self.path}:{self.line}"

    def resolve(self) -> Any:
        """Import and return what is named.

        Raises:
            TaskError: The module cannot be imported, or has no such name.
        """
        return _resolve(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what is named."""
        return _resolve(self)(*args, **kwargs)


@functools.cache
def _resolve(ref: FunctionRef) -> Any:
    module_name, _, name = ref.dotted.rpartition(".")
    if not module_name:
        raise TaskError(explain(f"!function {ref.dotted!r}", where=ref.where, expected="!function module.name"))
    beside = ref.path.parent / (module_name.replace(".", "/") + ".py")
    try:
        if beside.is_file():
            module = import_file(beside)
        else:
            module = importlib.import_module(module_name)
    except TaskError:
        raise
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(sys.exc_info()[2])[-1]
        missing = e.name if isinstance(e, ModuleNotFoundError) else None
        remedy = f"install {missing.split('.')[0]}" if missing else None
        if missing and missing.split(".")[0] == module_name.split(".")[0]:
            remedy = f"write {beside.name} beside {ref.path.name}, or install a package of that name"
        raise TaskError(
            explain(
                f"!function {ref.dotted}: importing {module_name} failed with "
                f"{type(e).__name__}: {e} ({last.filename}:{last.lineno})",
                where=ref.where,
                remedy=remedy,
            )
        ) from e
    try:
        return getattr(module, name)
    except AttributeError:
        raise TaskError(
            explain(
                f"!function {ref.dotted}: {module_name} has no {name!r}",
                where=ref.where,
                suggestion=did_you_mean(name, vars(module)),
            )
        ) from None


class _Loader(_BaseLoader):  # type: ignore[misc]
    """The safe loader plus `!function`; knows its file."""

    lmms_path: Path


def _construct_function(loader: Any, node: yaml.Node) -> FunctionRef:
    return FunctionRef(str(node.value).strip(), loader.lmms_path, node.start_mark.line + 1)


_Loader.add_constructor("!function", _construct_function)


@dataclass(frozen=True)
class YamlFile:
    """One parsed YAML mapping and where each of its top-level keys stands."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, tuple[Path, int]] = field(repr=False)

    def where(self, key: str) -> str:
        """`file:line` of a key, or of the file."""
        path, line = self.lines.get(key, (self.path, 1))
        return f"{path}:{line}"


def read_yaml(path: Path) -> YamlFile:
    """Parse one file, without its includes.

    Raises:
        TaskError: The file cannot be read or parsed, or is no mapping.
    """
    try:
        stat = path.stat()
        return _read_yaml(path, stat.st_mtime_ns, stat.st_size)
    except OSError as e:
        raise TaskError(explain(f"cannot read: {e.strerror}", where=str(path))) from e


@functools.lru_cache(maxsize=4096)
def _read_yaml(path: Path, _mtime_ns: int, _size: int) -> YamlFile:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as e:
        raise TaskError(explain("not UTF-8 text", where=str(path))) from e
    loader = _Loader(text)
    loader.lmms_path = path
    try:
        node = loader.get_single_node()
        values = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = mark.line + 1 if mark else 1
        raise TaskError(explain(f"does not parse: {e.problem or e.context}", where=f"{path}:{line}")) from e
    except (yaml.YAMLError, RecursionError, ValueError) as e:
        raise TaskError(explain(f"does not parse: {e}", where=str(path))) from e
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise TaskError(explain(f"holds a {type(values).__name__}", where=str(path), expected="a mapping of fields"))
    lines = {}
    if node is not None:
        lines = {k.value: (path, k.start_mark.line + 1) for k, _ in node.value}
    return YamlFile(path, values, lines)


def read_merged(path: Path) -> YamlFile:
    """Parse a file and merge its includes below it: own keys win, then earlier includes.

    Raises:
        TaskError: As `read_yaml`; also an include cycle, or a file that is included and missing.
    """
    return _merge(path, ())


def _merge(path: Path, chain: tuple[Path, ...]) -> YamlFile:
    if path in chain or len(chain) > MAX_INCLUDE_DEPTH:
        cycle = " -> ".join(p.name for p in (*chain, path))
        raise TaskError(explain(f"include cycle: {cycle}", where=str(chain[-1])))
    own = read_yaml(path)
    includes = own.values.get("include")
    if includes is None:
        return own
    values: dict[str, Any] = {}
    lines: dict[str, tuple[Path, int]] = {}
    names = [includes] if isinstance(includes, str) else includes
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise TaskError(explain(f"include is {names!r}", where=own.where("include"), expected="a file name or a list"))
    for name in reversed(names):
        target = Path(path.parent, name).resolve() if not Path(name).is_absolute() else Path(name)
        if not target.is_file():
            raise TaskError(
                explain(
                    f"include: no file {name!r}",
                    where=own.where("include"),
                    expected=f"a path relative to {path.parent}",
                )
            )
        included = _merge(target, (*chain, path))
        values |= included.values
        lines |= included.lines
    values |= own.values
    lines |= own.lines
    values.pop("include", None)
    return YamlFile(path, values, lines)


def kind_of(file: YamlFile) -> str | None:
    """Tell whether a YAML is a `"task"`, a `"group"`, or None of both."""
    task = file.values.get("task")
    if isinstance(task, str) and any(
        k in file.values
        for k in ("dataset_path", "include", "output_type", "process_results", "doc_to_messages",
                  "doc_to_text", "doc_to_visual", "doc_to_target")
    ):  # fmt: skip
        return "task"
    if "group" in file.values and isinstance(task, (list, str)):
        return "group"
    return None


def load_task(path: str | Path) -> Task:
    """Load one task YAML: the one door from a file to a `Task`.

    Nothing of the task's own code is imported and no dataset is opened.

    Raises:
        TaskError: With file and line, whatever is wrong with the YAML.
    """
    path = Path(path).resolve()
    own = read_yaml(path)
    if kind_of(own) != "task":
        raise TaskError(
            explain(
                "this is not a task",
                where=str(path),
                expected="`task: name` and one of dataset_path, include, output_type, doc_to_*",
            )
        )
    file = read_merged(path)
    return Task(spec=build_spec(file.values, where=file.where), path=path, where=file.where)


@dataclass(frozen=True)
class Group:
    """A group YAML: a name for several tasks, groups or tags."""

    name: str
    members: tuple[str, ...]
    path: Path
    alias: str | None = None


def load_group(path: Path) -> Group:
    """Load a group YAML.

    Raises:
        TaskError: Its members are no list of names.
    """
    file = read_merged(path)
    members = file.values["task"]
    members = [members] if isinstance(members, str) else members
    names = [m["task"] if isinstance(m, Mapping) and "task" in m else m for m in members]
    if not all(isinstance(n, str) for n in names):
        raise TaskError(explain("a group's task list holds names", where=file.where("task")))
    return Group(str(file.values["group"]), tuple(names), path, file.values.get("group_alias"))


@dataclass
class TaskIndex:
    """All tasks, groups and tags below some folders, by name."""

    tasks: dict[str, Path] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[Path, TaskError] = field(default_factory=dict)
    twice: dict[str, list[Path]] = field(default_factory=dict)
    """Names that several files define; an error for whoever asks for one of them by name."""

    def groups_of(self, task: str) -> set[str]:
        """Every group and tag that reaches a task, however deep."""
        found = {tag for tag, names in self.tags.items() if task in names}
        grown = True
        while grown:
            grown = False
            for group in self.groups.values():
                if group.name not in found and (task in group.members or found & set(group.members)):
                    found.add(group.name)
                    grown = True
        return found

    def expand(self, names: list[str], *, where: str = "--lmms-tasks") -> list[Path]:
        """Turn names of tasks, groups and tags, and glob patterns, into task files, each once.

        Raises:
            TaskError: A name that is none of them.
        """
        paths: dict[Path, None] = {}
        for name in names:
            for task in self._expand_one(name, where, ()):
                if task in self.twice:
                    raise TaskError(twice_defined(task, [self.tasks[task], *self.twice[task]], where=where))
                paths[self.tasks[task]] = None
        return list(paths)

    def _expand_one(self, name: str, where: str, chain: tuple[str, ...]) -> Iterator[str]:
        import fnmatch

        if name in self.tasks:
            yield name
        elif name in self.groups and name not in chain:
            for member in self.groups[name].members:
                yield from self._expand_one(member, f"group {name}", (*chain, name))
        elif name in self.tags:
            yield from self.tags[name]
        elif any(c in name for c in "*?[") and (hits := fnmatch.filter(sorted(self.tasks), name)):
            yield from hits
        else:
            known = [*self.tasks, *self.groups, *self.tags]
            raise TaskError(
                explain(
                    f"unknown task {name!r}",
                    where=where,
                    suggestion=did_you_mean(name, known),
                    remedy="`pytest --lmms-list tasks` names them all",
                )
            )


def index_tasks(roots: list[Path]) -> TaskIndex:
    """Read every YAML below some folders, by name; broken files are kept aside with their error.

    Args:
        roots: Folders; where two files define one name, the first found has it, and `expand` refuses the name.
    """
    index = TaskIndex()
    seen: set[Path] = set()
    for root in roots:
        for found in yaml_files(root):
            path = found.resolve()
            if path in seen or not is_candidate(path):
                continue
            seen.add(path)
            try:
                _index_one(index, path)
            except TaskError as e:
                index.broken[path] = e
    return index


def twice_defined(name: str, paths: list[Path], *, where: str | None = None) -> str:
    """Say that several files define one task name."""
    return explain(
        f"task {name!r} is defined twice: in " + " and in ".join(map(str, paths)),
        where=where,
        remedy="rename one of them, or give the file's path instead of the name",
    )


def _index_one(index: TaskIndex, path: Path) -> None:
    file = read_yaml(path)
    kind = kind_of(file)
    if kind == "group":
        group = load_group(path)
        index.groups[group.name] = group
    elif kind == "task":
        name = file.values["task"]
        other = index.tasks.get(name)
        if other is not None:
            index.twice.setdefault(name, []).append(path)
            return
        index.tasks[name] = path
        merged = read_merged(path).values if "include" in file.values else file.values
        for key in ("tag", "group"):
            tags = merged.get(key) or []
            for tag in [tags] if isinstance(tags, str) else tags:
                members = index.tags.setdefault(str(tag), [])
                if name not in members:
                    members.append(name)
