"""LibriSpeech: read-out passages of audio books, utterance by utterance or joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.records import Item, Unparsed
from pytest_lmms.scoring.speech import error_rate
from pytest_lmms.scoring.spoken import spoken_words

Doc = Mapping[str, Any]
REQUEST = "Please recognize the speech and only output the recognized content:"
START_OF_LANGUAGE = len("asr_")


def librispeech_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the row's recording."""
    recording = doc["audio"]
    return [recording]


def librispeech_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the request between the prompts."""
    before, after = ((kwargs or {}).get(key, "") for key in ("pre_prompt", "post_prompt"))
    return f"{before}{REQUEST}{after}"


def _scores(item: dict[str, Any]) -> dict[str, Any]:
    item = Item(item, score=librispeech_wer([item]))
    return {"wer": item} if item["pred"].strip() else Unparsed({"wer": item})


def librispeech_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep what was said and heard."""
    return _scores({"gt": doc["gt"], "pred": results[0], "source": doc["source"], "task": doc["task"]})


def librispeech_long_process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """Keep what was said and heard, in English."""
    return _scores({"gt": doc["transcript"], "pred": results[0], "task": "asr_en"})


def librispeech_wer(items: Sequence[Doc]) -> float | None:
    """Return the word error rate over all utterances, in percent, in the language of the last."""
    if not items:
        return None
    language = items[-1]["task"][START_OF_LANGUAGE:]
    pairs = [(spoken_words(item["gt"], language), spoken_words(item["pred"], language)) for item in items]
    rate = error_rate(pairs)
    return None if rate is None else 100 * rate
