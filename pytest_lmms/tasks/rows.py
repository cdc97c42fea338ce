"""Open the documents of a task: a dataset of the Hub or of this disk, or the miniature beside the YAML.

Rows come out with media undecoded: an image column holds a PIL-compatible proxy that reads nothing until somebody
looks at its pixels. Order and count are those of the split after `process_docs`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import xxhash

from pytest_lmms.errors import DatasetError, did_you_mean, explain
from pytest_lmms.jsonl import dumps
from pytest_lmms.media.image import LazyImage
from pytest_lmms.tasks.frames import task_frame
from pytest_lmms.tasks.spec import TaskSpec

DataChoice = Literal["full", "mini"]
CHUNK = 32
"""Rows read at a time; neighbours are asked for next."""
_HARNESS_KWARGS = frozenset(
    {"video", "cache_dir", "force_download", "force_unzip", "local_files_only", "create_link", "From_YouTube",
     "builder_script", "load_from_disk", "max_retries", "token"}
)  # fmt: skip
_LOCAL_BUILDERS = frozenset(
    {"json", "csv", "parquet", "text", "arrow", "imagefolder", "audiofolder", "videofolder", "webdataset"}
)
_MEDIUM = frozenset({"bytes", "path"})
"""What `datasets` stores of an image, a sound or a video."""
_HUB_SECONDS = 3.0
"""How long a first connection to the Hub may take."""


class Rows(Protocol):
    """The documents of one task, in order."""

    columns: list[str]

    def __len__(self) -> int: ...

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored: media as bytes or paths."""
        ...

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it: media as lazy proxies."""
        ...


def digest_row(storage: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of a row's canonical JSON, with bytes replaced by their xxh3-128 digests."""
    row = {k: _canonical(v) if isinstance(v, (list, dict)) else v for k, v in storage.items()}
    return hashlib.sha256(dumps(row, sort_keys=True, default=_jsonable)).hexdigest()


def _canonical(value: Any) -> Any:
    """A value with every stored medium as the digest of its bytes, whatever file they once came from."""
    if isinstance(value, dict):
        if value.keys() == _MEDIUM and isinstance(value["bytes"], bytes):
            return value["bytes"]
        return {k: _canonical(v) for k, v in value.items()}
    return [_canonical(v) for v in value] if isinstance(value, list) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": xxhash.xxh3_128_hexdigest(value)}
    if isinstance(value, _MediaFile):
        return {"$bytes": value.digest}
    return str(value)


def select(total: int, *, offset: int, limit: float | None) -> range:
    """Row numbers that offset and limit leave of `total`.

    Args:
        total: Number of rows.
        offset: First row, >= 0.
        limit: None or -1 for all; a fraction in (0, 1) of `total`, rounded up; else a count.
    """
    if limit is None or limit < 0:
        stop = total
    elif 0 < limit < 1:
        stop = offset + math.ceil(total * limit)
    else:
        stop = offset + int(limit)
    return range(min(offset, total), min(stop, total))


# --- the miniature ---------------------------------------------------------------------------------------------


class _MediaFile:
    """A media file beside a miniature: `{"$image": "scene.png"}`."""

    __slots__ = ("kind", "path")

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path

    @property
    def digest(self) -> str:
        return _file_digest(self.path)

    def open(self) -> Any:
        if self.kind == "image":
            return LazyImage.from_path(str(self.path))
        if self.kind == "audio":
            return _audio(None, str(self.path))
        return str(self.path)


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path) -> str:
    return xxhash.xxh3_128_hexdigest(path.read_bytes())


