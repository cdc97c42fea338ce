"""Flickr30k: one sentence about a photograph, against what five people wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.scoring.captions import CAPTION_METRICS, caption_items

Doc = Mapping[str, Any]
flickr_bleu_4 = CAPTION_METRICS["Bleu_4"]
flickr_bleu_3 = CAPTION_METRICS["Bleu_3"]
flickr_bleu_2 = CAPTION_METRICS["Bleu_2"]
flickr_bleu_1 = CAPTION_METRICS["Bleu_1"]
flickr_meteor = CAPTION_METRICS["METEOR"]
flickr_rouge_l = CAPTION_METRICS["ROUGE_L"]
flickr_cider = CAPTION_METRICS["CIDEr"]


def flickr_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the photograph."""
    return [doc["image"].convert("RGB")]


def flickr_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Doc]:
    """Keep a caption with its references."""
    item = {"answer": doc["caption"], "pred": results[0], "image_id": int(doc["img_id"])}
    return caption_items("flickr", item)
