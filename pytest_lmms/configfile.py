"""A config file: its entries, with line numbers, and the variables that each sets.

A file is one mapping, or a list of mappings, one a run; a results.json is read as the run that made it. Knows no
option: what a key means is `config`'s business.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.masks import MASK
from pytest_lmms.variables import fill

ENV = "env"
ONCE = ("config", "list", "resume", "retry_errors")
"""Settings that say how a run was started, not what it was."""
MAX_NODES = 100_000
"""Values of a file, aliases followed; more of them are no config."""
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Entry:
    """What a config file says about one run, as written."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables to set, `${...}` not filled in."""
    env_lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    position: int = 1
    label: str = ""
    """Tells the runs of a list apart; empty in a file of one run."""
    line: int = 1

    def where(self, key: str) -> str:
        """`file:line` of a key, or of the entry."""
        return f"{self.path}:{self.lines.get(key, self.line)}"

    def environment(self, before: Mapping[str, str]) -> dict[str, str]:
        """The variables that this run sets, filled in; each may use `before` and those above it.

        Raises:
            UsageError: A variable that is not set and has no default.
        """
        known = dict(before)
        found = {}
        for name, text in self.env.items():
            value = fill(text, known, where=f"{self.path}:{self.env_lines.get(name, self.line)}")
            if value == "~" or value.startswith("~/"):
                value = os.path.expanduser(value)
            known[name] = found[name] = value
        return found


# --- reading ------------------------------------------------------------------------------------------------------


def find_file(text: str, base: Path) -> tuple[Path, int | None]:
    """Find the file, and the number of the entry, that `exp.yaml` or `exp.yaml#2` stands for.

    Args:
        text: As typed. A file that is not there is looked for in the catalogue: `configs/example_local.yaml`.
        base: Folder that relative paths start from.

    Raises:
        UsageError: No such file.
    """
    from pytest_lmms import catalog

    name, hash_sign, number = text.rpartition("#")
    position = None
    if hash_sign and number.isdigit() and not os.path.exists(base / Path(text).expanduser()):
        text, position = name, int(number)
    path = base / Path(text).expanduser()
    if os.path.isfile(path):  # which, unlike that of `Path`, bears a name that is too long
        return path, position
    shipped = catalog.root() / text
    if text.startswith("configs/") and os.path.isfile(shipped):
        return shipped, position
    what = "this is a folder" if os.path.isdir(path) else "no such file"
    raise UsageError(explain(what, where=str(path), expected="a YAML file, see configs/ for examples"))


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Read every entry of a file, and check its form.

    Raises:
        UsageError: The file cannot be read or parsed, is empty, or an entry is no mapping of names.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as e:
        raise UsageError(explain(f"cannot read: {e.strerror}", where=str(path))) from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise UsageError(explain("not UTF-8 text", where=f"{path}:{line}", remedy="save the file as UTF-8")) from e
    if path.suffix == ".json":
        return (_from_results(path, text),)
    import yaml

    from pytest_lmms.yamlbounds import check_depth

    try:
        check_depth(text)
        root = yaml.compose(text, Loader=_loader())
        if root is not None:
            _check(root, path)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(explain(f"does not parse: {e.problem or e.context}", where=where)) from e
    except yaml.reader.ReaderError as e:
        line = text.encode()[: e.position].count(b"\n") + 1
        what, remedy = f"U+{e.character:04X} is no character of YAML", 'remove it, or write it as "\\x1b"'
        raise UsageError(explain(what, where=f"{path}:{line}", remedy=remedy)) from e
    except (yaml.YAMLError, RecursionError) as e:
        raise UsageError(explain(f"does not parse: {e}", where=str(path))) from e
    expected = "a mapping such as `model: tiny_vlm`, or a list of them, one a run"
    if root is None:
        raise UsageError(explain("this file is empty", where=str(path), expected=expected))
    if isinstance(root, yaml.MappingNode):
        return (_entry(root, path),)
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise UsageError(explain("this file holds no run", where=f"{path}:1", expected=expected))
    entries = []
    for i, node in enumerate(root.value, 1):
        if not isinstance(node, yaml.MappingNode):
            where = f"{path}:{node.start_mark.line + 1}"
            raise UsageError(explain(f"entry {i} of the list is no mapping", where=where, expected=expected))
        entries.append(replace(_entry(node, path), position=i))
    return _labelled(entries)


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check(root: Any, path: Path) -> None:
    """Refuse keys that are given twice, anchors that hold themselves, aliases that multiply, and what is no number."""
    import yaml

    from pytest_lmms.yamlbounds import check_scalar

    count = 0

    def visit(node: Any, above: tuple[int, ...]) -> None:
        nonlocal count
        count += 1
        where = f"{path}:{node.start_mark.line + 1}"
        if id(node) in above:
            raise UsageError(explain("this anchor holds itself", where=where, remedy="remove the alias to it"))
        if count > MAX_NODES:
            raise UsageError(explain(f"more than {MAX_NODES:,} values, aliases followed", where=where))
        if isinstance(node, yaml.ScalarNode):
            check_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            for child in node.value:
                visit(child, (*above, id(node)))
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise UsageError(explain("a key that is no name", where=f"{path}:{line}"))
                if key.value in seen and key.value != "<<":
                    text = f"{key.value!r} is given twice, first in line {seen[key.value]}"
                    raise UsageError(explain(text, where=f"{path}:{line}"))
                seen[key.value] = line
                visit(value, (*above, id(node)))

    visit(root, ())


