"""MathCanvas-Bench: mathematics with text and figures interleaved, several parts a question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.maths import last_boxed, math_equal
from pytest_lmms.scoring.spans import numbered

Doc = Mapping[str, Any]
WEIGHTS = {
    1: (1.0,),
    2: (0.4348, 0.5652),
    3: (0.2506, 0.3258, 0.4236),
    4: (0.1616, 0.2101, 0.2732, 0.3551),
}
"""Number of parts -> what each part is worth; parts of more are worth the same."""


def _pieces(doc: Doc) -> list[Doc]:
    return list(doc["question_interleave"] or [])


def mathcanvas_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the figures in order."""
    return [image.convert("RGB") for image in doc.get("question_images") or [] if image is not None]


def mathcanvas_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the pieces of the question, ``<image>`` for each figure, and the instruction, a line each."""
    texts, num_figures = [], len(mathcanvas_doc_to_visual(doc))
    for piece in _pieces(doc):
        kind = str(piece["type"]).lower()
        if kind == "text":
            texts.append(str(piece["content"]).strip())
        elif kind == "image" and num_figures > 0:
            texts.append("<image>")
            num_figures -= 1
    texts += ["<image>"] * max(0, num_figures)
    pieces = [text for text in texts if text] or [str(doc["question"]).strip()]
    around = (str(kwargs.get(name) or "").strip() for name in ("pre_prompt", "post_prompt"))
    before, after = around
    return "\n".join(text for text in (before, *pieces, after) if text)


def _clean(text: str) -> str:
    return text.strip().removesuffix(".").strip()


def tagged_parts(text: str) -> list[str]:
    """Return what stands in ``<1>...</1>``, ``<2>...</2>`` and so on, by number."""
    return [_clean(part) for _, part in sorted(numbered(text), key=lambda pair: pair[0])]


def read_parts(text: str, num_parts: int) -> list[str]:
    """Read a response's answers: in tags, in the last box, after "answer is", on numbered lines, or the last line."""
    if parts := tagged_parts(text):
        return parts
    if (box := last_boxed(text)) is not None:
        if parts := tagged_parts(box):
            return parts
        if num_parts == 1:
            return [_clean(box)]
        text = box
    if num_parts > 1 and (lines := re.findall(r"^\s*\(?[1-9]\)?\s*[.:)]\s*(.+)$", text, re.MULTILINE)):
        return [_clean(line) for line in lines]
    if found := re.search(r"(?:final answer|answer)\s*(?:is|:)\s*(.+)", text, re.IGNORECASE | re.DOTALL):
        return [_clean(found.group(1).strip().splitlines()[0])] if found.group(1).strip() else []
    return [_clean(line) for line in text.splitlines() if line.strip()][-1:]


def _is_right(answer: str, gold: str) -> bool:
    if not answer or not gold:
        return False
    return " ".join(answer.lower().split()) == " ".join(gold.lower().split()) or math_equal(
        gold, answer, only_latex=True
    )


def mathcanvas_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one response: the worth of its right parts, and whether all are right."""
    golds = tagged_parts(doc["answer"]) or [_clean(doc["answer"])]
    answers = read_parts(results[0], len(golds))
    answers += [""] * (len(golds) - len(answers))
    right = [_is_right(answer, gold) for answer, gold in zip(answers, golds, strict=False)]
    weights = WEIGHTS.get(len(golds), (1 / len(golds),) * len(golds))
    weighted = sum(weight for weight, is_right in zip(weights, right, strict=True) if is_right)
    return {"mathcanvas_weighted_accuracy": weighted, "mathcanvas_complete_accuracy": float(all(right))}
