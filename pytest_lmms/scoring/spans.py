"""Pieces of a text between two marks, found in time linear in its length, whatever a model wrote.

A regular expression such as ``<answer>(.*?)</answer>`` looks to the end of the text again for each opening mark that is
never closed: for 100,000 characters that is minutes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator


def contents(text: str, opening: str | re.Pattern[str], closing: str | re.Pattern[str]) -> list[str]:
    """Return what stands between an opening mark and the next closing one, left to right, none within another.

    Args:
        text: Where to look.
        opening: Pattern of the opening mark; must not match an empty text.
        closing: Pattern of the closing mark.
    """
    opening, closing = re.compile(opening), re.compile(closing)
    found: list[str] = []
    position = 0
    while start := opening.search(text, position):
        end = closing.search(text, start.end())
        if end is None:
            break
        found.append(text[start.end() : end.start()])
        position = end.end()
    return found


def numbered(text: str) -> list[tuple[int, str]]:
    """Return the number and contents of each ``<1>...</1>``, left to right, none within another."""
    closings: dict[str, deque[tuple[int, int]]] = {}
    for mark in re.finditer(r"</(\d{1,9})>", text):
        closings.setdefault(mark[1], deque()).append(mark.span())
    found: list[tuple[int, str]] = []
    position = 0
    for opening in re.finditer(r"<(\d{1,9})>", text):
        ends = closings.get(opening[1], deque())
        while ends and ends[0][0] < opening.end():
            ends.popleft()
        if ends and opening.start() >= position:
            found.append((int(opening[1]), text[opening.end() : ends[0][0]]))
            position = ends[0][1]
    return found


def fenced(text: str) -> list[str]:
    """Return the contents of blocks between ``` marks, without the language's name and white space at both ends."""
    return [block.strip() for block in contents(text, r"```(?:\w+)?", "```")]


def braced(text: str) -> list[str]:
    """Return the shortest ``{...}``, braces included."""
    return ["{" + inner + "}" for inner in contents(text, r"\{", r"\}")]


def balanced(text: str, opening: str, closing: str) -> Iterator[str]:
    """Find the outermost balanced pieces, brackets included.

    Brackets within double quotes do not count, nor a quote after a backslash within quotes.

    Args:
        text: Where to look.
        opening: One character, such as ``[``.
        closing: One character, such as ``]``.
    """
    depth = start = 0
    is_quoted = False
    skip_to = 0
    for token in re.finditer(rf'[\\"{re.escape(opening + closing)}]', text):
        position, mark = token.start(), token[0]
        if position < skip_to:
            continue
        if mark == "\\":
            skip_to = position + 2 if is_quoted else 0
        elif mark == '"':
            is_quoted = not is_quoted
        elif not is_quoted and mark == opening:
            start = position if depth == 0 else start
            depth += 1
        elif not is_quoted and mark == closing and depth:
            depth -= 1
            if depth == 0:
                yield text[start : position + 1]
