"""`report.html` of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_lmms.results.runs import StoredRun, read_run
from pytest_lmms.viewer.data import comparison, records, summarise
from pytest_lmms.viewer.media import Documents
from pytest_lmms.viewer.page import make_page
from pytest_lmms.viewer.thumbnails import interesting_first, thumbnails

FILE = "report.html"
MAX_RECORDS = 10_000
"""Records of one run that a report holds; `pytest-lmms view` shows them all."""
PICTURE_SECONDS = 1.0
PICTURE_BYTES = 6_000_000
KEY = "run"


def write_report(
    folder: Path,
    *,
    baseline: StoredRun | None = None,
    picture_seconds: float = PICTURE_SECONDS,
    picture_bytes: int = PICTURE_BYTES,
) -> Path:
    """Write the page of a finished run beside its results.json.

    Args:
        folder: Run folder.
        baseline: A run to compare with.
        picture_seconds: Time for pictures; documents that went wrong come first.
        picture_bytes: Of all pictures.

    Returns:
        The file.

    Raises:
        StoreError: The run cannot be read.
        OSError: The file cannot be written.
    """
    run = read_run(folder)
    found: dict[str, list[dict[str, Any]]] = {}
    left, is_cut = MAX_RECORDS, False
    for task in run.tasks:
        found[task] = []
        if run.samples_path(task).is_file():
            for record in records(run, task):
                if left <= 0:
                    is_cut = True
                    break
                found[task].append(record)
                left -= 1
    messages: dict[str, dict[str, Any]] = {}
    wanted = interesting_first(found)
    for task, doc_id, content in thumbnails(Documents(run), wanted, seconds=picture_seconds, num_bytes=picture_bytes):
        messages.setdefault(task, {})[str(doc_id)] = content
    data = {
        "runs": [summarise(run, KEY)],
        "records": {KEY: found},
        "messages": {KEY: messages},
        "is_cut": is_cut,
        "comparison": None if baseline is None else comparison(run, baseline),
    }
    path = run.path.parent / FILE
    whole = path.with_suffix(".new")
    whole.write_text(make_page(data, title=f"{run.name} · pytest-lmms"), encoding="utf-8")
    whole.replace(path)
    return path
