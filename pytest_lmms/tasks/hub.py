"""Open a dataset with `datasets`: of the Hub, of this disk, or of files, with every `dataset_kwargs` that tasks use.

The only module that loads a dataset or downloads a repository. Its errors name the first cause, not the last retry.
"""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_lmms.errors import DatasetError, explain
from pytest_lmms.media.resolve import hf_home
from pytest_lmms.tasks import causes, jsonfiles, parquetfiles
from pytest_lmms.tasks.spec import TaskSpec

_OPTIONS = frozenset(
    {"video", "cache_dir", "force_download", "force_unzip", "local_files_only", "create_link", "load_from_disk",
     "max_retries", "streaming", "split", "trust_remote_code", "lance"}
)  # fmt: skip
"""`dataset_kwargs` that are for us; all others go to `datasets.load_dataset`."""
_UNSUPPORTED = {
    "From_YouTube": "videos are not fetched from YouTube: which of them still exist changes, and with it the score",
    "builder_script": "`datasets` 4 and later run no loading scripts",
}
_LOCAL_BUILDERS = frozenset(
    {"json", "csv", "parquet", "text", "arrow", "imagefolder", "audiofolder", "videofolder", "webdataset"}
)
_HUB_SECONDS = 3.0
"""How long a first connection to the Hub may take."""
_ETAG_SECONDS = 60.0
_MAX_RETRIES = 10


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which dataset a task asks for."""

    task: str
    where: str
    source: str
    """Hub id, a local path, or a builder's name."""
    name: str | None
    split: str
    kwargs: Mapping[str, Any]
    """For `datasets.load_dataset`."""
    options: Mapping[str, Any]
    """For us: `video`, `cache_dir`, `force_download`, ..."""

    @property
    def is_remote(self) -> bool:
        """Whether it lies on the Hub."""
        return self.source not in _LOCAL_BUILDERS and not Path(self.source).exists()

    @property
    def is_builder(self) -> bool:
        """Whether `source` names a format, and `data_files` or `data_dir` the files."""
        return self.source in _LOCAL_BUILDERS

    @property
    def shown(self) -> str:
        """The source, for errors: of a format, with its files."""
        files = self.kwargs.get("data_files") or self.kwargs.get("data_dir")
        return f"{self.source}: {files}" if self.is_builder else self.source

    @classmethod
    def of(cls, spec: TaskSpec, path: Path, where: str, split: str | None) -> Choice:
        """What a task's YAML says; paths beside the YAML are found from any working directory.

        Raises:
            DatasetError: It names no dataset, or a key that is not supported, with the reason.
        """
        if spec.dataset_path is None:
            raise DatasetError(explain(f"task {spec.task} names no dataset_path", where=where))
        for key, reason in _UNSUPPORTED.items():
            if spec.dataset_kwargs.get(key):
                raise DatasetError(
                    explain(
                        f"dataset_kwargs: {key} of task {spec.task} is not supported: {reason}",
                        where=where,
                        remedy="get the files first, and name them by dataset_path, data_files or HF_HOME/cache_dir",
                    )
                )
        source = spec.dataset_path
        local = path.parent / source
        if source not in _LOCAL_BUILDERS and not Path(source).exists() and local.exists():
            source = str(local)
        given = {k: v for k, v in spec.dataset_kwargs.items() if v is not None and k not in _UNSUPPORTED}
        kwargs = {k: v for k, v in given.items() if k not in _OPTIONS}
        if source in _LOCAL_BUILDERS:
            kwargs |= {k: _beside(kwargs[k], path.parent) for k in ("data_files", "data_dir") if k in kwargs}
        if not _has_token(kwargs.get("token")):
            kwargs.pop("token", None)
        if given.get("cache_dir") and "video" not in given:
            kwargs["cache_dir"] = str(below_home(str(given["cache_dir"])))
        assert split is not None  # noqa: S101  (build_spec checked it)
        options = {k: v for k, v in given.items() if k in _OPTIONS}
        return cls(
            task=spec.task,
            where=where,
            source=source,
            name=spec.dataset_name,
            split=split,
            kwargs=kwargs,
            options=options,
        )


