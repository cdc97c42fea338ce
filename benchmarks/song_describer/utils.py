"""Song Describer: describe a piece of music; how well is for a judge to say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Unparsed

Doc = Mapping[str, Any]
REQUEST = (
    "Listen to this music and describe what you hear. Include details about the instruments, genre, mood, and any"
    " distinctive musical elements."
)


def song_describer_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the row's music."""
    return [doc["audio_path"]]


def song_describer_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the request between the prompts."""
    kwargs = kwargs or {}
    return "".join([kwargs.get("pre_prompt", ""), REQUEST, kwargs.get("post_prompt", "")])


def song_describer_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Say whether there is a description at all; `eval_score` is a judge's."""
    is_described = bool(results[0].strip())
    scores = {"described_rate": float(is_described)}
    return scores if is_described else Unparsed(scores)


def song_describer_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Keep what a judge said of the description, compared with the column `text`."""
    return {"eval_score": {"eval_answer": reply, "model_name": "judge"}}


song_describer_process_results.judged = song_describer_judged  # type: ignore[attr-defined]


def read_rating(reply: str) -> int:
    """Return the number from 0 to 5 after "Rating:" at the very end of a judge's reply; 0 without it."""
    found = re.search(r"Rating:\s*([0-5])\s*$", reply)
    return int(found[1]) if found else 0


def song_describer_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean rating, 0 to 5, of what a judge replied to; None without any."""
    replies = [item["eval_answer"] for item in items if item["eval_answer"]]
    return fmean(read_rating(reply) for reply in replies) if replies else None
