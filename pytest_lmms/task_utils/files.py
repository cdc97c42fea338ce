"""Where task files put submissions, and where they look for templates and videos: `file_utils`, `video_loader`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.media.resolve import hf_home
from pytest_lmms.yamlbounds import load_plain

TEMPLATE = "_default_template_yaml"


def generate_submission_file(file_name: str, args: Any, subpath: str = "submissions") -> str:
    """Make a folder for submissions and return a file's absolute path in it.

    Args:
        file_name: The file's name; it is not made.
        args: What an aggregation is given; the folder lies in its `output_path`, without one in the working directory.
        subpath: The folder's name.
    """
    folder = Path(getattr(args, "output_path", None) or "", subpath)
    folder.mkdir(parents=True, exist_ok=True)
    return os.path.abspath(folder / file_name)


def load_default_template_yaml(task_file: str | os.PathLike[str]) -> Any:
    """Read `_default_template_yaml` beside a file, without its lines that name functions."""
    path = Path(task_file).parent / TEMPLATE
    text = path.read_text(encoding="utf-8")
    return load_plain("".join(line for line in text.splitlines(keepends=True) if "!function" not in line))


def get_cache_dir(config: Mapping[str, Any], sub_dir: str = "videos") -> str:
    """Return a task's folder of videos: below Hugging Face's home, by `cache_dir` of its `dataset_kwargs`."""
    return os.path.join(hf_home(), config["dataset_kwargs"]["cache_dir"], sub_dir)


def resolve_cache_dir(cache_dir: str, base_dir: str | None = None) -> str:
    """Return a folder with ``$VAR`` and ``~`` filled in; a relative one below `base_dir`, where that is given."""
    folder = os.path.expanduser(os.path.expandvars(cache_dir))
    return folder if base_dir is None else os.path.join(base_dir, folder)


def get_video(prefix: str, video_name: object, suffix: str = "mp4") -> str:
    """Return the absolute path of a video in a folder, its extension as given, in capital or in small letters.

    Args:
        prefix: The folder.
        video_name: With or without extension.
        suffix: The extension, without a dot.

    Raises:
        FileNotFoundError: None of them is there.
    """
    tried = []
    for extension in (suffix, suffix.upper(), suffix.lower()):
        name = str(video_name)
        name = name if name.endswith(extension) else f"{name}.{extension}"
        path = os.path.abspath(os.path.join(prefix, name))
        if os.path.exists(path):
            return path
        tried.append(path)
    message = f"no video {video_name!r}: none of {', '.join(dict.fromkeys(tried))} is there"
    raise FileNotFoundError(message)
