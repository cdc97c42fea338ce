"""What task files hand to a judge and get back, field by field as lmms-eval's `llm_judge.protocol` has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEFAULT_NUM_RETRIES = 5
DEFAULT_RETRY_DELAY = 10


@dataclass
class ServerConfig:
    """Which model judges, and how."""

    model_name: str
    """As its server knows it."""
    temperature: float = 0.0
    max_tokens: int = 1024
    top_p: float | None = None
    timeout: int = 60
    """Not used, as in lmms-eval."""
    num_retries: int = DEFAULT_NUM_RETRIES
    """Attempts, the first included."""
    retry_delay: float = DEFAULT_RETRY_DELAY
    """Seconds before the second attempt; later ones wait longer."""
    max_concurrent: int = 10
    """Requests in flight of one process."""
    system_prompt: str | None = None
    response_format: str | None = None
    """``json`` asks for a JSON object, where the server can promise one."""
    judge_type: str = "general"
    output_format: str | None = None
    score_range: tuple[float, float] | None = None
    evaluation_criteria: Mapping[str, Any] | None = None


@dataclass
class Request:
    """One question to a judge."""

    messages: list[dict[str, Any]]
    """As chat completions write them."""
    images: Sequence[Any] | None = None
    """PIL images, paths, or base64 as bytes; put after the text of the last user message."""
    config: ServerConfig | None = None
    """Of this request alone."""
    question: str | None = None
    answer: str | None = None
    prediction: str | None = None
    context: str | None = None
    options: list[str] | None = None
    response1: str | None = None
    response2: str | None = None
    custom_prompt: str | None = None
    prompt_kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Response:
    """What a judge said."""

    content: str
    model_used: str
    usage: Any = None
    """`prompt_tokens`, `completion_tokens`, `total_tokens`; None where nobody counts."""
    raw_response: Any = None
    parsed_result: Any = None
    success: bool = True
    error_message: str | None = None
