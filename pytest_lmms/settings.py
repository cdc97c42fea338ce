"""The only reader of command line, config file and ini values: from what was said to a `RunConfig`.

Priority: defaults < ini < config file < command line; whatever was typed wins, also when it equals the default.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_lmms.config import BY_NAME, OPTIONS, Option, RunConfig
from pytest_lmms.configfile import ENV, Entry, find_file, read_entries
from pytest_lmms.errors import UsageError, did_you_mean, explain
from pytest_lmms.masks import is_secret
from pytest_lmms.spellings import BY_SPELLING, refusal
from pytest_lmms.variables import fill, fill_all, variables_in


def config_entries(pytest_config: Any) -> tuple[Entry, ...]:
    """The runs that `--lmms-config` names; empty without one.

    Args:
        pytest_config: The `pytest.Config`, or what it is before conftests are loaded.

    Raises:
        UsageError: The file is wrong; no such entry.
    """
    option = BY_NAME["config"]
    known = getattr(pytest_config, "known_args_namespace", None)
    typed = getattr(known, option.ini, None) or getattr(pytest_config.option, option.ini, None)
    written = pytest_config.getini(option.ini)
    if not (typed or written):
        return ()
    base = Path(pytest_config.invocation_params.dir) if typed else (pytest_config.inipath or Path()).parent
    path, position = find_file(str(typed or written), base)
    entries = read_entries(path)
    if position is None:
        return entries
    if not 1 <= position <= len(entries):
        raise UsageError(explain(f"there is no run {position}", where=str(path), expected=f"1 to {len(entries)}"))
    return (entries[position - 1],)


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """What an entry of a config file says, parsed."""

    values: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    """lmms-eval's keys that are arguments of the model here."""
    notices: Sequence[str] = ()


def settings_of(entry: Entry, environ: Mapping[str, str]) -> FileSettings:
    """Parse an entry.

    Args:
        entry: As written.
        environ: For `${VAR}`; the entry's own `env` is in it already.

    Raises:
        UsageError: Unknown keys, each with the closest known one; a value of a wrong type; a variable that is not set.
    """
    _refuse_unknown(entry)
    entry = _without_gates(entry)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    written: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    notices: list[str] = []
    for key, value in entry.values.items():
        where = entry.where(key)
        spelling = BY_SPELLING.get(key)
        if key in BY_NAME or (spelling and spelling.ours in BY_NAME):
            option = BY_NAME[key if key in BY_NAME else str(spelling and spelling.ours)]
            if option.name in values:
                raise UsageError(explain(f"{key} says the same as {option.name}: keep one", where=where))
            if spelling and spelling.prefix and key != option.name:
                if not value:
                    continue
                value = spelling.prefix + _as_arguments(option, value, where)
            values[option.name], as_written = _from_file(option, value, where, environ)
            sources[option.name] = where
            if isinstance(as_written, str) or next(variables_in(value), None):
                written[option.name] = as_written
        elif spelling and value not in (None, False):
            if spelling.model_argument:
                arguments[spelling.model_argument] = fill_all(value, environ, where=where)
            elif spelling.ignored:
                notices.append(f"{where}: {key}: {spelling.ignored}")
            else:
                raise refusal(spelling, where)
    return FileSettings(
        values=values, sources=sources, written=written, model_arguments=arguments, notices=tuple(notices)
    )


GATES = "gates"
"""A key that says what `fail_under` and `fail_on_regression` say, one mapping a metric, as in a task's YAML."""
_PARTS_OF_GATE = {"task", "metric", "filter", "fail_under", "fail_on_regression"}


def _without_gates(entry: Entry) -> Entry:
    """Spell `gates:` as the options that it stands for."""
    if entry.values.get(GATES) is None:
        return replace(entry, values={k: v for k, v in entry.values.items() if k != GATES})
    where = entry.where(GATES)
    given = entry.values[GATES]
    said: dict[str, list[str]] = {"fail_under": [], "fail_on_regression": []}
    for gate in given if isinstance(given, list) else [given]:
        is_mapping = isinstance(gate, dict) and gate.keys() <= _PARTS_OF_GATE and None not in gate.values()
        if not is_mapping or not gate.keys() & said.keys() or ("fail_under" in gate and "metric" not in gate):
            expected = "{metric: acc, fail_under: 0.8}, or {metric: acc, fail_on_regression: 1pt and p<0.05}"
            raise UsageError(explain(f"{gate!r} is no gate", where=where, expected=expected))
        name = "".join(
            before + str(gate[part]) + after
            for part, before, after in (("task", "", "/"), ("metric", "", ""), ("filter", "@", ""))
            if part in gate
        )
        if "fail_under" in gate:
            said["fail_under"].append(f"{name}={gate['fail_under']}")
        if "fail_on_regression" in gate:
            said["fail_on_regression"].append(f"{name}:{gate['fail_on_regression']}".removeprefix(":"))
    doubled = [n for n, texts in said.items() if texts and n in entry.values]
    if doubled:
        raise UsageError(explain(f"gates and {doubled[0]} are both given", where=where, remedy="keep one of them"))
    added = {name: texts for name, texts in said.items() if texts}
    lines = {**entry.lines, **dict.fromkeys(added, entry.lines.get(GATES, entry.line))}
    return replace(entry, values={**{k: v for k, v in entry.values.items() if k != GATES}, **added}, lines=lines)


