"""A YAML file as a mapping: parsing, `include`, `!function`, errors with file and line.

Reading is cheap and imports nothing of the task's own code; functions are imported when they are first called
(`FunctionRef`).
"""

from __future__ import annotations

import functools
import importlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pytest_lmms import standins
from pytest_lmms.catalog import import_file
from pytest_lmms.errors import TaskError, did_you_mean, explain
from pytest_lmms.yamlbounds import check_depth, check_size

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

    def __repr__(self) -> str:
        """As the YAML has it, for errors that show a part of it."""
        return f"!function {self.dotted}"

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
    standins.install(ref.path)
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
    included: tuple[Path, ...] = ()
    """Every file that was merged below it."""

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
    try:
        check_depth(text)
    except yaml.MarkedYAMLError:
        pass  # told below, with its line
    except yaml.YAMLError as e:
        raise TaskError(explain(str(e), where=str(path))) from e
    loader = _Loader(text)
    loader.lmms_path = path
    try:
        node = loader.get_single_node()
        check_size(node)
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
    files: list[Path] = []
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
        files += [target, *included.included]
    values |= own.values
    lines |= own.lines
    values.pop("include", None)
    return YamlFile(path, values, lines, tuple(dict.fromkeys(files)))


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
