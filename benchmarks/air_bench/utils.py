"""AIR-Bench: what a model hears in speech, sounds and music; multiple-choice (foundation) and open (chat)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import TRIMMED_MARKS
from pytest_lmms.scoring.submission import write_submission

Doc = Mapping[str, Any]
COLUMNS = {"A": "choice_a", "B": "choice_b", "C": "choice_c", "D": "choice_d"}


def air_bench_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the sound that is asked about."""
    audio = doc["audio"]
    return [audio] if audio is not None else []


def air_bench_doc_to_text_foundation(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, four options (None for one that is not there) and instruction."""
    kwargs = kwargs or {}
    options = "".join(f"{letter}. {doc[column]}\n" for letter, column in COLUMNS.items())
    return f"{kwargs.get('pre_prompt', '')}{doc['question']}\n{options}{kwargs.get('post_prompt', '')}"


def air_bench_doc_to_target_foundation(doc: Doc) -> str | None:
    """Return the letter of the option that equals the answer, None when none does."""
    return next((letter for letter, column in COLUMNS.items() if doc[column] == doc["answer_gt"]), None)


def read_option(text: str, letters: Sequence[str]) -> str | None:
    """Return the letter in brackets, else between blanks, else before a full stop; of several the last, by blanks."""
    for mark in TRIMMED_MARKS:
        text = text.strip(mark)
    text = f" {text} "
    for form in ("({})", " {} ", "{}."):
        if found := [letter for letter in letters if form.format(letter) in text]:
            return max(found, key=lambda letter: text.rfind(f" {letter} "))
    return None


def air_bench_process_results_foundation(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    letter = read_option(results[0].strip(), [letter for letter, column in COLUMNS.items() if doc[column]])
    right = letter is not None and letter == air_bench_doc_to_target_foundation(doc)
    item = {"score": float(right), "task": doc["task_name"]}
    scores = {"accuracy": item, "submission": {doc["uniq_id"]: letter or ""}}
    return scores if letter else Unparsed(scores)


def air_bench_aggregate_results_foundation(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1, to five decimals."""
    return round(fmean(item["score"] for item in items), 5) if items else None


def air_bench_task_scores(items: Sequence[Doc]) -> dict[str, float | None]:
    """Return the accuracy by kind of question."""
    kinds = dict.fromkeys(item["task"] for item in items)
    own = {kind: [item for item in items if item["task"] == kind] for kind in kinds}
    return {str(kind): air_bench_aggregate_results_foundation(some) for kind, some in own.items()}


air_bench_aggregate_results_foundation.sub_scores = air_bench_task_scores  # type: ignore[attr-defined]


def air_bench_aggregate_results_for_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write the list of id -> letter as ``<output_path>/submissions/air_bench_test_submission.json``."""
    write_submission("air_bench_test_submission.json", list(items), args)


def air_bench_doc_to_text_chat(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the question; nothing stands between it and the prompts."""
    kwargs = kwargs or {}
    return "".join((kwargs.get("pre_prompt", ""), doc["question"], kwargs.get("post_prompt", "")))


def air_bench_process_results_chat(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Say whether there is an answer at all; `gpt_eval` is a judge's."""
    has_answer = bool(results[0].strip())
    return {"answered_rate": 1.0} if has_answer else Unparsed(answered_rate=0.0)


def air_bench_judged(doc: Doc, results: Sequence[str], reply: Sequence[str]) -> dict[str, Any]:
    """Add up what a judge gave in two replies, one for each order of reference and answer; see `read_scores`."""
    first, second = (read_scores(text) for text in reply)
    return {"gpt_eval": {"score": first[1] + second[0] if first and second else 0}}


air_bench_process_results_chat.judged = air_bench_judged  # type: ignore[attr-defined]


def read_scores(reply: str) -> tuple[int, int] | None:
    """Return the first two whole numbers from 1 to 10 of a judge's reply; full stops do not count."""
    numbers = re.findall(r"\b(10|[1-9])\b", reply.replace(".", ""))
    return (int(numbers[0]), int(numbers[1])) if len(numbers) > 1 else None


def air_bench_aggregate_results_chat(items: Sequence[Doc]) -> float | None:
    """Return the mean score, 1 to 10, of those that a judge saw."""
    return fmean(item["score"] for item in items) / 2 if items else None
