"""CV-Bench: counting, relations, depth and distance, made from older vision datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.letters import initial_letter
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.scoring.subscores import over, with_sub_scores
from pytest_lmms.tasks.prompts import letter_of, one_turn

Doc = Mapping[str, Any]


def _letters(doc: Doc) -> str:
    return "".join(map(letter_of, range(len(doc["choices"]))))


def cv_bench_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["image"].convert("RGB")]


def cv_bench_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the instruction, which names the letters, and the row's own prompt."""
    return f"{kwargs['pre_prompt'].format(', '.join(_letters(doc)))}\n{doc['prompt']}"


def cv_bench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer by the letter that it begins with."""
    columns = ("type", "task", "source")
    letter, gold = initial_letter(results[0]), doc["answer"].strip("()")
    item = {"id": doc["idx"], "gt_content": gold, "pred_parsed": letter, "pred": results[0]}
    item |= {**{column: doc[column] for column in columns}, "is_correct": letter == gold}
    item = Item(item, score=float(letter == gold))
    return {"cv_bench_acc": item} if letter and letter in _letters(doc) else Unparsed(cv_bench_acc=item)


def _accuracy(items: Sequence[Doc]) -> float:
    return float(sum(item["is_correct"] for item in items) / len(items))


@with_sub_scores(over("type", "task", "source", aggregation=_accuracy))
def cv_bench_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right letters over all questions, 0 to 1."""
    return _accuracy(items)


def cv_bench_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the row's own prompt."""
    return one_turn(cv_bench_doc_to_visual(doc), doc["prompt"], system=ANALYSIS_PROMPT)


def cv_bench_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["answer"], ["cv_bench_"])
