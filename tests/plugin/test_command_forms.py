"""The command forms that the documentation promises, word for word, each in a fresh interpreter."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lmms import catalog
from pytest_lmms.tasks.miniature import read_miniature

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(pytester, monkeypatch):
    """A folder that looks like the checkout's root: its ini and its `benchmarks`."""
    (pytester.path / "benchmarks").symlink_to(catalog.folder("benchmarks"), target_is_directory=True)
    pytester.makeini("[pytest]\ntestpaths = benchmarks\nlmms_model = tiny_vlm\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return pytester.path


def only_results(folder: Path) -> dict:
    (path,) = folder.glob("results/*/results.json")
    return json.loads(path.read_text())


def run_words(pytester: pytest.Pytester, command: str, *more: str) -> pytest.RunResult:
    """Run a command as it is written; `more` are arguments that keep a test small."""
    program, *words = command.split()
    assert program == "pytest"
    return pytester.runpytest_subprocess(*words, *more, "-p", "no:cacheprovider")


@pytest.fixture
def tiny_vlm() -> Path:
    folder = catalog.folder("models") / "tiny_vlm"
    assert (folder / "model.safetensors").is_file(), "train it: python tools/tiny_vlm/train.py"
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "pytest benchmarks/mme --lmms-model tiny_vlm --lmms-data mini",
        "pytest benchmarks/mme --lmms-model tiny_vlm --lmms-data mini -n 2",
    ],
)
def test_the_demo_runs_in_one_process_and_in_two(pytester, checkout, tiny_vlm, command):
    result = run_words(pytester, command)
    result.assert_outcomes(passed=8)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*tiny_vlm: results*", "*mme_perception_score*", "Run folder: results*"])
    assert only_results(checkout)["n-samples"]["mme"]["effective"] == 8


def test_the_qwen_adapter_takes_a_path_and_runs_in_two_processes(pytester, checkout, tiny_vlm):
    command = f"pytest benchmarks/mme --lmms-model qwen2_5_vl --lmms-model-args pretrained={tiny_vlm} -n 2"
    result = run_words(pytester, command, "--lmms-data", "mini")
    result.assert_outcomes(passed=8)
    assert result.ret == 0


def test_names_that_match_no_task_say_so_and_open_nothing(pytester, checkout):
    result = run_words(pytester, "pytest -k no_task_has_this_name")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*ruled out by name, datasets not opened*no task matches*"])
    assert not (checkout / "results").exists()


class _Server(http.server.BaseHTTPRequestHandler):
    """Chat completions that say `Yes` to everything, streamed where that is asked for."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)  # type: ignore[attr-defined]
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        base = {"id": "x", "created": 1, "model": body["model"]}
        self.send_response(200)
        if body.get("stream"):
            base["object"] = "chat.completion.chunk"
            delta = {"index": 0, "delta": {"role": "assistant", "content": "Yes"}, "finish_reason": None}
            chunks = [
                {**base, "choices": [delta]},
                {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {**base, "choices": [], "usage": usage},
            ]
            data = "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n"
            self.send_header("Content-Type", "text/event-stream")
        else:
            message = {"role": "assistant", "content": "Yes"}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            data = json.dumps({**base, "object": "chat.completion", "choices": choices, "usage": usage})
            self.send_header("Content-Type", "application/json")
        encoded = data.encode()
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_tasks_by_name_are_asked_of_a_server(pytester, server, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "hunter22")
    address = f"http://127.0.0.1:{server.server_port}/v1"
    command = (
        "pytest --lmms-tasks mme,mmmu_val --lmms-model openai --lmms-data mini "
        f"--lmms-model-args model_version=m,base_url={address}"
    )
    result = run_words(pytester, command)
    num_documents = sum(
        len(read_miniature(catalog.folder("benchmarks") / b / "miniature" / f"{t}.jsonl"))
        for b, t in [("mme", "mme"), ("mmmu", "mmmu_val")]
    )
    result.assert_outcomes(passed=num_documents)
    assert result.ret == 0
    assert len(server.asked) == num_documents
    parts = [p["type"] for m in server.asked[0]["messages"] if isinstance(m["content"], list) for p in m["content"]]
    assert "image_url" in parts
    results = only_results(pytester.path)
    assert set(results["results"]) == {"mme", "mmmu_val"}
    for file in pytester.path.rglob("results/**/*"):
        assert not file.is_file() or b"hunter22" not in file.read_bytes(), file
