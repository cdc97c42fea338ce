"""Small pictures inside a report: of the documents that people look at first, as many as time and size allow."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_lmms.viewer.media import THUMBNAIL_PX

if TYPE_CHECKING:
    from pytest_lmms.viewer.media import Documents


def thumbnails(
    documents: Documents, wanted: Iterable[tuple[str, int]], *, seconds: float, num_bytes: int
) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    """Messages with small pictures inside, for as many documents as time and size allow.

    Args:
        documents: Of the run.
        wanted: (task, document), the most interesting first.
        seconds: Time for all of them.
        num_bytes: Of all pictures.

    Yields:
        Task, document and its messages; a part with a picture has `src`. Documents that cannot be rendered are left
        out.
    """
    deadline = time.monotonic() + seconds
    left = num_bytes
    for task, doc_id in wanted:
        if time.monotonic() > deadline or left <= 0:
            return
        try:
            messages = documents.messages(task, doc_id)
            left -= _fill(documents, task, doc_id, messages)
        except Exception:  # noqa: BLE001, S112  (a task's own code; a report is made of what can be shown)
            continue
        yield task, doc_id, messages


def _fill(documents: Documents, task: str, doc_id: int, messages: list[dict[str, Any]]) -> int:
    size = 0
    for message in messages:
        for part in message["parts"]:
            if part.get("kind") in ("image", "video"):
                part["src"] = data_uri(*documents.medium(task, doc_id, part["place"], side_px=THUMBNAIL_PX))
                size += len(part["src"])
    return size


def data_uri(mime: str, content: bytes) -> str:
    """The address that holds its own content."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def interesting_first(records: Mapping[str, list[dict[str, Any]]]) -> list[tuple[str, int]]:
    """(task, document) in turn over tasks: errors and unparsed first, then wrong ones, then the others."""
    rank = {"error": 0, "unparsed": 1, "filtered": 2}
    queues = []
    for task, rows in records.items():
        ordered = sorted(rows, key=lambda r: (rank.get(r["status"], 3 if r["is_right"] is False else 4), r["id"]))
        queues.append([(task, row["id"]) for row in ordered])
    return [q[i] for i in range(max(map(len, queues), default=0)) for q in queues if i < len(q)]
