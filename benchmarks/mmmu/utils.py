"""MMMU: college-level questions about one or several images, multiple-choice or open."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.choices import label_options, read_conclusion, read_letter
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.scoring.subscores import over_subjects

Doc = Mapping[str, Any]
MULTIPLE_CHOICE = "multiple-choice"


def _options(doc: Doc) -> dict[str, str]:
    return label_options(ast.literal_eval(doc["options"]))


def _option_lines(doc: Doc) -> str:
    return "\n".join(f"{letter}. {option}" for letter, option in _options(doc).items())


def _body(doc: Doc) -> str:
    is_choice = doc["question_type"] == MULTIPLE_CHOICE
    return f"{doc['question']}\n{_option_lines(doc)}" if is_choice else str(doc["question"])


def mmmu_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images that ``<image 1>`` and so on in question and options name, by name."""
    images = []
    for number in sorted(set(re.findall(r"<image (\d+)>", _body(doc)))):
        image = doc.get(f"image_{number}")
        if image is None:
            raise DocumentError(f"{doc['id']}: <image {number}> has an empty image_{number}")
        images.append(image.convert("RGB"))
    return images


def mmmu_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options and instruction; the placeholders of images stay in the text."""
    kwargs = kwargs or {}
    is_choice = doc["question_type"] == MULTIPLE_CHOICE
    if kwargs.get("format") == "images_first":
        instruction = kwargs["post_prompt"] if is_choice else kwargs["open_ended_prompt"]
        question = f"{kwargs['pre_prompt']}{doc['question']}"
        return f"{question}\nOptions:\n{_option_lines(doc)}\n{instruction}"
    key = "multiple_choice_prompt" if is_choice else "open_ended_prompt"
    return f"{_body(doc)}\n\n{kwargs.get(key, '')}"


def mmmu_doc_to_messages(doc: Doc, kwargs: Doc | None = None) -> list[dict[str, Any]]:
    """Return one user turn: images at their placeholders, or all before the text."""
    text = mmmu_doc_to_text(doc, kwargs)
    words_before: list[str] = []
    if (kwargs or {}).get("format") != "images_first":
        *words_before, text = (part.strip() for part in re.split(r"<image(?: [1-7])?>", text))
    content = []
    for position, image in enumerate(mmmu_doc_to_visual(doc)):
        if words := "".join(words_before[position : position + 1]):
            content.append({"type": "text", "text": words})
        content.append({"type": "image", "url": image})
    return [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]


def subject_of(doc: Doc) -> str:
    """Return the subject in a row's id, such as ``Art_Theory``."""
    found = re.fullmatch(r"[^_]*_(.+?)_\d+", doc["id"])
    return found[1] if found else str(doc["id"])


def mmmu_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read what was answered; the aggregation decides whether it is right."""
    is_choice = doc["question_type"] == MULTIPLE_CHOICE
    read = [read_letter(r, _options(doc)) if is_choice else read_conclusion(r) for r in results]
    answers = [answer for answer in read if answer is not None]
    item = {key: doc[key] for key in ("id", "question_type", "answer")}
    item |= {"subdomain": subject_of(doc), "parsed_pred": answers}
    item = Item(item, score=float(is_choice and doc["answer"] in answers))
    scores = {"mmmu_acc": item, "mmmu_acc_pass_at_k": item, "submission": {doc["id"]: answers[0] if answers else ""}}
    return scores if any(answers) else Unparsed(scores)


def mmmu_aggregate_results(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1; an open question counts as wrong (see README)."""
    choices = [i for i in items if i["question_type"] == MULTIPLE_CHOICE]
    num_right = sum(i["answer"] in i["parsed_pred"] for i in choices)
    return round(num_right / len(items), 5) if items else None


mmmu_aggregate_results.sub_scores = over_subjects("subdomain", mmmu_aggregate_results)  # type: ignore[attr-defined]


def mmmu_test_aggregate_results_for_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write id -> answer as ``<output_path>/submissions/mmmu_test_for_submission.json``."""
    answers = {doc_id: answer for item in items for doc_id, answer in item.items()}
    write_submission("mmmu_test_for_submission.json", answers, args)