def below_home(folder: str) -> Path:
    """A `cache_dir`: absolute, or below HF_HOME; `~` and `$NAME` are filled in."""
    return Path(hf_home(), os.path.expanduser(os.path.expandvars(folder)))


def load(choice: Choice) -> Any:
    """Open one split as a `datasets.Dataset`.

    Raises:
        DatasetError: It cannot be opened, or has no rows, or rows that would end the process.
    """
    import datasets

    if choice.options.get("streaming"):
        warnings.warn(
            f"{choice.where}: streaming: true of task {choice.task} is not used: documents have numbers, "
            "so the dataset is downloaded",
            stacklevel=2,
        )
    progress = datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        with _cache_only() if _is_offline(choice) else contextlib.nullcontext():
            dataset = _open(choice)
    except DatasetError:
        raise
    except Exception as e:
        if causes.says_empty(e):
            raise causes.empty(choice) from e
        raise causes.explained(choice, e, is_offline=choice.is_remote and not reaches_hub()) from e
    finally:
        if progress:
            datasets.utils.logging.enable_progress_bar()
    if not len(dataset):
        raise causes.empty(choice)
    return dataset


def _open(choice: Choice) -> Any:
    import datasets

    if choice.options.get("load_from_disk"):
        loaded = datasets.load_from_disk(choice.source)
        if not hasattr(loaded, "keys"):
            return loaded
        if choice.split not in loaded:
            raise ValueError(f'Unknown split "{choice.split}". Should be one of {list(loaded)}.')
        return loaded[choice.split]
    config = datasets.DownloadConfig(
        max_retries=int(choice.options.get("max_retries", _MAX_RETRIES)),
        local_files_only=bool(choice.options.get("local_files_only")),
    )
    if Path(choice.source, "state.json").exists():  # its error says what to do
        return datasets.load_dataset(choice.source, choice.name, split=choice.split, **choice.kwargs)
    given = dict(choice.kwargs)
    preparing = {name: given.pop(name) for name in ("num_proc", "verification_mode") if name in given}
    builder = datasets.load_dataset_builder(choice.source, choice.name, download_config=config, **given)
    builder.download_and_prepare(
        dl_manager=_looking(builder, config), download_mode=given.get("download_mode"), **preparing
    )
    return builder.as_dataset(split=choice.split)


def _looking(builder: Any, config: Any) -> Any:
    """What gets a dataset's files for `datasets`, and looks at them before they are read."""
    import datasets

    kind = type(builder).__module__.rpartition(".")[2]
    check = {"json": jsonfiles.check, "parquet": parquetfiles.check}.get(kind)

    class Looking(datasets.DownloadManager):  # type: ignore[misc]
        def download(self, url_or_urls: Any) -> Any:
            found = super().download(url_or_urls)
            if check is not None and not getattr(builder.config, "field", None):
                check(Path(path) for path in jsonfiles.strings(found) if os.path.isfile(path))
            return found

    return Looking(builder.dataset_name, builder.config.data_dir, config, builder.base_path)


def download(choice: Choice) -> str:
    """Download the dataset's repository whole, going on where an earlier download stopped.

    Returns:
        The folder of its files; of a local dataset, its own folder.

    Raises:
        DatasetError: It cannot be downloaded, with the first cause.
    """
    if not choice.is_remote:
        return choice.source
    from huggingface_hub import snapshot_download

    try:
        with _cache_only() if _is_offline(choice) else contextlib.nullcontext():
            return str(
                snapshot_download(
                    choice.source,
                    repo_type="dataset",
                    revision=choice.kwargs.get("revision"),
                    token=choice.kwargs.get("token"),
                    force_download=bool(choice.options.get("force_download")),
                    local_files_only=bool(choice.options.get("local_files_only")),
                    etag_timeout=_ETAG_SECONDS,
                )
            )
    except Exception as e:
        raise causes.explained(choice, e, is_offline=choice.is_remote and not reaches_hub()) from e


def _is_offline(choice: Choice) -> bool:
    return choice.is_remote and (bool(choice.options.get("local_files_only")) or not reaches_hub())


@functools.lru_cache(maxsize=1)
def reaches_hub() -> bool:
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
