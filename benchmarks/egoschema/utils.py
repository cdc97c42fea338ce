"""EgoSchema: one of five descriptions of what the wearer of a camera did in three minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.choices import MIN_WORDS_FOR_OPTION_TEXT, TRIMMED_MARKS, label_options
from pytest_lmms.scoring.submission import write_submission
from pytest_lmms.tasks.mediafiles import find_media, with_extensions

Doc = Mapping[str, Any]
NUM_OPTIONS = 5
INSTRUCTION = "Answer with the option's letter from the given choices directly."


def egoschema_doc_to_visual(doc: Doc) -> list[str]:
    """Return the path of the row's video."""
    names = [f"videos/{name}" for name in with_extensions(doc["video_idx"], ["mp4", "MP4"])]
    return [find_media("egoschema", names, beside=__file__)]


def egoschema_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question, options (which bring their letters) and instruction."""
    lines = [doc["question"], *doc["option"], INSTRUCTION]
    return f"{(kwargs or {}).get('pre_prompt', '')}" + "\n".join(lines)


def egoschema_doc_to_answer(doc: Doc) -> Any:
    """Return the number of the right option, 0 to 4; None where it is hidden."""
    return doc["answer"]


def read_earliest_option(text: str, options: Sequence[str]) -> int | None:
    """Return the number of the option that a text chooses, None when it mentions none.

    Letters in brackets, before a blank and before a full stop are all looked for; in a text of more than five words
    that has none, the options themselves. Of several, the one whose last mention in that form comes first wins.
    """
    for mark in TRIMMED_MARKS:
        text = text.strip(mark)
    text = f" {text} "
    letters = label_options(options[:NUM_OPTIONS])
    found = [
        (letter, form.format(letter))
        for form in ("({})", "{} ", "{}.")
        for letter in letters
        if form.format(letter) in text
    ]
    if not found and len(text.split()) >= MIN_WORDS_FOR_OPTION_TEXT:
        text = text.lower()
        found = [(letter, option.lower()) for letter, option in letters.items() if option.lower() in text]
    earliest = min(found, key=lambda each: text.rfind(each[1]), default=None)
    return list(letters).index(earliest[0]) if earliest else None


def egoschema_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Read the number of an option."""
    number = read_earliest_option(results[0], doc["option"])
    item = {"pred": number, "ground_truth": doc["answer"]}
    scores = {"submission": {doc["video_idx"]: number}, "score": Item(item, score=egoschema_aggregate_score([item]))}
    return Unparsed(scores) if number is None else scores


def egoschema_aggregate_score(items: Sequence[Doc]) -> float | None:
    """Return the share of right answers, 0 to 1."""
    right = [i for i in items if i["pred"] is not None and str(i["pred"]) == str(i["ground_truth"])]
    return len(right) / len(items) if items else None


def egoschema_aggregate_mc(items: Sequence[Doc], args: Any = None) -> None:
    """Write video -> number of the option as ``<output_path>/submissions/inference_results_egoschema_MC.json``."""
    numbers = {video: number for item in items for video, number in item.items()}
    write_submission("inference_results_egoschema_MC.json", numbers, args)


def egoschema_doc_to_choice(doc: Doc) -> list[str]:
    """Return the options' texts without their letters, each up to its next full stop."""
    return [option.split(".")[1].strip() for option in doc["option"]]


def egoschema_process_losses(doc: Doc, results: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Choose the option whose text has the smallest loss."""
    losses = [loss for loss, _ in results]
    number = losses.index(min(losses))
    item = {"pred": number, "ground_truth": doc["answer"]}
    return {"submission": {doc["video_idx"]: number}, "score": Item(item, score=egoschema_aggregate_score([item]))}


def egoschema_aggregate_mcppl(items: Sequence[Doc], args: Any = None) -> None:
    """Write video -> number of the option as ``inference_results_egoschema_MC_PPL.json``."""
    numbers = {video: number for item in items for video, number in item.items()}
    write_submission("inference_results_egoschema_MC_PPL.json", numbers, args)
