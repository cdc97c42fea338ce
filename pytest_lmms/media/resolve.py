"""Where the file lies that a dataset row names: below the folders that the task and the user know, and nowhere else.

The arithmetic on paths is done once; whether a file exists is asked each time, so that one that arrives during a run
is found. Opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.records import MediaKind

ROOT_VARIABLE = "LMMS_EVAL_MEDIA_ROOT"
OUTSIDE_VARIABLE = "LMMS_MEDIA_OUTSIDE_ROOTS"
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "video": ("mp4", "webm", "mkv", "mov", "avi", "flv", "wmv"),
    "audio": ("wav", "mp3", "m4a", "aac", "flac", "ogg", "opus", "webm"),
    "image": ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tiff"),
}
_FOLDERS = {
    "video": (("video", "videos", "clips"), ("video", "videos")),
    "audio": (("audio", "audios", "clips"), ("audio", "audios")),
    "image": (("image", "images"), ("image", "images")),
}
"""By kind: folders below HF_HOME/cache_dir, and below HF_HOME/datasets/cache_dir."""


def hf_home() -> str:
    """The folder of Hugging Face's libraries: HF_HOME, else `huggingface` below XDG_CACHE_HOME or ~/.cache."""
    cache = os.getenv("XDG_CACHE_HOME") or "~/.cache"
    return os.path.expanduser((os.getenv("HF_HOME") or "").strip() or os.path.join(cache, "huggingface"))


def resolve_media_reference(
    reference: Any,
    media_type: MediaKind = "video",
    cache_dir: str | None = None,
    env_vars: Sequence[str] = (),
    extra_subdirs: Sequence[str] = (),
) -> Any:
    """Find the file that a row names.

    Args:
        reference: A path or a bare name, with or without extension.
        media_type: Decides which extensions and folders are tried.
        cache_dir: The task's folder, below HF_HOME.
        env_vars: Environment variables that may name a folder, looked into first.
        extra_subdirs: Folders below each root to look into as well.

    Returns:
        The path of the first file that exists: the reference itself, where it lies in a root; then below the values of
        `env_vars`, LMMS_EVAL_MEDIA_ROOT, HF_HOME, and `cache_dir` below HF_HOME and HF_HOME/datasets, by its whole
        name and by its last part, with its extension as it is, in small and in capital letters, or with each that the
        kind has. What is no string, empty, an http address or nowhere comes back as it is.

    Raises:
        MediaError: The only file of that name lies outside all roots (`..`, an absolute path, a link) and the
            environment variable LMMS_MEDIA_OUTSIDE_ROOTS is not 1.
    """
    if not isinstance(reference, str) or not (value := reference.strip()):
        return reference
    if value.lower().startswith(("http://", "https://")):
        return reference
    roots = _candidate_roots(
        tuple(os.getenv(name, "").strip() for name in env_vars),
        os.getenv(ROOT_VARIABLE, "").strip(),
        hf_home(),
        cache_dir,
        media_type,
    )
    outside = None
    for path in _as_given(value):
        if os.path.exists(path):
            if is_inside(path, roots):
                return path
            outside = outside or path
    for parent in _parents(roots, tuple(extra_subdirs)):
        for name in _names(value, media_type):
            path = os.path.join(parent, name)
            if os.path.exists(path):
                if is_inside(path, roots):
                    return path
                outside = outside or path
    if outside is None:
        return reference
    raise outside_roots(reference, outside, roots)


def outside_roots(reference: str, path: str, roots: Iterable[str]) -> MediaError:
    """The error for a file that a row names and may not."""
    return MediaError(
        explain(
            f"{reference!r} lies outside the folders of its dataset",
            where=os.path.realpath(path),
            expected="a file below " + ", ".join(dict.fromkeys(r for r in roots if os.path.isdir(r))),
            remedy=f"move it there, set {ROOT_VARIABLE} to its folder, or, for a dataset that you trust, "
            f"set {OUTSIDE_VARIABLE}=1",
        )
    )


def _as_given(value: str) -> Iterable[str]:
    return dict.fromkeys((os.path.expanduser(value), value))


@lru_cache(maxsize=256)
def _candidate_roots(
    env_values: tuple[str, ...], media_root: str, home: str, cache_dir: str | None, media_type: str
) -> tuple[str, ...]:
    roots = [os.path.expanduser(value) for value in (*env_values, media_root) if value]
    roots.append(home)
    if cache_dir:
        bases = (os.path.join(home, cache_dir), os.path.join(home, "datasets", cache_dir))
        roots += bases
        for base, folders in zip(bases, _FOLDERS[media_type], strict=True):
            roots += [os.path.join(base, folder) for folder in folders]
    return tuple(dict.fromkeys(roots))


@lru_cache(maxsize=256)
def _parents(roots: tuple[str, ...], subdirs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.join(root, sub) if sub else root for root in roots for sub in ("", *subdirs)))


@lru_cache(maxsize=4096)
def _names(value: str, media_type: str) -> tuple[str, ...]:
    """Relative paths to try: the whole name and its last part, each with its variants."""
    whole = value.lstrip("/") if os.path.isabs(value) else value
    names = []
    for name in (whole, os.path.basename(value)):
        stem, extension = os.path.splitext(name)
        if extension:
            names += [name, stem + extension.lower(), stem + extension.upper()]
        elif name:
            names += [f"{name}.{e}" for known in EXTENSIONS[media_type] for e in (known, known.upper())]
    return tuple(dict.fromkeys(names))


def is_inside(path: str, roots: Iterable[str]) -> bool:
    """Whether a file, links followed, lies below a root, or LMMS_MEDIA_OUTSIDE_ROOTS is 1."""
    if os.getenv(OUTSIDE_VARIABLE, "").strip() == "1":
        return True
    real = os.path.realpath(path)
    return any(real.startswith(os.path.realpath(root).rstrip(os.sep) + os.sep) for root in roots)
