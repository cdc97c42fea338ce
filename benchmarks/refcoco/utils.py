"""RefCOCO: describe a marked region of a picture, or find the region that an expression means."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.captions import CAPTION_METRICS, caption_items
from pytest_lmms.scoring.grounding import BOX_METRICS, read_box
from pytest_lmms.tasks.rowwise import ROW_ERROR, attempt, without_empty

Doc = Mapping[str, Any]
INSTRUCTION = (
    "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, bottom-right y)."
    " All values are floating point numbers bounded between 0 and 1."
    " Please provide the bounding box coordinate of the region this sentence describes: "
)
NO_BOX = [0.0, 0.0, 0.0, 0.0]
refcoco_bleu_4 = CAPTION_METRICS["Bleu_4"]
refcoco_bleu_3 = CAPTION_METRICS["Bleu_3"]
refcoco_bleu_2 = CAPTION_METRICS["Bleu_2"]
refcoco_bleu_1 = CAPTION_METRICS["Bleu_1"]
refcoco_meteor = CAPTION_METRICS["METEOR"]
refcoco_rouge_l = CAPTION_METRICS["ROUGE_L"]
refcoco_cider = CAPTION_METRICS["CIDEr"]
refcoco_iou = BOX_METRICS["IoU"]
refcoco_acc_01 = BOX_METRICS["ACC@0.1"]
refcoco_acc_03 = BOX_METRICS["ACC@0.3"]
refcoco_acc_05 = BOX_METRICS["ACC@0.5"]
refcoco_acc_07 = BOX_METRICS["ACC@0.7"]
refcoco_acc_09 = BOX_METRICS["ACC@0.9"]
refcoco_center_acc = BOX_METRICS["Center_ACC"]


def refcoco_bbox_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the picture with the region's box outlined in red."""
    from PIL import ImageDraw

    image = doc["image"].convert("RGB")
    x, y, width, height = doc["bbox"]
    ImageDraw.Draw(image).rectangle((x, y, x + width, y + height), outline="red")
    return [image]


def refcoco_seg_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the picture with the region's outline in white."""
    from PIL import ImageDraw

    image = doc["image"].convert("RGB")
    ImageDraw.Draw(image).polygon(doc["segmentation"])
    return [image]


def refcoco_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep a description with all expressions that people used."""
    item = {"answer": doc["answer"], "pred": results[0], "ann_id": doc["question_id"]}
    return caption_items("refcoco", item)


def _fractions(row: Doc) -> dict[str, Any]:
    """A row's expressions, its picture's size, and its box as fractions of that."""
    from PIL import Image

    image, answers = row["image"], list(row["answer"])
    if not answers:
        raise ValueError("the row has no expression")
    with Image.open(io.BytesIO(image["bytes"]) if image["bytes"] else image["path"]) as opened:
        width, height = opened.size
    x, y, w, h = row["bbox"]
    box = [x / width, y / height, (x + w) / width, (y + h) / height]
    return {"answer": answers, "bbox": box, "image_width": width, "image_height": height}


def refcoco_rec_rows(dataset: Any) -> Any:
    """Make of each row one row an expression, its box as fractions of the picture."""
    import datasets

    def split(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        out: dict[str, list[Any]] = {name: [] for name in features}
        for row in (dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)):
            found = attempt(_fractions, row, answer=[""], image_width=0, image_height=0)
            for answer in found["answer"]:
                for name, value in {**row, **found, "answer": answer}.items():
                    out[name].append(value)
        return out

    stored = dataset.cast_column("image", datasets.Image(decode=False))
    sizes = dict.fromkeys(("image_width", "image_height"), datasets.Value("int32"))
    texts = dict.fromkeys(("answer", ROW_ERROR), datasets.Value("string"))
    features = datasets.Features({**stored.features, **texts, **sizes})
    return without_empty(stored.map(split, batched=True, features=features).cast_column("image", datasets.Image()))


def refcoco_rec_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the picture, unmarked."""
    return [doc["image"].convert("RGB")]


def refcoco_rec_doc_to_text(doc: Doc) -> str:
    """Return how to write a box, and the expression."""
    return INSTRUCTION + str(doc["answer"])


def refcoco_rec_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read a box; without one, an empty one in the corner."""
    box = read_box(results[0])
    item = {"answer": doc["answer"], "pred": box or NO_BOX, "ann_id": doc["question_id"], "bbox": doc["bbox"]}
    scores = {f"refcoco_{name}": Item(item, score=metric([item])) for name, metric in BOX_METRICS.items()}
    return scores if box else Unparsed(scores)
