"""The variables of a config file: set before conftests are loaded, so before any model library; put back at the end.

Workers of `-n` on this machine, and whatever is started, inherit them. A file with several runs sets nothing here: each
of them is a session of its own (see `runs`).
"""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from pytest_lmms.configfile import Entry
from pytest_lmms.errors import LmmsError
from pytest_lmms.settings import config_entries
from pytest_lmms.variables import Applied, shown

TOO_LATE = {
    "HF_": ("huggingface_hub", "datasets", "transformers"),
    "TRANSFORMERS_": ("transformers",),
    "CUDA_": ("torch",),
    "OMP_": ("torch",),
}
"""Beginnings of names of variables, and the libraries that read them once, when they are imported."""
MARK = "PYTEST_LMMS_CONFIG_SET_BY"
"""Names the process that has set a run's variables, and the run; its workers do not fill them in a second time."""
_ENTRIES = pytest.StashKey[tuple[Entry, ...]]()
_APPLIED = pytest.StashKey[Applied]()
_SHOWN = pytest.StashKey[dict[str, str]]()


def entries_of(config: pytest.Config) -> tuple[Entry, ...]:
    """The runs that this session's config file holds, or the one that was named of them; empty without a file."""
    entries = config.stash.get(_ENTRIES, None)
    if entries is None:
        entries = config.stash[_ENTRIES] = config_entries(config)
        if len(entries) == 1 and os.environ.get(MARK) != _mark(os.getppid(), entries[0]):
            _apply(config, entries[0])
    return entries


def entry_of(config: pytest.Config) -> Entry | None:
    """This session's run; None without a config file, and where there are several."""
    entries = entries_of(config)
    return entries[0] if len(entries) == 1 else None


def _apply(config: pytest.Config, entry: Entry) -> None:
    variables = entry.environment(os.environ)
    for name in variables:
        late = [m for start, modules in TOO_LATE.items() if name.startswith(start) for m in modules if m in sys.modules]
        if late and os.environ.get(name) != variables[name]:
            text = f"{entry.path}: {late[0]} was imported before {name} could be set, and may not have noticed"
            config.issue_config_time_warning(pytest.PytestConfigWarning(text), stacklevel=2)
    config.stash[_SHOWN] = shown(entry.env, variables)
    config.stash[_APPLIED] = Applied({**variables, MARK: _mark(os.getpid(), entry)})


def _mark(process: int, entry: Entry) -> str:
    return f"{process} {entry.path.resolve()}#{entry.position}"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set the variables."""
    try:
        entries_of(early_config)
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e


def pytest_report_header(config: pytest.Config) -> str | None:
    """Tell what was set, secrets masked."""
    variables: dict[str, Any] = config.stash.get(_SHOWN, {})
    return "Config env: " + ", ".join(f"{k}={v}" for k, v in variables.items()) if variables else None


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Put everything back, for the next session of this process."""
    applied = config.stash.get(_APPLIED, None)
    if applied is not None:
        applied.restore()
        del config.stash[_APPLIED]
