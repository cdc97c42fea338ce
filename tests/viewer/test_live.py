"""`pytest-lmms view`: many runs, in a browser and by hand."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
from waiting import evaluate, wait

from pytest_lmms.errors import StoreError
from pytest_lmms.viewer.live import Runs, answer, make_server


@pytest.fixture
def address(runs):
    server = make_server(Runs(runs[0]), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def ask(runs, path, **query):
    status, mime, body = answer(runs, path, {k: str(v) for k, v in query.items()})
    return status, json.loads(body) if mime == "application/json" else body


def test_runs_are_listed_and_two_are_compared(address, show, runs):
    page = show(address)
    assert page.locator("tbody tr").count() == 2
    assert page.get_by_role("button", name="Compare two").is_disabled()
    for i in range(2):
        page.locator("tbody input").nth(i).check()
    page.get_by_role("button", name="Compare two").click()
    page.wait_for_selector("text=Two runs")
    assert "mme_perception_score" in page.inner_text("main")
    page.click("a.wrong, a.right >> nth=0")
    page.wait_for_selector(".list")


def test_a_document_shows_its_picture_and_the_other_runs_answer(address, show, runs):
    _, good, bad = runs
    page = show(f"{address}#/run/{bad.name}/doc/lmms%2Fmme%2Fmme.yaml%3A%3Amme%5B0%5D?baseline={good.name}")
    page.wait_for_selector("img.media")
    wait(page, "document.querySelector('img.media').naturalWidth > 0")
    assert f"in {good.name}" in page.inner_text("main").lower()


def test_a_new_run_appears_without_a_restart(runs, tmp_path):
    shutil.copytree(runs[1], tmp_path / "a" / "first")
    shown = Runs(tmp_path)
    assert len(shown.summaries()) == 1
    shutil.copytree(runs[2], tmp_path / "a" / "second")
    assert len(shown.summaries()) == 2


def test_a_half_written_run_and_one_of_a_later_version_are_listed_with_the_reason(runs, tmp_path):
    for name in ("whole", "later", "half", "unfinished"):
        shutil.copytree(runs[1], tmp_path / name)
    results = json.loads((tmp_path / "later" / "results.json").read_text())
    (tmp_path / "later" / "results.json").write_text(json.dumps({**results, "schema_version": 99}))
    (tmp_path / "half" / "results.json").write_text('{"results": {"mme"')
    (tmp_path / "unfinished" / "results.json").unlink()
    found = {s["name"]: s.get("problem") for s in Runs(tmp_path).summaries()}
    assert found["whole"] is None
    assert "version 99" in found["later"]
    assert "cannot be read" in found["half"]
    assert "--lmms-resume" in found["unfinished"]


def test_a_broken_record_is_an_error_that_names_the_line(runs, tmp_path):
    shutil.copytree(runs[1], tmp_path / "run")
    with (tmp_path / "run" / "samples_mme.jsonl").open("a") as file:
        file.write('{"doc_id": 8, "inp\n')
    status, said = ask(Runs(tmp_path), "/api/records", run="run", task="mme")
    assert status == 404
    assert "samples_mme.jsonl" in said["detail"]


@pytest.mark.parametrize("key", ["..", "../..", "/etc", "a/../../..", "run\0", "nowhere"])
def test_a_key_never_leads_out_of_the_folder(runs, key):
    status, said = ask(Runs(runs[0]), "/api/records", run=key, task="mme")
    assert status in {400, 404}
    assert "detail" in said


@pytest.mark.parametrize("task", ["../results", "nothing", "", "mme/../../x"])
def test_a_task_is_one_of_the_run(runs, task):
    assert ask(Runs(runs[0]), "/api/records", run=runs[1].name, task=task)[0] == 404


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [("/nothing", {}, 404), ("/api/records", {}, 400), ("/api/messages", {"run": "x", "task": "mme", "id": "y"}, 404),
     ("/../../etc/passwd", {}, 404)],
)  # fmt: skip
def test_wrong_addresses_are_answered_with_what_is_wrong(runs, path, query, status):
    assert ask(Runs(runs[0]), path, **query)[0] == status


def test_media_out_of_range_and_documents_out_of_range_are_not_found(runs):
    shown = Runs(runs[0])
    key = runs[1].name
    assert ask(shown, "/api/media", run=key, task="mme", id=0, place=9)[0] == 404
    assert ask(shown, "/api/messages", run=key, task="mme", id=10**9)[0] == 404
    assert ask(shown, "/api/media", run=key, task="mme", id="zero", place=0)[0] == 400


def test_a_page_of_another_site_is_not_answered(address):
    request = urllib.request.Request(address + "api/runs", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no such folder"):
        Runs(tmp_path / "nowhere")


def test_sounds_videos_and_the_steps_of_agents_are_shown(show, tmp_path):
    names = ["air_bench_chat_sound", "videomme", "vending_bench2"]
    arguments = [f"--lmms-tasks={','.join(names)}", "--lmms-model=dummy", "--lmms-limit=1"]
    (tmp_path / "results").mkdir()
    key = evaluate(tmp_path / "results", *arguments).name
    server = make_server(Runs(tmp_path / "results"), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    node_ids = {t["name"]: t["node_id"] for t in Runs(tmp_path / "results").summaries()[0]["tasks"]}
    try:
        page = show(f"{address}#/run/{key}/doc/{quote(node_ids[names[0]] + '[0]', safe='')}")
        assert page.locator("audio").count() == 1
        source = page.evaluate("document.querySelector('audio').src")
        assert urllib.request.urlopen(source).read(4) == b"RIFF"
        page = show(f"{address}#/run/{key}/doc/{quote(node_ids[names[1]] + '[0]', safe='')}")
        wait(page, "document.querySelector('img.media').naturalWidth > 0")
        wait(page, "document.querySelector('video').videoWidth > 0")
        page = show(f"{address}#/run/{key}/doc/{quote(node_ids[names[2]] + '[0]', safe='')}")
        assert page.locator(".steps > li").count() > 1
        assert (
            page.locator(".steps > li:nth-child(2) > details:not([open]) > summary").inner_text().startswith("asked: ")
        )
    finally:
        server.shutdown()
        server.server_close()


def test_messages_are_rendered_with_the_settings_of_the_run(tmp_path):
    names = ["mme", "vending_bench2"]
    (tmp_path / "results").mkdir()
    run = evaluate(
        tmp_path / "results", f"--lmms-tasks={','.join(names)}", "--lmms-model=dummy", "--lmms-limit=1",
        "--lmms-system-instruction=Be brief.", "--lmms-gen-kwargs=agentic_history=conversation",
    )  # fmt: skip
    shown = Runs(tmp_path / "results")
    for name in names:
        record = shown.records(run.name, name)[0]
        messages = shown.documents(run.name).messages(name, record["id"])
        asked = [part["text"] for message in messages for part in message["parts"] if "text" in part]
        assert "Be brief." in asked
        assert all(text.strip() in record["input"] for text in asked)


def test_runs_elsewhere_are_listed_under_their_name_and_nothing_beside_them_is(runs, tmp_path):
    (tmp_path / "main").mkdir()
    shutil.copytree(runs[1], tmp_path / "chosen" / "run")
    shutil.copytree(runs[2], tmp_path / "private")
    shown = Runs(tmp_path / "main", lambda: {"job": tmp_path / "chosen"})
    assert [s["key"] for s in shown.summaries()] == ["job/run"]
    assert len(shown.records("job/run", "mme")) == 8
    for key in ("job/../private", "job/../../private", "other/run", "private"):
        with pytest.raises(StoreError):
            shown.records(key, "mme")


def test_pictures_of_a_report_leave_the_frame_cache_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("LMMS_VIDEO_CACHE_DIR", str(tmp_path / "frames"))
    (tmp_path / "results").mkdir()
    key = evaluate(tmp_path / "results", "--lmms-tasks=videomme", "--lmms-model=dummy", "--lmms-limit=1").name
    assert "data:image/webp" in _unpacked(tmp_path / "results" / key / "report.html")
    assert not (tmp_path / "frames").exists()
    status, content = ask(Runs(tmp_path / "results"), "/api/media", run=key, task="videomme", id=0, place=0)
    assert status == 200
    assert content[:4] == b"RIFF"
    assert not (tmp_path / "frames").exists()


def _unpacked(report):
    packed = re.search(r'id="data">([^<]+)<', report.read_text(encoding="utf-8"))[1]
    return gzip.decompress(base64.b64decode(packed)).decode()


@pytest.mark.parametrize("host", ["[", "evil.example", "127.0.0.1@evil.example", ""])
def test_a_host_that_is_not_this_machine_is_refused(tmp_path, host):
    server = make_server(Runs(tmp_path), "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{server.server_address[1]}/", headers={"Host": host})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=20)
    finally:
        server.shutdown()
        server.server_close()
