"""What a job may name: models, tasks, folders, addresses and variables, as the server's owner allows."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_lmms.configfile import Entry
from pytest_lmms.errors import UsageError, did_you_mean, explain
from pytest_lmms.masks import mask
from pytest_lmms.model_args import parse_model_args
from pytest_lmms.registry import MODELS
from pytest_lmms.server.withheld import without_secrets
from pytest_lmms.settings import settings_of
from pytest_lmms.variables import fill, variables_in

if TYPE_CHECKING:
    from pytest_lmms.server.schema import EvaluateRequest
    from pytest_lmms.tasks.index import TaskIndex

SETTINGS = frozenset({
    "agentic_trace_mode", "baseline", "data", "fail_on_regression", "fail_under", "fewshot_as_multiturn", "gates",
    "judge", "max_errors", "max_requests", "max_tokens", "offset", "parquet", "reasoning_tags", "repeats",
    "replicas_per_device", "report", "seed", "subset", "system_instruction", "time_limit", "timeout", "video_backend",
})  # fmt: skip
"""Keys of a config file that `settings` of a request may have; the request's own fields have the rest."""
VARIABLES = (
    "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "HF_TOKEN",
    "OPENROUTER_API_KEY", "DASHSCOPE_API_KEY",
)  # fmt: skip
"""What a job may set and read where the owner says nothing: keys, and nothing that changes which code runs."""
CODE = frozenset({"trust_remote_code", "mcp_server_path"})
"""Model arguments that run what a checkpoint brings along, or a program that they name."""
WHERE = "the request"


@dataclass(frozen=True)
class Policy:
    """What the owner of a server allows."""

    output_roots: tuple[Path, ...]
    """Folders that `output_dir` must lie in; absolute, links resolved."""
    path_roots: tuple[Path, ...] = ()
    """Folders that paths in model arguments, and baselines, must lie in."""
    models: frozenset[str] | None = None
    """Names of models; None allows every name that the registry knows."""
    variables: tuple[str, ...] = VARIABLES
    urls: tuple[str, ...] = ()
    """Beginnings of addresses that model arguments may hold; loopback ones are always allowed."""
    allows_remote_code: bool = False
    most_queued: int = 10_000

    def is_output(self, folder: Path) -> bool:
        """Whether a folder lies, links resolved, where jobs may write."""
        path = folder.resolve()
        return any(path == root or root in path.parents for root in self.output_roots)


