"""OCRBench: a thousand questions about text in images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, extract_answer, format_score
from pytest_lmms.scoring.subscores import grouped, with_sub_scores
from pytest_lmms.tasks.prompts import instructed, one_turn

Doc = Mapping[str, Any]
NUM_QUESTIONS = 1000
RECOGNITION = (
    "Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition",
    "Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition",
)  # fmt: skip


def ocrbench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["image"].convert("RGB")]


def ocrbench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def contains_gold(answer: str, doc: Doc) -> int:
    """Tell whether an answer holds a gold text: 1 or 0.

    Both in lower case; of handwritten formulas (HME100k) only the answer is, and spaces do not count.
    """
    golds = doc["answer"] if isinstance(doc["answer"], list) else [doc["answer"]]
    answer = answer.lower().strip().replace("\n", " ")
    if doc["dataset"] == "HME100k":
        answer = answer.replace(" ", "")
        golds = [gold.strip().replace("\n", " ").replace(" ", "") for gold in golds]
    else:
        golds = [gold.lower().strip().replace("\n", " ") for gold in golds]
    return int(any(gold in answer for gold in golds))


def ocrbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer."""
    item = {"question_type": doc["question_type"], "score": contains_gold(results[0], doc)}
    item |= {"prediction": results[0].lower().strip(), "ground_truth": doc["answer"]}
    return {"ocrbench_accuracy": item}


def ocrbench_counts(items: Sequence[Doc]) -> dict[str, int]:
    """Count right answers by question type, and all six kinds of text recognition together."""
    counts = {name: sum(i["score"] for i in own) for name, own in grouped(items, "question_type").items()}
    return {**counts, "Text Recognition": sum(counts.get(name, 0) for name in RECOGNITION)}


@with_sub_scores(ocrbench_counts)
def ocrbench_aggregate_accuracy(items: Sequence[Doc]) -> float:
    """Return the number of right answers over a thousand, whatever the number of documents."""
    return float(sum(item["score"] for item in items) / NUM_QUESTIONS)


def ocrbench_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(ocrbench_doc_to_visual(doc), doc["question"], system=ANALYSIS_PROMPT)


def ocrbench_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    accuracy = fmean(contains_gold(extract_answer(text), doc) for text in results)
    form = fmean(format_score(text) for text in results)
    return {"ocrbench_accuracy_acc_score": accuracy, "ocrbench_accuracy_format_score": form}
