"""MMSearch: search, choose a page, answer from it; the web is a recording, so that runs can be repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.media.image import LazyImage
from pytest_lmms.tasks.mediafiles import find_media

from .prompts import ask_for_answer, ask_for_query, ask_for_site, has_image

Doc = Mapping[str, Any]
FOLDER = "mmsearch_searches"
NUM_SITES, MAX_SLICES, SLICE_PX = 8, 10, 512
CHOICE = 1
"""Place of the output that chooses a site."""


def _own_images(doc: Doc) -> list[Any]:
    return [doc[c].convert("RGB") for c in ("query_image", "image_search_result")] if has_image(doc) else []


def slices_of(page: Any) -> list[Any]:
    """Cut a page's picture into up to 10 slices of 512 px height."""
    width, height = page.size
    tops = range(0, height, SLICE_PX)[:MAX_SLICES]
    return [page.convert("RGB").crop((0, top, width, min(top + SLICE_PX, height))) for top in tops]


def _image(doc: Doc, name: str) -> LazyImage:
    return LazyImage.from_path(find_media(FOLDER, f"{doc['sample_id']}/{name}", beside=__file__))


def _sites(doc: Doc) -> list[Doc]:
    path = Path(find_media(FOLDER, f"{doc['sample_id']}.json", beside=__file__))
    return list(json.loads(path.read_text(encoding="utf-8"))[:NUM_SITES])


def read_site(text: str, count: int) -> tuple[int, bool]:
    """Return the number of the site that a text chooses, from 0, and whether it chooses exactly one that is there."""
    numbers = [int(number) - 1 for number in re.findall(r"<Website (\d{1,3})>", text)]
    is_valid = len(numbers) == 1 and 0 <= numbers[0] < count
    return (numbers[0] if numbers and 0 <= numbers[0] < count else 0), is_valid


def mmsearch_end2end_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images of the first round: the question's, if it has one, and its search result."""
    return _own_images(doc)


def mmsearch_end2end_doc_to_text(
    doc: Doc,
    lmms_eval_specific_kwargs: Doc | None = None,
    previous_output: Sequence[str] | None = None,
    round_idx: int = 0,
    previous_round_info: Any = None,
) -> Any:
    """Return the first prompt; then images and prompt of the next of three rounds."""
    if previous_output is None:
        return ask_for_query(doc)
    outputs = list(previous_output)
    if len(outputs) > CHOICE + 1:
        return None, None, True, outputs, None
    sites = _sites(doc)
    if len(outputs) == CHOICE:
        heads = [_image(doc, site["head"]).convert("RGB") for site in sites]
        return [*_own_images(doc), *heads], ask_for_site(doc, sites), False, outputs, None
    site = sites[read_site(outputs[CHOICE], len(sites))[0]]
    slices = slices_of(_image(doc, site["page"]))
    return [*slices, *_own_images(doc)[::-1]], ask_for_answer(doc, site, len(slices)), False, outputs, None
