"""CN-College-Listen: listening tests of Chinese college entrance and degree examinations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_lmms.scoring.letters import score_announced_letter

Doc = Mapping[str, Any]

cn_college_listen_mcq_process_results = score_announced_letter


def cn_college_listen_mcq_doc_to_audio(doc: Doc) -> list[Any]:
    """Return the row's sound."""
    return [doc["context"]]


def cn_college_listen_mcq_doc_to_text(doc: Doc, kwargs: Doc | None = None) -> str:
    """Return question and options between `pre_prompt` and `post_prompt`."""
    before, after = ((kwargs or {}).get(key, "") for key in ("pre_prompt", "post_prompt"))
    return f"{before}{doc['instruction']}\n\n{doc['choices']}{after}"
