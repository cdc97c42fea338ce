"""Files for benchmarks whose answers are hidden: their servers score what is written here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any


def write_submission(name: str, content: Any, args: Any) -> None:
    """Write ``<output_path>/submissions/<name>`` as JSON; nothing without an output path.

    Args:
        name: File name.
        content: What JSON can hold.
        args: What an aggregation is given; has `output_path`.
    """
    if output_path := getattr(args, "output_path", None):
        folder = Path(output_path, "submissions")
        folder.mkdir(parents=True, exist_ok=True)
        # Half of a surrogate pair has no UTF-8; with a backslash before it, it is what JSON writes for it.
        text = json.dumps(content, ensure_ascii=False)
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")


def write_dated_submission(stem: str, items: Sequence[Any], args: Any = None) -> None:
    """Write the items of all documents as ``<output_path>/submissions/<stem>-<now>.json``."""
    now = datetime.now().astimezone().strftime("%Y-%m-%d-%H-%M-%S")
    write_submission(f"{stem}-{now}.json", list(items), args)
