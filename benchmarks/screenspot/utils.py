"""ScreenSpot: find what a command means on a screenshot, or say what a marked region is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.captions import cider_of, tokenize
from pytest_lmms.scoring.grounding import BOX_METRICS, read_box
from pytest_lmms.scoring.subscores import with_sub_scores

Doc = Mapping[str, Any]
INSTRUCTION = (
    "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, bottom-right y)."
    " All values are floating point numbers bounded between 0 and 1 with two decimal places of precision (e.g., 0.15)."
    " Please provide the bounding box coordinates of the region that corresponds to the command: "
)
NO_BOX = [0.0, 0.0, 0.0, 0.0]
MOBILE, DESKTOP = ("ios", "android"), ("macos", "windows")


def place_of(item: Doc) -> str:
    """Return where a command's target is, such as ``mobile_icon``; what is neither mobile nor desktop is web."""
    source = item["data_source"]
    platform = (
        "mobile" if any(s in source for s in MOBILE) else "desktop" if any(s in source for s in DESKTOP) else "web"
    )
    return f"{platform}_{'text' if item['data_type'] == 'text' else 'icon'}"


def _by_place(name: str) -> Callable[[Sequence[Doc]], float]:
    metric = BOX_METRICS[name]

    def places(items: Sequence[Doc]) -> dict[str, float]:
        own: dict[str, list[Doc]] = {}
        for item in items:
            own.setdefault(place_of(item), []).append(item)
        return {place: metric(some) for place, some in own.items()}

    @with_sub_scores(places)
    def aggregation(items: Sequence[Doc]) -> float:
        return metric(items)

    return aggregation


screenspot_iou = _by_place("IoU")
screenspot_acc_01 = _by_place("ACC@0.1")
screenspot_acc_03 = _by_place("ACC@0.3")
screenspot_acc_05 = _by_place("ACC@0.5")
screenspot_acc_07 = _by_place("ACC@0.7")
screenspot_acc_09 = _by_place("ACC@0.9")
screenspot_center_acc = _by_place("Center_ACC")
screenspot_cider = cider_of(lambda items: [(tokenize(i["pred"]), [tokenize(i["instruction"])]) for i in items])


def screenspot_rec_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the screenshot."""
    return [doc["image"].convert("RGB")]


def screenspot_rec_doc_to_text(doc: Doc) -> str:
    """Return how to write a box, and the command."""
    return INSTRUCTION + str(doc["instruction"])


def screenspot_rec_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read a box; without one, an empty one in the corner."""
    box = read_box(results[0])
    columns = ("bbox", "instruction", "data_type", "data_source")
    item = {"pred": box or NO_BOX, "ann_id": doc["file_name"], **{column: doc[column] for column in columns}}
    scores = {f"screenspot_{name}": Item(item, score=metric([item])) for name, metric in BOX_METRICS.items()}
    return scores if box else Unparsed(scores)


def screenspot_reg_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the screenshot with the region framed in red, 3 pixels wide."""
    from PIL import ImageDraw

    image = doc["image"].convert("RGB")
    x1, y1, x2, y2 = doc["bbox"]
    box = (x1 * image.width, y1 * image.height, x2 * image.width, y2 * image.height)
    ImageDraw.Draw(image).rectangle(box, outline="red", width=3)
    return [image]


def screenspot_reg_doc_to_text(doc: Doc) -> str:
    """Return the request for a command that means the framed region."""
    x1, y1, x2, y2 = doc["bbox"]
    return f"Direct a user to interact with the highlighted region [{x1:.2f}, {y1:.2f}, {x2:.2f}, {y2:.2f}]."


def screenspot_reg_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep the command that was said, and the gold one."""
    columns = ("instruction", "data_type", "data_source")
    item = {"pred": results[0], "ann_id": doc["file_name"], **{column: doc[column] for column in columns}}
    return {"screenspot_CIDEr": item}