class ListRows:
    """Rows held in memory."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], media_columns: Mapping[str, str] | None = None) -> None:
        self._rows = rows
        self.columns = list(dict.fromkeys(k for row in rows for k in row))
        self.media_columns = dict(media_columns or {})

    def __len__(self) -> int:
        return len(self._rows)

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored."""
        return self._rows[index]

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it."""
        return {k: _open_media(v) for k, v in self._rows[index].items()}

    def to_dataset(self) -> Any:
        """The rows as a `datasets.Dataset`, for `process_docs`."""
        import datasets

        def plain(value: Any) -> Any:
            if isinstance(value, _MediaFile):
                if value.kind == "video":
                    return str(value.path)
                return {"bytes": value.path.read_bytes(), "path": value.path.name}
            if isinstance(value, list):
                return [plain(v) for v in value]
            return value

        data = {c: [plain(row.get(c)) for row in self._rows] for c in self.columns}
        kinds = {"image": datasets.Image(), "audio": datasets.Audio()}
        features = datasets.Dataset.from_dict(data).features
        for column, kind in self.media_columns.items():
            if kind in kinds and column in features:
                many = any(isinstance(row.get(column), list) for row in self._rows)
                features[column] = datasets.List(kinds[kind]) if many else kinds[kind]
        return datasets.Dataset.from_dict(data, features=features)


def _open_media(value: Any) -> Any:
    if isinstance(value, _MediaFile):
        return value.open()
    if isinstance(value, list):
        return [_open_media(v) for v in value]
    if isinstance(value, dict):
        return {k: _open_media(v) for k, v in value.items()}
    return value


def miniature_path(spec: TaskSpec, path: Path) -> Path:
    """Where the miniature of a task is kept."""
    return path.parent / "miniature" / f"{spec.task}.jsonl"


def read_miniature(path: Path) -> ListRows:
    """Read a miniature: JSON lines; `{"$image": "file.png"}` stands for a medium beside the file.

    An optional first line ``{"$features": {"image_2": "image"}}`` names media columns that may be null.

    Raises:
        DatasetError: With file and line, a line that is no JSON object, or a medium that is not there.
    """
    rows: list[dict[str, Any]] = []
    media: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as e:
            raise DatasetError(explain(f"no JSON: {e.msg}", where=f"{path}:{number}")) from e
        if not isinstance(row, dict):
            raise DatasetError(explain("no JSON object", where=f"{path}:{number}"))
        if "$features" in row:
            media |= row["$features"]
            continue
        opened = {k: _read_value(v, path, number) for k, v in row.items()}
        for key, value in opened.items():
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, _MediaFile):
                media[key] = first.kind
        rows.append(opened)
    return ListRows(rows, media)


def _read_value(value: Any, path: Path, number: int) -> Any:
    if isinstance(value, list):
        return [_read_value(v, path, number) for v in value]
    if isinstance(value, dict):
        key = next(iter(value), "")
        if len(value) == 1 and key in ("$image", "$audio", "$video"):
            file = path.parent / value[key]
            if not file.is_file():
                raise DatasetError(explain(f"no file {value[key]!r}", where=f"{path}:{number}"))
            return _MediaFile(key[1:], file)
        return {k: _read_value(v, path, number) for k, v in value.items()}
    return value


# --- datasets --------------------------------------------------------------------------------------------------


class DatasetRows:
    """Rows of a `datasets.Dataset`, read in chunks, media left as stored."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset.with_format("arrow")
        self._wrap = {n: w for n, f in dataset.features.items() if (w := _wrapper(f))}
        self.columns = list(dataset.column_names)
        self._lock = threading.Lock()
        self._chunks: dict[int, list[dict[str, Any]]] = {}
        self._length = len(dataset)

    def __len__(self) -> int:
        return self._length

    def storage(self, index: int) -> Mapping[str, Any]:
        """One row as it is stored; its neighbours are read with it."""
        chunk = index // CHUNK
        with self._lock:
            rows = self._chunks.get(chunk)
            if rows is None:
                start = chunk * CHUNK
                rows = self._dataset[start : start + CHUNK].to_pylist()
                while len(self._chunks) >= 8:
                    del self._chunks[next(iter(self._chunks))]
                self._chunks[chunk] = rows
        return rows[index - chunk * CHUNK]

    def document(self, index: int) -> dict[str, Any]:
        """One row as task code sees it."""
        row = {k: _copied(v) if isinstance(v, (list, dict)) else v for k, v in self.storage(index).items()}
        for name, wrap in self._wrap.items():
            row[name] = wrap(row[name])
        return row


def _copied(value: Any) -> Any:
    """A copy whose lists and mappings task code may change."""
    if isinstance(value, list):
        return [_copied(v) for v in value]
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else value


