"""DREAM-TTS: spoken dialogues of English examinations, read out by a synthetic voice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_lmms.scoring.letters import score_announced_letter

Doc = Mapping[str, Any]

dream_tts_mcq_process_results = score_announced_letter


def dream_tts_mcq_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the dialogue's sound."""
    dialogue = doc["context"]
    return [dialogue]


def dream_tts_mcq_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question and options between the two prompts."""
    kwargs = kwargs or {}
    question = "\n\n".join([doc["instruction"], doc["choices"]])
    return f"{kwargs.get('pre_prompt', '')}{question}{kwargs.get('post_prompt', '')}"
