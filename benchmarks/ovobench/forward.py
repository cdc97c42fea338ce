"""OVO-Bench, forward: the same question again as the video goes on, until there is enough to answer it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
FORWARD = frozenset({"REC", "SSR", "CRR"})
FOLDER = "ovobench"
COUNT = """
You're watching a video in which people may perform a certain type of action repetively. 
The person performing this kind of action are referred to as 'they' in the following statement.
You're task is to count how many times have different people in the video perform this kind of action in total.
One complete motion counts as one. 
Now, answer the following question: How many times did they {activity}?
Provide your answer as a single number (e.g., 0, 1, 2, 3…) indicating the total count.
Do not include any additional text or explanation in your response.
"""  # noqa: W291
STEP = """
You're watching a tutorial video which contain a sequential of steps. 
The following is one step from the whole procedures: 
{step}
Your task is to determine if the man or woman in the video is currently performing this step.
Answer only with “Yes” or “No”.
Do not include any additional text or explanation in your response.
"""  # noqa: W291
ENOUGH = """
You're responsible of answering questions based on the video content. 
The following question are relevant to the latest frames, i.e. the end of the video.
{question}
Decide whether existing visual content, especially latest frames, i.e. frames that near the end of the video, provide enough information for answering the question.
Answer only with “Yes” or “No”.
Do not include any additional text or explanation in your response.
"""  # noqa: E501, W291


def ovo_process_docs_forward(dataset: Any) -> Any:
    """Keep the questions that wait for an answer."""
    return dataset.filter(lambda row: row["task"] in FORWARD)


def _clip(doc: Doc, number: int, kwargs: Doc | None) -> list[str]:
    return [find_media((kwargs or {}).get("data_dir") or FOLDER, f"{doc['id']}_{number}.mp4", beside=__file__)]


def ovo_forward_doc_to_visual(doc: Doc, kwargs: Doc | None = None) -> list[str]:
    """Return the path of the first clip."""
    return _clip(doc, 0, kwargs)


def _prompt(doc: Doc, number: int) -> str:
    if doc["task"] == "REC":
        return COUNT.format(activity=doc["activity"])
    if doc["task"] == "SSR":
        return STEP.format(step=doc["test_info"][number]["step"])
    return ENOUGH.format(question=doc["question"])


def ovo_forward_doc_to_text(
    doc: Doc,
    lmms_eval_specific_kwargs: Doc | None = None,
    previous_output: Sequence[str] | None = None,
    round_idx: int = 0,
    previous_round_info: Any = None,
) -> Any:
    """Return the prompt for the first clip, or clip and prompt of the next round; rounds know nothing of each other."""
    if previous_output is None:
        return _prompt(doc, 0)
    if round_idx >= len(doc["test_info"]):
        return None, None, True, list(previous_output), None
    clip = _clip(doc, round_idx, lmms_eval_specific_kwargs)
    return clip, _prompt(doc, round_idx), False, list(previous_output), None


def is_right(task: str, response: str, info: Doc) -> bool:
    """Tell whether a response fits a clip: the count in all its digits, or a yes or no."""
    if task == "REC":
        return "".join(re.findall(r"\d+", response)) == str(info["count"])
    short, word = ("Y", "Yes") if info["type"] else ("N", "No")
    return response == short or word in response


def ovo_forward_process_results(doc: Doc, results: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Score each round."""
    pairs = zip(results[0], doc["test_info"], strict=False)
    scores = [float(is_right(doc["task"], response.strip(), info)) for response, info in pairs]
    item = {"id": doc["id"], "task": doc["task"], "rounds": scores}
    return {"forward_acc": Item(item, score=fmean(scores)) if scores else item}


def ovo_forward_task_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the percentage of right rounds by kind of question."""
    kinds = dict.fromkeys(item["task"] for item in items if item["rounds"])
    rounds = {kind: [r for item in items if item["task"] == kind for r in item["rounds"]] for kind in kinds}
    return {kind: 100 * fmean(own) for kind, own in rounds.items()}


def ovo_forward_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the mean over kinds of question, 0 to 100."""
    scores = ovo_forward_task_scores(items)
    return fmean(scores.values()) if scores else None


ovo_forward_aggregate_results.sub_scores = ovo_forward_task_scores  # type: ignore[attr-defined]