def _refuse_unknown(entry: Entry) -> None:
    known = sorted({o.name for o in OPTIONS} - {"list", "config"} | {ENV, GATES})
    spelt = [s for s in BY_SPELLING.values() if s.ours is None or s.ours in BY_NAME]
    usable = {*known, *(s.name for s in spelt)} - {"config"}
    meant = {*known, *(s.name for s in spelt if s.ours or s.model_argument)} - {"config"}
    unknown = [key for key in entry.values if key not in usable]
    if not unknown:
        return
    lines = [f"unknown {'keys' if len(unknown) > 1 else 'key'} in this config file:"]
    for key in unknown:
        close = did_you_mean(re.sub(r"^-*(lmms[-_])?", "", key.lower()).replace("-", "_"), meant)
        lines.append(f"  {entry.where(key)}: {key!r}" + (f", did you mean: {close}?" if close else ""))
    raise UsageError(explain("\n".join(lines), where=str(entry.path), expected="keys among " + ", ".join(known)))


def _from_file(option: Option, value: Any, where: str, environ: Mapping[str, str]) -> tuple[Any, Any]:
    """The value of an option, and the value as written, in the form that results.json has."""
    if value is None:
        return option.default, None
    if option.form == "mapping":
        arguments = value if isinstance(value, dict) else option.parse(_scalar(option, value, where), where)
        names = [k for k in arguments if not isinstance(k, str)]
        if names:
            raise UsageError(explain(f"{option.name}: {names[0]!r} is no name", where=where))
        holds_secret = any(map(is_secret, arguments))
        as_written = arguments if holds_secret else value
        return {k: _filled(k, v, where, environ) for k, v in arguments.items()}, as_written
    if option.kind == "flag" and isinstance(value, bool):
        return value, value
    if option.kind == "optional" and value is True:
        return option.const, value
    if option.form == "json" and (value is False or isinstance(value, list)):
        return option.parse(json.dumps(value, default=str) if value else "none", where), value
    if isinstance(value, list) and option.form == "list":
        if not value:
            raise UsageError(explain(f"{option.name} is an empty list", where=where, expected=_expected(option)))
        texts = [_scalar(option, v, where, f"entry {i} of {option.name}") for i, v in enumerate(value, 1)]
    else:
        texts = [_scalar(option, value, where)]
    return option.parse(",".join(fill(t, environ, where=where) for t in texts), where), value


def _as_arguments(option: Option, value: Any, where: str) -> str:
    """`key=value,key=value`, from that or a mapping."""
    return ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else _scalar(option, value, where)


def _filled(name: str, value: Any, where: str, environ: Mapping[str, str]) -> Any:
    """An argument's value; one that came from a variable is read like a typed one, unless it is a secret."""
    from pytest_lmms.model_args import convert_value

    filled = fill_all(value, environ, where=where)
    return convert_value(filled) if isinstance(value, str) and filled != value and not is_secret(name) else filled


def _expected(option: Option) -> str:
    return "true or false" if option.kind == "flag" else f"{option.metavar}: {option.help.replace('%%', '%')}"


def _scalar(option: Option, value: Any, where: str, what: str | None = None) -> str:
    allowed = (str, bool) if option.kind == "flag" else (str, int, float)
    if not isinstance(value, allowed) or (isinstance(value, bool) and option.kind != "flag"):
        kind = _KINDS.get(type(value), f"a {type(value).__name__}")
        raise UsageError(explain(f"{what or option.name} is {kind}", where=where, expected=_expected(option)))
    return str(value)


_KINDS: Mapping[type, str] = {
    type(None): "empty",
    bool: "yes or no",
    dict: "a mapping",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
}


def read_config(pytest_config: Any, entry: Entry | None = None) -> RunConfig:
    """Read options, config file and ini values of a pytest session.

    Args:
        pytest_config: The `pytest.Config`; only `getoption` and `getini` are used.
        entry: The run of the config file; its variables are set.

    Raises:
        UsageError: A value that cannot be understood; the message names the option, `file:line`, or ini key.
    """
    file = settings_of(entry, os.environ) if entry is not None else FileSettings()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in OPTIONS:
        typed = pytest_config.getoption(option.ini)
        if typed is not None:
            values[option.name] = typed if isinstance(typed, bool) else option.parse(typed, option.option)
            sources[option.name] = option.option
            continue
        if option.name in file.values:
            values[option.name] = file.values[option.name]
            sources[option.name] = file.sources[option.name]
            continue
        if in_ini := pytest_config.getini(option.ini):
            values[option.name] = option.parse(in_ini, f"ini {option.ini}")
            sources[option.name] = f"ini {option.ini}"
    written = {name: value for name, value in file.written.items() if sources[name] == file.sources[name]}
    if file.model_arguments and entry is not None:
        values["model_args"] = {**file.model_arguments, **values.get("model_args", {})}
        sources.setdefault("model_args", entry.where("device"))
        if "model_args" in written:
            mapping = BY_NAME["model_args"].parse
            said = written["model_args"]
            said = mapping(said, sources["model_args"]) if isinstance(said, str) else said
            written["model_args"] = {**file.model_arguments, **said}
    if values.get("offset") and isinstance(values.get("limit"), float) and values["limit"] < 0:
        values["limit"] = None
    gates = [n for n in ("fail_under", "fail_on_regression", "save_baseline") if values.get(n) is not None]
    if values.get("predict_only") and gates:
        expected = "one or the other: a run without scores has nothing to compare"
        text = f"predict_only and {gates[0]} ({sources[gates[0]]}) are both set"
        raise UsageError(explain(text, where=sources["predict_only"], expected=expected))
    return RunConfig(
        **values,
        sources=sources,
        written=written,
        env=dict(entry.env) if entry else {},
        run_label=entry.label if entry else "",
        notices=file.notices,
    )