def _entry(node: Any, path: Path) -> Entry:
    import yaml

    loader = _loader()("")
    try:
        env_lines: dict[str, int] = {}
        env: dict[str, str] = {}
        loader.flatten_mapping(node)  # `<<: *shared`
        lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
        for key, _ in node.value:
            key.tag = "tag:yaml.org,2002:str"  # `yes: 3` is about something called yes
        for key, value in node.value:
            if key.value == ENV:
                env, env_lines = _variables(value, loader, path)
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or node.start_mark
        raise UsageError(explain(f"does not parse: {e.problem}", where=f"{path}:{mark.line + 1}")) from e
    except ValueError as e:  # an impossible date, for instance
        raise UsageError(explain(f"does not parse: {e}", where=f"{path}:{node.start_mark.line + 1}")) from e
    finally:
        loader.dispose()
    values.pop(ENV, None)
    return Entry(
        path=path, values=values, lines=lines, env=env, env_lines=env_lines, line=node.start_mark.line + 1
    )  # fmt: skip


def _variables(node: Any, loader: Any, path: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Names, texts as written (`yes` is "yes"), and lines."""
    import yaml

    where = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return {}, {}
    if not isinstance(node, yaml.MappingNode):
        raise UsageError(explain("env is no mapping", where=where, expected="variables, such as HF_HOME: /data"))
    loader.flatten_mapping(node)
    found, lines = {}, {}
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not _NAME.fullmatch(key.value):
            raise UsageError(explain(f"env: {key.value!r} is no name of a variable", where=where))
        if not isinstance(value, yaml.ScalarNode) or value.tag == "tag:yaml.org,2002:null":
            raise UsageError(explain(f"env: {key.value} is no text", where=where, expected=f'{key.value}: "text"'))
        found[key.value] = value.value
        lines[key.value] = key.start_mark.line + 1
    return found, lines


def _labelled(entries: list[Entry]) -> tuple[Entry, ...]:
    """Name each run after its model; those of one model, or of none, by their place as well."""
    names = [re.sub(r"[^\w.]+", "_", str(e.values.get("model") or "run")).strip("_") or "run" for e in entries]
    counts = Counter(names)
    numbered = [f"{name}_{e.position}" for e, name in zip(entries, names, strict=True)]
    labels = [n if counts[n] == 1 and n != "run" else m for n, m in zip(names, numbered, strict=True)]
    if len(set(labels)) < len(labels):  # a model that is called like another's numbered run
        labels = [f"run_{e.position}" for e in entries]
    return tuple(replace(e, label=label) for e, label in zip(entries, labels, strict=True))


# --- a run as a config file ----------------------------------------------------------------------------------------


def _from_results(path: Path, text: str) -> Entry:
    try:
        values, env = settings_of_results(json.loads(text))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as e:
        expected = "the results.json of a run of pytest-lmms"
        raise UsageError(explain("no config.resolved_cli_args in this file", where=str(path), expected=expected)) from e
    return Entry(path=path, values=values, env=env)


def settings_of_results(results: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What the user of a run had said, and the variables; a masked secret becomes `${NAME}`.

    Args:
        results: What results.json holds.

    Returns:
        Settings that were no defaults, as a config file has them, and `env`.

    Raises:
        KeyError: Not a results.json of ours.
    """
    resolved = dict(results["config"]["resolved_cli_args"])
    sources = results["config"]["setting_sources"]
    env = {name: unmasked(name, value) for name, value in (resolved.pop(ENV, None) or {}).items()}
    chosen = {name: value for name, value in resolved.items() if name in sources and name not in ONCE}
    return {name: unmasked(name, value) for name, value in chosen.items()}, env


def unmasked(name: str, value: Any) -> Any:
    """A copy in which a masked secret is read from the environment: `api_key: ${API_KEY}`."""
    if isinstance(value, Mapping):
        return {k: unmasked(str(k), v) for k, v in value.items()}
    return f"${{{name.upper()}}}" if value == MASK else value


def to_yaml(values: Mapping[str, Any], env: Mapping[str, str], *, comment: str = "") -> str:
    """A run as the text of a config file.

    Args:
        values: Settings.
        env: Variables, as written.
        comment: Lines above it.
    """
    import yaml

    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in values.items()}
    content = ({ENV: dict(env)} if env else {}) | whole
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)
    return "".join(f"# {line}\n" for line in comment.splitlines()) + text
