"""Videos that come from a folder, from a Lance dataset or, where neither is named, from an address.

Environment variables, with MINERVA for PREFIX: MINERVA_VIDEO_DIR, a folder of files; MINERVA_LANCE_VIDEO_URI, a Lance
dataset, with MINERVA_LANCE_VIDEO_ID_COLUMN (video_id), MINERVA_LANCE_VIDEO_BLOB_COLUMN (video_blob) and, for decoders
that need a file, MINERVA_LANCE_CACHE_DIR.
"""

from __future__ import annotations

import os
from pathlib import Path

from pytest_lmms.errors import explain
from pytest_lmms.media.lance_blob import BLOB_COLUMN, ID_COLUMN, LanceBlob
from pytest_lmms.records import MediaRef
from pytest_lmms.tasks.mediafiles import MissingMediaError, find_media, with_extensions

EXTENSIONS = ("mp4", "webm", "mkv", "mov", "MP4", "WEBM", "MKV", "MOV")


def find_video(video: str, *, prefix: str, cache_dir: str, address: str, beside: str) -> MediaRef:
    """Find a video: in the folder, then in the Lance dataset, then its address.

    Args:
        video: Its name, without extension.
        prefix: Of the environment variables.
        cache_dir: Where files lie when no folder is named: absolute, or below HF_HOME.
        address: For models that take addresses; given only when the user named neither folder nor dataset.
        beside: `__file__` of the task's code; its miniature's videos are found by name.

    Raises:
        MissingMediaError: It is neither in the folder nor in the dataset that the user named.
        MediaError: The dataset cannot be opened.
    """
    folder_variable, uri_variable = f"{prefix}_VIDEO_DIR", f"{prefix}_LANCE_VIDEO_URI"
    folder, uri = (os.getenv(name, "").strip() for name in (folder_variable, uri_variable))
    remedy = f"set {folder_variable} to a folder of videos, or {uri_variable} to a Lance dataset of them"
    try:
        return MediaRef(
            kind="video", path=find_media(folder or cache_dir, with_extensions(video, EXTENSIONS), beside=beside)
        )
    except MissingMediaError as missing:
        if uri:
            blob = LanceBlob(
                uri=uri,
                key=video,
                id_column=os.getenv(f"{prefix}_LANCE_VIDEO_ID_COLUMN") or ID_COLUMN,
                blob_column=os.getenv(f"{prefix}_LANCE_VIDEO_BLOB_COLUMN") or BLOB_COLUMN,
                cache_dir=os.getenv(f"{prefix}_LANCE_CACHE_DIR") or None,
            )
            if blob.exists():
                return MediaRef(kind="video", content=blob)
        elif not folder:
            return MediaRef(kind="video", url=address, remedy=remedy)
        places = [f"{folder_variable}={folder}"] * bool(folder) + [f"{uri_variable}={uri}"] * bool(uri)
        raise MissingMediaError(
            explain(f"no video {video!r}", where=" and ".join(places), expected=str(missing.expected), remedy=remedy),
            Path(missing.expected),
        ) from missing
