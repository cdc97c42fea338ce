"""Pieces that many prompts are made of: instructions around a question, lettered options, a system turn.

For the functions that a task's YAML names; knows texts and visuals, no benchmark and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def instructed(text: str, kwargs: Mapping[str, Any] | None) -> str:
    """Return a text between the `pre_prompt` and the `post_prompt` of `lmms_eval_specific_kwargs`, either may miss."""
    kwargs = kwargs or {}
    return f"{kwargs.get('pre_prompt') or ''}{text}{kwargs.get('post_prompt') or ''}"


def letter_of(position: int) -> str:
    """Return the letter of the option at a position: 0 is ``A``."""
    return chr(ord("A") + position)


def option_lines(options: Iterable[object]) -> str:
    """Return options one a line, as ``A. text``."""
    return "\n".join(f"{letter_of(i)}. {option}" for i, option in enumerate(options))


def one_turn(visuals: Sequence[Any], text: str, *, system: str | None = None) -> list[dict[str, Any]]:
    """Return chat messages: a system turn if wanted, then one user turn, images before the text.

    Args:
        visuals: Images, or anything that `doc_to_visual` may return for one.
        text: The user's text; white space at its ends is dropped.
        system: The system turn's text.
    """
    content: list[dict[str, Any]] = [{"type": "image", "url": visual} for visual in visuals]
    content.append({"type": "text", "text": text.strip()})
    leading = [{"role": "system", "content": [{"type": "text", "text": system}]}] if system else []
    return [*leading, {"role": "user", "content": content}]
