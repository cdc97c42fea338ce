"""GQA: questions about scenes, composed from their graphs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]


@functools.cache
def _images() -> tuple[Any, dict[str, int]]:
    """Open the dataset's images, which lie in a configuration of their own, and find them by id; decodes none."""
    import datasets

    images = datasets.load_dataset("lmms-lab/GQA", "testdev_balanced_images", split="testdev", token=True)
    return images, {image_id: position for position, image_id in enumerate(images["id"])}


def gqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the scene: the row's own image, or the one that it names."""
    image = doc.get("image")
    if image is None:
        images, positions = _images()
        image = images[positions[doc["imageId"]]]["image"]
    return [image.convert("RGB")]


def gqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"], kwargs)
