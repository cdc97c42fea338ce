"""MVBench: twenty kinds of multiple-choice questions about short videos."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.errors import DocumentError
from pytest_lmms.records import Unparsed
from pytest_lmms.scoring.choices import label_options
from pytest_lmms.scoring.vqa import drop_full_stops, replace_punctuation
from pytest_lmms.tasks.mediafiles import find_media

Doc = Mapping[str, Any]
SUB_TASKS_BY_FOLDER = {
    "star/Charades_segment": "action_sequence action_prediction object_interaction",
    "ssv2_video_mp4": "action_antonym",
    "Moments_in_Time_Raw/videos": "fine_grained_action",
    "FunQA_test/test": "unexpected_action",
    "clevrer/video_validation": "object_existence moving_direction moving_count moving_attribute"
    " counterfactual_inference",
    "perception/videos": "object_shuffle action_count state_change character_order",
    "sta/sta_video_segment": "action_localization",
    "scene_qa/video": "scene_transition",
    "nturgbd_convert": "fine_grained_pose",
    "vlnqa": "egocentric_navigation",
    "tvqa/video_fps3_hq_segment": "episodic_reasoning",
}
FOLDERS = {name: folder for folder, names in SUB_TASKS_BY_FOLDER.items() for name in names.split()}


def mvbench_doc_to_visual(doc: Doc, kwargs: Doc | None = None) -> list[str]:
    """Return the path of the row's video, or those of its frames where it is a folder of them."""
    folder = FOLDERS[(kwargs or {})["sub_task"]]
    found = find_media("mvbench_video", f"{folder}/{doc['video']}", beside=__file__)
    return [str(frame) for frame in sorted(Path(found).iterdir())] if os.path.isdir(found) else [found]


def mvbench_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options in brackets and instruction."""
    options = "".join(f"({letter}) {option}\n" for letter, option in label_options(doc["candidates"]).items())
    return f"Question:{doc['question']}\nOption:\n{options}{(kwargs or {}).get('post_prompt', '')}"


def _simplify(text: str) -> str:
    """Return a text in lower case without marks, full stops and the quotes around it, as VQA evaluation does."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    simple = drop_full_stops(replace_punctuation(text))
    for quote in ("'", '"', "(", ")"):
        simple = simple.strip(quote)
    return simple.strip().lower()


def read_option(text: str) -> str | None:
    """Return the letter before a full stop that begins the text, else the first letter from A to E on its own."""
    if found := re.fullmatch(r"([A-Ea-e])\.\s*.+", text.strip()):
        return found[1].upper()
    alone = re.search(r"\b[a-e]\b", _simplify(text))
    return alone[0].upper() if alone else None


def mvbench_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Score one answer."""
    right = [letter for letter, option in label_options(doc["candidates"]).items() if option == doc["answer"]]
    if not right:
        raise DocumentError(f"{doc['video']}: the answer {doc['answer']!r} is none of the candidates")
    letter = read_option(results[0])
    item = {"pred_answer": results[0], "gt_answer": right[0], "score": int(letter == right[0])}
    return {"mvbench_accuracy": item} if letter else Unparsed({"mvbench_accuracy": item})


def mvbench_aggregate_results(items: Sequence[Doc]) -> float:
    """Return the percentage of right answers among those that are not empty, 0 to 100."""
    answered = [item for item in items if item["pred_answer"]]
    return 100 * sum(item["score"] for item in answered) / len(answered) if answered else 0
