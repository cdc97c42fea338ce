"""OVO-Bench, backward and real-time: questions about what was, or what is just now, in a video that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.scoring.choices import label_options
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
BACKWARD = frozenset({"EPM", "ASI", "HLD"})
REALTIME = frozenset({"STU", "OJR", "ATR", "ACR", "OCR", "FPD"})
FOLDER = "ovobench"
INSTRUCTION = (
    "Respond only with the letter corresponding to your chosen option (e.g., A, B, C). \n"
    "Do not include any additional text or explanation in your response.\n"
)


def ovo_process_docs_backward(dataset: Any) -> Any:
    """Keep the questions about the past."""
    return dataset.filter(lambda row: row["task"] in BACKWARD)


def ovo_process_docs_realtime(dataset: Any) -> Any:
    """Keep the questions about the present."""
    return dataset.filter(lambda row: row["task"] in REALTIME)


def ovo_doc_to_visual(doc: Doc, kwargs: Doc | None = None) -> list[str]:
    """Return the path of the clip that ends when the question is asked."""
    return [find_media((kwargs or {}).get("data_dir") or FOLDER, f"{doc['id']}.mp4", beside=__file__)]


def ovo_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options on one line and instruction."""
    options = "; ".join(f"{letter}. {option}" for letter, option in label_options(doc["options"]).items()) + ";"
    return f"\nQuestion: {doc['question']}\nOptions:\n{options}\n\n{INSTRUCTION}"


def ovo_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep response and right letter."""
    letter = chr(ord("A") + int(doc["gt"]))
    item = {key: doc[key] for key in ("id", "task", "question")} | {"response": results[0], "ground_truth": letter}
    return {"back_real_acc": Item(item, score=float(letter in (results[0] or "")))}


def ovo_task_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the percentage of right answers by kind of question: those that contain the right capital."""
    rights: dict[str, list[bool]] = {}
    for item in items:
        rights.setdefault(item["task"], []).append(item["ground_truth"] in (item["response"] or ""))
    return {kind: 100 * fmean(right) for kind, right in rights.items()}


def ovo_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean over kinds of question, 0 to 100."""
    return fmean(ovo_task_scores(items).values()) if items else None


ovo_aggregate_results.sub_scores = ovo_task_scores  # type: ignore[attr-defined]
