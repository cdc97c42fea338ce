"""LongVideoBench: multiple-choice questions that refer to moments of long videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.choices import label_options, shuffle_options
from pytest_lmms.scoring.letters import first_capital
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.rowwise import each_row

Doc = Mapping[str, Any]
NUM_OPTIONS = 5
UNUSED = "N/A"


def longvideobench_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    return [find_media("longvideobench", f"videos/{doc['video_path']}", beside=__file__)]


def longvideobench_doc_to_nothing(doc: Doc) -> list[str]:
    """Return no video: the question is asked alone."""
    return []


def _shuffled(row: Doc) -> dict[str, Any]:
    options = [option for i in range(NUM_OPTIONS) if (option := row.get(f"option{i}", UNUSED)) != UNUSED]
    options, right = shuffle_options(options, int(row["correct_choice"]), row["id"])
    return {f"option{i}": option for i, option in enumerate(options)} | {"correct_choice": right}


def longvideobench_rows_shuffled(dataset: Any) -> Any:
    """Put each question's options in use into another order, drawn by the row's id."""
    return each_row(dataset, _shuffled)


def longvideobench_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options in use, and instruction."""
    kwargs = kwargs or {}
    options = [doc.get(f"option{i}", UNUSED) for i in range(NUM_OPTIONS)]
    lettered = label_options(option for option in options if option != UNUSED)
    lines = [doc["question"], *(f"{letter}. {option}" for letter, option in lettered.items())]
    text = "\n".join([*lines, kwargs.get("post_prompt", "")])
    return f"{kwargs.get('pre_prompt', '')}{text}"


def longvideobench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read the first capital from A to E."""
    letter = first_capital(results[0], "ABCDE")
    item = {key: doc[key] for key in ("id", "duration_group", "question_category")}
    choice = doc["correct_choice"]
    item |= {"answer": None if choice is None else chr(ord("A") + int(choice)), "parsed_pred": letter}
    scores = {"lvb_acc": Item(item, score=float(item["answer"] == letter)), "submission": {doc["id"]: results[0]}}
    return scores if letter else Unparsed(scores)


def _accuracy(items: Sequence[Doc]) -> float:
    return round(fmean(item["answer"] == item["parsed_pred"] for item in items), 5)


def longvideobench_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    return _accuracy(items) if items else None


def longvideobench_group_scores(items: Sequence[Doc]) -> dict[str, float]:
    """Return the accuracy by length of the video (seconds, at most) and by category of the question."""
    groups: dict[str, list[Doc]] = {}
    for grouping in ("duration_group", "question_category"):
        for item in items:
            groups.setdefault(f"{grouping}/{item[grouping]}", []).append(item)
    return {group: _accuracy(own) for group, own in groups.items()}


longvideobench_aggregate_results.sub_scores = longvideobench_group_scores  # type: ignore[attr-defined]


def longvideobench_aggregate_results_for_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write id -> response as ``<output_path>/submissions/longvideobench_test_for_submission.json``."""
    _write_answers("longvideobench_test_for_submission.json", items, args)


def longvideobench_aggregate_frames_for_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write the same beside it for frames with subtitles: a run may hold both tasks."""
    _write_answers("longvideobench_test_i_for_submission.json", items, args)


def _write_answers(name: str, items: Sequence[Doc], args: Any) -> None:
    write_submission(name, {key: text for item in items for key, text in item.items()}, args)
