"""Errored documents grouped by what their messages have in common, so that a thousand of one kind are one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ALIKE_SHOWN = 3
"""Of errored documents with the same message, so many are shown in full."""
LONGEST_LINE = 1_000
"""Characters of a message that are looked at."""
FAILURES_SHOWN = 20
"""Errored documents shown in full, whatever their messages."""
GROUPS_SHOWN = 10


def alike(message: str) -> str:
    """What messages have in common that differ in documents and numbers only: the first line, numbers left out."""
    first = message.strip().partition("\n")[0][:LONGEST_LINE]
    return re.sub(r"\d+", "N", re.sub(r"[\w./:-]*\[\d+\]", "a document", first))[:200]


@dataclass
class AlikeErrors:
    """Errored documents with one message."""

    first: str
    """Id of the first one."""
    message: str
    number: int = 0


class Errors:
    """Groups errored documents by message, and says which of them are worth showing in full."""

    def __init__(self) -> None:
        self.groups: dict[str, AlikeErrors] = {}
        self.num_shown = 0

    @property
    def number(self) -> int:
        """How many documents."""
        return sum(group.number for group in self.groups.values())

    def admit(self, nodeid: str, message: str) -> bool:
        """Count one; whether it is to be shown in full."""
        key = alike(message)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = AlikeErrors(nodeid, message.strip().partition("\n")[0][:300])
        group.number += 1
        is_shown = group.number <= ALIKE_SHOWN and self.num_shown < FAILURES_SHOWN
        self.num_shown += is_shown
        return is_shown

    def lines(self) -> Iterator[str]:
        """One line a group, the largest first."""
        ordered = sorted(self.groups.values(), key=lambda group: -group.number)
        for group in ordered[:GROUPS_SHOWN]:
            first = f" (first: {group.first})" if group.number > 1 else ""
            yield f"{group.number:>7,} x {group.message}{first}"
        if len(ordered) > GROUPS_SHOWN:
            rest = sum(group.number for group in ordered[GROUPS_SHOWN:])
            yield f"{rest:>7,} with {len(ordered) - GROUPS_SHOWN} other messages"
