"""Open a dataset that was opened before, without importing `datasets`: memory-map the Arrow files it lies in.

After a first opening, a small file in the datasets cache notes the Arrow files, the features, and a stamp (size, times,
inode) of every file that the result depends on. It is used only while all stamps hold and, for a dataset of the Hub,
while the Hub, or offline its cache, still names the same commit. Whatever is in doubt is opened by `datasets`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pytest_lmms.tasks import hub

_VERSION = 1
_RACY_NS = 3_000_000_000
"""A file changed this shortly before it was noted may change again without its stamp showing it."""
_MAX_SOURCES = 5_000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAGIC = re.compile(r"[*?\[{]")
_SECONDS = 5.0


class Table(NamedTuple):
    """Rows of a split."""

    data: Any
    """A `pyarrow.Table`, memory-mapped."""
    features: dict[str, Any]
    """`Features.to_dict()`."""


def find(choice: hub.Choice) -> Table | None:
    """The rows of an earlier opening; None where there was none, or anything has changed since."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if not _is_eligible(choice):
            return None
        note = json.loads(_note(choice).read_bytes())
        stamps = note["stamps"]
        if any(_stamp(Path(path)) != stamp for path, stamp in stamps.items()):
            return None
        if choice.is_remote:
            if not _is_current(choice, note["commit"]):
                return None
        elif sorted(map(str, _sources(choice))) != note["sources"]:
            return None
        data = _read(note["arrow"])
        if data.num_rows == note["num_rows"] and data.column_names == list(note["features"]):
            return Table(data, note["features"])
    return None


def remember(choice: hub.Choice, dataset: Any, *, began_ns: int) -> None:
    """Note where an opened dataset lies, if that can be told for certain; else nothing.

    Args:
        choice: What was asked for.
        dataset: The `datasets.Dataset` that came of it, as it was loaded.
        began_ns: `time.time_ns()` before it was loaded.
    """
    import datasets

    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        has_indices = dataset._indices is not None  # noqa: SLF001  (no public name)
        if not _is_eligible(choice) or has_indices or not dataset.cache_files:
            return
        if Path(datasets.config.HF_DATASETS_CACHE).resolve() != _cache().resolve():
            return
        arrow = [str(Path(f["filename"]).resolve()) for f in dataset.cache_files]
        commit = Path(arrow[0]).parent.name if choice.is_remote else None
        if choice.is_remote and not _COMMIT.fullmatch(commit or ""):
            return
        sources = [] if choice.is_remote else sorted(map(str, _sources(choice)))
        stamps = {path: _stamp(Path(path)) for path in {*sources, *arrow}}
        if any(max(stamps[s][1:3]) > began_ns - _RACY_NS for s in sources):
            return
        data = _read(arrow)
        if data.num_rows != len(dataset) or not data.schema.equals(dataset.data.schema):
            return
        features = dataset.features.to_dict()
        note = {"arrow": arrow, "stamps": stamps, "sources": sources, "commit": commit, "num_rows": data.num_rows,
                "features": features}  # fmt: skip
        if json.loads(json.dumps(features)) != features or list(features) != data.column_names:
            return
        path = _note(choice)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(note))
        unfinished.replace(path)


def _is_eligible(choice: hub.Choice) -> bool:
    if choice.options.get("force_download") or "download_mode" in choice.kwargs:
        return False
    if choice.is_remote:
        return not any("://" in s for s in _strings(choice.kwargs.get("data_files")))
    return choice.is_builder or Path(choice.source).is_dir()


def _cache() -> Path:
    return Path(os.path.expanduser(os.getenv("HF_DATASETS_CACHE") or hub.below_home("datasets")))


def notes_folder() -> Path:
    """Where the notes lie."""
    return _cache() / "pytest_lmms"


def _note(choice: hub.Choice) -> Path:
    source = choice.source if choice.is_remote or choice.is_builder else str(Path(choice.source).resolve())
    key = [
        _VERSION, importlib.metadata.version("datasets"), _endpoint(), source, choice.name, choice.split,
        dict(choice.kwargs), bool(choice.options.get("load_from_disk")), [] if choice.is_remote else os.getcwd(),
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()  # an object in kwargs: TypeError
    return notes_folder() / f"{digest[:40]}.json"


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(files: list[str]) -> Any:
    import pyarrow as pa

    tables = [pa.ipc.open_stream(pa.memory_map(file)).read_all() for file in files]
    return pa.concat_tables(tables)


# --- what the result depends on --------------------------------------------------------------------------------------


def _sources(choice: hub.Choice) -> Iterator[Path]:
    """Every local file that could change what is opened; for a pattern, all files of the folder it begins in.

    Raises:
        ValueError: It cannot be told, or there are too many.
    """
    if not choice.is_builder:
        roots = [choice.source]
    else:
        roots = [*_strings(choice.kwargs.get("data_files")), *_strings(choice.kwargs.get("data_dir"))]
    if not roots:
        raise ValueError("no files named")
    seen: set[Path] = set()
    for root in roots:
        if "://" in root or "::" in root:
            raise ValueError("not of this disk")
        magic = _MAGIC.search(root)
        top = Path(os.path.dirname(root[: magic.start()]) if magic else root)
        for path in _walk(top.resolve(strict=True)):
            seen.add(path)
            if len(seen) > _MAX_SOURCES:
                raise ValueError("too many files")
    yield from seen


def _walk(top: Path) -> Iterator[Path]:
    if not top.is_dir():
        yield top
        return
    for folder, folders, files in os.walk(top):
        if any(os.path.islink(os.path.join(folder, f)) for f in folders):
            raise ValueError("a folder is a link")
        for file in files:
            yield Path(folder, file)


def _strings(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [s for v in (value.values() if isinstance(value, dict) else value) for s in _strings(v)]


# --- the Hub ----------------------------------------------------------------------------------------------------------


def _endpoint() -> str:
    return (os.getenv("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _is_current(choice: hub.Choice, commit: str) -> bool:
    """Whether the Hub's revision is still this commit; what `datasets` would find out with several requests."""
    revision = choice.kwargs.get("revision") or "main"
    if revision == commit:
        return True
    if choice.options.get("local_files_only") or not hub.reaches_hub():
        return _cached_commit(choice.source, revision) in (commit, None)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = HfApi().dataset_info(
            choice.source, revision=revision, timeout=_SECONDS, token=choice.kwargs.get("token"), expand=["sha"]
        )
    except HfHubHTTPError:
        return False
    return bool(info.sha == commit)


def _cached_commit(dataset: str, revision: str) -> str | None:
    """The commit that the Hub's cache on this machine knows a branch by."""
    from huggingface_hub import constants

    reference = Path(constants.HF_HUB_CACHE, f"datasets--{dataset.replace('/', '--')}", "refs", revision)
    return reference.read_text().strip() if reference.is_file() else None
