"""WorldVQA, short questions about images; and WorldQA, about videos, under the names that lmms-eval gives it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.records import Item
from pytest_lmms.scoring.captions import rouge_l, tokenize
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.mediafiles import find_media
from pytest_lmms.tasks.prompts import instructed

Doc = Mapping[str, Any]


def worldvqa_doc_to_visual(doc: Doc) -> list[Any]:
    """Return the image; some copies of the dataset hold it as base64 text."""
    image = doc["image"]
    return [base64.b64decode(image) if isinstance(image, str) else image.convert("RGB")]


def worldvqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return the question with its instruction."""
    return instructed(doc["question"].strip(), kwargs)


def worldqa_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the video."""
    names = [f"videos/{doc['video_idx']}.{extension}" for extension in ("mp4", "MP4")]
    return [find_media("multi-hop-reasoning", names, beside=__file__)]


def worldqa_doc_to_text(doc: Doc, kwargs: Doc) -> str:
    """Return question, options if any, and instruction."""
    return instructed("\n".join([doc["question"], *({"option": [], **doc}["option"])]), kwargs)


def worldqa_doc_to_choice(doc: Doc) -> list[str]:
    """Return the options' texts, up to a full stop inside."""
    return [option.split(".")[1].strip() for option in doc["option"]]


def worldqa_doc_to_ppl_target(doc: Doc) -> str:
    """Return the right option's text, up to a full stop inside."""
    return str(doc["answer"]).split(".")[1].strip()


def item_of(doc: Doc, response: str) -> dict[str, Any]:
    """Return a response with its question's columns."""
    return {"pred": response, **{c: doc[c] for c in ("question_idx", "object_description", "answer")}}


def worldqa_gen_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Compare words with the reference, and keep the response for a judge."""
    overlap = rouge_l([(tokenize(results[0]), [tokenize(doc["answer"])])])
    return {"rouge_l_to_reference": overlap, "submission": item_of(doc, results[0])}


def worldqa_gen_judged(doc: Doc, results: Sequence[str], reply: str) -> dict[str, Any]:
    """Keep a response with what a judge said of it."""
    item = item_of(doc, results[0]) | {"eval_answer": reply}
    return {"submission": item, "gpt_eval": Item(item, score=_last_number(reply))}


worldqa_gen_process_results.judged = worldqa_gen_judged  # type: ignore[attr-defined]


def worldqa_gen_aggregate(items: Sequence[Doc]) -> float:
    """Return the mean of the numbers on the last lines of the judge's replies, 0 where there is none; 0 to 1."""
    return fmean(_last_number(item["eval_answer"]) for item in items)


def _last_number(reply: str) -> float:
    try:
        return float(reply.strip().split("\n")[-1])
    except ValueError:
        return 0.0


def worldqa_submission(items: Sequence[Doc], args: Any = None) -> None:
    """Write the responses."""
    write_submission("worldqa-Generation.json", list(items), args)