@dataclass(frozen=True)
class Plan:
    """A request that is allowed, as a config file and what must not be written down."""

    values: Mapping[str, Any]
    """Keys of a config file; secrets stand as `${NAME}`."""
    env: Mapping[str, str]
    """Its `env`; secrets stand as `${NAME}`."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """NAME -> what it stands for; kept in memory only."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """As sent, masked."""
    output_dir: Path | None = None


def plan(request: EvaluateRequest, policy: Policy, tasks: TaskIndex, environ: Mapping[str, str]) -> Plan:
    """Check a request against the policy, and spell it as a config file.

    Args:
        request: As sent.
        policy: What the owner allows.
        tasks: The tasks that may be named.
        environ: The server's own variables, for `${NAME}`.

    Raises:
        UsageError: Something that is not allowed, does not exist or has a wrong value.
    """
    name = _model(request.model, policy)
    tasks.expand([_task_name(t) for t in request.tasks], where=WHERE)
    arguments = dict(request.model_args)
    generation = request.gen_kwargs
    if isinstance(generation, str):
        generation = parse_model_args(generation, where=f"{WHERE}, gen_kwargs")
    _check_settings(request.settings)
    _check_variables(request, policy)
    for where, text in _texts(arguments, "model_args"):
        _check_text(text, where, policy)
        _check_text(fill(text, {**environ, **request.env}, where=f"{WHERE}, {where}"), where, policy)
    settings = dict(request.settings)
    if (baseline := settings.get("baseline")) is not None:
        settings["baseline"] = _baseline(baseline, policy)
    if (judge := request.settings.get("judge")) is not None:
        _check_judge(judge, policy)
    if (code := _code_asked_for(arguments)) and not policy.allows_remote_code:
        remedy = "the owner allows it with --allow-remote-code"
        raise UsageError(explain(f"{code} is not allowed", where=f"{WHERE}, model_args", remedy=remedy))

    secrets: dict[str, str] = {}
    values = {
        "model": name,
        "model_args": without_secrets(_found(arguments, policy.path_roots), secrets),
        "tasks": list(request.tasks),
        "num_fewshot": request.num_fewshot,
        "batch_size": request.batch_size,
        "limit": request.limit,
        "gen_kwargs": generation,
        **({} if request.log_samples else {"log_samples": False}),
        **({"predict_only": True} if request.predict_only else {}),
        **settings,
    }
    values = {k: v for k, v in values.items() if v not in (None, {})}
    env = without_secrets(request.env, secrets)
    entry = Entry(path=Path("request"), values=values, env=env)
    known = {**environ, **secrets}
    for key, value in values.items():  # one by one, for messages that name the key
        settings_of(Entry(path=Path(f"request, {key}"), values={key: value}), {**known, **request.env})
    settings_of(entry, {**known, **entry.environment(known)})
    output = None if request.output_dir is None else _inside(request.output_dir, policy.output_roots, "output_dir")
    return Plan(values, env, secrets, mask(request.model_dump()), output)


# --- what may be named --------------------------------------------------------------------------------------------


def allowed_models(policy: Policy) -> list[str]:
    """Names of models that a request may use, sorted."""
    return [n for n in MODELS.names() if policy.models is None or n in policy.models]


def _model(name: str, policy: Policy) -> str:
    canonical = MODELS.canonical(name)
    if policy.models is not None and canonical not in {MODELS.canonical(n) for n in policy.models}:
        known = sorted(policy.models)
        text = f"this server does not offer the model {name}"
        raise UsageError(explain(text, where=f"{WHERE}, model", expected="one of " + ", ".join(known)))
    return name


def _task_name(name: str) -> str:
    if not name or any(c in name for c in "/\\\0") or name.startswith((".", "-")) or name.endswith((".yaml", ".yml")):
        expected = "the name of a task, group or tag, as GET /tasks lists them"
        raise UsageError(explain(f"{name[:80]!r} is no name of a task", where=f"{WHERE}, tasks", expected=expected))
    return name


def _check_settings(settings: Mapping[str, Any]) -> None:
    for key in settings:
        if key not in SETTINGS:
            close = did_you_mean(key, SETTINGS)
            expected = "one of " + ", ".join(sorted(SETTINGS))
            raise UsageError(
                explain(
                    f"a job may not set {key[:80]!r}", where=f"{WHERE}, settings", expected=expected,
                    remedy=f"did you mean {close}?" if close else None,
                )
            )  # fmt: skip


def _check_variables(request: EvaluateRequest, policy: Policy) -> None:
    used = {v: "${" + v + "}" for v in variables_in([request.model_args, request.settings, list(request.env.values())])}
    for name, text in {**used, **{n: n for n in request.env}}.items():
        if name not in policy.variables:
            raise UsageError(
                explain(
                    f"a job may not use the variable {text[:80]}", where=WHERE,
                    expected="one of " + (", ".join(policy.variables) or "none"),
                    remedy=f"the owner allows it with --allow-env {name[:80]}",
                )
            )  # fmt: skip


def _found(value: Any, roots: tuple[Path, ...]) -> Any:
    """A copy in which what names a file or folder below a root is its whole path: jobs run in folders of their own."""
    if isinstance(value, Mapping):
        return {key: _found(each, roots) for key, each in value.items()}
    if isinstance(value, list):
        return [_found(each, roots) for each in value]
    if not isinstance(value, str) or "/" not in value or "://" in value:
        return value
    paths = (Path(root, os.path.expanduser(value)).resolve() for root in roots)
    inside = (path for path, root in zip(paths, roots, strict=True) if root == path or root in path.parents)
    return next((str(path) for path in inside if path.exists()), value)


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each, where)


def _check_text(text: str, where: str, policy: Policy) -> None:
    """A model argument: a path must lie in a root, an address begin like an allowed one."""
    if "://" in text:
        _check_address(text, where, policy)
    elif text.startswith(("/", "~", ".", "\\")) or ".." in text.replace("\\", "/").split("/") or "\0" in text:
        _inside(text, policy.path_roots, where)


def _check_address(text: str, where: str, policy: Policy) -> None:
    parts = urlsplit(text)
    is_allowed = text.startswith(tuple(u if u.endswith("/") else u + "/" for u in policy.urls)) or text in policy.urls
    if parts.scheme not in ("http", "https") or not (is_allowed or is_loopback(parts.hostname or "")):
        expected = "http or https, on this machine or at " + (", ".join(policy.urls) or "no other place")
        remedy = "the owner allows it with --allow-url"
        raise UsageError(
            explain("this address is not allowed", where=f"{WHERE}, {where}", expected=expected, remedy=remedy)
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and no other can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _baseline(baseline: Any, policy: Policy) -> str:
    if not isinstance(baseline, str):
        raise UsageError(explain("a baseline is a text", where=f"{WHERE}, settings.baseline"))
    if "://" in baseline:
        raise UsageError(explain("a baseline at an address is not allowed", where=f"{WHERE}, settings.baseline"))
    if baseline.startswith("last:"):
        if any(c in baseline for c in "/\\\0") or ".." in baseline:
            raise UsageError(explain("this is no name of a baseline", where=f"{WHERE}, settings.baseline"))
        return baseline
    return str(_inside(baseline, (*policy.path_roots, *policy.output_roots), "settings.baseline"))


def _check_judge(judge: Any, policy: Policy) -> None:
    """`NAME[:MODEL],...`: judges are models, and what they load lies where models may."""
    where = "settings.judge"
    for word in judge.split(",") if isinstance(judge, str) else judge if isinstance(judge, list) else ():
        name, _, model = str(word).strip().partition(":")
        if name and name != "env":
            _model(name, policy)
        _check_text(model, where, policy)


def _code_asked_for(arguments: Any) -> str | None:
    """The argument, at any depth, that lets something run what is no part of the server."""
    if isinstance(arguments, (list, tuple)):
        return next(filter(None, map(_code_asked_for, arguments)), None)
    for name, value in arguments.items() if isinstance(arguments, Mapping) else ():
        is_on = value not in (False, None) and str(value).lower() not in ("false", "0", "no", "")
        if str(name).replace("-", "_") in CODE and is_on:
            return str(name)
        if found := _code_asked_for(value):
            return found
    return None


def _inside(text: str, roots: tuple[Path, ...], where: str) -> Path:
    """The path, links resolved.

    Raises:
        UsageError: It lies in none of the roots.
    """
    expected = "a path inside " + (" or ".join(map(str, roots)) or "no folder: none is allowed")
    try:
        path = Path(os.path.expanduser(text)).resolve()
    except (OSError, ValueError, RuntimeError) as e:
        raise UsageError(explain("this is no path", where=f"{WHERE}, {where}", expected=expected)) from e
    if not any(path == root or root in path.parents for root in roots):
        remedy = "the owner allows more with --output-root" if where == "output_dir" else "... with --path-root"
        text = "this path is not allowed"
        raise UsageError(explain(text, where=f"{WHERE}, {where}", expected=expected, remedy=remedy))
    return path
