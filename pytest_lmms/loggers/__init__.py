"""Where a finished run is told of beside its folder: experiment trackers and the Hub.

A logger is a module of this package with `LIBRARY`, the import that it needs, and one function:

    def log(results, run_folder, *, project="pytest-lmms") -> str:    # what was written, in a few words

One that needs an account has a second, with the same keyword arguments, called before anything is loaded:

    def check(where, *, project="pytest-lmms") -> None:    # UsageError where the run will not be taken

The keyword arguments are what `--lmms-log-to name:project=...` takes. A logger gets files that are complete, and never
changes them. Each library is imported in its own module, when a run has finished.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmms.errors import UsageError, did_you_mean, explain

NAMES = ("wandb", "trackio", "tensorboard", "hub")


@dataclass(frozen=True)
class Target:
    """One logger with its arguments."""

    name: str
    arguments: Mapping[str, Any]

    def log(self, results: Mapping[str, Any], run_folder: Path) -> str:
        """Log a finished run; what a library raises passes through."""
        return str(_function(self.name)(results, run_folder, **self.arguments))

    def check(self, where: str) -> None:
        """Find out, with at most one request, whether a run will be taken.

        Raises:
            UsageError: No credentials, or they are refused, or nobody answers.
        """
        check = getattr(importlib.import_module(f"{__name__}.{self.name}"), "check", None)
        if check is not None:
            check(where, **self.arguments)


def parse_targets(text: str, where: str) -> tuple[Target, ...]:
    """Read `wandb:project=a,name=b; tensorboard:folder=c`.

    Raises:
        UsageError: An unknown logger or argument, a missing one, or a library that is not installed.
    """
    return tuple(_parse(entry.strip(), where) for entry in text.split(";"))


def _parse(entry: str, where: str) -> Target:
    from pytest_lmms.model_args import parse_model_args

    name, _, rest = entry.partition(":")
    if name not in NAMES:
        raise UsageError(
            explain(
                f"no logger {name!r}",
                where=where,
                expected="one of " + ", ".join(NAMES) + ", as in wandb:project=mine",
                suggestion=did_you_mean(name, NAMES),
            )
        )
    try:
        arguments = dict(parse_model_args(rest))
    except (UsageError, ValueError) as e:
        raise UsageError(explain(str(e), where=f"{where} {entry}")) from e
    library = str(importlib.import_module(f"{__name__}.{name}").LIBRARY)
    if importlib.util.find_spec(library) is None:
        raise UsageError(
            explain(
                f"{name} needs {library}",
                where=where,
                remedy=f"pip install 'pytest-lmms[{name}]', or pip install {library}",
            )
        )
    known = {p.name: p for p in inspect.signature(_function(name)).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for argument in arguments:
        if argument not in known:
            raise UsageError(
                explain(
                    f"{name} takes no {argument!r}",
                    where=where,
                    expected="arguments among " + ", ".join(known),
                    suggestion=did_you_mean(argument, known),
                )
            )
    missing = [n for n, p in known.items() if p.default is p.empty and n not in arguments]
    if missing:
        raise UsageError(explain(f"{name} needs {missing[0]}", where=where, expected=f"{name}:{missing[0]}=..."))
    return Target(name, arguments)


def _function(name: str) -> Callable[..., str]:
    function: Callable[..., str] = importlib.import_module(f"{__name__}.{name}").log
    return function


def scalars(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a run under names that trackers can group: `mme/exact_match`, `mme/exact_match_stderr`.

    A filter other than `none` stands behind an `@`; counts are `mme/n_scored` and the like; what the run cost is
    `throughput/...`.
    """
    for section in ("results", "groups"):
        for task, values in (results.get(section) or {}).items():
            for key, value in values.items():
                name, comma, rest = key.partition(",")
                if not _is_number(value) or "," in rest or key == "depth":
                    continue
                yield f"{task}/{name}" + (f"@{rest}" if comma and rest != "none" else ""), float(value)
    for key, value in (results.get("throughput") or {}).items():
        if _is_number(value):
            yield f"throughput/{key}", float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def settings(results: Mapping[str, Any]) -> dict[str, Any]:
    """What a tracker shows as the configuration of a run; secrets are masked in results.json already."""
    config = dict(results.get("config", {}))
    return {
        "model": config.get("model"),
        "model_args": config.get("model_args"),
        "tasks": sorted(results.get("results", {})),
        "versions": results.get("versions"),
        "complete": results.get("complete"),
        "settings": {k: v for k, v in (config.get("resolved_cli_args") or {}).items() if v not in (None, {}, [])},
    }
