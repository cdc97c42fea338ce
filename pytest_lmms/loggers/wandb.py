"""Weights & Biases: numbers in the summary, settings as the configuration, results.json as a file of the run.

`WANDB_MODE=offline`, or the argument `mode=offline`, writes below `folder` and needs no account.
"""

from __future__ import annotations

import configparser
import importlib
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.loggers import scalars, settings
from pytest_lmms.results.access import ask

LIBRARY = "wandb"
_OFFLINE = "WANDB_MODE=offline keeps the run on this machine, for `wandb sync` later"
_VIEWER = {"query": "query Viewer { viewer { username } }"}


def check(where: str, *, mode: str | None = None, **_arguments: Any) -> None:
    """Find a key that W&B takes, unless nothing is sent; see `log`.

    Raises:
        UsageError: There is none, it is refused, or nobody answers.
    """
    if (mode or _setting("mode") or "online") not in ("online", "shared") or _setting("identity_token_file"):
        return
    server = (_setting("base_url") or "https://api.wandb.ai").rstrip("/")
    key = _setting("api_key") or _key_of(urlsplit(server).hostname or "")
    if not key:
        raise UsageError(
            explain("no key of W&B", where=where, remedy=f"set WANDB_API_KEY, or: wandb login; {_OFFLINE}")
        )
    answer = ask("POST", f"{server}/graphql", where, _OFFLINE, json=_VIEWER, auth=("api", key))
    viewer = (answer.json().get("data") or {}).get("viewer") if answer.is_success else None
    if answer.status_code in (401, 403) or (answer.is_success and viewer is None):
        remedy = f"set another WANDB_API_KEY, or: wandb login --relogin; {_OFFLINE}"
        raise UsageError(explain(f"{server} refuses the key of W&B", where=where, remedy=remedy))


def _setting(name: str) -> str | None:
    """A setting as W&B finds it: of the environment, else of its files, the folder's before the user's."""
    if value := os.environ.get(f"WANDB_{name.upper()}"):
        return value
    user = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    files = configparser.ConfigParser(interpolation=None)
    try:
        files.read([user / "settings", Path(os.environ.get("WANDB_DIR") or ".") / "wandb" / "settings"])
    except (configparser.Error, UnicodeDecodeError):
        return None
    return files.get("default", name, fallback=None)


def _key_of(host: str) -> str | None:
    """The key that `wandb login` left in the user's netrc."""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None


def log(
    results: Mapping[str, Any],
    run_folder: Path,
    *,
    project: str = "pytest-lmms",
    name: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    mode: str | None = None,
    folder: str | None = None,
) -> str:
    """Log a finished run.

    Args:
        results: What results.json holds.
        run_folder: Where it lies.
        project: Of W&B.
        name: Of the run; the run folder's by default.
        entity: User or team; the account's own by default.
        group: Puts runs together.
        mode: `online`, `offline` or `disabled`; None leaves it to `WANDB_MODE`.
        folder: Where W&B keeps its files; the run folder by default.
    """
    wandb: Any = importlib.import_module("wandb")
    run = wandb.init(
        project=project,
        name=str(name or run_folder.name),
        entity=entity,
        group=group,
        mode=mode,
        dir=str(Path(folder or run_folder).expanduser().absolute()),  # its service may run in another folder
        config=settings(results),
        job_type="evaluation",
        settings=wandb.Settings(
            silent=True,
            console="off",  # the terminal is pytest's
            reinit="create_new",
            x_disable_meta=True,  # it would tell the command line, keys included; run.json tells it without
        ),
    )
    try:
        run.log(dict(scalars(results)))
        run.save(str(run_folder / "results.json"), base_path=str(run_folder), policy="now")
    finally:
        run.finish()
    return f"wandb: {run.url or run.dir}"
