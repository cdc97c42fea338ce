import json
import urllib.request

import pytest

pytest.importorskip("fastapi")

from pytest_lmms.server import events
from pytest_lmms.server.events import read_log


@pytest.mark.parametrize("character", ["é", "分", "🙂"])
def test_a_character_is_not_cut_while_its_end_is_not_written(tmp_path, character):
    log, encoded = tmp_path / "log", character.encode()
    for num_written in range(1, len(encoded)):
        log.write_bytes(b"done: " + encoded[:num_written])
        assert read_log(log, 0) == b"done: "
    log.write_bytes(b"done: " + encoded)
    assert read_log(log, 0) == b"done: " + encoded
    assert read_log(log, 6) == encoded


def test_a_long_line_is_read_in_pieces_that_hold_whole_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "LOG_BYTES", 10)
    log, text, read = tmp_path / "log", "分" * 9, ""
    log.write_text(text, encoding="utf-8")
    while chunk := read_log(log, len(read.encode())):
        read += chunk.decode()
    assert read == text


def test_what_is_no_utf_8_is_read_as_it_is(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\x80\x80\x80\x80")
    assert read_log(log, 0) == b"\x80\x80\x80\x80"


def test_who_connects_again_is_told_no_line_of_the_log_twice(serve):
    server = serve()
    job_id = server.evaluate("tiny_vlm")
    server.client.wait_for_job(job_id, poll_interval=0.2, timeout=120)

    def logged(last_id=""):
        request = urllib.request.Request(f"{server.url}/jobs/{job_id}/events", headers={"Last-Event-ID": last_id})
        with urllib.request.urlopen(request, timeout=60) as answer:
            told = [block.splitlines() for block in answer.read().decode().split("\n\n") if "event: log" in block]
        ids = [line.removeprefix("id: ") for lines in told for line in lines if line.startswith("id: ")]
        texts = [json.loads(line[6:])["text"] for lines in told for line in lines if line.startswith("data: ")]
        return ids, "".join(texts)

    ids, text = logged()
    assert ids
    assert int(ids[-1]) == len(text.encode())
    assert logged(ids[-1]) == ([], "")
    assert logged("5")[1] == text[5:]
    assert logged("²")[1] == logged("9" * 30)[1] == text
