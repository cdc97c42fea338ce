"""The snippets of a Markdown page, and what their comments say about them.

(nothing)                  bash: typed; python: run; yaml: its keys exist
<!-- file: NAME -->        written under that name into the folder in which the page's commands are typed
<!-- exit: N -->           typed, and ends with exit code N
<!-- parsed: REASON -->    cannot run here; what it names has to exist
<!-- run --> <!-- server -->    of the skills, which tests/skills types
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>[a-z]+)(?:: (?P<value>.+?))? -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
MARKERS = {"file", "exit", "parsed", "run", "server"}


@dataclass(frozen=True)
class Snippet:
    """One fenced block."""

    line: int
    language: str
    text: str
    marker: str | None
    value: str | None

    @property
    def commands(self):
        """Lines of a shell, continuations joined, without comments."""
        joined = self.text.replace("\\\n", " ")
        lines = (re.sub(r"(^|\s)#\s.*", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line]


def snippets_of(text: str) -> list[Snippet]:
    """All fenced blocks of a page, in order."""
    return [
        Snippet(text.count("\n", 0, m.start()) + 1, m["language"], m["text"], m["marker"], m["value"])
        for m in BLOCK.finditer(text)
    ]
