"""A server that misbehaves at random: each document ends as a response or an error that is named, and none is made up.

REQUESTS sets how many documents.
"""

from __future__ import annotations

import json
import os
import random

NUM_DOCUMENTS = int(os.environ.get("REQUESTS", "120"))
SEED = int(os.environ.get("SEED", "0"))
HTML = b"<html><body>502 Bad Gateway</body></html>"


def reply(content, **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"raw": json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice],
                               **more}).encode()}  # fmt: skip


PASSING = {
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "0"}},
    "500": {"status": 500},
    "503": {"status": 503},
    "HTML": {"raw": HTML},
    "an empty body": {"raw": b""},
    "half a JSON": {"raw": b'{"id": "1", "choices": [{"ind'},
    "no choices": {"empty": True},
    "a list": {"raw": b"[]"},
    "null": {"raw": b"null"},
    "choices of another kind": {"raw": b'{"choices": 7}'},
    "a message of another kind": {"raw": b'{"choices": [{"index": 0, "message": "A", "finish_reason": "stop"}]}'},
    "bytes that are no UTF-8": {"raw": b'{"choices": "\xff\xfe"}'},
    "a slow first byte": {"silent": 0.05},
}
"""Failures after which a server may do better."""
ANSWERS = {
    "no usage": reply("A"),
    "usage below zero": reply("A", usage={"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6}),
    "usage that is no number": reply("A", usage={"prompt_tokens": "many", "completion_tokens": None}),
    "usage null": reply("A", usage=None),
    "a filter": {"reason": "content_filter", "text": ""},
    "an extra field": reply("A", surprise=[1, 2]),
    "a large answer": reply("A" + " " * 1_000_000),
}
ARGUMENTS = "model=m,num_concurrent=8,max_retries=2,stream=false"


def test_every_document_ends_as_a_response_or_a_named_error(remote, server):
    rng = random.Random(SEED)
    steps = [*PASSING.values(), *ANSWERS.values()]
    server.plan = [rng.choice(steps) if rng.random() < 0.7 else {} for _ in range(2 * NUM_DOCUMENTS)]
    remote.task(NUM_DOCUMENTS)
    run = remote.run("--lmms-model", "openai", "--lmms-model-args", ARGUMENTS, "--lmms-max-errors", "100%", timeout=900)
    assert "INTERNALERROR" not in run.output, run.output[-3000:]
    assert "Traceback" not in run.output, run
    records = remote.records()
    assert [record["doc_id"] for record in records] == list(range(NUM_DOCUMENTS))
    for record in records:
        if record["status"] == "scored":
            assert record["filtered_resps"][0].strip() == "A"
            assert record["exact_match"] == 1
        elif record["status"] == "error":
            assert record["error"]
        else:
            assert record["status"] in ("filtered", "unparsed")
        for counts in record["token_counts"]:
            assert counts is None or all(n is None or n >= 0 for n in counts.values()), record
    assert sum(record["status"] == "scored" for record in records) > NUM_DOCUMENTS / 4
