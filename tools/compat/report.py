"""What the comparison of one task found."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class Report:
    """What was found."""

    messages_differ: bool = False
    scores_differ: bool = False
    differences: dict[str, None] = dataclasses.field(default_factory=dict)
    bugs: dict[str, None] = dataclasses.field(default_factory=dict)
    num_compared_scores: int = 0

    def bug(self, text: str) -> None:
        """Keep an unexplained difference; the first three are enough."""
        if len(self.bugs) < 3:
            self.bugs[text[:400]] = None

    def known(self, text: str) -> None:
        """Keep an explained difference."""
        self.differences[text] = None

    def as_dict(self, num_documents: int) -> dict[str, Any]:
        """As `compare` returns it."""
        return {
            "messages": "differ" if self.messages_differ else "equal",
            "scores": "differ" if self.scores_differ else "equal",
            "documents": num_documents,
            "num_scores": self.num_compared_scores,
            "differences": list(self.differences),
            "bugs": list(self.bugs),
        }
