"""V* Bench: small details in large photographs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.scoring.subscores import mean_score, over, with_sub_scores
from pytest_lmms.tasks.prompts import instructed, one_turn, option_lines

Doc = Mapping[str, Any]
PATTERNS = (
    r"^([A-D])",
    r"(?:ANSWER|CHOICE|OPTION)(?:\s+IS)?[\s:]+([A-D])",
    r"\(([A-D])\)",
    r"([A-D])\s*[.)\]]",
    r"(?:^|\s)([A-D])(?:\s|$)",
)
"""How a letter may stand in a response in capitals; the first that is found decides."""
MAX_OPTIONS = 4
"""More are not shown, since only the letters A to D are read."""


def direct_attributes_rows(dataset: Any) -> Any:
    """Keep the questions about attributes."""
    return dataset.filter(lambda category: category == "direct_attributes", input_columns="category")


def relative_position_rows(dataset: Any) -> Any:
    """Keep the questions about positions."""
    return dataset.filter(lambda category: category == "relative_position", input_columns="category")


def vstar_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def vstar_reasoning_text(doc: Doc) -> str:
    """Return the question with its options, ``(A) text`` in the row, as lettered lines."""
    text = doc["text"]
    options = re.findall(r"\([A-Z]\)\s*([^()]+?)(?=\([A-Z]\)|$)", text, re.DOTALL)
    if not options:
        return str(text)
    return f"{text.partition('(A)')[0].strip()}\n{option_lines(option.strip() for option in options[:MAX_OPTIONS])}"


def vstar_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, lettered options and instruction."""
    return instructed(vstar_reasoning_text(doc), kwargs)


def read_vstar_letter(text: str) -> str | None:
    """Read a letter A to D, in any case, by the first of `PATTERNS` or because there is no other."""
    text = text.strip().upper()
    for pattern in PATTERNS:
        if found := re.search(pattern, text):
            return found.group(1)
    letters = re.findall(r"[A-D]", text)
    return letters[0] if len(letters) == 1 else None


def _category(doc: Doc) -> str:
    return str(doc.get("category", "unknown"))


def vstar_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer under its category and overall."""
    answer, gold = read_vstar_letter(results[0]), doc["label"].strip().upper()
    item = {"question_id": doc["question_id"], "category": _category(doc), "score": float(answer == gold)}
    item |= {"prediction": answer, "ground_truth": gold}
    scores = {f"vstar_{_category(doc)}_acc": item, "vstar_overall_acc": item}
    return Unparsed(scores) if answer is None else scores


def _percent(items: Sequence[Doc]) -> float:
    return 100 * (mean_score(items) or 0.0)


@with_sub_scores(over("category", aggregation=_percent))
def vstar_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right answers, 0 to 100."""
    return _percent(items)


def vstar_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(vstar_doc_to_visual(doc), vstar_reasoning_text(doc), system=ANALYSIS_PROMPT)


def vstar_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; for the category and overall."""
    return reasoned_scores(results, doc["label"].strip().upper(), [f"vstar_{_category(doc)}_", "vstar_overall_"])
