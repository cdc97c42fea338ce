"""Run folders on object stores and the Hub: `s3://bucket/runs`, `hf://datasets/me/runs`, whatever fsspec knows.

A run is always made on this machine, where a killed process loses nothing, and copied when it has ended. Here is the
only importer of fsspec.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_lmms.errors import StoreError, UsageError, explain

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
Part = Literal["compared", "records", "everything"]
_PARTS: dict[Part, re.Pattern[str]] = {
    "compared": re.compile(
        r"(.*/)?(results\.json|run\.json|samples_[^/]*\.jsonl|[^/]*_results\.json|[^/]*_samples_[^/]*\.jsonl)"
    ),
    "records": re.compile(r"run\.json|shards/[^/]*\.jsonl"),
    "everything": re.compile(r".*"),
}
"""What comparing, merging and going on need of a run: its files, relative to its folder."""


def is_remote(path: str) -> bool:
    """Whether a path is an address, and no file of this machine."""
    match = _URL.match(path)
    return match is not None and match[1].lower() != "file"


def check(url: str, where: str) -> None:
    """Find what opens an address; asks nobody.

    Raises:
        UsageError: No library for it, with what to install.
    """
    _open(url, where)


def upload(folder: Path, url: str) -> str:
    """Copy a run folder below an address.

    Args:
        folder: Complete; its name becomes that of the copy.
        url: Of the folder that holds runs.

    Returns:
        The copy's address.

    Raises:
        StoreError: It could not be copied, or not whole; the folder stays as it is.
    """
    fs, root = _open(url, "--lmms-output-path")
    target = f"{root.rstrip('/')}/{folder.name}"
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    try:
        for path in paths:
            place = f"{target}/{path.relative_to(folder).as_posix()}"
            fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(path), place)
        fs.invalidate_cache()
        short = [
            p for p in paths if fs.info(f"{target}/{p.relative_to(folder).as_posix()}")["size"] != p.stat().st_size
        ]
    except Exception as e:
        raise StoreError(_failed(f"{folder} could not be copied to {url}", e, f"it stays here: {folder}")) from e
    if short:
        raise StoreError(explain(f"{short[0].name} arrived incomplete", where=url, remedy=f"it stays here: {folder}"))
    return f"{url.rstrip('/')}/{folder.name}"


def exists(url: str, where: str) -> bool:
    """Whether something lies at an address.

    Raises:
        UsageError: No library for this kind of address.
        StoreError: It cannot be asked.
    """
    fs, root = _open(url, where)
    try:
        return bool(fs.exists(root))
    except Exception as e:
        raise StoreError(_failed(f"{url} cannot be read", e, None, where=where)) from e


@contextlib.contextmanager
def local_runs(places: Sequence[str], *, where: str, part: Part = "compared") -> Iterator[list[Path]]:
    """Runs as paths of this machine; what lies elsewhere is copied, and the copies are removed at the end.

    Args:
        places: Paths and addresses.
        where: For errors.
        part: What of a run is copied; see `fetch_run`.

    Raises:
        UsageError: No library for this kind of address.
        StoreError: Nothing there, or it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="pytest-lmms-") as folder:
        yield [
            fetch_run(place, Path(folder) / str(i), where=where, part=part)
            if is_remote(place)
            else Path(place).expanduser()
            for i, place in enumerate(places)
        ]


def fetch_run(url: str, into: Path, *, where: str, part: Part = "compared") -> Path:
    """Copy a run from an address.

    Args:
        url: Of a run folder, or of a results file in one.
        into: A folder of this machine; the copy has the run's name there, and replaces one of that name.
        where: For errors.
        part: `compared`: results and samples; `records`: what merging shards needs; `everything`: its responses as
            well, to go on with it.

    Returns:
        The copy's folder, or its results file where `url` names one.

    Raises:
        UsageError: No library for this kind of address.
        StoreError: Nothing there, or it cannot be read.
    """
    fs, root = _open(url, where)
    try:
        is_file = fs.isfile(root)
        folder = root.rpartition("/")[0] if is_file else root.rstrip("/")
        found = sorted(fs.find(folder)) if fs.exists(root) else []
        copy = into / folder.rpartition("/")[2]
        kept = [p for p in found if _PARTS[part].fullmatch(p[len(folder) :].lstrip("/"))]
        for path in kept:
            target = copy / path[len(folder) :].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(path, str(target))
    except Exception as e:
        raise StoreError(_failed(f"{url} cannot be read", e, None, where=where)) from e
    if not kept:
        raise StoreError(explain("no run here", where=f"{where} {url}", expected="a run folder, or its results.json"))
    return copy / root.rpartition("/")[2] if is_file else copy


def _open(url: str, where: str) -> tuple[Any, str]:
    fsspec: Any = importlib.import_module("fsspec")
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as e:
        remedy = "pip install 'pytest-lmms[s3]'" if url.startswith("s3:") else None
        raise UsageError(_failed(f"{url} cannot be opened", e, remedy, where=where)) from e


def _failed(what: str, error: Exception, remedy: str | None, *, where: str | None = None) -> str:
    cause = str(error).strip().partition("\n")[0] or type(error).__name__
    return explain(f"{what}: {cause}", where=where, remedy=remedy)
