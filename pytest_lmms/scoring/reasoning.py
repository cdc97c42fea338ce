"""Takes a model's thoughts out of its text, so that only the answer is scored.

The rule is lmms-eval's, with two differences, both on purpose:

1. Thoughts are taken out before filters look at the text. A regex filter must not find its answer
   among thoughts.
2. A block whose opening tag is missing is taken out too. Chat templates often end the prompt with
   ``<think>``, so the response holds only the closing tag.

Tags are exact strings: ``<Think>`` is not ``<think>``. A block that never ends stays, since nobody
can say where the answer begins.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_lmms.errors import UsageError, explain

Tags = tuple[tuple[str, str], ...]
"""Pairs of opening and closing tag, in the order in which they are applied."""

DEFAULT_TAGS: Tags = (("<think>", "</think>"), ("<analysis>", "</analysis>"))
"""What is taken out when neither the task nor the user says anything."""

_PAIR = 2
_EXPECTED = 'pairs of tags, such as [["<think>", "</think>"]], or none'


def parse_reasoning_tags(value: Any, *, where: str) -> Tags:
    """Read the setting `reasoning_tags`, from a command line or from YAML.

    Args:
        value: None, False or ``"none"``: nothing is taken out. A list of pairs, or such a list as
            JSON text.
        where: Option name, or `file:line`, for the error.

    Returns:
        The pairs, in the given order; empty for none.

    Raises:
        UsageError: `value` is anything else, or a tag is empty.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.lower() == "none":
            return ()
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            raise UsageError(_complaint(value, where)) from None
    else:
        parsed = value
    if parsed is None or parsed is False:
        return ()
    if not isinstance(parsed, (list, tuple)) or not all(_is_pair(pair) for pair in parsed):
        raise UsageError(_complaint(value, where))
    return tuple((opening, closing) for opening, closing in parsed)


def strip_reasoning(text: str, tags: Tags) -> str:
    """Take blocks of thoughts out of a text.

    Pair by pair, each on what the pair before it left: every opening tag goes, together with all
    that follows up to the next closing tag. If then a closing tag is left and no opening tag, all
    goes up to the last closing tag. So ``<think>a<think>b</think>c</think>d`` gives ``d``, and
    ``</think>x<think>y`` stays. Text that only becomes a tag by what is taken out around it is not
    looked at again. Time is linear in the length of the text.

    Args:
        text: What the model said.
        tags: Pairs of opening and closing tag; none may be empty.

    Returns:
        What is left, without white space at both ends (also when nothing was taken out).
    """
    for opening, closing in tags:
        # Without a closing tag there is nothing to take out: the usual case, one scan in C.
        if closing in text:
            text = _strip_pair(text, opening, closing)
    return text.strip()


def _strip_pair(text: str, opening: str, closing: str) -> str:
    kept: list[str] = []
    position = 0
    while (start := text.find(opening, position)) >= 0:
        end = text.find(closing, start + len(opening))
        if end < 0:
            break
        kept.append(text[position:start])
        position = end + len(closing)
    kept.append(text[position:])
    left = "".join(kept)
    if opening not in left and (last := left.rfind(closing)) >= 0:
        return left[last + len(closing) :]
    return left


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == _PAIR and all(isinstance(tag, str) and tag for tag in value)
    )


def _complaint(value: Any, where: str) -> str:
    return explain(
        f"reasoning_tags is {value!r}",
        where=where,
        expected=_EXPECTED,
        remedy="Each pair is a list of its own: an opening and a closing tag, neither empty.",
    )
