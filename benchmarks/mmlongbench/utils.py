"""MMLongBench: long contexts of text and images, with needles to find or count."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.subscores import Items, mean_score, over, with_sub_scores
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.prompts import letter_of

from .answers import score_answer

Doc = Mapping[str, Any]
IMAGE = "<image>"


def is_haystack(doc: Doc) -> bool:
    """Tell whether the context is a list of images: whether its first piece is a path."""
    return bool(doc["ctxs"]) and isinstance(doc["ctxs"][0], str)


def _choices(doc: Doc) -> list[str]:
    return list(doc["choices_image"] or []) if "choices_image" in doc else []


def mmlongbench_doc_to_visual(doc: Doc) -> list[str]:
    """Return the paths of all images, each once, in order; they lie below MMLONGBENCH_IMAGE_ROOT."""
    needles = (doc["needle_image_list"] or []) if "needle_image_list" in doc else []
    paths = doc["ctxs"] if is_haystack(doc) else [*doc["image_list"], *needles, *_choices(doc)]
    root = os.environ.get("MMLONGBENCH_IMAGE_ROOT") or "mmlongbench"
    return [find_media(root, path, beside=__file__) for path in dict.fromkeys(paths)]


def mmlongbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return instruction, context with ``<image>`` for each image, and question with its choices."""
    if is_haystack(doc):
        form = "You are given a set of images. Answer the question with Yes or No."
    elif _choices(doc):
        form = "You are given interleaved text and images. Answer with the option letter only."
    elif isinstance(doc["answer"], list):
        form = "You are given interleaved text and images. Answer with a list of integers in brackets, like [1, 2, 3]."
    else:
        form = "You are given interleaved text and images. Answer the question concisely."
    pieces = [
        IMAGE if isinstance(p, str) or p["type"] == "image" else str(p.get("text", "")).strip() for p in doc["ctxs"]
    ]
    context = "\n\n".join(piece for piece in pieces if piece)
    options = [f"{letter_of(position)}. {IMAGE}" for position in range(len(_choices(doc)))]
    question = "\n".join([doc["question"].strip(), *options])
    parts = [f"{kwargs['pre_prompt']}{form}".strip(), context, f"Question: {question}", kwargs["post_prompt"]]
    return "\n\n".join(part for part in parts if part).strip()


def mmlongbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score what follows "answer:", or else the whole response, in the way of the answer's type."""
    text = results[0].strip()
    found = re.search(r"answer\s*:\s*(.+)", text, re.IGNORECASE | re.DOTALL)
    prediction = found.group(1).strip() if found and found.group(1).strip() else text
    category = ("category" in doc and doc["category"]) or ("visual-haystack" if is_haystack(doc) else "unknown")
    score = score_answer(prediction, doc["answer"], is_yes_or_no=is_haystack(doc))
    return {"mmlongbench_acc": {"score": float(score), "category": category}}


@with_sub_scores(over("category"))
def mmlongbench_aggregate_results(items: Items) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return mean_score(items)
