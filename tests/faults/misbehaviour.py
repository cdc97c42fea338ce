"""What a server of models may do wrong, as steps for `tests/chat_server.py`, and what must come of it.

Each question has an answer of its own, so that an answer that reaches another document is a wrong one.
"""

from __future__ import annotations

import json
import random
from typing import Any

HTML = b"<html><body>502 Bad Gateway</body></html>"
TEN_MEGABYTES = 10_000_000
PASSING: dict[str, dict[str, Any]] = {
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "0"}},
    "429 with an unreadable Retry-After": {"status": 429, "headers": {"Retry-After": "Thu, 99 Foo 0000"}},
    "500": {"status": 500},
    "502 with HTML": {"status": 502, "raw": HTML, "kind": "text/html"},
    "503": {"status": 503},
    "HTML for an answer": {"raw": HTML, "kind": "text/html"},
    "HTML that calls itself JSON": {"raw": HTML},
    "an empty body": {"raw": b""},
    "half a JSON": {"half": True},
    "no choices": {"empty": True},
    "an empty choice": {"raw": b'{"choices": [{}]}'},
    "a choice that is null": {"raw": b'{"choices": [null]}'},
    "a list": {"raw": b"[]"},
    "null": {"raw": b"null"},
    "choices of another kind": {"raw": b'{"choices": 7}'},
    "a message of another kind": {"raw": b'{"choices": [{"index": 0, "message": "A", "finish_reason": "stop"}]}'},
    "content of another kind": {"raw": b'{"choices": [{"index": 0, "message": {"content": {"a": "A"}}}]}'},
    "bytes that are no UTF-8": {"raw": b'{"choices": "\xff\xfe"}'},
    "an error for an answer": {"raw": b'{"error": {"message": "the engine is dead", "code": 500}}'},
    "an error that is a text": {"raw": b'{"error": "overloaded"}'},
    "a reset": {"reset": True},
    "a connection closed in the middle": {"cut": True},
    "less than was promised": {"short": True},
    "10 MB of HTML": {"status": 500, "raw": b"x" * TEN_MEGABYTES, "kind": "text/html"},
    "10 MB that are no answer": {"raw": b"x" * TEN_MEGABYTES},
}
"""Failures after which a server may do better."""
LATE: dict[str, dict[str, Any]] = {"a stalled answer": {"stall": 4.0}, "silence": {"silent": 4.0}}
"""As `PASSING`; they take as long as the time limits that the adapter is given."""
ANSWERS: dict[str, dict[str, Any]] = {
    "an answer": {},
    "a slow first byte": {"silent": 0.2},
    "another content type": {"kind": "text/plain"},
    "no usage": {"usage": None},
    "usage below zero": {"usage": {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6}},
    "usage that is no number": {"usage": {"prompt_tokens": "many", "completion_tokens": None}},
    "usage of another kind": {"usage": [1, 2]},
    "what is no text comes twice, and all of it again after the end": {"again": True},
    "10 MB around the answer": {"padding": TEN_MEGABYTES},
}
REFUSALS: dict[str, dict[str, Any]] = {
    "a filter": {"reason": "content_filter", "text": ""},
    "a filter by status": {"status": 400, "code": "content_filter", "message": "we do not talk about this"},
}
ARGUMENTS = "model=m,num_concurrent=8,max_retries=2,retry_backoff_s=0.05,timeout=3,first_token_timeout_s=2"


def answer_to(body: dict[str, Any]) -> str:
    """What is right for a question `q17`: `A17`."""
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    return "A" + text.strip().removeprefix("q")


def rows(number: int) -> list[dict[str, str]]:
    """Questions and their answers."""
    return [{"question": f"q{i}", "answer": f"A{i}"} for i in range(number)]


class Script:
    """A plan for the server that never ends: bursts of refusals, single failures, and answers of all kinds."""

    def __init__(self, seed: int, *, share_late: float = 0.01) -> None:
        self._rng = random.Random(seed)
        self._share_late = share_late
        self._burst = 0
        self.seen: set[str] = set()

    def __bool__(self) -> bool:
        return True

    def pop(self, _: int) -> dict[str, Any]:
        """The next step; the server asks for one at a time."""
        rng = self._rng
        if self._burst:
            self._burst -= 1
            return PASSING["429 with Retry-After" if self._burst % 2 else "429"]
        drawn = rng.random()
        if drawn < 0.01:
            self._burst = rng.randint(3, 20)
        if drawn < self._share_late:
            return self._one_of(LATE)
        if drawn < 0.3:
            return self._one_of(PASSING)
        return self._one_of(REFUSALS if drawn < 0.35 else ANSWERS)

    def _one_of(self, steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
        name = self._rng.choice(list(steps))
        self.seen.add(name)
        return steps[name]


def judge(records: list[dict[str, Any]], number: int) -> dict[str, int]:
    """Check that each document ended as it may, and count how they ended.

    Raises:
        AssertionError: One is missing, twice, scored wrongly, or an error that says nothing.
    """
    assert [record["doc_id"] for record in records] == list(range(number))
    counts: dict[str, int] = {}
    for record in records:
        status = record["status"]
        counts[status] = counts.get(status, 0) + 1
        if status == "scored":
            assert record["filtered_resps"][0].strip() == f"A{record['doc_id']}", record
            assert record["exact_match"] == 1, record
        elif status == "error":
            assert record["error"].strip(), record
            assert "exact_match" not in record, record
        else:
            assert status == "filtered", record
        for tokens in record["token_counts"]:
            assert tokens is None or all(n is None or n >= 0 for n in tokens.values()), record
    return counts


def kinds_of_errors(records: list[dict[str, Any]]) -> list[str]:
    """The first lines of errors, without what differs between documents."""
    return sorted({json.dumps(record["error"].splitlines()[0][:120]) for record in records if record.get("error")})
