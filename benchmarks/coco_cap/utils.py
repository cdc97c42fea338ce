"""COCO captions: one sentence about a photograph, against what five people wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.media.image import LazyImage
from pytest_lmms.scoring.captions import CAPTION_METRICS, caption_items
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
coco_bleu_4 = CAPTION_METRICS["Bleu_4"]
coco_bleu_3 = CAPTION_METRICS["Bleu_3"]
coco_bleu_2 = CAPTION_METRICS["Bleu_2"]
coco_bleu_1 = CAPTION_METRICS["Bleu_1"]
coco_meteor = CAPTION_METRICS["METEOR"]
coco_rouge_l = CAPTION_METRICS["ROUGE_L"]
coco_cider = CAPTION_METRICS["CIDEr"]


def coco_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def image_id_of(doc: Doc) -> int:
    """Return the number at the end of the photograph's file name."""
    return int(str(doc["question_id"]).split("_")[-1].split(".", maxsplit=1)[0])


def coco_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep a caption with its references."""
    item = {"answer": doc["answer"], "pred": results[0], "image_id": image_id_of(doc), "id": doc["id"]}
    return caption_items("coco", item)


def coco_karpathy_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph that the row names, of the files of COCO 2014."""
    path = find_media("coco", f"{doc['filepath']}/{doc['filename']}", beside=__file__)
    return [LazyImage.from_path(path).convert("RGB")]


def coco_karpathy_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep a caption with its references."""
    number = image_id_of({"question_id": doc["filename"]})
    item = {"answer": doc["sentences"], "pred": results[0], "image_id": number, "id": doc["imgid"]}
    return caption_items("coco", item)


def coco_test_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep the caption for the server, in a list as lmms-eval has it."""
    return {"coco_passthrough": {"pred": list(results), "image_id": image_id_of(doc)}}


def coco_test_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write the file that the benchmark's server scores."""
    captions = [{"image_id": item["image_id"], "caption": item["pred"][0]} for item in items]
    write_submission("coco_captions_test2014_alg_results.json", captions, args)
