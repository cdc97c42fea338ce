r"""Answers that come with their reasoning: `reasoning_utils`, by the rules of `scoring.reasoned`.

It asks no judge by itself: with USE_LLM_JUDGE it says what to do instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.errors import TaskError, explain
from pytest_lmms.scoring.maths import last_boxed
from pytest_lmms.scoring.reasoned import ANALYSIS_PROMPT, find_answer, format_score, is_right, read_reasoned_letter

DEFAULT_REASONING_SYSTEM_PROMPT = ANALYSIS_PROMPT
FORMAT_SHARE = 0.1
"""What the format counts in a score; accuracy counts the rest."""
JUDGE_SWITCH = "USE_LLM_JUDGE"
Doc = Mapping[str, Any]


def extract_boxed_answer(predict_str: str) -> str:
    r"""Return what the last ``\boxed{}`` holds, or ``""``."""
    return last_boxed(predict_str) or ""


def extract_anwser_tag(predict_str: str) -> str:
    """Return a response's answer; see `scoring.reasoned.find_answer`. The name is spelt as task files spell it."""
    return find_answer(predict_str)


def format_reward(predict_str: str) -> float:
    """Score a response's form, 0 to 1; see `scoring.reasoned.format_score`."""
    return format_score(predict_str)


def simple_parse(predict_str: str) -> str:
    """Return a text without a full stop at its end, and without white space around it."""
    return predict_str.removesuffix(".").strip()


def parse_mcq(predict_str: str) -> str:
    """Return the letter A to H that a text chooses, or ``""``."""
    return read_reasoned_letter(predict_str) or ""


def acc_reward(
    predict_str: str,
    ground_truth: str,
    extra_info: Doc | None = None,
    format_reward_score: float = 0.0,
    solution_str: str | None = None,
) -> float:
    """Return 1.0 for a right answer, else 0.0; the last three arguments are a judge's, and not read.

    Args:
        predict_str: The extracted answer.
        ground_truth: The gold.
        extra_info: Not read.
        format_reward_score: Not read.
        solution_str: Not read.

    Raises:
        TaskError: The environment asks for a judge (USE_LLM_JUDGE=True), whose verdict would decide.
    """
    del extra_info, format_reward_score, solution_str
    if os.environ.get(JUDGE_SWITCH) == "True":
        raise TaskError(
            explain(
                f"{JUDGE_SWITCH}=True asks for a judge inside reasoning_utils, and here is none",
                remedy="unset it, ask in the task with lmms_eval.llm_judge, or install lmms_eval",
            )
        )
    return float(is_right(predict_str, ground_truth))


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Doc | None = None
) -> dict[str, Any]:
    """Score a response, nine parts accuracy and one part format.

    Args:
        data_source: Not read.
        solution_str: The response with its reasoning.
        ground_truth: The gold.
        extra_info: Not read.

    Returns:
        `score`, `acc_score` and `format_reward_score`, each 0 to 1; `predict_str` and `ground_truth` as compared.

    Raises:
        TaskError: See `acc_reward`.
    """
    del data_source
    answer = find_answer(solution_str).strip()
    accuracy, form = acc_reward(answer, ground_truth, extra_info), format_score(solution_str)
    return {
        "score": (1 - FORMAT_SHARE) * accuracy + FORMAT_SHARE * form,
        "acc_score": accuracy,
        "format_reward_score": form,
        "predict_str": simple_parse(answer),
        "ground_truth": simple_parse(ground_truth),
    }


def make_reasoning_doc_to_messages(
    doc_to_visual_fn: Callable[[Doc], Sequence[Any]],
    doc_to_text_fn: Callable[..., str],
    system_prompt: str | None = None,
) -> Callable[..., list[dict[str, Any]]]:
    """Return a `doc_to_messages`: a system prompt that asks for reasoning, then the images and the question.

    Args:
        doc_to_visual_fn: The task's; all that it returns is sent as images.
        doc_to_text_fn: The task's.
        system_prompt: Instead of `DEFAULT_REASONING_SYSTEM_PROMPT`.
    """
    system = [{"role": "system", "content": [{"type": "text", "text": system_prompt or ANALYSIS_PROMPT}]}]

    def doc_to_messages(doc: Doc, lmms_eval_specific_kwargs: Doc | None = None) -> list[dict[str, Any]]:
        question = doc_to_text_fn(doc, lmms_eval_specific_kwargs)
        content = [{"type": "image", "url": visual} for visual in doc_to_visual_fn(doc)]
        return [*system, {"role": "user", "content": [*content, {"type": "text", "text": question.strip()}]}]

    return doc_to_messages


def make_reasoning_process_results(
    data_source: str,
    doc_to_text_fn: Callable[..., str],
    gt_key: str = "answer",
    metrics_prefix: str = "",
    extra_info_fn: Callable[[Doc], Doc] | None = None,
) -> Callable[[Doc, Sequence[str]], dict[str, float]]:
    """Return a `process_results`: the means of accuracy and format over a document's responses.

    Args:
        data_source: Not read.
        doc_to_text_fn: Not read; only a judge is told the question.
        gt_key: The column of the gold.
        metrics_prefix: Before `acc_score` and `format_score`.
        extra_info_fn: Not read.
    """
    del doc_to_text_fn, extra_info_fn

    def process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
        scores = [compute_score(data_source, response.strip(), str(doc[gt_key])) for response in results]
        names = {"acc_score": "acc_score", "format_score": "format_reward_score"}
        return {f"{metrics_prefix}{ours}": fmean(s[key] for s in scores) for ours, key in names.items()}

    return process_results
