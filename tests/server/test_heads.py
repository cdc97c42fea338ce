import asyncio
import socket
import urllib.request

import pytest

pytest.importorskip("fastapi")

import uvicorn

from pytest_lmms.server import heads
from pytest_lmms.server.heads import BoundedHeads


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def answers_to(*pieces, hold=False):
    """What a server says to bytes, sent piece by piece, until it hangs up."""

    async def ask():
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=BoundedHeads, log_level="critical", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        said = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
            if not hold:
                writer.write_eof()
            while part := await asyncio.wait_for(reader.read(9999), 30):
                said += part
        except TimeoutError:
            raise
        except OSError:  # who hangs up before all was read takes back what was said
            pass
        writer.close()
        server.should_exit = True
        await serving
        return said.decode()

    return asyncio.run(ask())


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


def test_a_large_body_is_no_large_head():
    body = b"x" * 300_000
    request = HEAD + b"Connection: close\r\nContent-Length: 300000\r\n\r\n" + body
    assert answers_to(request).startswith("HTTP/1.1 200")


@pytest.mark.parametrize("header", [b"A: " + b"x" * 200_000 + b"\r\n", b"A: b\r\n" * 40_000], ids=["one", "many"])
def test_large_heads_are_invalid_requests(header):
    said = answers_to(HEAD + header + b"\r\n")
    assert not said or said.startswith("HTTP/1.1 400")


def test_a_head_that_grows_without_end_is_cut_off():
    assert answers_to(HEAD + b"A: ", *[b"x" * 30_000] * 3, hold=True).startswith("HTTP/1.1 400")


def test_a_head_that_never_ends_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(heads, "MAX_HEAD_SECONDS", 0.3)
    assert answers_to(HEAD, hold=True) == ""


@pytest.mark.parametrize("body", [b"Content-Length: 99\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"])
def test_a_body_that_never_ends_is_hung_up_on(monkeypatch, body):
    monkeypatch.setattr(heads, "MAX_BODY_SECONDS", 0.3)
    assert answers_to(HEAD + body, hold=True) == ""


def test_a_connection_whose_request_is_whole_is_kept(monkeypatch):
    monkeypatch.setattr(heads, "MAX_BODY_SECONDS", 0.02)
    request = HEAD + b"Content-Length: 2\r\n\r\nok"
    assert answers_to(*[request] * 3, hold=True).count("HTTP/1.1 200") == 3


def test_a_kept_connection_has_new_bounds_for_each_request(monkeypatch):
    monkeypatch.setattr(heads, "MAX_HEAD_BYTES", 200)
    request = b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 100 + b"\r\n\r\n"
    said = answers_to(*[request] * 3, hold=True)
    assert said.count("HTTP/1.1 200") == 3


def test_the_server_bounds_heads(serve):
    server = serve()
    request = urllib.request.Request(f"{server.url}/health", headers={"A": "x" * 200_000})
    with pytest.raises(OSError) as refused:  # noqa: PT011 (the answer, or a connection that was closed)
        urllib.request.urlopen(request, timeout=30)
    assert getattr(refused.value, "code", 400) == 400