def _wrapper(feature: Any) -> Callable[[Any], Any] | None:
    """What turns a stored value of this feature into what task code sees; None where nothing changes."""
    kind = type(feature).__name__
    if kind == "Image":
        return _image
    if kind == "Audio":
        return lambda v: None if v is None else _audio(v.get("bytes"), v.get("path"))
    if kind == "Video":
        return lambda v: v and (v.get("path") or v)
    if isinstance(feature, dict):
        inner = {k: w for k, f in feature.items() if (w := _wrapper(f))}
        if not inner:
            return None
        return lambda v: v and {k: inner[k](x) if k in inner else x for k, x in v.items()}
    item = getattr(feature, "feature", None)
    if item is None and isinstance(feature, list) and feature:
        item = feature[0]
    wrap = _wrapper(item) if item is not None else None
    if wrap is None:
        return None
    return lambda v: v if v is None else [wrap(x) for x in v]


def _image(value: Any) -> Any:
    if value is None:
        return None
    if value.get("bytes") is not None:
        return LazyImage.from_bytes(value["bytes"])
    return LazyImage.from_path(value["path"])


class LazyAudio(dict[str, Any]):
    """``{"array", "sampling_rate", "path"}`` of a sound, decoded when first asked for."""

    def __init__(self, data: bytes | None, path: str | None) -> None:
        super().__init__(path=path)
        self._data = data

    def __missing__(self, key: str) -> Any:
        if key not in ("array", "sampling_rate"):
            raise KeyError(key)
        from pytest_lmms.media.audio import read_audio

        samples, rate = read_audio(self._data if self._data is not None else str(self["path"]))
        self.update(array=samples, sampling_rate=rate)
        return self[key]


def _audio(data: bytes | None, path: str | None) -> LazyAudio:
    return LazyAudio(data, path)


def fewshot_split_of(spec: TaskSpec) -> str | None:
    """The split that few-shot examples come from: the first that the task names of these."""
    return spec.fewshot_split or spec.training_split or spec.validation_split or spec.test_split


def open_rows(
    spec: TaskSpec, path: Path, *, data: DataChoice = "full", where: str | None = None, split: str | None = None
) -> Rows:
    """Open a task's documents.

    Args:
        spec: The task.
        path: Its YAML.
        data: `full` for the dataset, `mini` for the miniature beside the YAML.
        where: For errors; the YAML by default.
        split: Another split than the one that is asked; a miniature has one only.

    Raises:
        DatasetError: It cannot be opened: with the first cause, and what to do.
    """
    where = where or str(path)
    if data == "mini":
        file = miniature_path(spec, path)
        if not file.is_file():
            raise DatasetError(
                explain(
                    f"task {spec.task} has no miniature",
                    where=where,
                    expected=str(file),
                    remedy="leave out --lmms-data mini, or write one",
                )
            )
        rows = read_miniature(file)
        if spec.process_docs is None:
            return rows
        return DatasetRows(_process(spec, rows.to_dataset(), where))
    return DatasetRows(_process(spec, _load_dataset(spec, path, where, split or spec.split), where))


def _process(spec: TaskSpec, dataset: Any, where: str) -> Any:
    if spec.process_docs is None:
        return dataset
    try:
        return spec.process_docs(dataset)
    except Exception as e:
        raise DatasetError(
            explain(
                f"process_docs of task {spec.task} failed with {type(e).__name__}: {e} ({task_frame(e)})",
                where=getattr(spec.process_docs, "where", where),
            )
        ) from e


