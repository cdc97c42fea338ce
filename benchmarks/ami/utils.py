"""AMI: what was said in meetings, utterance by utterance."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_lmms.scoring.speech import num_edits
from pytest_lmms.scoring.transcripts import read_transcript

Doc = Mapping[str, Any]
QUESTION = (
    "Please transcribe the following audio. Only provide the transcription without any additional explanation or"
    " formatting."
)
SENTENCES = (
    r"(?:the\s+)?transcription\s+(?:of\s+)?(?:the\s+)?audio\s+is\s*:",
    r"(?:the\s+)?original\s+content\s+(?:of\s+)?(?:this\s+)?audio\s+is\s*:",
    r"(?:the\s+)?(?:audio|speech)\s+(?:content|transcription|says)\s*:",
)
INTRODUCTIONS = (
    r"(?:here\s+is\s+)?(?:the\s+)?transcription\s*(?:of\s+(?:the\s+)?audio)?\s*:",
    r"(?:the\s+)?(?:audio|speech)\s+(?:says|contains)\s*:",
    r"(?:answer|response|result)\s*:",
)
DROPPED = str.maketrans("", "", string.punctuation.replace("'", ""))


def ami_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the row's sound."""
    return [doc["audio"]]


def ami_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return the request between `pre_prompt` and `post_prompt`."""
    kwargs = kwargs or {}
    return f"{kwargs.get('pre_prompt', '')}{QUESTION}{kwargs.get('post_prompt', '')}"


def _words(text: str) -> list[str]:
    return text.strip().lower().translate(DROPPED).split()


def word_error_rate(reference: str, answer: str) -> float:
    """Return the edits per word of the reference, 0 or more; 1.0 for an empty reference."""
    said = _words(reference)
    if not reference.strip():
        return 1.0
    heard = read_transcript(answer, sentences=SENTENCES, introductions=INTRODUCTIONS, may_end_after_quote=True)
    return num_edits(said, _words(heard)) / max(len(said), 1)


def ami_process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score one utterance: its word error rate, averaged over repeats."""
    return {"wer": fmean(word_error_rate(str(doc["text"] or ""), answer) for answer in results)}
