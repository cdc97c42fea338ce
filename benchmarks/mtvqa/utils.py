"""MTVQA: questions about text in images, in nine languages."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.subscores import Items, mean_score, over, with_sub_scores
from pytest_lmms.tasks.prompts import instructed
from pytest_lmms.tasks.rowwise import ROW_ERROR, attempt, without_empty

Doc = Mapping[str, Any]


def _pairs(row: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the questions and answers of a row, without those that lack either."""
    value = row["qa_pairs"]
    try:
        pairs = ast.literal_eval(value) if isinstance(value, str) else value
        found = [(str(p.get("question") or ""), str(p.get("answer") or "")) for p in pairs]
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError) as e:
        raise ValueError(f"qa_pairs: {str(value)[:80]!r} is no list of questions and answers") from e
    return {"pairs": [(question, answer) for question, answer in found if question and answer]}


def mtvqa_rows(dataset: Any) -> Any:
    """Make of each image one row a question; one whose questions cannot be read is a single row, an error."""
    import datasets

    def split(rows: Mapping[str, list[Any]], indices: Sequence[int]) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in features}
        names = rows.get("id") or [None] * len(indices)
        for row, image, name, language, pairs in zip(
            indices, rows["image"], names, rows["lang"], rows["qa_pairs"], strict=True
        ):
            row_id = str(name) if name is not None else f"mtvqa_{row}"
            found = attempt(_pairs, {"qa_pairs": pairs}, pairs=[("", "")])
            for position, (question, answer) in enumerate(found["pairs"]):
                error = found[ROW_ERROR]
                values = (f"{row_id}_{position}", row_id, language or "unknown", question, answer, error, image)
                for column, value in zip(features, values, strict=True):
                    out[column].append(value)
        return out

    names = ("question_id", "id", "category", "question", "answer", ROW_ERROR)
    texts = dict.fromkeys(names, datasets.Value("string"))
    features = datasets.Features({**texts, "image": datasets.Image(decode=False)})
    stored = dataset.cast_column("image", datasets.Image(decode=False))
    exploded = stored.map(split, batched=True, with_indices=True, remove_columns=stored.column_names, features=features)
    return without_empty(exploded.cast_column("image", datasets.Image()))


def mtvqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image."""
    return [doc["image"].convert("RGB")]


def mtvqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def mtvqa_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Score one answer: it holds the gold text, case and full stops aside."""
    answer, gold = (text.strip().lower().replace(".", "") for text in (results[0], doc["answer"]))
    return {"mtvqa_score": {"category": doc["category"], "score": float(gold in answer)}}


def _percent(items: Items) -> float:
    return 100 * (mean_score(items) or 0.0)


@with_sub_scores(over("category", aggregation=_percent))
def mtvqa_aggregate(items: Items) -> float:
    """Return the share of right answers over all questions, 0 to 100."""
    return _percent(items)