def _load_dataset(spec: TaskSpec, path: Path, where: str, split: str | None) -> Any:
    import datasets

    if spec.dataset_path is None:
        raise DatasetError(explain(f"task {spec.task} names no dataset_path", where=where))
    kwargs = {k: v for k, v in spec.dataset_kwargs.items() if k not in _HARNESS_KWARGS}
    kwargs.pop("trust_remote_code", None)
    source = spec.dataset_path
    local = path.parent / source
    if source not in _LOCAL_BUILDERS and not Path(source).exists() and local.exists():
        source = str(local)
    if "data_files" in kwargs:
        kwargs["data_files"] = _beside(kwargs["data_files"], path.parent)
    if _has_token(spec.dataset_kwargs.get("token")):
        kwargs["token"] = spec.dataset_kwargs["token"]
    assert split is not None  # noqa: S101  (build_spec checked it)
    progress = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        if spec.dataset_kwargs.get("load_from_disk"):
            loaded = datasets.load_from_disk(source)
            return loaded[split] if hasattr(loaded, "keys") else loaded
        is_remote = source not in _LOCAL_BUILDERS and not Path(source).exists()
        with _cache_only() if is_remote and not _reaches_hub() else contextlib.nullcontext():
            return datasets.load_dataset(source, spec.dataset_name, split=split, **kwargs)
    except Exception as e:
        raise _explained(spec, source, where, e) from e
    finally:
        if progress:
            datasets.utils.logging.enable_progress_bar()


@functools.lru_cache(maxsize=1)
def _reaches_hub() -> bool:
    """Whether the Hub answers at all; asked once, because the Hub's client retries for half a minute a dataset."""
    import socket

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    address = urlsplit(constants.ENDPOINT)
    if any(os.environ.get(n) for v in (f"{address.scheme}_proxy", "all_proxy") for n in (v, v.upper())):
        return True  # the proxy knows
    port = address.port or (443 if address.scheme == "https" else 80)
    for _ in range(2):
        with contextlib.suppress(OSError), socket.create_connection((address.hostname, port), timeout=_HUB_SECONDS):
            return True
    return False


@contextlib.contextmanager
def _cache_only() -> Iterator[None]:
    """Let the Hub's libraries look into this machine's cache only."""
    import datasets
    from huggingface_hub import constants

    places: tuple[Any, ...] = (constants, datasets.config)
    before = [getattr(place, "HF_HUB_OFFLINE", False) for place in places]
    for place in places:
        place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def _has_token(token: Any) -> bool:
    """Whether the `token` of a YAML can be used: `true` means the user's own, which may not exist."""
    if token is True:
        from huggingface_hub import get_token

        return get_token() is not None
    return bool(token)


def _beside(files: Any, folder: Path) -> Any:
    if isinstance(files, str):
        relative = not Path(files).is_absolute() and "://" not in files and not Path(files).exists()
        return str(folder / files) if relative and any(folder.glob(files)) else files
    if isinstance(files, Mapping):
        return {k: _beside(v, folder) for k, v in files.items()}
    return [_beside(f, folder) for f in files]


def _explained(spec: TaskSpec, source: str, where: str, error: Exception) -> DatasetError:
    causes: list[BaseException] = [error]
    while (nxt := causes[-1].__cause__ or causes[-1].__context__) is not None and nxt not in causes:
        causes.append(nxt)
    first = causes[-1]
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if first is not error:
        reason += f" (first cause: {type(first).__name__}: {str(first)[:200]})"
    is_remote = source not in _LOCAL_BUILDERS and not Path(source).exists()
    if is_remote and not _reaches_hub():
        reason = "the Hub cannot be reached, and this machine's cache does not have it"
        if not isinstance(error, (ConnectionError, FileNotFoundError)):
            reason += f" ({type(error).__name__}: {str(error)[:200]})"
    if isinstance(error, ValueError) and "Unknown split" in str(error):
        remedy = "correct the split in the YAML"
    elif "BuilderConfig" in str(error):
        remedy = "correct dataset_name in the YAML"
    else:
        remedy = (
            "go online once, or set HF_HOME to a cache that has it, or try the task on its miniature: --lmms-data mini"
        )
    return DatasetError(
        explain(f"the dataset of task {spec.task} ({source}) cannot be opened: {reason}", where=where, remedy=remedy)
    )


def check_column(spec: TaskSpec, rows: Rows, column: str, where: str) -> None:
    """Raise a `DatasetError` unless the dataset has a column."""
    if column not in rows.columns:
        raise DatasetError(
            explain(
                f"the dataset of task {spec.task} has no column {column!r}",
                where=where,
                expected="one of " + ", ".join(rows.columns),
                suggestion=did_you_mean(column, rows.columns),
            )
        )
