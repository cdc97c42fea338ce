"""Put downloaded MINERVA videos into one Lance dataset, as `MINERVA_LANCE_VIDEO_URI` reads it.

    python tools/minerva_to_lance.py --metadata-json minerva.json --videos-dir videos --output train.lance

Needs `pip install 'pytest-lmms[lance]'`. One row a video that the metadata names, in their order: video_id,
youtube_url, video_ext, video_size_bytes, video_blob. A video that is not in the folder is told, and makes the exit
code 1 unless --allow-missing says that it may lack.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.tasks.videosource import EXTENSIONS

COLUMNS = {
    "video_id": "string",
    "youtube_url": "string",
    "video_ext": "string",
    "video_size_bytes": "int64",
    "video_blob": "blob",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; 0 all videos written, 1 some are missing, 2 it could not be done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--metadata-json", type=Path, required=True, help="minerva.json: a list of objects with video_id")
    add("--videos-dir", type=Path, required=True, help="a folder with VIDEO_ID.mp4 (webm, mkv, mov)")
    add("--output", required=True, help="where to write: a folder, or an address that Lance knows")
    add("--batch-size", type=int, default=8, help="videos in memory at once, at most (8)")
    add("--mode", choices=("create", "overwrite", "append"), default="create")
    add("--max-rows-per-file", type=int, default=512)
    add("--max-rows-per-group", type=int, default=64, help="for the file format before 2.0 (legacy)")
    add("--max-bytes-per-file-gb", type=float, default=4.0)
    add("--data-storage-version", default="stable", help="of Lance's file format: stable, 2.1, 2.0")
    add("--allow-missing", action="store_true", help="exit code 0 also when videos are missing")
    parsed = parser.parse_args(arguments)
    try:
        return _run(parsed)
    except LmmsError as error:
        print(f"minerva_to_lance: {error}", file=sys.stderr)
        return 2


def _run(parsed: argparse.Namespace) -> int:
    try:
        from pytest_lmms.media import _lance
    except ImportError as error:
        raise UsageError(explain(str(error), remedy="pip install 'pytest-lmms[lance]'")) from error
    found, missing = _find(_video_ids(parsed.metadata_json), parsed.videos_dir)
    if not found:
        raise UsageError(explain("none of the videos is here", where=str(parsed.videos_dir), expected="VIDEO_ID.mp4"))
    written = _lance.write_table(
        parsed.output,
        COLUMNS,
        _rows(found),
        mode=parsed.mode,
        rows_per_batch=parsed.batch_size,
        max_rows_per_file=parsed.max_rows_per_file,
        max_rows_per_group=parsed.max_rows_per_group,
        max_bytes_per_file=int(parsed.max_bytes_per_file_gb * (1 << 30)),
        data_storage_version=parsed.data_storage_version,
    )
    print(f"{parsed.output}: {written.num_rows} videos, {written.num_bytes:,} bytes")
    if missing:
        print(f"{len(missing)} missing: " + ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else ""))
    return int(bool(missing) and not parsed.allow_missing)


def _video_ids(path: Path) -> list[str]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(explain(f"cannot be read: {error}", where=str(path), expected="MINERVA's JSON")) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("video_id") for row in rows):
        raise UsageError(explain("not MINERVA's metadata", where=str(path), expected="a list of objects with video_id"))
    return list(dict.fromkeys(str(row["video_id"]) for row in rows))


def _find(names: Sequence[str], folder: Path) -> tuple[dict[str, Path], list[str]]:
    there = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}
    found = {}
    for name in names:
        path = next((there[f"{name}.{e}"] for e in EXTENSIONS if f"{name}.{e}" in there), None)
        if path is not None:
            found[name] = path
    return found, [name for name in names if name not in found]


def _rows(found: dict[str, Path]) -> Iterator[dict[str, Any]]:
    for name, path in found.items():
        yield {
            "video_id": name,
            "youtube_url": f"https://www.youtube.com/watch?v={name}",
            "video_ext": path.suffix.lstrip(".").lower(),
            "video_size_bytes": path.stat().st_size,
            "video_blob": path.read_bytes,
        }


if __name__ == "__main__":
    sys.exit(main())
