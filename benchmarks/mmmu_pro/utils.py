"""MMMU-Pro: MMMU with ten options, or with question and options inside the image."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.choices import label_options, read_letter
from pytest_lmms.scoring.reasoned import THINK_PROMPT, reasoned_scores
from pytest_lmms.scoring.subscores import over_subjects, with_sub_scores
from pytest_lmms.tasks.prompts import one_turn, option_lines

Doc = Mapping[str, Any]
PLACEHOLDER = re.compile(r"<image (\d+)>")


def _options(doc: Doc) -> list[str]:
    return [str(option) for option in ast.literal_eval(doc["options"])]


def mmmu_pro_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images that question and options name, by name; or the one that holds the question."""
    if "question" not in doc:
        return [doc["image"].convert("RGB")]
    named = sorted(set(PLACEHOLDER.findall(f"{doc['question']} {' '.join(_options(doc))}")))
    if missing := [number for number in named if doc.get(f"image_{number}") is None]:
        raise DocumentError(f"{doc['id']}: no image for <image {missing[0]}>")
    return [doc[f"image_{number}"].convert("RGB") for number in named]


def mmmu_pro_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, lettered options and instruction; where the image holds them, the instruction alone."""
    if kwargs.get("format") == "options_headed":
        options = option_lines(_options(doc))
        question = f"{kwargs['pre_prompt']}{doc['question']}" if "question" in doc else kwargs["vision_prompt"]
        return f"{question}\nOptions:\n{options}\n{kwargs['post_prompt']}"
    if "question" not in doc:
        return str(kwargs["post_prompt"])
    return f"{doc['question']}\n{option_lines(_options(doc))}\n\n{kwargs['post_prompt']}"


def mmmu_pro_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read a letter; where the image holds the question, the response must be the letter itself."""
    answer = read_letter(results[0], label_options(_options(doc))) if "question" in doc else results[0].strip()
    item = {"id": doc["id"], "subject": doc["subject"], "answer": doc["answer"], "parsed_pred": answer or ""}
    item = Item(item, score=_accuracy([item]))
    return {"mmmu_acc": item} if answer else Unparsed(mmmu_acc=item)


def _accuracy(items: Sequence[Doc]) -> float:
    return float(round(sum(i["parsed_pred"] == i["answer"] for i in items) / len(items), 5))


@with_sub_scores(over_subjects("subject", _accuracy))
def mmmu_pro_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the share of right answers, rounded to five digits."""
    return _accuracy(items)


def mmmu_pro_standard_reasoning_text(doc: Doc) -> str:
    """Return question and lettered options."""
    return f"{doc['question']}\n{option_lines(_options(doc))}\n\n"


def mmmu_pro_standard_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, and the question with images where they are named."""
    texts = PLACEHOLDER.split(mmmu_pro_standard_reasoning_text(doc))[::2]
    images = mmmu_pro_doc_to_visual(doc)
    content: list[dict[str, Any]] = []
    for text, image in zip(texts, images, strict=False):
        content += [{"type": "text", "text": text.strip()}] if text.strip() else []
        content.append({"type": "image", "url": image})
    content.append({"type": "text", "text": texts[-1].strip()})
    return [one_turn([], "", system=THINK_PROMPT)[0], {"role": "user", "content": content}]


def mmmu_pro_vision_reasoning_text(doc: Doc) -> str:
    """Return the lettered options and where the question is."""
    return f"{option_lines(_options(doc))}\n\nAnswer the question in the image."


def mmmu_pro_vision_reasoning_messages(doc: Doc) -> list[dict[str, Any]]:
    """Return the system prompt that asks for thoughts, the image, and the options."""
    return one_turn(mmmu_pro_doc_to_visual(doc), mmmu_pro_vision_reasoning_text(doc), system=THINK_PROMPT)


def mmmu_pro_reasoning_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score the answer at the end of the reasoning, and the form of the response."""
    return reasoned_scores(results, doc["answer"])
