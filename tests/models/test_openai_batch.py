"""OpenAI's batch API against a real HTTP server: files, batches, waiting, and going on."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pytest_lmms import httpbounds
from pytest_lmms.errors import ModelError, UsageError
from pytest_lmms.inference.engine import Engine
from pytest_lmms.inference.model import BatchModel, Prepares, Starts
from pytest_lmms.records import Generation, Message, Request
from pytest_lmms.registry import MODELS


class Provider:
    """Keeps files and batches; a batch is done at the third look."""

    def __init__(self):
        self.files, self.batches, self.looks = {}, [], 0
        self.status = "completed"
        self.refused = None
        self.instead = {}
        """(status, headers, body) by the beginning of a path."""
        self.paths = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/files":
                    content = re.search(rb'filename="requests.jsonl".*?\r\n\r\n(.*?)\r\n--', data, re.DOTALL)[1]
                    provider.files["in"] = content
                    self.send({"id": "in", "object": "file", "bytes": 1, "created_at": 0, "filename": "r",
                               "purpose": "batch", "status": "processed"})  # fmt: skip
                else:
                    provider.batches.append({**json.loads(data), "id": f"b{len(provider.batches)}", "looks": 0})
                    self.send(provider.show(provider.batches[-1]))

            def do_GET(self):
                provider.paths.append(self.path)
                step = next((step for path, step in provider.instead.items() if self.path.startswith(path)), None)
                if step is not None:
                    self.send_bytes(step[2], step[0], step[1])
                elif self.path.startswith("/v1/batches?"):
                    self.send(
                        {"object": "list", "data": [provider.show(b) for b in provider.batches], "has_more": False}
                    )
                elif self.path.startswith("/v1/batches/"):
                    batch = next(b for b in provider.batches if b["id"] == self.path.rpartition("/")[2])
                    batch["looks"] += 1
                    self.send(provider.show(batch))
                else:
                    self.send_bytes(provider.output())

            def send(self, value):
                self.send_bytes(json.dumps(value).encode())

            def send_bytes(self, data, status=200, headers=()):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"

    def show(self, batch):
        is_over = batch["looks"] >= 2
        status = self.status if is_over else "in_progress"
        output = "out" if is_over and status == "completed" else None
        errors = {"object": "list", "data": [{"message": "bad file", "code": "x"}]} if status == "failed" else None
        return {"id": batch["id"], "object": "batch", "endpoint": batch["endpoint"], "input_file_id": "in",
                "completion_window": "24h", "status": status, "created_at": 0, "output_file_id": output,
                "metadata": batch["metadata"], "errors": errors}  # fmt: skip

    def output(self):
        lines = []
        for line in reversed(self.files["in"].splitlines()):
            asked = json.loads(line)
            text = asked["body"]["messages"][-1]["content"]
            body = {"choices": [{"message": {"content": text.upper()}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 3, "completion_tokens": 2}}  # fmt: skip
            status = 200
            if text == self.refused:
                status, body = 400, {"error": {"message": "too long", "code": "x"}}
            lines.append({"custom_id": asked["custom_id"], "error": None,
                          "response": {"status_code": status, "body": body}})  # fmt: skip
        return b"\n".join(json.dumps(line).encode() for line in lines)


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.httpd.shutdown()
    provider.httpd.server_close()


def make(provider, **arguments):
    settings = {"base_url": provider.url, "api_key": "k", "batch_size": 8, "poll_seconds": 0.01, **arguments}
    return MODELS.load("openai_batch")("m", **settings)


def ask(text):
    return Request(
        task="t", doc_id=0, messages=(Message(role="user", content=(text,)),), generation=Generation(max_new_tokens=5)
    )


def test_requests_travel_in_one_file_and_come_back_in_order(provider):
    model = make(provider)
    assert isinstance(model, BatchModel)
    assert isinstance(model, Prepares)
    assert isinstance(model, Starts)
    model.start()
    responses = model.generate([ask(text) for text in ("a", "b", "c")])
    model.stop()
    assert [r.text for r in responses] == ["A", "B", "C"]
    assert (responses[0].tokens.input_tokens, responses[0].tokens.output_tokens) == (3, 2)
    (batch,) = provider.batches
    assert batch["endpoint"] == "/v1/chat/completions"
    first = json.loads(provider.files["in"].splitlines()[0])
    assert (first["method"], first["url"], first["body"]["max_tokens"]) == ("POST", "/v1/chat/completions", 5)
    assert "stream" not in first["body"]


def test_a_run_that_goes_on_finds_its_batch_again(provider):
    for _ in range(2):
        model = make(provider)
        model.start()
        model.generate([ask("a"), ask("b")])
        model.stop()
    assert len(provider.batches) == 1


def test_one_refused_request_harms_only_itself(provider):
    import asyncio

    provider.refused = "b"
    engine = Engine(make(provider))
    engine.start()
    requests = [ask(text) for text in ("a", "b", "c")]

    async def run():
        keys = engine.keys(requests)
        return await asyncio.gather(
            *(engine.answer([r], [k]) for r, k in zip(requests, keys, strict=True)), return_exceptions=True
        )

    first, second, third = asyncio.run_coroutine_threadsafe(run(), engine._loop).result(60)
    engine.close()
    assert (first[0].text, third[0].text) == ("A", "C")
    assert isinstance(second, ModelError)
    assert "HTTP 400: too long" in str(second)


def test_a_damaged_line_of_the_output_harms_only_its_own_request(provider, monkeypatch):
    whole = Provider.output
    monkeypatch.setattr(Provider, "output", lambda self: b"[" * 5000 + b"\n[]\n" + whole(self).split(b"\n", 1)[1])
    model = make(provider)
    model.start()
    with pytest.raises(ModelError, match="without this request"):
        model.generate([ask("a"), ask("b")])
    assert model.generate([ask("a")])[0].text == "A"
    model.stop()
    assert len(provider.batches) == 1


BOMB = gzip.compress(bytes(2**28), compresslevel=6)
GZIP = [("Content-Encoding", "gzip")]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [("/v1/batches?", 200, "longer than 64 MiB"), ("/v1/batches?", 400, "HTTP 400"),
     ("/v1/files/out", 200, "without this request"), ("/v1/files/out", 400, "HTTP 400")],
)  # fmt: skip
def test_a_small_answer_that_unpacks_to_a_huge_one_takes_no_memory(provider, path, status, said):
    provider.instead = {path: (status, GZIP, BOMB)}
    model = make(provider, max_retries=0)
    model.start()
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=said):
            model.generate([ask("a"), ask("b")])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        model.stop()
    assert peak < 250 * 2**20, f"{peak // 2**20} MiB"


def test_a_file_of_answers_may_be_longer_than_any_answer(provider, monkeypatch):
    monkeypatch.setattr(httpbounds, "LONGEST_ANSWER_BYTES", 2000)
    model = make(provider)
    model.start()
    texts = [f"{place:04}" for place in range(100)]
    assert [r.text for r in model.generate([ask(text) for text in texts])] == texts
    assert len(provider.output()) > 5 * httpbounds.LONGEST_ANSWER_BYTES
    model.stop()


def test_a_file_of_lines_that_nobody_asked_for_is_not_read_to_its_end(provider):
    stray = b'{"custom_id": "x", "response": {"status_code": 200}}\n' * 2000
    whole = provider.output
    provider.output = lambda: stray + whole()
    model = make(provider)
    model.start()
    with pytest.raises(ModelError, match="without this request"):
        model.generate([ask("a"), ask("b")])
    model.stop()


@pytest.mark.parametrize("path", ["/v1/batches?", "/v1/files/out"])
def test_a_redirect_is_followed_on_the_same_server_only(provider, path):
    other = Provider()
    model = make(provider, max_retries=0, extra_headers={"X-Key": "hush"})
    model.start()
    provider.instead = {path: (307, [("Location", "/v1/there")], b"{}")}
    with contextlib.suppress(ModelError):  # what is there is no list of batches
        model.generate([ask("a"), ask("b")])
    assert "/v1/there" in provider.paths
    provider.instead = {path: (307, [("Location", f"{other.url}/there")], b"{}")}
    with pytest.raises(ModelError, match=f"HTTP 307: Error code: 307 - sends requests on to {other.url}/there"):
        model.generate([ask("c"), ask("d")])
    model.stop()
    assert other.paths == []
    other.httpd.shutdown()
    other.httpd.server_close()


def test_a_batch_that_fails_as_a_whole_says_why(provider):
    provider.status = "failed"
    model = make(provider)
    model.start()
    with pytest.raises(ModelError, match="batch b0 is failed: bad file"):
        model.generate([ask("a"), ask("b")])
    model.stop()


def test_batches_of_one_are_refused(provider):
    with pytest.raises(UsageError, match="--lmms-batch-size"):
        make(provider, batch_size=1)
