"""A request as people write it: the command, the config file, and back."""

from __future__ import annotations

import inspect
import json
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.config import BY_NAME, OPTIONS
from pytest_lmms.configfile import read_entries, to_yaml
from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.model_args import convert_value, parse_model_args
from pytest_lmms.registry import MODELS
from pytest_lmms.server.policy import SETTINGS, Plan, Policy, allowed_models
from pytest_lmms.server.schema import check_plain
from pytest_lmms.spellings import BY_SPELLING
from pytest_lmms.tasks.index import TaskIndex

MAX_YAML = 200_000
FIELDS = ("model", "model_args", "tasks", "num_fewshot", "batch_size", "limit", "gen_kwargs", "log_samples")
"""Fields of a request that are options of their own; other options go into `settings`."""


def catalogue(policy: Policy, tasks: TaskIndex) -> dict[str, Any]:
    """What a form offers.

    Returns:
        `models` (name, aliases), `tasks` (names), `groups` and `tags` (name -> tasks), `settings` (name, help, kind,
        placeholder), `variables` (names that may be set).
    """
    return {
        "models": [{"name": n, "aliases": MODELS.aliases(n)} for n in allowed_models(policy)],
        "tasks": sorted(tasks.tasks),
        "groups": {name: sorted(tasks.tasks_of(name, where="groups")) for name in sorted(tasks.groups)},
        "tags": {name: sorted(names) for name, names in sorted(tasks.tags.items())},
        "settings": [
            {"name": o.name, "help": o.help.replace("%%", "%"), "kind": o.kind, "metavar": o.metavar or ""}
            for o in OPTIONS
            if o.name in SETTINGS
        ],
        "variables": list(policy.variables),
    }


def arguments_of(model: str) -> list[dict[str, Any]]:
    """The arguments of a model: name, default and the line that explains it.

    Raises:
        UsageError: There is no such model.
        ModelError: It cannot be imported; the message says what to install.
    """
    adapter = MODELS.load(model)
    texts = _explained(inspect.getdoc(getattr(adapter, "__init__", adapter)) or "")
    found = []
    for name, parameter in inspect.signature(adapter).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = None if parameter.default is parameter.empty else parameter.default
        is_plain = isinstance(default, (str, int, float, bool, type(None)))
        found.append({"name": name, "default": default if is_plain else str(default), "help": texts.get(name, "")})
    return found


def _explained(docstring: str) -> dict[str, str]:
    """Argument -> its sentence, of a docstring with an `Args:` section."""
    _, _, section = docstring.partition("Args:")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        text = line.strip()
        if line[:1].strip():  # the next section
            break
        before, colon, after = text.partition(": ")
        if colon and before.isidentifier() and len(line) - len(line.lstrip()) <= 4:
            name = before
            texts[name] = after
        elif name and text:
            texts[name] += " " + text
    return texts


# --- out ----------------------------------------------------------------------------------------------------------


def preview(plan: Plan) -> dict[str, str]:
    """The command and the config file that a request stands for; secrets as `${NAME}`."""
    return {"command": shlex.join(["pytest", *words_of(plan.values)]), "yaml": to_yaml(plan.values, plan.env)}


def words_of(values: Mapping[str, Any]) -> list[str]:
    """Keys of a config file as arguments of pytest; gates in their own form need a config file."""
    words = []
    for name, value in values.items():
        option = BY_NAME.get(name)
        if option is None:
            continue
        if option.kind == "flag" and isinstance(value, bool):
            words.append(option.option if value else option.option.replace("--", "--no-", 1))
        elif option.kind == "optional" and value is True:
            words.append(option.option)
        elif isinstance(value, Mapping):
            words.append(f"{option.option}={arguments_text(value)}")
        elif option.form == "json" and not isinstance(value, str):
            words.append(f"{option.option}={json.dumps(value) if value else 'none'}")
        elif isinstance(value, (list, tuple)):
            words.append(f"{option.option}={','.join(map(str, value))}")
        else:
            words.append(f"{option.option}={value}")
    return words


def arguments_text(values: Mapping[str, Any]) -> str:
    """`key=value,key=value`, as `parse_model_args` reads it."""
    return ",".join(f"{name}={_value_text(value)}" for name, value in values.items())


def _value_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = value == value.strip() and not any(c in value for c in ",'\"[]{}()") and value != ""
    if is_plain and convert_value(value) == value:
        return value
    return f"'{value}'" if "'" not in value else f'"{value}"'


# --- in -----------------------------------------------------------------------------------------------------------


def request_of(text: str) -> dict[str, Any]:
    """A config file as the fields of a request; the inverse of `preview`'s YAML.

    Args:
        text: Of a config file with one run.

    Raises:
        UsageError: It cannot be parsed, holds several runs, or a key that a job may not have; the message names the
            line.
    """
    if len(text) > MAX_YAML:
        raise UsageError(explain("this file is too long", expected=f"at most {MAX_YAML:,} characters"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imported.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            entries = read_entries(path)
        except LmmsError as e:
            raise UsageError(str(e).replace(f"{folder}/", "")) from e
    if len(entries) != 1:
        raise UsageError(explain(f"{len(entries)} runs in one file", expected="one: a job is one run"))
    (entry,) = entries
    request: dict[str, Any] = {"env": dict(entry.env), "settings": {}}
    for key, value in entry.values.items():
        name = _option_name(key)
        where = f"imported.yaml:{entry.lines.get(key, entry.line)}"
        if name in ("model_args", "gen_kwargs") and isinstance(value, str):
            request[name] = parse_model_args(value, where=where)
        elif name == "tasks":
            listed = value if isinstance(value, list) else str(value).split(",")
            request[name] = [str(t).strip() for t in listed if str(t).strip()]
        elif name in FIELDS or name == "predict_only":
            request[name] = value
        elif name in SETTINGS:
            request["settings"][name] = value
        else:
            expected = "one of " + ", ".join(sorted({*FIELDS, *SETTINGS, "env"}))
            raise UsageError(explain(f"a job may not set {key}", where=where, expected=expected))
    try:
        check_plain(request)
    except ValueError as e:
        raise UsageError(explain(str(e), where="imported.yaml")) from None
    return {name: value for name, value in request.items() if value or name not in ("env", "settings")}


def _option_name(key: str) -> str:
    if key in BY_NAME or key == "gates":
        return key
    spelling = BY_SPELLING.get(key)
    return spelling.ours if spelling and spelling.ours else key
