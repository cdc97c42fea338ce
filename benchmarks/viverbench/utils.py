"""ViVerBench: does an image (or a series of them) show what was asked for? True or false."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_lmms.media.image import LazyImage
from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.spans import braced, fenced

Doc = Mapping[str, Any]
WORDS = dict.fromkeys(("true", "yes", "y", "1"), True) | dict.fromkeys(("false", "no", "n", "0"), False)
KEYS = ("answer", "Answer", "ANSWER")
MAX_LITERAL_CHARACTERS = 10_000
"""Longer texts are not parsed as JSON or Python; nesting costs time and stack."""


def viverbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the row's one, two or eight images."""
    images = [LazyImage.from_bytes(bytes(i)) if isinstance(i, (bytes, bytearray)) else i for i in doc["img"]]
    return [image.convert("RGB") for image in images]


def viverbench_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question between the prompts that are not empty."""
    kwargs = kwargs or {}
    parts = [kwargs.get("pre_prompt", ""), doc["question"], kwargs.get("post_prompt", "")]
    return "\n".join(part for part in parts if part)


def _as_bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def _literal(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _values(text: str) -> Iterator[Any]:
    """Whatever may be the answer in the text, its fenced blocks and its braces."""
    for span in (text, *fenced(text), *braced(text)):
        value = _literal(span.strip()) if len(span) <= MAX_LITERAL_CHARACTERS else None
        if isinstance(value, dict):
            yield next((value[key] for key in KEYS if key in value), None)
        else:
            yield value


def read_verdict(text: str) -> bool | None:
    """Return what a text says, or None; see the page of the benchmark for the order of rules."""
    text = text.strip()
    if (verdict := _as_bool(text.strip("`'\" "))) is not None:
        return verdict
    for value in _values(text):
        if (verdict := _as_bool(value)) is not None:
            return verdict
    lowered = text.lower()
    for pattern in (r'"answer"\s*:\s*(true|false)', r"\banswer\s*[:=]\s*(true|false)\b", r"\b(true|false|yes|no)\b"):
        if found := re.search(pattern, lowered):
            return WORDS[found[1]]
    return None


def viverbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    verdict, gold = read_verdict(results[0]), bool(doc["answer"])
    item = {
        "prompt_id": doc.get("prompt_id", ""),
        "task": doc.get("task", "unknown"),
        "target_answer": gold,
        "pred_answer": verdict,
        "raw_response": results[0],
        "is_correct": verdict is not None and verdict == gold,
    }
    item = Item(item, score=float(item["is_correct"]))
    return {"viverbench_acc": item} if verdict is not None else Unparsed({"viverbench_acc": item})


def viverbench_task_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the share of right answers by kind of task."""
    kinds = dict.fromkeys(item["task"] for item in items)
    own = {kind: [item["is_correct"] for item in items if item["task"] == kind] for kind in kinds}
    return {str(kind): sum(right) / len(right) for kind, right in own.items()}


def viverbench_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return sum(item["is_correct"] for item in items) / len(items) if items else None


viverbench_aggregate_results.sub_scores = viverbench_task_scores  # type: ignore[attr-defined]
