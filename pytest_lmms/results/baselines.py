"""Baselines that were saved under a name, in a folder such as `.lmms/baselines`.

    <store>/<NAME>/<run folder's name>/   results.json, run.json, samples_<task>.jsonl, number

The one saved last counts: each has a number above those before it, since names of run folders go by a clock, which may
be set back, and dates of files do not outlive a checkout. Saved copies hold no responses and no media, and are small
enough for a repository or a CI cache.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from pytest_lmms.errors import StoreError, UsageError, did_you_mean, explain
from pytest_lmms.results.remote import fetch_run, is_remote
from pytest_lmms.results.runs import StoredRun, read_run
from pytest_lmms.results.store import RunFolder, file_name

PREFIX = "last:"
STORE = ".lmms/baselines"
"""Where named ones lie, below the folder that a command is given in, or pytest's rootdir."""
_FETCHED = ".fetched"
"""Below the store: copies of baselines that lie elsewhere."""
_NUMBER = "number"
"""The file that says how many had been saved under the name."""


def save_baseline(store: Path, name: str, run_folder: Path) -> Path:
    """Copy what comparing needs of a finished run.

    Args:
        store: Made if missing.
        name: Given to `find_baseline` as `last:NAME`.
        run_folder: The run.

    Returns:
        The copy.

    Raises:
        StoreError: The run cannot be read, or is not complete.
    """
    run = read_run(run_folder)
    if run.results.get("status") != "complete":
        raise StoreError(
            explain(
                f"a run with status {run.results.get('status')!r} is no baseline",
                where=str(run_folder),
                expected="a run that ended, with a record of each document",
            )
        )
    target = store / file_name(name) / run_folder.name
    with tempfile.TemporaryDirectory(dir=_made(target.parent), prefix=".saving-", ignore_cleanup_errors=True) as folder:
        copy, previous = Path(folder, "copy"), Path(folder, "previous")
        copy.mkdir()
        for path in (*run_folder.glob("samples_*.jsonl"), run_folder / "run.json", run_folder / "results.json"):
            if path.is_file():
                shutil.copy2(path, copy / path.name)
        with RunFolder(target.parent).locked():
            numbers = [_number(path) for path in target.parent.glob("[!.]*")]
            (copy / _NUMBER).write_text(f"{max(numbers, default=0) + 1}\n", encoding="utf-8")
            if target.exists():
                target.rename(previous)
            copy.rename(target)
    return target


def _number(saved: Path) -> int:
    """The place of a saved copy among those of its name; 0 where it has none, as in stores of earlier versions."""
    try:
        return int((saved / _NUMBER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find_baseline(text: str, store: Path, *, where: str = "--lmms-baseline") -> StoredRun:
    """Read the baseline that the user named.

    Args:
        text: A path (see `read_run`), an address of a run (see `remote`), or `last:NAME`.
        store: Where named ones lie.
        where: For errors.

    Raises:
        UsageError: No baseline of that name, or no such path.
        StoreError: It cannot be read.
    """
    if is_remote(text):
        return read_run(fetch_run(text, store / _FETCHED, where=where))
    if not text.startswith(PREFIX):
        path = Path(text).expanduser()
        if not os.path.exists(path):  # which bears a name that is too long
            raise UsageError(
                explain(f"no such path: {text}", where=where, expected="a run folder, a results.json, or last:NAME")
            )
        return read_run(path)
    name = text.removeprefix(PREFIX)
    saved = [p.parent for p in (store / file_name(name)).glob("[!.]*/results.json")]
    runs = sorted(saved, key=lambda path: (_number(path), path.name))
    if not runs:
        known = sorted(p.name for p in store.iterdir() if p.is_dir() and p.name != _FETCHED) if store.is_dir() else []
        raise UsageError(
            explain(
                f"no baseline {name!r} in {store}",
                where=f"{where} {text}",
                expected="one of " + ", ".join(known) if known else None,
                suggestion=did_you_mean(name, known),
                remedy=f"save one with --lmms-save-baseline {name}",
            )
        )
    return read_run(runs[-1])
