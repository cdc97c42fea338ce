"""MMMU with all images of a question in one: labelled, side by side or one below the other."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.choices import CONCLUSION_CUES, label_options, read_letter
from pytest_lmms.scoring.conclusions import is_concluded, read_conclusions
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.scoring.subscores import over_subjects, with_sub_scores

from .utils import MULTIPLE_CHOICE, mmmu_doc_to_visual, subject_of

Doc = Mapping[str, Any]
SIDE_PX, LABEL_PX, MARGIN_PX = 1008, 40, 10
CHOICE_PROMPT = "Answer with the option's letter from the given choices directly."
OPEN_PROMPT = "Answer the question using a single word or phrase."


def _tile(image: Any, width: int, height: int, number: int) -> Any:
    """An image of some size with ``[number]`` on white in its corner."""
    tile = image.resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(tile)
    draw.rectangle([(0, 0), (LABEL_PX + 2 * MARGIN_PX,) * 2], fill="white")
    font = ImageFont.load_default(size=LABEL_PX)
    draw.text((MARGIN_PX, MARGIN_PX), f"[{number}]", font=font, fill="black")
    return tile


def joined(images: Sequence[Any]) -> Any:
    """Return one image: a row of 1008 px height or a column of 1008 px width, whichever is less elongated."""
    widths = [max(1, int(image.width * SIDE_PX / image.height)) for image in images]
    heights = [max(1, int(image.height * SIDE_PX / image.width)) for image in images]
    is_row = sum(widths) <= sum(heights)
    sizes = [(w, SIDE_PX) if is_row else (SIDE_PX, h) for w, h in zip(widths, heights, strict=True)]
    whole = Image.new("RGB", (sum(widths), SIDE_PX) if is_row else (SIDE_PX, sum(heights)))
    offset = 0
    for number, (image, size) in enumerate(zip(images, sizes, strict=True), start=1):
        whole.paste(_tile(image, *size, number), (offset, 0) if is_row else (0, offset))
        offset += size[0] if is_row else size[1]
    return whole


def mmmu_group_img_visual(doc: Doc) -> list[Any]:
    """Return one image that shows all that question and options name."""
    return [joined(mmmu_doc_to_visual(doc))]


def _options(doc: Doc) -> dict[str, str]:
    return label_options(ast.literal_eval(doc["options"]))


def mmmu_group_img_text(doc: Doc) -> str:
    """Return question, options with their letters in brackets, and instruction; placeholders of images stay."""
    if doc["question_type"] != MULTIPLE_CHOICE:
        return f"{doc['question']}\n{OPEN_PROMPT}"
    options = "\n".join(f"({letter}) {option}" for letter, option in _options(doc).items())
    return f"{doc['question']}\n{options}\n\n{CHOICE_PROMPT}"


def mmmu_group_img_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer: its letter, or what it concludes."""
    said = results[0]
    item = {key: doc[key] for key in ("id", "question_type", "answer")} | {"subdomain": subject_of(doc)}
    if doc["question_type"] == MULTIPLE_CHOICE:
        item["parsed_pred"] = read_letter(said, _options(doc))
    else:
        item["parsed_pred"] = read_conclusions(said, CONCLUSION_CUES) if said.strip() else None
    scores = {"mmmu_acc": Item(item, score=float(_is_right(item))), "submission": {doc["id"]: said}}
    return scores if item["parsed_pred"] is not None else Unparsed(scores)


def _is_right(item: Doc) -> bool:
    read = item["parsed_pred"]
    if item["question_type"] == MULTIPLE_CHOICE:
        return bool(read == item["answer"])
    return read is not None and is_concluded(str(item["answer"]), read)


def _accuracy(items: Sequence[Doc]) -> float:
    return float(round(sum(map(_is_right, items)) / len(items), 3))


@with_sub_scores(over_subjects("subdomain", _accuracy))
def mmmu_group_img_accuracy(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1, to three decimals."""
    return _accuracy(items) if items else None


def mmmu_group_img_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write id -> response as ``<output_path>/submissions/mmmu_test_group_img_for_submission.json``."""
    answers = {key: text for item in items for key, text in item.items()}
    write_submission("mmmu_test_group_img_for_submission.json", answers, args)
