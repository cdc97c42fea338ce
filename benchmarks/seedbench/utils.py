"""SEED-Bench: multiple-choice questions about images and frames of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, reasoned_scores
from pytest_lmms.tasks.prompts import one_turn, option_lines

Doc = Mapping[str, Any]
INSTRUCTION = "Answer with the option's letter from the given choices directly."
KOREAN_INSTRUCTION = "주어진 선택지 중 해당 옵션의 문자로 바로 답하세요."


def seed_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the row's images; of a video, its frames."""
    return [image.convert("RGB") for image in doc["image"]]


def seed_doc_to_choice(doc: Doc) -> list[str]:
    """Return the texts of the four choices."""
    return [doc[f"choice_{letter}"] for letter in "abcd"]


def seed_doc_to_text(doc: Doc) -> str:
    """Return question, lettered choices and instruction."""
    return f"{doc['question']}\n{option_lines(seed_doc_to_choice(doc))}\n{INSTRUCTION}"


def seed_doc_to_mc_target(doc: Doc) -> str:
    """Return the text of the right choice."""
    return str(doc[f"choice_{doc['answer'].lower()}"])


def seed_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Read the first character of the response as a letter; for images or videos, and for all."""
    answer = results[0].strip()[:1]
    item = {"pred": answer, "answer": doc["answer"], "question_id": doc["question_id"]}
    item = Item(item, score=float(seed_aggregation_result([item])))
    return {f"seed_{doc['data_type']}": item, "seed_all": item}


def seed_ko_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the row's one image."""
    return [doc["image"].convert("RGB")]


def seed_ko_doc_to_text(doc: Doc) -> str:
    """Return question, lettered choices and the instruction in Korean."""
    return f"{doc['question']}\n{option_lines(seed_doc_to_choice(doc))}\n{KOREAN_INSTRUCTION}"


def seed_ko_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Read the first character of the response as a letter, for images or videos alone."""
    name = f"seed_{doc['data_type']}"
    return {name: seed_process_results(doc, results)[name]}


def seed_aggregation_result(items: Sequence[Doc]) -> float:
    """Return the share of letters that are right, case aside; 0 to 1."""
    return fmean(item["pred"].lower() == item["answer"].lower() for item in items)


def seed_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for an analysis, and the question."""
    return one_turn(seed_doc_to_visual(doc), seed_doc_to_text(doc), system=ANALYSIS_PROMPT)


def seed_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form; for images or videos, and for all."""
    return reasoned_scores(results, doc["answer"], [f"seed_{doc['data_type']}_", "seed_all_"])
