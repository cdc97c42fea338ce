"""Media that come in archives beside a dataset's rows: `dataset_kwargs: {video: true, cache_dir: name}`.

The dataset's repository is downloaded whole and its archives are unpacked into `cache_dir` below HF_HOME, where task
code looks for them. A folder of that name is complete: it is unpacked under another name and renamed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_lmms.errors import DatasetError, explain
from pytest_lmms.tasks import hub
from pytest_lmms.tasks.archives import Archive, find_archives
from pytest_lmms.tasks.unpacking import unpack

_unpacked_again: set[Path] = set()
"""Folders whose `force_unzip` this process has honoured."""


def fetch_media(choice: hub.Choice) -> None:
    """Bring a task's media to where its code expects them; nothing to do for tasks without `video: true`.

    A folder that is there is left as it is (it may be the user's own), unless `force_unzip` asks for its archives
    again; then files are replaced and none removed. `create_link` makes the folder a link to the snapshot where that
    has no archives.

    Raises:
        DatasetError: No `cache_dir`, the download fails, or an archive cannot be unpacked.
    """
    options = choice.options
    if not options.get("video"):
        return
    if not options.get("cache_dir"):
        raise DatasetError(
            explain(
                f"task {choice.task} has video: true and no cache_dir",
                where=choice.where,
                expected="dataset_kwargs: {video: true, cache_dir: NAME}, a folder below HF_HOME",
            )
        )
    folder = hub.below_home(str(options["cache_dir"]))
    again = bool(options.get("force_unzip")) and folder not in _unpacked_again
    relink = bool(options.get("create_link")) and folder.is_symlink()
    if folder.exists() and not again and not relink:
        return
    asked = time.time()
    with _alone(folder):
        is_done_meanwhile = folder.exists() and _finished(folder) >= asked
        if not is_done_meanwhile and (not folder.exists() or again or relink):
            _bring(choice, folder)
        _unpacked_again.add(folder)


def _bring(choice: hub.Choice, folder: Path) -> None:
    snapshot = Path(hub.download(choice))
    archives = find_archives(snapshot)
    if folder.is_symlink() and (archives or choice.options.get("create_link")):
        folder.unlink()
    if archives:
        _unpack_whole(archives, folder)
    elif choice.options.get("create_link") and not folder.exists():
        folder.symlink_to(snapshot, target_is_directory=True)
    if folder.exists():
        _stamp(folder).touch()


def _unpack_whole(archives: list[Archive], folder: Path) -> None:
    """Unpack under another name, then rename: what has the folder's name is complete."""
    unfinished = folder.with_name(f"{folder.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unpack(archives, unfinished)
        if folder.exists():
            _merge(unfinished, folder)
        else:
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _merge(new: Path, old: Path) -> None:
    for path in sorted(new.iterdir()):
        target = old / path.name
        if path.is_dir() and not path.is_symlink() and target.is_dir():
            _merge(path, target)
        else:
            path.replace(target)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the others wait for it and find its work."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


def _stamp(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.unpacked")


def _finished(folder: Path) -> float:
    try:
        return os.stat(_stamp(folder)).st_mtime
    except FileNotFoundError:
        return 0.0
