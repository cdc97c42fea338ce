"""Europarl-ASR: speeches in the European Parliament, word for word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.speech import num_edits
from pytest_lmms.scoring.transcripts import read_transcript

Doc = Mapping[str, Any]
REQUEST = (
    "Please transcribe the following audio. Only provide the transcription without any additional explanation or"
    " formatting."
)
SENTENCES = (
    r"(?:the\s+)?original\s+content\s+(?:of\s+)?(?:this\s+)?audio\s+is\s*:",
    r"(?:the\s+)?(?:audio|speech)\s+(?:content|transcription|says)\s*:",
    r"transcription\s*:",
)
INTRODUCTIONS = (
    r"(?:here\s+is\s+)?(?:the\s+)?transcription\s*:",
    r"(?:the\s+)?(?:audio|speech)\s+(?:says|contains)\s*:",
    r"(?:answer|response|result)\s*:",
)


def europal_asr_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the row's one sound."""
    sound = doc["audio"]
    return [sound]


def europal_asr_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the request between `pre_prompt` and `post_prompt`."""
    kwargs = kwargs or {}
    return f"{kwargs.get('pre_prompt', '')}{REQUEST}{kwargs.get('post_prompt', '')}"


def europal_asr_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one speech: edits per word, marks and all, averaged over repeats; 1.0 for an empty reference."""
    said = str(doc["text_verbatim"] or "").upper().split()
    if not said:
        return {"wer": 1.0}
    heard = [read_transcript(answer, sentences=SENTENCES, introductions=INTRODUCTIONS) for answer in results]
    return {"wer": fmean(num_edits(said, text.upper().split()) / len(said) for text in heard)}
